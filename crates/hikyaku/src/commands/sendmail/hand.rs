//! Handing a message in.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

use envelope::QueueId;
use rustix::stdio::{stdin, stdout};
use sendmail::visible::visible;
use sendmail::{Face, Job, Refusal, environment};

use super::composed::Composed;
use super::message::Message;
use super::server::Server;
use super::{Caller, descriptor, drop_directory, filter, queue_envelope};

/// Where a message is that was taken.
pub enum Handed {
    /// In the queue.
    Queued(QueueId),
    /// In the drop directory, since the server is away: why.
    Kept(Refusal),
    /// With the program that `QMAILQUEUE` names.
    Filtered,
    /// With the server that runs this program, which sends it when the program has succeeded.
    Left,
}

/// Reads the message and hands it in.
///
/// # Errors
/// Whatever stood against it. It is nowhere then, but as [`filter::run`] and [`Server::take`] say.
pub fn hand(caller: &Caller, job: Job) -> Result<Handed, Refusal> {
    let (job, message) = read(caller, job).inspect_err(|refusal| Server::tell(&caller.places, refusal))?;
    if let Some(directory) = &caller.places.handover {
        // The filter would have to be told what the server makes of the message, which is not heard here; and
        // what somebody wanted filtered does not go without.
        if filter_of(caller).is_some() {
            return Err(Refusal::InInstructions(filter::VARIABLE.into()));
        }
        drop_directory::hand_over(directory, &job, &message)?;
        return Ok(Handed::Left);
    }
    if let Some(program) = filter_of(caller) {
        filter::run(&program, &caller.places, job, &message)?;
        return Ok(Handed::Filtered);
    }
    match Server::connect(&caller.places).and_then(|mut server| server.take(&job, &message)) {
        Ok(id) => Ok(Handed::Queued(id)),
        Err(Refusal::ServerAway(away)) if caller.note.spool => {
            match drop_directory::leave(&caller.places.drop, &job, &message) {
                Ok(()) => Ok(Handed::Kept(Refusal::ServerAway(away))),
                Err(why_not) => Err(Refusal::ServerAway(format!("{away}; {why_not}"))),
            }
        }
        Err(refusal) => Err(refusal),
    }
}

/// Reads the message and prints what would be made of it, as `qmail-inject -n` does: the reverse-path,
/// and not the recipients.
///
/// # Errors
/// Whatever stands against it.
pub fn show(caller: &Caller, job: Job) -> Result<(), Refusal> {
    let (job, message) = read(caller, job)?;
    let composed = Composed::ask(&caller.places, job, &message)?;
    // Without a recipient there is no envelope, and nothing to send.
    let mut out = Vec::new();
    if let Some(envelope) = composed.envelopes.first() {
        out = format!("Return-Path: {}\n", envelope.reverse_path).into_bytes();
    }
    let written = composed.write(&mut out).and_then(|()| descriptor::write(stdout(), &out));
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Refusal::Unreadable(format!("it cannot be printed: {error}")))
        }
        _ => Ok(()),
    }
}

/// Reads the message, and what else the caller has to say.
fn read(caller: &Caller, mut job: Job) -> Result<(Job, Message), Refusal> {
    if descriptor::was_closed(stdin()) {
        // An empty message would be sent, of which nobody knows that something went wrong.
        return Err(Refusal::Unreadable("the message cannot be read: standard input is closed".into()));
    }
    let message =
        Message::read(stdin(), caller.note.message_size_max).inspect_err(|_| descriptor::drain(stdin()))?;
    if job.face == Face::QmailQueue {
        // In this order: callers write the envelope when they have written the message.
        let (sender, recipients) = queue_envelope::read(stdout())?;
        (job.sender, job.arguments) = (Some(sender), recipients);
    } else if let Some(path) = environment::lists_path(&|name| std::env::var_os(name).map(OsString::into_vec))
    {
        job.names.lists = environment::lists(&file(OsString::from_vec(path))?);
    }
    Ok((job, message))
}

/// The program that `QMAILQUEUE` names, if it counts here. Those that hand in what is complete are what
/// such a program calls.
fn filter_of(caller: &Caller) -> Option<OsString> {
    let counts = caller.note.qmailqueue && caller.face != Face::QmailQueue;
    counts.then(|| std::env::var_os(filter::VARIABLE)).flatten().filter(|program| !program.is_empty())
}

/// What is in a file; nothing, if there is none.
fn file(path: OsString) -> Result<Vec<u8>, Refusal> {
    let mut octets = Vec::new();
    match File::open(&path)
        .and_then(|file| file.take(environment::LISTS_FILE_MAX as u64).read_to_end(&mut octets))
    {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Refusal::Unreadable(format!("QMAILMFTFILE, {}: {error}", visible(path.as_encoded_bytes()))))
        }
        _ => Ok(octets),
    }
}
