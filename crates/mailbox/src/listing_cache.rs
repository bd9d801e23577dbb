//! Listings that are still true, so that a mailbox that is polled all day is read once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::MailboxError;
use crate::listing::{Listing, Stamps};
use crate::maildir::Maildir;

/// How old a directory's last change must have been when it was read, for its stamp to tell a
/// later change from it: file systems stamp in steps.
const STAMP_STEP: Duration = Duration::from_secs(1);
/// How many messages are remembered in all mailboxes together.
const MESSAGES_MAX: usize = 2_000_000;

/// Listings of the mailboxes that were read last.
#[derive(Debug, Default)]
pub struct ListingCache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    listings: HashMap<PathBuf, Arc<Listing>>,
    /// Messages in all of them; a mailbox counts as one more, so that empty ones count too.
    messages: usize,
}

impl Kept {
    fn remove(&mut self, maildir: &Maildir) {
        if let Some(listing) = self.listings.remove(maildir.path()) {
            self.messages -= listing.len() + 1;
        }
    }

    fn insert(&mut self, maildir: &Maildir, listing: &Arc<Listing>) {
        if self.messages + listing.len() > MESSAGES_MAX {
            *self = Kept::default();
        }
        self.messages += listing.len() + 1;
        self.listings.insert(maildir.path().to_path_buf(), Arc::clone(listing));
    }
}

impl ListingCache {
    /// Remembers nothing yet.
    pub fn new() -> ListingCache {
        ListingCache::default()
    }

    /// The messages of a mailbox: from memory if its directories have not changed since.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub fn list(&self, maildir: &Maildir) -> Result<Arc<Listing>, MailboxError> {
        let before = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.listings.get(maildir.path()).cloned()
        };
        if let Some(listing) = &before
            && listing.settled
            && listing.stamps == Stamps::read(maildir)?
        {
            return Ok(Arc::clone(listing));
        }
        let now = SystemTime::now();
        let mut listing = Listing::read_after(maildir, before.as_deref())?;
        listing.settled = settled(listing.stamps, now);
        let listing = Arc::new(listing);
        // One that is too young to be trusted is kept for the sizes that it measured.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(maildir);
        kept.insert(maildir, &listing);
        Ok(listing)
    }
}

/// Whether any change after `now` will show in the stamps.
fn settled(stamps: Stamps, now: SystemTime) -> bool {
    let old = |stamp: SystemTime| now.duration_since(stamp).is_ok_and(|age| age > STAMP_STEP);
    old(stamps.new) && old(stamps.cur)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn age(maildir: &Maildir) {
        let past = SystemTime::now() - Duration::from_secs(10);
        for folder in ["new", "cur"] {
            File::open(maildir.path().join(folder)).unwrap().set_modified(past).unwrap();
        }
    }

    #[test]
    fn a_settled_mailbox_is_read_once_and_any_change_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
        fs::write(maildir.path().join("new/1.a.host,S=2,W=3"), "a\n").unwrap();
        age(&maildir);
        let cache = ListingCache::new();
        let first = cache.list(&maildir).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.list(&maildir).unwrap()));
        fs::write(maildir.path().join("new/2.b.host,S=2,W=3"), "b\n").unwrap();
        assert_eq!(cache.list(&maildir).unwrap().len(), 2);
    }

    #[test]
    fn a_listing_that_is_as_young_as_a_change_could_be_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
        let cache = ListingCache::new();
        fs::write(maildir.path().join("new/1.a.host,S=2,W=3"), "a\n").unwrap();
        let first = cache.list(&maildir).unwrap();
        assert!(!Arc::ptr_eq(&first, &cache.list(&maildir).unwrap()));
    }
}
