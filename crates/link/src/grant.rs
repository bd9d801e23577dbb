//! Proof that the directory let somebody in.
//!
//! `pop3` hears strangers, so its word that a customer logged in is not enough for `maildrop` to
//! open a mailbox: it must bring what the directory signed. The key is made at random by the
//! supervisor at each start and given to the two roles that need it.

use std::fmt;

use envelope::Mailbox;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

/// How long a grant can be redeemed, in seconds: it is used at once.
pub const LIFETIME: u64 = 60;

/// The key that signs grants and checks them.
#[derive(Clone, Serialize, Deserialize)]
pub struct GrantKey([u8; 32]);

impl GrantKey {
    /// A key of these octets, which must be random and secret.
    pub fn new(octets: [u8; 32]) -> GrantKey {
        GrantKey(octets)
    }

    fn seal(&self, mailbox: &Mailbox, expires: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        // Lengths stand before the texts, so that no two grants give the same octets.
        for part in [mailbox.account.as_str().as_bytes(), mailbox.maildir.as_os_str().as_encoded_bytes()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.update(&expires.to_le_bytes());
        mac
    }
}

impl fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantKey")
    }
}

/// Leave to open one mailbox, for a short time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxGrant {
    mailbox: Mailbox,
    expires: u64,
    seal: [u8; 32],
}

/// The grant is forged or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the grant for this mailbox is not valid")]
pub struct GrantInvalid;

impl MailboxGrant {
    /// Grants `mailbox`; `now` in seconds since 1970.
    pub fn issue(key: &GrantKey, mailbox: Mailbox, now: u64) -> MailboxGrant {
        let expires = now + LIFETIME;
        let seal = key.seal(&mailbox, expires).finalize().into_bytes().into();
        MailboxGrant { mailbox, expires, seal }
    }

    /// The mailbox, if the grant is genuine and not too old.
    ///
    /// # Errors
    /// If it is neither.
    pub fn redeem(self, key: &GrantKey, now: u64) -> Result<Mailbox, GrantInvalid> {
        key.seal(&self.mailbox, self.expires).verify_slice(&self.seal).map_err(|_| GrantInvalid)?;
        if now > self.expires {
            return Err(GrantInvalid);
        }
        Ok(self.mailbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_opens_its_own_mailbox_for_a_minute_and_no_other() {
        let key = GrantKey::new([7; 32]);
        let mailbox = |name: &str| Mailbox {
            account: name.parse().unwrap(),
            maildir: format!("/var/mail/{name}").into(),
        };
        let grant = MailboxGrant::issue(&key, mailbox("abc"), 1000);
        assert_eq!(grant.clone().redeem(&key, 1060), Ok(mailbox("abc")));
        assert_eq!(grant.clone().redeem(&key, 1061), Err(GrantInvalid));
        assert_eq!(grant.clone().redeem(&GrantKey::new([8; 32]), 1000), Err(GrantInvalid));
        let forged = MailboxGrant { mailbox: mailbox("xyz"), ..grant };
        assert_eq!(forged.redeem(&key, 1000), Err(GrantInvalid));
    }
}
