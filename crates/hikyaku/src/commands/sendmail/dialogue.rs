//! `sendmail -bs`: SMTP with the server over standard input and output. The server knows from the kernel
//! whose program this is, so there is nothing to do here but to copy.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use rustix::stdio::{stdin, stdout};
use sendmail::Refusal;

use super::{descriptor, server};
use crate::sendmail_note::Places;

/// Copies both ways until the server has ended the dialogue.
///
/// # Errors
/// If nobody hears; then the client has been told so in a reply. If the server ended it before it had answered
/// QUIT: what it had not answered yet, it may not have taken.
pub fn run(places: &Places) -> Result<(), Refusal> {
    let server = server::connect(&places.smtp).map_err(|error| {
        say(b"421 the mail server does not run, try again later (#4.3.2)\r\n");
        server::away(&places.smtp, &error)
    })?;
    let server = Arc::new(server);
    let to_server = Arc::clone(&server);
    // Neither direction waits for the other: a client may send on while it does not read.
    let copying = thread::Builder::new().spawn(move || {
        // Whichever end is lost, the server ends the dialogue then, and so do we.
        let _ = descriptor::copy(stdin(), to_server.as_fd(), |_| ());
        let _ = to_server.shutdown(Shutdown::Write);
    });
    if let Err(error) = copying {
        say(b"421 too many programs run here, try again later (#4.3.2)\r\n");
        return Err(Refusal::ServerAway(format!("there is no thread to speak with it: {error}")));
    }
    let mut last_line = LastLine::default();
    let copied = descriptor::copy(server.as_fd(), stdout(), |octets| last_line.see(octets));
    match copied {
        _ if last_line.begins_with(b"221") => Ok(()),
        Ok(()) => Err(Refusal::ServerAway("it ended the dialogue before the client did".into())),
        Err(error) => Err(Refusal::ServerAway(format!("the dialogue was cut: {error}"))),
    }
}

/// Says it to the client. Whoever does not hear it has our exit code.
fn say(reply: &[u8]) {
    let _ = descriptor::write(stdout(), reply);
}

/// How the last line begins of what comes in pieces.
#[derive(Default)]
struct LastLine {
    beginning: Vec<u8>,
    has_ended: bool,
}

impl LastLine {
    const KEPT: usize = 3;

    fn see(&mut self, octets: &[u8]) {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if std::mem::replace(&mut self.has_ended, line.ends_with(b"\n")) {
                self.beginning.clear();
            }
            let lacks = LastLine::KEPT - self.beginning.len();
            self.beginning.extend_from_slice(&line[..lacks.min(line.len())]);
        }
    }

    /// Whether it is whole and begins so.
    fn begins_with(&self, code: &[u8; LastLine::KEPT]) -> bool {
        self.has_ended && self.beginning == code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_known_however_it_comes() {
        for (all, is_bye) in [
            ("220 a\r\n221 bye\r\n", true),
            ("221\n", true),
            ("221 bye\r\n250 x\r\n", false),
            ("221 bye", false),
            ("2\n21 x\n", false),
            ("", false),
        ] {
            for size in 1..=all.len().max(1) {
                let mut last_line = LastLine::default();
                all.as_bytes().chunks(size).for_each(|piece| last_line.see(piece));
                assert_eq!(last_line.begins_with(b"221"), is_bye, "{all:?} by {size}");
            }
        }
    }
}
