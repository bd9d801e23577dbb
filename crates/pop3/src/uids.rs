//! Unique-ids of messages (RFC 1939 §7, UIDL).

use thiserror::Error;

/// The longest unique-id in octets (RFC 1939 §7).
const UID_MAX: usize = 70;

/// The unique-ids of a maildrop, in the order of its messages. All in one string: a maildrop of
/// 10,000 messages costs two allocations, not 10,000.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uids {
    text: String,
    ends: Vec<usize>,
}

/// The text is no unique-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a unique-id has 1 to 70 octets from ! to ~")]
pub struct NotAUid;

impl Uids {
    /// Takes the unique-ids of all messages. That no two are the same is for the caller to see to.
    ///
    /// # Errors
    /// If one is empty, over 70 octets, or has an octet outside `!` to `~`.
    pub fn new(uids: impl IntoIterator<Item: AsRef<str>>) -> Result<Uids, NotAUid> {
        let mut all = Uids::default();
        for uid in uids {
            all.push(uid.as_ref())?;
        }
        Ok(all)
    }

    /// Adds the unique-id of the next message.
    ///
    /// # Errors
    /// As [`Uids::new`]; then nothing is added.
    pub fn push(&mut self, uid: &str) -> Result<(), NotAUid> {
        if uid.is_empty() || uid.len() > UID_MAX || !uid.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(NotAUid);
        }
        self.text.push_str(uid);
        self.ends.push(self.text.len());
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The unique-id of the message with this index, from 0.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_ids_come_back_in_their_order() {
        let uids = Uids::new(["1700000000.M1P2.mail,S=3", "~", "!"]).unwrap();
        assert_eq!(uids.len(), 3);
        let back: Vec<_> = (0..4).map(|index| uids.get(index)).collect();
        assert_eq!(back, [Some("1700000000.M1P2.mail,S=3"), Some("~"), Some("!"), None]);
    }

    #[test]
    fn what_the_protocol_cannot_carry_is_refused() {
        let longest = "x".repeat(70);
        assert!(Uids::new([&longest]).is_ok());
        for wrong in ["", "a b", "a\r\n", "飛脚", &format!("{longest}x")] {
            assert_eq!(Uids::new([wrong]), Err(NotAUid), "{wrong:?}");
        }
    }
}
