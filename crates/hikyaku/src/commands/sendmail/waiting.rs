//! `sendmail -bp`, `mailq`: the caller's own mail that waits; to operators, all mail.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::anyhow;
use envelope::Walk;
use link::services::submit::Waiting;
use rustix::stdio::stdout;
use sendmail::Refusal;
use sendmail::listing::{Channel, Listed, ListedRecipient, Mailq};
use time::UtcOffset;

use super::server::Server;
use super::{Caller, descriptor};
use crate::commands::qmail::waiting;
use crate::config::{self, Config};
use crate::sendmail_note::Places;

/// Prints the list, each message as soon as it is known.
///
/// # Errors
/// If the server does not answer.
pub fn run(caller: &Caller) -> Result<(), Refusal> {
    let mut list = Mailq::new(UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC));
    let print = |text: String| descriptor::write(stdout(), text.as_bytes()).is_ok();
    // Whoever reads the list may have had enough before its end.
    let mut look = |message: &Listed| print(list.message(message));
    let has_all = match is_operator(&caller.places) {
        true => all(&mut look)?,
        false => own(&caller.places, &mut look)?,
    };
    if has_all {
        print(list.end());
    }
    Ok(())
}

/// Whether this is root or the server's own user: the one whom its directories belong to.
fn is_operator(places: &Places) -> bool {
    let uid = rustix::process::geteuid();
    let servers = places.submit.parent().and_then(|run| fs::metadata(run).ok()).map(|run| run.uid());
    uid.is_root() || servers == Some(uid.as_raw())
}

/// Has all messages looked at; false, if looking ended it.
fn all(look: &mut dyn FnMut(&Listed) -> bool) -> Result<bool, Refusal> {
    let path = std::env::var_os("HIKYAKU_CONFIG").map_or(config::DEFAULT_PATH.into(), PathBuf::from);
    let mut goes_on = true;
    let walked = Config::read(&path).and_then(|config| {
        waiting::each(&config, |message| {
            goes_on = look(message);
            if goes_on { Ok(()) } else { Err(anyhow!("nobody reads any more")) }
        })
    });
    match walked {
        Err(problem) if goes_on => Err(Refusal::ServerAway(format!("{problem:#}"))),
        _ => Ok(goes_on),
    }
}

/// The same with the caller's own.
fn own(places: &Places, look: &mut dyn FnMut(&Listed) -> bool) -> Result<bool, Refusal> {
    let mut server = Server::connect(places)?;
    let mut next = Some(Walk::default());
    while let Some(walk) = next {
        let (messages, more) = server.waiting(walk)?;
        for message in messages {
            if !look(&listed(message)) {
                return Ok(false);
            }
        }
        next = more;
    }
    Ok(true)
}

fn listed(message: Waiting) -> Listed {
    let Waiting { id, arrived, size, reverse_path, recipients, settled: _ } = message;
    let recipients = recipients.into_iter().map(|(address, last_reply)| ListedRecipient {
        address: address.to_string(),
        // This list does not show where mail goes.
        channel: Channel::Remote,
        done: false,
        last_reply: last_reply.filter(|reply| !reply.is_empty()),
    });
    Listed {
        id: id.to_string(),
        arrived,
        size,
        sender: reverse_path.address().map(ToString::to_string).unwrap_or_default(),
        recipients: recipients.collect(),
    }
}
