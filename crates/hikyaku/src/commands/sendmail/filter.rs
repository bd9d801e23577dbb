//! `QMAILQUEUE`: a program of the caller's choice gets the completed message in place of the queue, by the
//! interface of qmail-queue. It is the field's hook for filters; most of them end by calling qmail-queue.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, ExitStatus};

use link::services::submit::ComposedEnvelope;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use sendmail::{Job, Refusal, qmail_queue};

use super::composed::Composed;
use super::message::Message;
use crate::sendmail_note::Places;

/// The variable that names the program.
pub const VARIABLE: &str = "QMAILQUEUE";

/// The descriptor at which a program may say why it refuses a message, as notqmail's may.
const REASON: i32 = 6;
/// The most octets of that.
const REASON_MAX: u64 = 4096;

/// Has the program take the message.
///
/// # Errors
/// The server's, about the message; then the program's.
pub fn run(program: &OsStr, places: &Places, job: Job, message: &Message) -> Result<(), Refusal> {
    let composed = Composed::ask(places, job, message)?;
    if composed.envelopes.iter().all(|envelope| envelope.recipients.is_empty()) {
        return Err(Refusal::NoRecipients);
    }
    let mut whole = whole(&composed).map_err(|error| Refusal::Filter {
        text: format!("unable to write the message for {}: {error}", program.display()),
        permanent: false,
    })?;
    for (gone, envelope) in composed.envelopes.iter().enumerate() {
        pass(program, &mut whole, envelope).map_err(|refusal| match gone {
            0 => refusal,
            _ => Refusal::Fault(format!(
                "it went to the first {gone} of {} recipients, not to the others: {refusal}",
                composed.envelopes.len(),
            )),
        })?;
    }
    Ok(())
}

/// The message in a file without a name: a program may end without having read it all, or read it twice.
fn whole(composed: &Composed<'_>) -> io::Result<File> {
    let file = tempfile::tempfile().or_else(|_| memory())?;
    let mut out = BufWriter::with_capacity(64 << 10, file);
    composed.write(&mut out)?;
    Ok(out.into_inner()?)
}

fn pass(program: &OsStr, whole: &mut File, envelope: &ComposedEnvelope) -> Result<(), Refusal> {
    let (status, reason) = call(program, whole, envelope).map_err(|error| Refusal::Filter {
        text: format!("unable to exec qq (#4.3.0): {}: {error}", program.display()),
        permanent: false,
    })?;
    qmail_queue::outcome(status.code(), &reason)
}

fn call(program: &OsStr, whole: &mut File, envelope: &ComposedEnvelope) -> io::Result<(ExitStatus, Vec<u8>)> {
    whole.rewind()?;
    let (reader, mut writer) = io::pipe()?;
    // It may do without.
    let reason = reason().ok().flatten();
    let mut command = Command::new(program);
    command.stdin(whole.try_clone()?).stdout(reader);
    // What it calls in its turn must not call it.
    command.env_remove(VARIABLE);
    let mut child = command.spawn()?;
    // Our copy of the pipe's other end goes: so the writing ends with the program.
    drop(command);
    match writer.write_all(&octets(envelope)) {
        // It has ended, having seen enough: its exit code says more.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => drop(writer),
    }
    let status = child.wait()?;
    let mut said = Vec::new();
    if let Some(mut reason) = reason {
        reason.rewind()?;
        reason.take(REASON_MAX).read_to_end(&mut said)?;
    }
    Ok((status, said))
}

/// The envelope, as it is written to descriptor 1.
fn octets(envelope: &ComposedEnvelope) -> Vec<u8> {
    let sender = envelope.reverse_path.address().map(ToString::to_string).unwrap_or_default();
    let recipients: Vec<_> = envelope.recipients.iter().map(ToString::to_string).collect();
    qmail_queue::write(sender.as_bytes(), recipients.iter().map(String::as_bytes))
}

/// Where a program may leave a reason: a file, since nobody reads a pipe while it runs. None if the
/// descriptor is in use for something of the caller's.
fn reason() -> io::Result<Option<File>> {
    let mut file = memory()?;
    if file.as_raw_fd() != REASON {
        file = fcntl_dupfd_cloexec(file, REASON)?.into();
    }
    if file.as_raw_fd() != REASON {
        return Ok(None);
    }
    // It stays open in the program that is started.
    fcntl_setfd(&file, FdFlags::empty())?;
    Ok(Some(file))
}

fn memory() -> io::Result<File> {
    Ok(memfd_create("message", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(test)]
mod tests {
    use envelope::{Address, ReversePath};

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    fn envelope() -> ComposedEnvelope {
        let recipients = vec![address("b@pobox.example"), address("c@elsewhere.example")];
        ComposedEnvelope { reverse_path: ReversePath::Address(address("abc@pobox.example")), recipients }
    }

    fn filtered(script: &str, message: &[u8]) -> Option<i32> {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("filter");
        // A program that a thread beside us still has open for writing cannot be run; so another writes it.
        let written = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&program)
            .arg(script)
            .status();
        assert!(written.expect("a shell").success());
        let mut whole = tempfile::tempfile().expect("a file");
        whole.write_all(message).expect("it takes it");
        call(program.as_os_str(), &mut whole, &envelope()).expect("it runs").0.code()
    }

    #[test]
    fn a_program_reads_the_message_and_then_the_envelope() {
        let expected = "exec 4<&1; test \"$(cat; tr '\\0' , <&4)\" = 'Hello.\
            Fabc@pobox.example,Tb@pobox.example,Tc@elsewhere.example,,' && exit 33";
        assert_eq!(filtered(expected, b"Hello."), Some(33));
    }

    #[test]
    fn it_may_end_without_having_read_anything() {
        assert_eq!(filtered("exit 31", &vec![b'x'; 1 << 20]), Some(31));
    }

    #[test]
    fn the_null_reverse_path_is_an_empty_one() {
        let bounce = ComposedEnvelope { reverse_path: ReversePath::Null, ..envelope() };
        assert_eq!(octets(&bounce), b"F\0Tb@pobox.example\0Tc@elsewhere.example\0\0");
    }

    #[test]
    fn a_program_that_is_not_there_is_tried_again_later() {
        let mut whole = tempfile::tempfile().expect("a file");
        let refusal = pass(OsStr::new("/nowhere/filter"), &mut whole, &envelope()).expect_err("it is not");
        let Refusal::Filter { text, permanent: false } = refusal else { panic!("{refusal}") };
        assert!(text.contains("/nowhere/filter"), "{text}");
    }
}
