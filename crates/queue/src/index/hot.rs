//! Messages kept in memory from their arrival, so that the first attempt reads no disk.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use envelope::{Envelope, Provenance, QueueId};

/// What is kept of a message.
#[derive(Debug, Clone)]
pub(crate) struct HotMessage {
    pub envelope: Arc<Envelope>,
    pub provenance: Arc<Provenance>,
    /// Microseconds since 1970.
    pub arrival: u64,
    /// Empty if the body is a blob.
    pub body: Vec<Bytes>,
    pub size: usize,
}

/// Messages in memory, under a budget. The oldest is dropped first.
#[derive(Debug)]
pub(crate) struct Hot {
    messages: HashMap<QueueId, HotMessage>,
    order: VecDeque<QueueId>,
    bytes: usize,
    bytes_max: usize,
}

/// What a message costs here besides its mail data: the envelope and the books, roughly.
const OVERHEAD: usize = 256;

impl Hot {
    pub fn new(bytes_max: usize) -> Hot {
        Hot { messages: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn get(&self, id: QueueId) -> Option<&HotMessage> {
        self.messages.get(&id)
    }

    pub fn insert(&mut self, id: QueueId, message: HotMessage) {
        let cost = message.size + OVERHEAD;
        if cost > self.bytes_max {
            return;
        }
        self.remove(id);
        self.bytes += cost;
        self.messages.insert(id, message);
        self.order.push_back(id);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { break };
            self.remove(oldest);
        }
        // Retired messages leave their names behind, and one that stays would pile them up.
        if self.order.len() > 2 * self.messages.len() + 1024 {
            let messages = &self.messages;
            self.order.retain(|id| messages.contains_key(id));
        }
    }

    pub fn remove(&mut self, id: QueueId) {
        if let Some(message) = self.messages.remove(&id) {
            self.bytes -= message.size + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{BodyType, Recipient, ReversePath};

    fn message(size: usize) -> HotMessage {
        let to = Recipient::of_bounce("a@x.example".parse().unwrap());
        let envelope = Envelope::new(ReversePath::Null, vec![to], BodyType::SevenBit, false).unwrap();
        let (envelope, provenance) = (Arc::new(envelope), Arc::default());
        HotMessage { envelope, provenance, arrival: 0, body: Vec::new(), size }
    }

    fn id(number: u64) -> QueueId {
        QueueId::from_u64(number)
    }

    #[test]
    fn the_oldest_goes_when_the_budget_is_spent() {
        let mut hot = Hot::new(3 * (OVERHEAD + 100));
        for number in 0..4 {
            hot.insert(id(number), message(100));
        }
        assert!(hot.get(id(0)).is_none() && hot.get(id(1)).is_some() && hot.get(id(3)).is_some());
        hot.insert(id(9), message(1 << 20));
        assert!(hot.get(id(9)).is_none() && hot.get(id(1)).is_some());
    }

    #[test]
    fn names_of_retired_messages_do_not_pile_up() {
        let mut hot = Hot::new(1 << 20);
        hot.insert(id(0), message(1));
        for number in 1..10_000 {
            hot.insert(id(number), message(1));
            hot.remove(id(number));
        }
        assert!(hot.order.len() < 2000);
        assert_eq!(hot.bytes(), OVERHEAD + 1);
    }
}
