//! A file that is named on the command line, or standard input.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextFile {
    /// `-`.
    Standard,
    /// A file.
    At(PathBuf),
}

impl FromStr for TextFile {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<TextFile, Infallible> {
        Ok(if text == "-" { TextFile::Standard } else { TextFile::At(text.into()) })
    }
}

impl TextFile {
    /// All of it.
    ///
    /// # Errors
    /// If it cannot be read, or has more than `max` octets.
    pub fn read(&self, max: usize) -> anyhow::Result<Vec<u8>> {
        match self {
            TextFile::Standard => read_at_most(io::stdin().lock(), max).context("standard input"),
            TextFile::At(path) => {
                let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
                read_at_most(file, max).with_context(|| path.display().to_string())
            }
        }
    }
}

/// Reads to the end.
///
/// # Errors
/// If reading fails, or there are more than `max` octets.
pub fn read_at_most(source: impl Read, max: usize) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One more would tell that there is more.
    source.take(max as u64 + 1).read_to_end(&mut text)?;
    if text.len() > max {
        bail!("there are more than {max} octets, which is all that is taken at once");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_refused_and_not_cut() {
        assert_eq!(read_at_most(&b"abc"[..], 3).unwrap(), b"abc");
        assert!(read_at_most(&b"abcd"[..], 3).is_err());
        assert!(read_at_most(io::repeat(b'x'), 3).is_err());
    }
}
