//! Names of messages retired of late: handed in again, they are known.

use std::collections::{HashSet, VecDeque};

use envelope::QueueId;

/// How many are kept.
const RECENT_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<QueueId>,
    ids: HashSet<QueueId>,
}

impl Recent {
    pub fn contains(&self, id: QueueId) -> bool {
        self.ids.contains(&id)
    }

    pub fn push(&mut self, id: QueueId) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_65_536_are_known() {
        let mut recent = Recent::default();
        for number in 0..=65_536 {
            recent.push(QueueId::from_u64(number));
        }
        assert!(!recent.contains(QueueId::from_u64(0)));
        assert!(recent.contains(QueueId::from_u64(1)) && recent.contains(QueueId::from_u64(65_536)));
    }
}
