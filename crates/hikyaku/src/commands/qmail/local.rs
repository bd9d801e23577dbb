//! `qmail-local -n`: what the instruction files of a directory would do, delivering nothing. The tool to check
//! a migration: both programs say the same of the same directory.
//!
//! The checks are qmail's and in its order: the home directory, the file that counts, its mode, its lines.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use local::dot_qmail::{Context, TEXT_MAX, report};
use nix::libc::O_NONBLOCK;
use sendmail::Face;

use super::{Complaint, plain, print, why};

/// What others may not have leave to do with the home directory and the files, as qmail is built since 1.03.
const WRITABLE: u32 = 0o002;
/// A home directory with this bit is being worked on.
const STICKY: u32 = 0o1000;
/// A file whose owner may execute it holds forwards only.
const EXECUTABLE: u32 = 0o100;

/// Says it.
pub fn run(arguments: &[OsString]) -> Result<(), Complaint> {
    let (options, arguments) = options(arguments)?;
    let [_user, home, _local, dash, extension, _domain, _sender, default_delivery] = arguments else {
        return Err(usage());
    };
    if !home.as_bytes().starts_with(b"/") {
        return Err(usage());
    }
    if !options.only_says {
        return Err(Complaint::permanent(
            "qmail-local: this only says what would be done, with -n; mail is delivered by the server: hand it in by sendmail",
        ));
    }
    let (home, shown) = (Path::new(home), plain(home.as_bytes()));
    std::env::set_current_dir(home).map_err(|error| {
        Complaint::temporary(format!("Unable to switch to {shown}: {}. (#4.3.0)", why(&error)))
    })?;
    check_home()?;
    let found = find(dash.as_bytes(), extension.as_bytes())?;
    let (text, context) = match found {
        None if !dash.is_empty() => {
            return Err(Complaint::permanent("Sorry, no mailbox here by that name. (#5.1.1)"));
        }
        Some(found) if !found.text.is_empty() => (found.text, Context { forward_only: found.forward_only }),
        // Nothing said is default delivery, and that is always one line at least.
        _ => ([default_delivery.as_bytes(), b"\n"].concat(), Context::default()),
    };
    let report = report(&text, &context).map_err(|error| Complaint::temporary(error.fault.to_string()))?;
    print(&report).map(drop)
}

struct Options {
    /// `-n`; `-N` takes it back.
    only_says: bool,
}

/// Options end at the first word that is none, as with getopt.
fn options(mut arguments: &[OsString]) -> Result<(Options, &[OsString]), Complaint> {
    let mut options = Options { only_says: false };
    while let Some((word, rest)) = arguments.split_first() {
        let letters = match word.as_bytes() {
            b"--" => {
                arguments = rest;
                break;
            }
            [b'-', letters @ ..] if !letters.is_empty() => letters,
            _ => break,
        };
        for letter in letters {
            match letter {
                b'n' => options.only_says = true,
                b'N' => options.only_says = false,
                other => {
                    let usage = usage();
                    let text = format!("qmail-local: illegal option -- {}\n{}", plain(&[*other]), usage.text);
                    return Err(Complaint { text, ..usage });
                }
            }
        }
        arguments = rest;
    }
    Ok((options, arguments))
}

fn usage() -> Complaint {
    Complaint::usage(Face::QmailLocal, " [ -nN ] user homedir local dash ext domain sender aliasempty")
}

/// Looks at the working directory.
fn check_home() -> Result<(), Complaint> {
    let mode = std::fs::metadata(".").map(|metadata| metadata.permissions().mode()).map_err(|error| {
        Complaint::temporary(format!("Unable to stat home directory: {}. (#4.3.0)", why(&error)))
    })?;
    if mode & WRITABLE != 0 {
        return Err(Complaint::temporary("Uh-oh: home directory is writable. (#4.7.0)"));
    }
    if mode & STICKY != 0 {
        // Mail would wait: `Home directory is sticky: user is editing his .qmail file. (#4.2.1)`.
        let _ = writeln!(io::stderr(), "Warning: home directory is sticky.");
    }
    Ok(())
}

/// A file that counts.
struct Found {
    text: Vec<u8>,
    forward_only: bool,
}

/// The first file that is there.
fn find(dash: &[u8], extension: &[u8]) -> Result<Option<Found>, Complaint> {
    for name in names(dash, extension) {
        if let Some(found) = open(&name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The names to look under, as [`local::dot_qmail::candidates`], but for whatever dash an operator of qmail has
/// in `users/assign`: with `/` in it, files lie in a directory of their own.
fn names(dash: &[u8], extension: &[u8]) -> impl Iterator<Item = OsString> {
    let safe: Vec<u8> = extension
        .iter()
        .map(|octet| if *octet == b'.' { b':' } else { octet.to_ascii_lowercase() })
        .collect();
    let whole = [b".qmail", dash, &safe].concat();
    let base = [b".qmail", dash].concat();
    let ends = (0..=safe.len()).rev().filter(|end| *end == 0 || safe[end - 1] == b'-');
    let defaults: Vec<Vec<u8>> = ends.map(|end| [&base, &safe[..end], b"default"].concat()).collect();
    std::iter::once(whole).chain(defaults).map(OsString::from_vec)
}

/// Reads a file, if a regular one of this name is there.
fn open(name: &OsString) -> Result<Option<Found>, Complaint> {
    let unable = |error: &io::Error| {
        Complaint::temporary(format!("Unable to open {}: {}. (#4.3.0)", plain(name.as_bytes()), why(error)))
    };
    // A pipe of that name must hold nothing up.
    let file = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(name) {
        Ok(file) => file,
        Err(error) if is_none(&error) => return Ok(None),
        Err(error) => return Err(unable(&error)),
    };
    let metadata = file.metadata().map_err(|error| unable(&error))?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mode = Metadata::permissions(&metadata).mode();
    if mode & WRITABLE != 0 {
        return Err(Complaint::temporary("Uh-oh: .qmail file is writable. (#4.7.0)"));
    }
    let text = read(file).map_err(|error| unable(&error))?;
    Ok(Some(Found { text, forward_only: mode & EXECUTABLE != 0 }))
}

fn read(file: File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(TEXT_MAX as u64 + 1).read_to_end(&mut text)?;
    if text.len() > TEXT_MAX {
        return Err(io::Error::other(format!("it has more than {TEXT_MAX} octets")));
    }
    Ok(text)
}

/// Whether an error means that no file of this name is there, rather than that nobody can tell.
fn is_none(error: &io::Error) -> bool {
    use nix::libc::{ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO};
    matches!(error.raw_os_error(), Some(ENOENT | ENOTDIR | ENAMETOOLONG | ENXIO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use local::dot_qmail::candidates;
    use proptest::prelude::*;

    fn all(dash: &str, extension: &str) -> Vec<String> {
        names(dash.as_bytes(), extension.as_bytes()).map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_dash_may_lead_into_a_directory() {
        assert_eq!(all("-/", "Foo-b.c"), [".qmail-/foo-b:c", ".qmail-/foo-default", ".qmail-/default"]);
        assert_eq!(all("", ""), [".qmail", ".qmaildefault"]);
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, only_says, left) in [
            ("-n a -x", true, 2),
            ("-nN a", false, 1),
            ("-N -n -- -n", true, 1),
            ("a -n", false, 2),
            ("- a", false, 2),
        ] {
            let words = words(line);
            let (options, rest) = options(&words).unwrap();
            assert_eq!((options.only_says, rest.len()), (only_says, left), "{line}");
        }
        let words = words("-nz a");
        assert!(options(&words).is_err_and(|complaint| complaint.exit == 100
            && complaint.text.starts_with("qmail-local: illegal option -- z\nqmail-local: usage: ")));
    }

    proptest! {
        #[test]
        fn the_server_looks_under_the_same_names(extension in "[-A-Za-z0-9._]{0,40}") {
            let ours: Vec<String> =
                candidates(Some(&extension)).map(|candidate| candidate.name.to_string()).collect();
            prop_assert_eq!(all("-", &extension), ours);
        }
    }
}
