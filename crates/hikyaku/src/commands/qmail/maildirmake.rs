//! `maildirmake`: a new, empty Maildir.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use sendmail::Face;

use super::{Complaint, plain, why};

/// Makes the directory, and `tmp`, `new` and `cur` in it, for their owner alone. One that is there already is
/// left as it is.
pub fn run(arguments: &[OsString]) -> Result<(), Complaint> {
    let [name] = arguments else {
        return Err(Complaint::usage(Face::Maildirmake, " name"));
    };
    let maildir = Path::new(name);
    make(maildir)?;
    ["tmp", "new", "cur"].into_iter().try_for_each(|folder| make(&maildir.join(folder)))
}

fn make(directory: &Path) -> Result<(), Complaint> {
    DirBuilder::new().mode(0o700).create(directory).map_err(|error| {
        let problem = format!("unable to mkdir {}: {}", plain(directory.as_os_str().as_bytes()), why(&error));
        Complaint::fatal(Face::Maildirmake, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_maildir_is_made_for_its_owner_alone_and_never_twice() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = dir.path().join("Maildir");
        let arguments = [OsString::from(&maildir)];
        run(&arguments).unwrap();
        for folder in ["", "tmp", "new", "cur"] {
            let mode = maildir.join(folder).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{folder}");
        }
        let again = run(&arguments).unwrap_err();
        let text = format!("maildirmake: fatal: unable to mkdir {}: file already exists", maildir.display());
        assert_eq!(again, Complaint::temporary(text));
        let nowhere = run(&[dir.path().join("no/such/Maildir").into()]).unwrap_err();
        assert!(nowhere.exit == 111 && nowhere.text.ends_with(": file does not exist"), "{nowhere:?}");
        assert_eq!(run(&[]).unwrap_err(), Complaint::permanent("maildirmake: usage: maildirmake name"));
    }
}
