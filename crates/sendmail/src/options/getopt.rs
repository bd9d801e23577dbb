//! Options as `getopt` reads them: letters may stand together, a value may be joined, and the first
//! argument that is none ends them.

use crate::refusal::Refusal;
use crate::visible::visible;

/// Reads options one by one.
pub(super) struct Options<'a> {
    known: &'static [u8],
    /// What is left of an argument with several letters.
    bundle: &'a [u8],
    arguments: &'a [Vec<u8>],
}

impl<'a> Options<'a> {
    /// `known` are the letters, each with a `:` behind it if it takes a value.
    pub(super) fn new(known: &'static [u8], arguments: &'a [Vec<u8>]) -> Options<'a> {
        Options { known, bundle: b"", arguments }
    }

    /// The next option with its value, empty for those that take none. Other than `getopt`, it does not
    /// take an option for the value of another: so a message would lose its recipients.
    ///
    /// # Errors
    /// If it is not known, or lacks its value.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Refusal> {
        if self.bundle.is_empty() {
            let Some((first, rest)) = self.arguments.split_first() else { return Ok(None) };
            match first.as_slice() {
                b"--" => {
                    self.arguments = rest;
                    return Ok(None);
                }
                [b'-', bundle @ ..] if !bundle.is_empty() => {
                    self.bundle = bundle;
                    self.arguments = rest;
                }
                _ => return Ok(None),
            }
        }
        let (&letter, rest) = self.bundle.split_first().expect("it was filled above");
        self.bundle = rest;
        let at = self.known.iter().position(|&known| known == letter && letter != b':');
        let at = at.ok_or_else(|| Refusal::IllegalOption(visible(&[letter])))?;
        if self.known.get(at + 1) != Some(&b':') {
            return Ok(Some((letter, b"")));
        }
        self.value()
            .map(|value| Some((letter, value)))
            .ok_or_else(|| Refusal::MissingValue(visible(&[letter])))
    }

    /// The arguments behind the options.
    pub(super) fn rest(&self) -> &'a [Vec<u8>] {
        self.arguments
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        if !self.bundle.is_empty() {
            return Some(std::mem::take(&mut self.bundle));
        }
        let (value, rest) = self.arguments.split_first().filter(|(value, _)| !looks_like_option(value))?;
        self.arguments = rest;
        Some(value)
    }
}

/// `-x`, and not `-` alone.
pub(super) fn looks_like_option(argument: &[u8]) -> bool {
    matches!(argument, [b'-', _, ..])
}
