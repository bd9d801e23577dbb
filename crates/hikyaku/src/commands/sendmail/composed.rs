//! A message as the server would complete it, for those who want to see it before it is queued: a
//! `QMAILQUEUE` program, and `qmail-inject -n`.

use std::io::{self, Write};

use bytes::Bytes;
use link::services::submit::{ComposedEnvelope, PIECE_MAX};
use sendmail::intake::HEADER_MAX;
use sendmail::{Intake, Job, Refusal};

use super::message::Message;
use super::server::Server;
use crate::sendmail_note::Places;

/// A completed message.
pub struct Composed<'a> {
    head: Bytes,
    message: &'a Message,
    /// From whom it goes to whom; more than one with a reverse-path for each recipient.
    pub envelopes: Vec<ComposedEnvelope>,
}

impl<'a> Composed<'a> {
    /// Asks the server.
    ///
    /// # Errors
    /// As [`Server::compose`], and if the message is none.
    pub fn ask(places: &Places, job: Job, message: &'a Message) -> Result<Composed<'a>, Refusal> {
        let mut header = None;
        // The whole is looked at, so that what is no message is refused before anybody sees a part of it.
        parts(message, &mut |part| {
            if let Part::Header(octets) = part {
                header = Some(octets);
            }
            Ok(())
        })?;
        let header = header.unwrap_or_default().into();
        let (head, envelopes) = Server::connect(places)?.compose(job, header)?;
        Ok(Composed { head, message, envelopes })
    }

    /// Writes the message, with LF at the line ends, as qmail's programs have it.
    ///
    /// # Errors
    /// If it cannot be written or read.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        let written = parts(self.message, &mut |part| match part {
            Part::Header(_) => Ok(()),
            Part::Body(mut octets) => {
                // Where line ends are CRLF there is no other CR.
                octets.retain(|octet| *octet != b'\r');
                out.write_all(&octets).map_err(|error| Refusal::Unreadable(error.to_string()))
            }
        });
        written.map_err(io::Error::other)
    }
}

enum Part {
    Header(Vec<u8>),
    Body(Vec<u8>),
}

/// Reads a message in parts: its header, then its body in pieces; with CRLF at the line ends.
fn parts(message: &Message, look: &mut dyn FnMut(Part) -> Result<(), Refusal>) -> Result<(), Refusal> {
    // How large it may be is judged where it is taken.
    let mut intake = Intake::new(HEADER_MAX, u64::MAX);
    let mut at = 0;
    loop {
        let piece = message.piece(at, PIECE_MAX)?;
        at += piece.len() as u64;
        let mut body = Vec::with_capacity(piece.len());
        if piece.is_empty() {
            intake.finish(&mut body)?;
        } else {
            intake.feed(&piece, &mut body)?;
        }
        if let Some(header) = intake.header() {
            look(Part::Header(header))?;
        }
        if !body.is_empty() {
            look(Part::Body(body))?;
        }
        if piece.is_empty() {
            return Ok(());
        }
    }
}
