//! qmail's files `.qmail*` in a directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use directory::INSTRUCTIONS_MAX;
use link::services::directory::{AddressEntry, Text};
use rustix::fs::{Mode, OFlags};

use super::text_file::read_at_most;

/// The most octets of one import: they travel at once.
const OCTETS_MAX: usize = 3 << 20;
/// After so many problems the rest is not told: nobody reads on.
const PROBLEMS_MAX: usize = 50;

/// The files `.qmail*` of a directory, in the order of their names. Others are passed over.
///
/// # Errors
/// If there are none or too many, or one is a link, no file, too long, or cannot be read.
pub fn read(dir: &Path) -> anyhow::Result<Vec<(String, Text)>> {
    let cannot = || format!("cannot read the directory {}", dir.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name();
        if name.as_encoded_bytes().starts_with(b".qmail") {
            names.push(name);
        }
    }
    names.sort();
    let (mut files, mut problems, mut octets) = (Vec::new(), Vec::new(), 0);
    for name in names {
        let Some(text) = name.to_str() else {
            problems.push(format!("{name:?}: the name is not UTF-8"));
            continue;
        };
        match read_one(&dir.join(&name)) {
            Ok(content) => {
                octets += content.len() + text.len();
                files.push((text.to_owned(), Text(content)));
            }
            Err(problem) => problems.push(format!("{text}: {problem:#}")),
        }
    }
    if !problems.is_empty() {
        problems.truncate(PROBLEMS_MAX);
        bail!("nothing is imported:\n  {}", problems.join("\n  "));
    }
    if files.is_empty() {
        bail!("there are no files .qmail* in {}", dir.display());
    }
    if octets > OCTETS_MAX {
        bail!(
            "the files of {} have {octets} octets together; at most {OCTETS_MAX} are imported at once: move some of \
             them to another directory, and import one after the other",
            dir.display()
        );
    }
    Ok(files)
}

fn read_one(path: &Path) -> anyhow::Result<Vec<u8>> {
    // Without waiting for whoever should write into a pipe, and without following a link that leads to
    // another's file.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => bail!("it is a link; put the file itself in its place"),
        Err(error) => return Err(error).context("cannot open it"),
    };
    if !file.metadata()?.is_file() {
        bail!("it is no plain file; move it away");
    }
    read_at_most(file, INSTRUCTIONS_MAX)
}

/// Writes instructions as qmail's files.
///
/// # Errors
/// If one is there already, or cannot be written.
pub fn write(dir: &Path, entries: &[AddressEntry]) -> anyhow::Result<()> {
    for entry in entries {
        let path = dir.join(&entry.file);
        let cannot = || format!("cannot write {}", path.display());
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path).with_context(cannot)?;
        file.write_all(entry.text.as_bytes()).with_context(cannot)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn refusal(prepare: impl FnOnce(&Path)) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".qmail-good"), "./Maildir/\n").unwrap();
        prepare(dir.path());
        read(dir.path()).unwrap_err().to_string()
    }

    #[test]
    fn the_files_of_qmail_are_read_and_others_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [(".qmail-b", "&b@x.example\n"), (".qmail", ""), (".bashrc", "x"), ("qmail", "x")]
        {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::create_dir(dir.path().join("Maildir")).unwrap();
        let files = read(dir.path()).unwrap();
        assert_eq!(
            files,
            [(".qmail".into(), Text(vec![])), (".qmail-b".into(), Text(b"&b@x.example\n".into()))]
        );
    }

    #[test]
    fn links_and_what_is_no_file_are_refused_by_name() {
        let linked = refusal(|dir| symlink("/etc/passwd", dir.join(".qmail-a")).unwrap());
        assert!(linked.contains(".qmail-a: it is a link"), "{linked}");
        let directory = refusal(|dir| fs::create_dir(dir.join(".qmail-a")).unwrap());
        assert!(directory.contains(".qmail-a: it is no plain file"), "{directory}");
        let pipe = refusal(|dir| {
            nix::unistd::mkfifo(&dir.join(".qmail-a"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        });
        assert!(pipe.contains(".qmail-a: it is no plain file"), "{pipe}");
        let long = refusal(|dir| fs::write(dir.join(".qmail-a"), vec![b'#'; 1 << 20]).unwrap());
        assert!(long.contains(".qmail-a: there are more than 65536 octets"), "{long}");
        let empty = tempfile::tempdir().unwrap();
        assert!(read(empty.path()).unwrap_err().to_string().starts_with("there are no files .qmail*"));
        let many = refusal(|dir| {
            (0..60).for_each(|number| {
                fs::write(dir.join(format!(".qmail-{number}")), vec![b'#'; INSTRUCTIONS_MAX]).unwrap();
            });
        });
        assert!(many.contains("import one after the other"), "{many}");
    }

    #[test]
    fn no_file_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let entry = AddressEntry {
            account: "abc".parse().unwrap(),
            address: "foo@abc.pobox.example".into(),
            file: ".qmail-foo".into(),
            text: "&a@x.example\n".into(),
            active: true,
            label: None,
            updated: 0,
        };
        write(dir.path(), std::slice::from_ref(&entry)).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(".qmail-foo")).unwrap(), entry.text);
        assert!(write(dir.path(), &[entry]).is_err());
    }
}
