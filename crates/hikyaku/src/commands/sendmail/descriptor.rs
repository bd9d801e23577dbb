//! Reading and writing descriptors that are the caller's as well: interruptions are borne, and so is a
//! caller who has made one non-blocking for himself.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, stat};
use rustix::io::Errno;

/// Octets asked for in one read.
const CHUNK: usize = 64 << 10;
/// The most octets that are read and thrown away.
const WASTE_MAX: usize = 64 << 20;
/// For how long a caller may be silent while what he writes is thrown away.
const SILENCE_MAX: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Reads once, behind what `into` holds; says how many octets came, none at the end.
///
/// # Errors
/// If it cannot be read.
pub fn read(from: BorrowedFd<'_>, into: &mut Vec<u8>) -> io::Result<usize> {
    // A short message ends with a second read, for which its room need not be doubled.
    if into.capacity() - into.len() < CHUNK / 4 {
        into.reserve(CHUNK);
    }
    loop {
        match rustix::io::read(from, spare_capacity(into)) {
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(wait(from, PollFlags::IN, None)?),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether it was closed when this program began: then Rust's start opened the null device in its place, to
/// read and to write. A caller who has nothing to say (`</dev/null`) gives it to read.
pub fn was_closed(descriptor: BorrowedFd<'_>) -> bool {
    let both_ways = fcntl_getfl(descriptor).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::RDWR);
    both_ways
        && fstat(descriptor).is_ok_and(|this| {
            FileType::from_raw_mode(this.st_mode) == FileType::CharacterDevice
                && stat("/dev/null").is_ok_and(|null| null.st_rdev == this.st_rdev)
        })
}

/// Reads and throws away what comes. A caller who is refused is often still writing: a script would be
/// killed by SIGPIPE before it has seen our exit code. One who only holds the pipe open, or sits at a
/// terminal, is not waited for.
pub fn drain(from: BorrowedFd<'_>) {
    if rustix::termios::isatty(from) {
        return;
    }
    let (mut waste, mut wasted) = (Vec::new(), 0);
    while wasted < WASTE_MAX && wait(from, PollFlags::IN, Some(&SILENCE_MAX)).unwrap_or(false) {
        waste.clear();
        match read(from, &mut waste) {
            Ok(0) | Err(_) => return,
            Ok(read) => wasted += read,
        }
    }
}

/// Writes all of it.
///
/// # Errors
/// If nobody reads any more, or it cannot be written.
pub fn write(to: BorrowedFd<'_>, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        match rustix::io::write(to, octets) {
            Ok(written) => octets = &octets[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(wait(to, PollFlags::OUT, None)?),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Copies until `from` ends; `seen` is shown each piece before it goes.
///
/// # Errors
/// If one of the two is of no more use.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    let mut octets = Vec::new();
    while read(from, &mut octets)? > 0 {
        seen(&octets);
        write(to, &octets)?;
        octets.clear();
    }
    Ok(())
}

/// Waits until it can be read or written; false if it cannot in time.
fn wait(descriptor: BorrowedFd<'_>, to: PollFlags, within: Option<&Timespec>) -> io::Result<bool> {
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, to)], within) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_descriptor_that_the_caller_made_non_blocking_is_waited_for() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&reader, true).expect("a pipe can be made non-blocking");
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            writer.write_all(b"late").expect("somebody reads");
        });
        let mut read_so_far = b"so far, ".to_vec();
        assert_eq!(read(reader.as_fd(), &mut read_so_far).expect("it is read"), 4);
        assert_eq!(read_so_far, b"so far, late");
        assert_eq!(read(reader.as_fd(), &mut read_so_far).expect("it ends"), 0);
        late.join().expect("the writer ends");
    }

    #[test]
    fn what_a_slow_reader_is_written_comes_whole_though_he_made_it_non_blocking() {
        let octets: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
        let (mut reader, writer) = io::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be made non-blocking");
        let slow = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).expect("it can be read");
            read
        });
        let mut source = tempfile::tempfile().expect("a file");
        source.write_all(&octets).expect("it takes them");
        source.rewind().expect("it begins anew");
        copy(source.as_fd(), writer.as_fd(), |_| ()).expect("all is written");
        drop(writer);
        assert!(slow.join().expect("the reader ends") == octets);
    }

    #[test]
    fn a_caller_who_is_still_writing_can_end() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let caller = std::thread::spawn(move || writer.write_all(&vec![b'x'; 4 << 20]));
        drain(reader.as_fd());
        drop(reader);
        caller.join().expect("the caller ends").expect("all could be written");
    }

    #[test]
    fn a_caller_who_just_holds_the_pipe_open_is_not_waited_for() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        let begun = Instant::now();
        drain(reader.as_fd());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_stream_that_never_ends_is_not_drained_for_ever() {
        let endless = std::fs::File::open("/dev/zero").expect("this is Linux");
        drain(endless.as_fd());
    }
}
