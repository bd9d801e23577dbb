//! Which messages' senders are just being told that they take long: once a message, though attempts at several
//! destinations may be under way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use envelope::QueueId;

/// The messages whose senders are just being told. Clones share them.
#[derive(Clone, Default)]
pub struct Delays(Arc<Mutex<HashSet<QueueId>>>);

/// Leave to tell the sender of one message, held until that is recorded.
pub struct Telling {
    delays: Delays,
    id: QueueId,
}

impl Delays {
    /// Leave to tell the sender of a message, unless somebody has it.
    pub fn tell(&self, id: QueueId) -> Option<Telling> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        new.then(|| Telling { delays: self.clone(), id })
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.delays.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_tells_of_a_message() {
        let (delays, id) = (Delays::default(), QueueId::from_u64(1));
        let telling = delays.tell(id);
        assert!(telling.is_some() && delays.tell(id).is_none());
        assert!(delays.tell(QueueId::from_u64(2)).is_some());
        drop(telling);
        assert!(delays.tell(id).is_some());
    }
}
