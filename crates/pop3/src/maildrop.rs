//! The maildrop of a session: its messages, and which of them are marked as deleted.

use std::collections::BTreeSet;

use crate::command::Number;
use crate::responses::Negative;
use crate::uids::Uids;

/// What a login opens (RFC 1939 §4): its messages are fixed for the whole session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    sizes: Vec<u64>,
    deleted: BTreeSet<usize>,
    /// Octets of all messages not marked as deleted.
    octets: u64,
    uids: Option<Uids>,
}

impl Maildrop {
    /// A maildrop of messages with these sizes, in octets as RETR sends them: with CRLF line ends,
    /// without dot-stuffing and the final dot (RFC 1939 §11). Numbers follow the order given.
    pub fn new(sizes: Vec<u64>) -> Maildrop {
        let octets = total(&sizes);
        // Without messages there is nothing to ask for.
        let uids = sizes.is_empty().then(Uids::default);
        Maildrop { sizes, deleted: BTreeSet::new(), octets, uids }
    }

    /// How many messages there are, marked ones too.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// How many messages are not marked as deleted.
    pub(crate) fn messages(&self) -> usize {
        self.sizes.len() - self.deleted.len()
    }

    /// The octets of all messages not marked as deleted.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The size of a message in octets.
    pub(crate) fn size(&self, index: usize) -> u64 {
        self.sizes.get(index).copied().unwrap_or(0)
    }

    /// The index of the message with this number.
    ///
    /// # Errors
    /// If there is no such message, or it is marked as deleted.
    pub(crate) fn find(&self, number: Number) -> Result<usize, Negative> {
        let before = number.checked_sub(1).ok_or(Negative::CountedFromOne)?;
        let index = usize::try_from(before).ok().filter(|index| *index < self.sizes.len());
        let index = index.ok_or(Negative::NotThatMany)?;
        if self.is_deleted(index) {
            return Err(Negative::AlreadyDeleted);
        }
        Ok(index)
    }

    pub(crate) fn is_deleted(&self, index: usize) -> bool {
        // Most sessions list before they delete.
        !self.deleted.is_empty() && self.deleted.contains(&index)
    }

    /// Marks a message as deleted.
    pub(crate) fn delete(&mut self, index: usize) {
        if self.deleted.insert(index) {
            self.octets = self.octets.saturating_sub(self.size(index));
        }
    }

    /// Takes all marks away.
    pub(crate) fn reset(&mut self) {
        self.deleted.clear();
        self.octets = total(&self.sizes);
    }

    /// The messages that are marked, in rising order.
    pub(crate) fn into_deleted(self) -> Vec<usize> {
        self.deleted.into_iter().collect()
    }

    /// The unique-ids, once they are known.
    pub(crate) fn uids(&self) -> Option<&Uids> {
        self.uids.as_ref()
    }

    /// Keeps the unique-ids.
    pub(crate) fn name(&mut self, uids: Uids) {
        self.uids = Some(uids);
    }
}

fn total(sizes: &[u64]) -> u64 {
    sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_messages_do_not_count() {
        let mut maildrop = Maildrop::new(vec![100, 20, 3]);
        maildrop.delete(1);
        maildrop.delete(1);
        assert_eq!((maildrop.messages(), maildrop.octets()), (2, 103));
        assert_eq!(maildrop.find(2), Err(Negative::AlreadyDeleted));
        maildrop.reset();
        assert_eq!((maildrop.messages(), maildrop.octets()), (3, 123));
        assert_eq!(maildrop.find(2), Ok(1));
    }

    #[test]
    fn numbers_go_from_1_to_the_last_message() {
        let maildrop = Maildrop::new(vec![1, 1]);
        assert_eq!(maildrop.find(0), Err(Negative::CountedFromOne));
        assert_eq!(maildrop.find(1), Ok(0));
        assert_eq!(maildrop.find(2), Ok(1));
        assert_eq!(maildrop.find(3), Err(Negative::NotThatMany));
        assert_eq!(maildrop.find(u64::MAX), Err(Negative::NotThatMany));
    }
}
