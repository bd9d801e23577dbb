//! The file `maildirsize` of Maildir++: how much mail there is, kept by everybody who adds or removes
//! some, so that nobody has to count.
//!
//! ```text
//! 104857600S          the quota: octets
//!      2048     1     what each delivery added
//!     -2048    -1     and each removal took away
//! ```
//! It is appended to by one small write each time, without a lock and without a sync: what it says is
//! no part of the promise that no mail is lost, and is mended by counting now and then.

use std::fmt;

/// A file of this size or more is counted anew rather than read on (as Maildir++ has it). In octets.
pub(crate) const LENGTH_MAX: usize = 5120;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Maildirsize {
    /// The quota that it was counted for, in octets.
    pub quota: u64,
    /// The sum of all its lines.
    pub total: Amount,
}

/// Mail that was added, or taken away if it is below nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    pub octets: i64,
    pub messages: i64,
}

impl Maildirsize {
    /// Reads a whole file. None if it is too long, or no such file: then somebody counts anew.
    pub fn parse(text: &[u8]) -> Option<Maildirsize> {
        if text.len() >= LENGTH_MAX {
            return None;
        }
        let text = str::from_utf8(text).ok()?;
        let (first, rest) = text.split_once('\n')?;
        // Others may limit the number of messages, too: `1000S,50C`. That is not ours.
        let quota = first.split(',').find_map(|part| part.strip_suffix('S'))?.parse().ok()?;
        let mut total = Amount::default();
        // A last line without its end is one that is being written.
        for line in rest.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let amount = Amount::parse(line)?;
            total.octets = total.octets.checked_add(amount.octets)?;
            total.messages = total.messages.checked_add(amount.messages)?;
        }
        Some(Maildirsize { quota, total })
    }
}

impl fmt::Display for Maildirsize {
    /// A new file, with all in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}S\n{}", self.quota, self.total)
    }
}

impl Amount {
    fn parse(line: &str) -> Option<Amount> {
        let mut numbers = line.split_ascii_whitespace();
        let amount =
            Amount { octets: numbers.next()?.parse().ok()?, messages: numbers.next()?.parse().ok()? };
        numbers.next().is_none().then_some(amount)
    }

    /// What these messages of these sizes come to. A size that is no file's counts as the largest.
    pub fn of(octets: u64, messages: u64) -> Amount {
        let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
        Amount { octets: signed(octets), messages: signed(messages) }
    }

    pub fn taken_away(self) -> Amount {
        Amount { octets: self.octets.saturating_neg(), messages: self.messages.saturating_neg() }
    }
}

impl fmt::Display for Amount {
    /// A line with its end, as Courier writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:12} {:12}", self.octets, self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(u64, i64, i64)> {
        Maildirsize::parse(text.as_bytes()).map(|size| (size.quota, size.total.octets, size.total.messages))
    }

    #[test]
    fn lines_are_added_up() {
        assert_eq!(read("1000S\n"), Some((1000, 0, 0)));
        assert_eq!(read("1000S,50C\n 300 2\n          -100           -1\n"), Some((1000, 200, 1)));
        // Somebody is writing the last one.
        assert_eq!(read("1000S\n300 2\n1"), Some((1000, 300, 2)));
    }

    #[test]
    fn what_cannot_be_read_is_counted_anew() {
        for text in
            ["", "1000S", "1000\n", "50C\n", "xS\n", "-1S\n", "9S\nx 1\n", "9S\n1\n", "9S\n1 1 1\n", "9S\n\n"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&format!("9S\n{0} 1\n{0} 1\n", i64::MAX)), None);
        assert_eq!(read(&format!("9S\n{}", "1 1\n".repeat(LENGTH_MAX / 4))), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_not_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            Maildirsize::parse(&text);
        }

        #[test]
        fn what_is_written_reads_back_the_same(quota: u64, octets: i64, messages: i64) {
            let size = Maildirsize { quota, total: Amount { octets, messages } };
            prop_assert_eq!(Maildirsize::parse(size.to_string().as_bytes()), Some(size));
        }
    }
}
