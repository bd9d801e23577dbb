//! The files of the drop directory: where messages wait while the server is away.
//!
//! | octets | what |
//! |---|---|
//! | 8 | `HKDROP`, 0, and the version |
//! | 4 | the length of the job, little-endian as all numbers here |
//! | that many | the job, in postcard |
//! | 8 | the length of the message |
//! | that many | the message as the caller wrote it |
//! | 4 | CRC-32C over all before it |
//!
//! Anybody may write such a file: what is in it is hostile until shown otherwise, and who wrote it is
//! told by the file's owner and by nothing in it. The sum tells a file that was torn: it is looked at before
//! anything else is ([`verify`]).

use std::io::{self, Read, Write};

use thiserror::Error;

use crate::job::Job;

/// The first octets of a file: what it is.
const MAGIC: [u8; 7] = *b"HKDROP\0";
/// The version of its form: another one whenever that changes, or that of [`Job`]. A file may be read by
/// another version of this server than wrote it.
const VERSION: u8 = 2;
/// Octets before the job.
const HEADER: usize = 12;
/// Octets of the sum.
const SUM: u64 = 4;

/// The most octets of a job.
pub const JOB_MAX: usize = 1 << 20;

/// A file's name: 128 random bits.
pub fn name(random: u128) -> String {
    format!("{random:032x}")
}

/// Whether [`name`] gives such names.
pub fn is_name(name: &[u8]) -> bool {
    name.len() == 32 && name.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

/// Why a file of the drop directory is not read on.
#[derive(Debug, Error)]
pub enum DropFileError {
    /// It does not begin as ours do.
    #[error("it is no file of this form")]
    Foreign,
    /// Another version of this server wrote it.
    #[error("it was left by version {0} of this form, and this server reads version {VERSION}")]
    Version(u8),
    /// It ends too early, goes on behind its end, or its sum is wrong.
    #[error("it is torn or was changed")]
    Torn,
    /// What is to be done with the message cannot be read.
    #[error("what is to be done with the message cannot be read")]
    Job,
    /// Its message has more octets than one may have.
    #[error("its message has more than {0} octets")]
    TooLarge(u64),
    /// It cannot be read.
    #[error("reading it")]
    Reading(#[from] io::Error),
}

/// Writes a file: `job`, and `size` octets from `message`.
///
/// # Errors
/// If writing or reading fails, if `message` ends too early, or if the job has more than [`JOB_MAX`]
/// octets.
pub fn write(job: &Job, size: u64, message: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let job = postcard::to_stdvec(job).map_err(io::Error::other)?;
    let length = u32::try_from(job.len()).ok().filter(|_| job.len() <= JOB_MAX);
    let length = length.ok_or_else(|| io::Error::other("the arguments are too long"))?;
    let mut summed = Summed { out, sum: 0 };
    summed.write_all(&MAGIC)?;
    summed.write_all(&[VERSION])?;
    summed.write_all(&length.to_le_bytes())?;
    summed.write_all(&job)?;
    summed.write_all(&size.to_le_bytes())?;
    if io::copy(&mut message.take(size), &mut summed)? < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let Summed { out, sum } = summed;
    out.write_all(&sum.to_le_bytes())
}

struct Summed<W> {
    out: W,
    sum: u32,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.sum = crc32c::crc32c_append(self.sum, &octets[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a file of `length` octets to its end, and says whether it is as it was written. Nothing in it is
/// judged but how it begins; one that is larger than any with a message of `message_max` octets is not read.
///
/// # Errors
/// If it is none of ours or of another version, is torn, is too large, or cannot be read.
pub fn verify(source: &mut impl Read, length: u64, message_max: u64) -> Result<(), DropFileError> {
    let mut summed = Summed { out: io::sink(), sum: 0 };
    begin(source, &mut summed.sum)?;
    let frame = (HEADER + JOB_MAX + 8) as u64 + SUM;
    if length > message_max.saturating_add(frame) {
        return Err(DropFileError::TooLarge(message_max));
    }
    let begun = MAGIC.len() as u64 + 1;
    let rest = length.checked_sub(begun + SUM).ok_or(DropFileError::Torn)?;
    if io::copy(&mut source.take(rest), &mut summed)? < rest {
        return Err(DropFileError::Torn);
    }
    end(source, summed.sum)
}

/// The octets that say what it is.
fn begin(source: &mut impl Read, sum: &mut u32) -> Result<(), DropFileError> {
    let foreign = |error| match error {
        DropFileError::Torn => DropFileError::Foreign,
        error => error,
    };
    let magic: [u8; MAGIC.len()] = array(source, sum).map_err(foreign)?;
    if magic != MAGIC {
        return Err(DropFileError::Foreign);
    }
    match array(source, sum).map_err(foreign)? {
        [VERSION] => Ok(()),
        [other] => Err(DropFileError::Version(other)),
    }
}

/// The sum, and nothing after it.
fn end(source: &mut impl Read, sum: u32) -> Result<(), DropFileError> {
    let written = u32::from_le_bytes(array(source, &mut 0)?);
    let more = source.take(1).read_to_end(&mut Vec::new())?;
    if written == sum && more == 0 { Ok(()) } else { Err(DropFileError::Torn) }
}

/// A file that is being read, in little memory.
#[derive(Debug)]
pub struct DropFile<R> {
    source: R,
    job: Job,
    size: u64,
    remaining: u64,
    sum: u32,
    ended: bool,
}

impl<R: Read> DropFile<R> {
    /// Reads up to where the message begins. `message_max` is the most octets that it may have, as its
    /// caller wrote it.
    ///
    /// # Errors
    /// If it is none of ours or of another version, is torn so early, or has too large a message.
    pub fn open(mut source: R, message_max: u64) -> Result<DropFile<R>, DropFileError> {
        let mut sum = 0;
        begin(&mut source, &mut sum)?;
        let length = u32::from_le_bytes(array(&mut source, &mut sum)?) as usize;
        if length > JOB_MAX {
            return Err(DropFileError::Job);
        }
        let mut job = Vec::new();
        // Grows as octets come: a length alone takes no memory.
        source.by_ref().take(length as u64).read_to_end(&mut job)?;
        if job.len() < length {
            return Err(DropFileError::Torn);
        }
        sum = crc32c::crc32c_append(sum, &job);
        let job = match postcard::take_from_bytes(&job) {
            Ok((job, [])) => job,
            _ => return Err(DropFileError::Job),
        };
        let size = u64::from_le_bytes(array(&mut source, &mut sum)?);
        if size > message_max {
            return Err(DropFileError::TooLarge(message_max));
        }
        Ok(DropFile { source, job, size, remaining: size, sum, ended: false })
    }

    /// What is to be done with the message.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The octets of the message, as its caller wrote it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads more of the message into `octets`, which has room; 0 says that all was read, and that it is
    /// as it was written. Until then nothing of it may be believed.
    ///
    /// # Errors
    /// [`DropFileError::Torn`] if it is not, and if reading fails.
    pub fn read(&mut self, octets: &mut [u8]) -> Result<usize, DropFileError> {
        if self.remaining > 0 {
            let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(octets.len());
            let length = match self.source.read(&mut octets[..most]) {
                Ok(0) if most > 0 => return Err(DropFileError::Torn),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return self.read(octets),
                Err(error) => return Err(error.into()),
            };
            self.sum = crc32c::crc32c_append(self.sum, &octets[..length]);
            self.remaining -= length as u64;
            return Ok(length);
        }
        if !self.ended {
            end(&mut self.source, self.sum)?;
            self.ended = true;
        }
        Ok(0)
    }
}

fn array<const N: usize>(source: &mut impl Read, sum: &mut u32) -> Result<[u8; N], DropFileError> {
    let mut octets = [0; N];
    source.read_exact(&mut octets).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DropFileError::Torn,
        _ => DropFileError::Reading(error),
    })?;
    *sum = crc32c::crc32c_append(*sum, &octets);
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Letters;
    use crate::{Face, FromHeader, Manner, Names, Treatment};
    use proptest::prelude::*;

    fn job() -> Job {
        Job {
            face: Face::Sendmail,
            manner: Manner::Helpful,
            sender: Some(b"abc".to_vec()),
            full_name: Some(b"\x8e\x52".to_vec()),
            arguments: vec![b"a@x.example".to_vec()],
            from_header: FromHeader::Also,
            treatment: Treatment::Complete,
            names: Names { lists: vec!["l@x.example".parse().unwrap()], ..Names::default() },
            let_pass: vec!["-oi".into()],
        }
    }

    fn written(message: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        write(&job(), message.len() as u64, &mut &message[..], &mut file).unwrap();
        file
    }

    fn read(file: &[u8]) -> Result<(Job, Vec<u8>), DropFileError> {
        verify(&mut &file[..], file.len() as u64, 1000)?;
        read_unverified(file)
    }

    fn read_unverified(file: &[u8]) -> Result<(Job, Vec<u8>), DropFileError> {
        let mut file = DropFile::open(file, 1000)?;
        let (mut message, mut piece) = (Vec::new(), [0; 7]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok((file.job().clone(), message)),
                length => message.extend_from_slice(&piece[..length]),
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for message in [&b""[..], b"To: a\n\nhello, \x8e\x52\n"] {
            assert_eq!(read(&written(message)).unwrap(), (job(), message.to_vec()));
        }
    }

    #[test]
    fn names_are_known_again() {
        for random in [0, 0xabc, u128::MAX] {
            assert!(is_name(name(random).as_bytes()));
        }
        for other in ["", "taken", &name(1).replace('0', "A"), &format!("{}0", name(1))] {
            assert!(!is_name(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_message_that_is_shorter_than_said_is_not_written() {
        assert!(write(&job(), 5, &mut &b"1234"[..], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_job_that_nobody_would_read_is_not_written() {
        let long = Job { arguments: vec![vec![b'a'; JOB_MAX]], ..job() };
        assert!(write(&long, 0, &mut &b""[..], &mut Vec::new()).is_err());
    }

    #[test]
    fn lengths_are_checked_before_anything_is_read_into_memory() {
        let mut file = written(b"hello");
        file[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(read_unverified(&file), Err(DropFileError::Job)));
        assert!(matches!(read(&written(&[b'a'; 1001])), Err(DropFileError::TooLarge(1000))));
        assert!(matches!(read(b"#!/bin/sh\nrm"), Err(DropFileError::Foreign)));
        let huge = [&MAGIC[..], &[VERSION], &(JOB_MAX as u32).to_le_bytes(), b"abc"].concat();
        assert!(matches!(read_unverified(&huge), Err(DropFileError::Torn)));
        let endless = &mut written(b"hello").into_iter().chain(std::iter::repeat(0)).take(3 << 20);
        let endless: Vec<u8> = endless.collect();
        assert!(matches!(verify(&mut &endless[..], 3 << 40, 1000), Err(DropFileError::TooLarge(1000))));
    }

    #[test]
    fn a_file_that_ends_early_or_goes_on_is_torn() {
        let file = written(b"hello");
        for end in 0..8 {
            assert!(matches!(read(&file[..end]), Err(DropFileError::Foreign)), "{end}");
        }
        for end in 8..file.len() {
            assert!(matches!(read(&file[..end]), Err(DropFileError::Torn)), "{end}");
            assert!(read_unverified(&file[..end]).is_err(), "{end}");
        }
        assert!(matches!(read(&[&file[..], b"x"].concat()), Err(DropFileError::Torn)));
        assert!(matches!(read_unverified(&[&file[..], b"x"].concat()), Err(DropFileError::Torn)));
    }

    /// Else the notice would name a reason that is none.
    #[test]
    fn whatever_a_torn_file_says_it_is_called_torn() {
        let file = written(b"hello");
        for at in 8..file.len() {
            let mut torn = file.clone();
            torn[at] ^= 0xff;
            assert!(matches!(read(&torn), Err(DropFileError::Torn)), "{at}");
        }
    }

    #[test]
    fn a_file_of_another_version_and_a_job_that_is_not_understood_are_told_from_torn_ones() {
        let mut file = written(b"hello");
        file[7] = VERSION + 1;
        assert!(matches!(read(&file), Err(DropFileError::Version(3))));
        let mut file = [&MAGIC[..], &[VERSION], &2u32.to_le_bytes(), b"\xff\xff", &[0; 8]].concat();
        file.extend_from_slice(&crc32c::crc32c(&file).to_le_bytes());
        assert!(matches!(read(&file), Err(DropFileError::Job)));
    }

    /// In hexadecimal digits.
    const FORM: &str = "\
        484b44524f500002550000000302010361626301028e52010b6140782e6578616d706c6503020144\
        01017501016801016e01027375010273680102646801026464010270640102696801000000010001\
        0b6c40782e6578616d706c6501032d6f69050000000000000068656c6c6ff5aae1c7";

    /// Should this fail, [`Job`] has another form than files have that wait somewhere: count [`VERSION`] up
    /// (and that of the frames in `link`), and then change [`FORM`].
    #[test]
    fn the_form_of_a_file_changes_with_its_version_only() {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let names = Names {
            user: text("u"),
            host: text("h"),
            name: text("n"),
            sender_user: text("su"),
            sender_host: text("sh"),
            default_host: text("dh"),
            default_domain: text("dd"),
            plus_domain: text("pd"),
            id_host: text("ih"),
            letters: Letters { comment_name: true, verp: true, ..Letters::default() },
            lists: vec!["l@x.example".parse().unwrap()],
        };
        let treatment = Treatment::Forward { delivered_to: b"D".to_vec() };
        let (face, manner) = (Face::QmailInject, Manner::Qmail);
        let job = Job { face, manner, from_header: FromHeader::Only, treatment, names, ..job() };
        let mut file = Vec::new();
        write(&job, 5, &mut &b"hello"[..], &mut file).unwrap();
        let file: String = file.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!((VERSION, file.as_str()), (2, FORM));
    }

    proptest! {
        #[test]
        fn a_file_with_a_changed_octet_is_not_taken(at in any::<proptest::sample::Index>(), change in 1u8..) {
            let mut file = written(b"hello");
            let at = at.index(file.len());
            file[at] ^= change;
            prop_assert!(read(&file).is_err());
        }

        #[test]
        fn any_file_is_read_or_refused(
            octets in proptest::collection::vec(any::<u8>(), 0..300), ours in any::<bool>(),
        ) {
            let mut file = if ours { MAGIC.to_vec() } else { Vec::new() };
            if ours {
                file.push(VERSION);
                file.extend_from_slice(&(octets.len() as u32 / 2).to_le_bytes());
            }
            file.extend_from_slice(&octets);
            let _ = (read(&file), read_unverified(&file));
        }
    }
}
