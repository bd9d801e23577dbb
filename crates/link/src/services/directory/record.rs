//! The record of events: what operators ask of it, and answers in parts that fit frames.

use std::ops::RangeInclusive;

use envelope::QueueId;
use envelope::event::Party;
use serde::{Deserialize, Serialize};

use crate::frame;

/// Octets of a [`Page`], but for one whose only item is larger.
const PAGE_OCTETS: usize = 1 << 20;

/// What became of messages?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Trace {
    /// The life of a message and of its family, but for the first `skip` events.
    Message {
        /// Which.
        id: QueueId,
        /// How many events are known already.
        skip: u64,
    },
    /// How much there was in the last hours, this one included. Answered [`super::visits::Visit::Traffic`].
    Traffic {
        /// How many, at most 24 × 31.
        hours: u32,
    },
    /// Messages from a party and to it, but for the first `skip`.
    Party {
        /// Whose.
        party: Party,
        /// Of which times, in microseconds since 1970.
        times: RangeInclusive<u64>,
        /// The most that are wanted in all.
        limit: u32,
        /// How many are known already.
        skip: u64,
    },
}

/// A part of a long answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in their order.
    pub items: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

impl<T: Serialize> Page<T> {
    /// As many of these as fit, from the `skip`th on: one at least, if there is one.
    pub fn of(all: Vec<T>, skip: u64) -> Page<T> {
        let mut rest = all.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).peekable();
        let (mut items, mut octets) = (Vec::new(), 0_usize);
        while let Some(item) = rest.peek() {
            octets = octets.saturating_add(frame::encoded_len(item));
            if octets > PAGE_OCTETS && !items.is_empty() {
                break;
            }
            items.extend(rest.next());
        }
        Page { items, more: rest.peek().is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_follow_one_another_have_everything_once() {
        let all: Vec<String> = (0..50).map(|n| n.to_string().repeat(50_000)).collect();
        let mut got: Vec<String> = Vec::new();
        loop {
            let page = Page::of(all.clone(), got.len() as u64);
            assert!(page.items.iter().map(String::len).sum::<usize>() <= PAGE_OCTETS);
            got.extend(page.items);
            if !page.more {
                break;
            }
        }
        assert_eq!(got, all);
    }

    #[test]
    fn an_item_that_is_larger_than_a_page_goes_alone() {
        let all = vec!["a".repeat(3 << 20), "b".into()];
        assert_eq!(Page::of(all.clone(), 0), Page { items: vec![all[0].clone()], more: true });
        assert_eq!(Page::of(all, 1), Page { items: vec!["b".to_owned()], more: false });
        assert_eq!(Page::<u8>::of(Vec::new(), 7), Page { items: Vec::new(), more: false });
    }
}
