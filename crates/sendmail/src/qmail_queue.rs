//! The interface of `qmail-queue`: the envelope on descriptor 1, and what exit codes say. Programs that
//! stand in for it, those of `QMAILQUEUE`, have the same.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::refusal::Refusal;
use crate::visible::visible;

/// The most octets of an address, as qmail has it.
pub const ADDRESS_MAX: usize = 1002;

/// Why an envelope is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Fault {
    /// An address has more than [`ADDRESS_MAX`] octets.
    #[error("an address of the envelope has more than {ADDRESS_MAX} octets")]
    AddressTooLong,
    /// All addresses together have more octets than a job may have.
    #[error("the envelope names too many recipients")]
    TooManyRecipients,
    /// It ends before its end.
    #[error("the envelope ends too early")]
    Cut,
    /// It is not of the form `F sender NUL`, `T recipient NUL` for each, NUL.
    #[error("the envelope is not as it must be")]
    Format,
}

impl Fault {
    /// The exit code of `qmail-queue` that says so.
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::AddressTooLong => 11,
            Fault::TooManyRecipients => 31,
            Fault::Cut => 54,
            Fault::Format => 91,
        }
    }
}

/// Reads an envelope as it comes: `F<sender>NUL`, `T<recipient>NUL` for each, and a last NUL. What comes
/// behind counts for nothing.
#[derive(Debug, Default)]
pub struct EnvelopeReader {
    state: State,
    sender: Option<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    octets: usize,
}

#[derive(Debug, Default)]
enum State {
    /// A letter comes, or the last NUL.
    #[default]
    Letter,
    /// An address comes; this is its beginning.
    Address(Vec<u8>),
    Whole,
}

impl EnvelopeReader {
    /// At its beginning.
    pub fn new() -> EnvelopeReader {
        EnvelopeReader::default()
    }

    /// Takes the next octets, and says whether the envelope is whole.
    ///
    /// # Errors
    /// If it is none; nothing may be fed then.
    pub fn feed(&mut self, mut octets: &[u8]) -> Result<bool, Fault> {
        while let Some((&first, rest)) = octets.split_first() {
            match &mut self.state {
                State::Whole => break,
                State::Letter => {
                    octets = rest;
                    self.state = match (first, &self.sender) {
                        (b'F', None) | (b'T', Some(_)) => State::Address(Vec::new()),
                        (0, Some(_)) => State::Whole,
                        _ => return Err(Fault::Format),
                    };
                }
                State::Address(address) => {
                    let end = memchr::memchr(0, octets);
                    let part = &octets[..end.unwrap_or(octets.len())];
                    if address.len() + part.len() > ADDRESS_MAX {
                        return Err(Fault::AddressTooLong);
                    }
                    address.extend_from_slice(part);
                    let Some(end) = end else { return Ok(false) };
                    let address = std::mem::take(address);
                    self.add(address)?;
                    octets = &octets[end + 1..];
                }
            }
        }
        Ok(matches!(self.state, State::Whole))
    }

    /// The sender, empty for the null reverse-path, and the recipients, which may be none.
    ///
    /// # Errors
    /// [`Fault::Cut`], if it is not whole.
    pub fn finish(self) -> Result<(Vec<u8>, Vec<Vec<u8>>), Fault> {
        match (self.state, self.sender) {
            (State::Whole, Some(sender)) => Ok((sender, self.recipients)),
            _ => Err(Fault::Cut),
        }
    }

    fn add(&mut self, address: Vec<u8>) -> Result<(), Fault> {
        const OVERHEAD: usize = 5;
        self.octets += address.len() + OVERHEAD;
        if self.octets > crate::options::ARGUMENTS_OCTETS_MAX {
            return Err(Fault::TooManyRecipients);
        }
        self.state = State::Letter;
        match self.sender {
            None => self.sender = Some(address),
            Some(_) => self.recipients.push(address),
        }
        Ok(())
    }
}

/// Reads a whole envelope: sender and recipients.
///
/// # Errors
/// If it is none.
pub fn envelope(octets: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), Fault> {
    let mut reader = EnvelopeReader::new();
    reader.feed(octets)?;
    reader.finish()
}

/// Writes an envelope. NULs within addresses, which none may have, are left out.
pub fn write<'a>(sender: &[u8], recipients: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut envelope = Vec::new();
    let mut add = |letter: u8, address: &[u8]| {
        envelope.push(letter);
        envelope.extend(address.iter().filter(|octet| **octet != 0));
        envelope.push(0);
    };
    add(b'F', sender);
    recipients.into_iter().for_each(|recipient| add(b'T', recipient));
    envelope.push(0);
    envelope
}

/// The exit code of `qmail-queue` for a message that was not taken. Callers turn 11 to 40 into a refusal
/// for good, all others into one for now.
pub fn exit_code(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::NoEnvelope(fault) => fault.exit_code(),
        Refusal::StorageFull => 53,
        Refusal::Unreadable(_) => 54,
        Refusal::ServerAway(_) => 74,
        Refusal::Fault(_) => 81,
        other => match other.exit_code(crate::Manner::Qmail) {
            100 => 31,
            _ => 71,
        },
    }
}

/// What a program that stands in for `qmail-queue` said: its exit code, none if a signal ended it, and
/// what it wrote to descriptor 6, which counts with code 82 (`D` and a text: for good, `Z`: for now).
///
/// # Errors
/// If it did not take the message.
pub fn outcome(code: Option<i32>, custom: &[u8]) -> Result<(), Refusal> {
    let (permanent, text) = match code {
        Some(0) => return Ok(()),
        Some(82) => match custom.split_first() {
            Some((&kind @ (b'D' | b'Z'), text)) if !text.trim_ascii().is_empty() => {
                return Err(Refusal::Filter { text: visible(text.trim_ascii()), permanent: kind == b'D' });
            }
            _ => (false, "qq temporary problem (#4.3.0)"),
        },
        Some(11 | 115) => (true, "envelope address too long for qq (#5.1.3)"),
        Some(31) => (true, "mail server permanently rejected message (#5.3.0)"),
        Some(12..=40) => (true, "qq permanent problem (#5.3.0)"),
        Some(51) => (false, "qq out of memory (#4.3.0)"),
        Some(52) => (false, "qq timeout (#4.3.0)"),
        Some(53) => (false, "qq write error or disk full (#4.3.0)"),
        Some(54) => (false, "qq read error (#4.3.0)"),
        Some(55) => (false, "qq unable to read configuration (#4.3.0)"),
        Some(56) => (false, "qq trouble making network connection (#4.3.0)"),
        Some(61) => (false, "qq trouble in home directory (#4.3.0)"),
        Some(62..=66) => (false, "qq trouble creating files in queue (#4.3.0)"),
        Some(71) => (false, "mail server temporarily rejected message (#4.3.0)"),
        Some(72) => (false, "connection to mail server timed out (#4.4.1)"),
        Some(73) => (false, "connection to mail server rejected (#4.4.1)"),
        Some(74) => (false, "communication with mail server failed (#4.4.2)"),
        Some(81 | 91) => (false, "qq internal bug (#4.3.0)"),
        Some(120) => (false, "unable to exec qq (#4.3.0)"),
        Some(_) => (false, "qq temporary problem (#4.3.0)"),
        None => (false, "qq crashed (#4.3.0)"),
    };
    Err(Refusal::Filter { text: text.into(), permanent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_envelope_has_a_sender_and_recipients() {
        let both = (b"s@x.example".to_vec(), vec![b"a@x.example".to_vec(), b"b@y.example".to_vec()]);
        assert_eq!(envelope(b"Fs@x.example\0Ta@x.example\0Tb@y.example\0\0").unwrap(), both);
        assert_eq!(envelope(b"F\0T\0\0behind it").unwrap(), (vec![], vec![vec![]]));
        assert_eq!(envelope(b"Fs\0\0").unwrap(), (b"s".to_vec(), vec![]));
    }

    #[test]
    fn what_is_no_envelope_ends_with_the_exit_code_of_qmail() {
        let long = |length| [b"F", vec![b'a'; length].as_slice(), b"\0Tb\0\0"].concat();
        for (octets, exit) in [
            (b"".to_vec(), 54),
            (b"F".to_vec(), 54),
            (b"Fs\0".to_vec(), 54),
            (b"Fs\0Ta\0".to_vec(), 54),
            (b"Fs\0Ta".to_vec(), 54),
            (b"\0".to_vec(), 91),
            (b"Ta\0".to_vec(), 91),
            (b"Fs\0Fs\0\0".to_vec(), 91),
            (b"Fs\0x".to_vec(), 91),
            (long(1003), 11),
        ] {
            assert_eq!(envelope(&octets).unwrap_err().exit_code(), exit, "{}", octets.escape_ascii());
        }
        assert_eq!(envelope(&long(1002)).unwrap().0.len(), 1002);
        // One that never ends.
        let mut reader = EnvelopeReader::new();
        reader.feed(b"Fs\0").unwrap();
        let piece = b"Ta@x.example\0".repeat(1000);
        assert_eq!((0..1000).find_map(|_| reader.feed(&piece).err()), Some(Fault::TooManyRecipients));
    }

    #[test]
    fn each_exit_code_has_the_words_that_callers_show() {
        let said = |code| match outcome(code, b"") {
            Ok(()) => "taken".into(),
            Err(Refusal::Filter { text, permanent }) => {
                format!("{}{text}", if permanent { 'D' } else { 'Z' })
            }
            Err(other) => panic!("{other}"),
        };
        for (codes, text) in [
            (&[0][..], "taken"),
            (&[11, 115], "Denvelope address too long for qq (#5.1.3)"),
            (&[31], "Dmail server permanently rejected message (#5.3.0)"),
            (&[12, 30, 32, 40], "Dqq permanent problem (#5.3.0)"),
            (&[51], "Zqq out of memory (#4.3.0)"),
            (&[52], "Zqq timeout (#4.3.0)"),
            (&[53], "Zqq write error or disk full (#4.3.0)"),
            (&[54], "Zqq read error (#4.3.0)"),
            (&[55], "Zqq unable to read configuration (#4.3.0)"),
            (&[56], "Zqq trouble making network connection (#4.3.0)"),
            (&[61], "Zqq trouble in home directory (#4.3.0)"),
            (&[62, 63, 64, 65, 66], "Zqq trouble creating files in queue (#4.3.0)"),
            (&[71], "Zmail server temporarily rejected message (#4.3.0)"),
            (&[72], "Zconnection to mail server timed out (#4.4.1)"),
            (&[73], "Zconnection to mail server rejected (#4.4.1)"),
            (&[74], "Zcommunication with mail server failed (#4.4.2)"),
            (&[81, 91], "Zqq internal bug (#4.3.0)"),
            (&[120], "Zunable to exec qq (#4.3.0)"),
            (&[1, 10, 41, 82, 100, 111, 255, -1], "Zqq temporary problem (#4.3.0)"),
        ] {
            for code in codes {
                assert_eq!(said(Some(*code)), text, "{code}");
            }
        }
        assert_eq!(said(None), "Zqq crashed (#4.3.0)");
    }

    #[test]
    fn a_program_may_say_it_in_words_of_its_own() {
        for (custom, text, permanent) in [
            (&b"Dvirus found (#5.7.1)\n"[..], "virus found (#5.7.1)", true),
            (b"Ztry later", "try later", false),
            (b"D a\r\nb", r"a\x0d\x0ab", true),
            (b"?what", "qq temporary problem (#4.3.0)", false),
            (b"D", "qq temporary problem (#4.3.0)", false),
        ] {
            let refusal = Refusal::Filter { text: text.into(), permanent };
            assert_eq!(outcome(Some(82), custom), Err(refusal));
        }
    }

    #[test]
    fn callers_learn_from_the_exit_code_whether_to_try_again() {
        for (refusal, code) in [
            (Refusal::NoSuchMailbox(vec![]), 31),
            (Refusal::NoRecipients, 31),
            (Refusal::UnknownUser(1), 31),
            (Refusal::NoEnvelope(Fault::AddressTooLong), 11),
            (Refusal::NoEnvelope(Fault::Cut), 54),
            (Refusal::StorageFull, 53),
            (Refusal::Unreadable("x".into()), 54),
            (Refusal::MailboxFull("a@x.example".parse().unwrap()), 71),
            (Refusal::ServerAway("x".into()), 74),
            (Refusal::Fault("x".into()), 81),
        ] {
            assert_eq!(exit_code(&refusal), code, "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn an_envelope_is_read_as_it_was_written_however_it_is_cut(
            sender in "[^\0]{0,50}",
            recipients in proptest::collection::vec("[^\0]{0,50}", 0..5),
            piece in 1..40usize,
        ) {
            let written = write(sender.as_bytes(), recipients.iter().map(String::as_bytes));
            let mut reader = EnvelopeReader::new();
            let mut whole = false;
            for piece in written.chunks(piece) {
                prop_assert!(!whole);
                whole = reader.feed(piece).unwrap();
            }
            prop_assert!(whole);
            let recipients = recipients.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(reader.finish().unwrap(), (sender.into_bytes(), recipients));
        }

        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>, code: Option<i32>) {
            if let Ok((sender, recipients)) = envelope(&octets) {
                prop_assert!(octets.starts_with(&write(&sender, recipients.iter().map(Vec::as_slice))));
            }
            let _ = outcome(code, &octets);
        }
    }
}
