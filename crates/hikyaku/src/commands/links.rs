//! The names by which other programs call this one, as symbolic links to it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sendmail::Face;

/// Where `sendmail` lies on most systems.
pub const USUAL: &str = "/usr/sbin";
/// Where old programs look for it, and what stands there.
const OLD: (&str, &str) = ("/usr/lib/sendmail", "../sbin/sendmail");
/// The names that any mail system has.
pub const EVERYBODYS: [Face; 3] = [Face::Sendmail, Face::Mailq, Face::Newaliases];

/// Links that are wanted, none of which takes the place of somebody else's file.
pub struct Links(Vec<Link>);

struct Link {
    at: PathBuf,
    to: PathBuf,
    is_there: bool,
}

impl Links {
    /// Those in a directory that lead to `program`. In the usual one, `/usr/lib/sendmail` comes with them.
    ///
    /// # Errors
    /// If a file is there that is not a link to this program.
    pub fn wanted(directory: &Path, faces: &[Face], program: &Path) -> anyhow::Result<Links> {
        let mut wanted: Vec<(PathBuf, &Path)> =
            faces.iter().map(|face| (directory.join(face.name()), program)).collect();
        if directory == Path::new(USUAL) {
            wanted.push((OLD.0.into(), Path::new(OLD.1)));
        }
        wanted.into_iter().map(|(at, to)| Link::wanted(at, to)).collect::<anyhow::Result<_>>().map(Links)
    }

    /// Makes those that are not there yet. Gives all.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn make(self) -> anyhow::Result<Vec<PathBuf>> {
        self.0.into_iter().map(Link::make).collect()
    }
}

impl Link {
    fn wanted(at: PathBuf, to: &Path) -> anyhow::Result<Link> {
        let to = to.to_path_buf();
        match fs::read_link(&at) {
            Ok(there) => match there == to {
                true => Ok(Link { at, to, is_there: true }),
                // This program, before it was installed elsewhere.
                false if there.file_name() == to.file_name() => Ok(Link { at, to, is_there: false }),
                false => bail!(foreign(&at)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Link { at, to, is_there: false }),
            // It is there, and no link.
            Err(error) if error.kind() == ErrorKind::InvalidInput => bail!(foreign(&at)),
            Err(error) => Err(error).with_context(|| format!("cannot look at {}", at.display())),
        }
    }

    /// There is never a moment without a link: the new one takes the place of an old one.
    fn make(self) -> anyhow::Result<PathBuf> {
        let Link { at, to, is_there } = self;
        if is_there {
            return Ok(at);
        }
        let name = || format!("cannot make the link {}", at.display());
        if let Some(directory) = at.parent() {
            fs::create_dir_all(directory).with_context(name)?;
        }
        let new = at.with_extension(format!("hikyaku-{}", std::process::id()));
        symlink(&to, &new).with_context(name)?;
        fs::rename(&new, &at).with_context(name)?;
        Ok(at)
    }
}

fn foreign(at: &Path) -> String {
    let at = at.display();
    format!(
        "{at} is there already and belongs to another mail system; nothing is changed. Remove that system, or put its \
         file aside: dpkg-divert --local --rename --add {at}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_once_and_follow_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let (bin, program) = (dir.path().join("new/bin"), Path::new("/opt/hikyaku"));
        for _ in 0..2 {
            let made = Links::wanted(&bin, &EVERYBODYS, program).unwrap().make().unwrap();
            assert_eq!(made, ["sendmail", "mailq", "newaliases"].map(|name| bin.join(name)));
        }
        let moved = Path::new("/usr/local/bin/hikyaku");
        Links::wanted(&bin, &EVERYBODYS, moved).unwrap().make().unwrap();
        assert_eq!(fs::read_link(bin.join("mailq")).unwrap(), moved);
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 3);
    }

    #[test]
    fn what_is_somebody_elses_is_left_alone_and_nothing_else_made() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("mailq"), dir.path().join("newaliases"));
        let wanted = |face| Links::wanted(dir.path(), &[Face::Sendmail, face], Path::new("/opt/hikyaku"));
        fs::write(&file, "another system's").unwrap();
        symlink("/usr/sbin/other-mta", &link).unwrap();
        for face in [Face::Mailq, Face::Newaliases] {
            let problem = wanted(face).err().unwrap().to_string();
            assert!(problem.contains(face.name()) && problem.contains("dpkg-divert"), "{problem}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "another system's");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/usr/sbin/other-mta"));
        assert!(!dir.path().join("sendmail").exists());
    }
}
