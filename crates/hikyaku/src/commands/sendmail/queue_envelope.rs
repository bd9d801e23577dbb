//! The envelope that callers of `qmail-queue` write to its descriptor 1.

use std::os::fd::BorrowedFd;

use sendmail::qmail_queue::{EnvelopeReader, Fault};

use super::descriptor;

/// A sender, and recipients, as they were written.
pub type Envelope = (Vec<u8>, Vec<Vec<u8>>);

/// Reads as far as the envelope goes; what comes behind it does not count, and is not waited for.
///
/// # Errors
/// If it ends too early, or is none.
pub fn read(from: BorrowedFd<'_>) -> Result<Envelope, Fault> {
    let mut reader = EnvelopeReader::new();
    let mut octets = Vec::new();
    // What cannot be read is missing.
    while descriptor::read(from, &mut octets).unwrap_or(0) > 0 {
        if reader.feed(&octets)? {
            break;
        }
        octets.clear();
    }
    reader.finish()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;

    #[test]
    fn an_envelope_ends_where_it_says_so_however_it_is_cut() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let octets = b"F\0Tb@pobox.example\0T\0Tc@pobox.example\0\0Td@pobox.example\0\0";
        let caller = thread::spawn(move || {
            for octet in octets {
                writer.write_all(&[*octet]).expect("somebody reads");
            }
            // It stays open: nobody waits for more.
            writer
        });
        let (sender, recipients) = read(reader.as_fd()).expect("it is an envelope");
        assert_eq!(sender, b"");
        assert_eq!(recipients, [&b"b@pobox.example"[..], b"", b"c@pobox.example"]);
        drop(caller.join());
    }

    #[test]
    fn one_without_an_end_is_none() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let endless = thread::spawn(move || while writer.write_all(&[b'x'; 4096]).is_ok() {});
        assert_eq!(read(reader.as_fd()), Err(Fault::Format));
        drop(reader);
        endless.join().expect("nobody reads any more");
    }
}
