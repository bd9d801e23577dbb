//! Proof that the directory let somebody in.
//!
//! `pop3` hears strangers, so its word that a customer logged in is not enough for `maildrop` to
//! open a mailbox: it must bring what the directory signed. Nor is `smtp`'s word enough for `queue` to
//! take mail to the world: even a taken-over `smtp` is no open relay. Nor is `web`'s, that an operator
//! looks at the queue or acts there. The key is made at random by the supervisor at each start and given to
//! the roles that need it.

use std::fmt;

use envelope::{AccountName, Entitlement, Mailbox, Sender};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

/// How long a mailbox grant can be redeemed, in seconds: it is used at once.
pub const LIFETIME: u64 = 60;
/// How long an operator's grant can be redeemed, in seconds: it is used at once.
pub const OPERATOR_LIFETIME: u64 = 60;
/// How long a relay grant can be redeemed, in seconds. Whether somebody may send is asked for each
/// message anyway; a session may be long, and a message takes its time.
pub const RELAY_LIFETIME: u64 = 86_400;

/// The key that signs grants and checks them.
#[derive(Clone, Serialize, Deserialize)]
pub struct GrantKey([u8; 32]);

impl GrantKey {
    /// A key of these octets, which must be random and secret.
    pub fn new(octets: [u8; 32]) -> GrantKey {
        GrantKey(octets)
    }

    /// `parts` begin with what kind of grant it is.
    fn seal<const N: usize>(&self, parts: [&[u8]; N], expires: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        // Lengths stand before the texts, so that no two grants give the same octets.
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.update(&expires.to_le_bytes());
        mac
    }

    fn seal_mailbox(&self, mailbox: &Mailbox, expires: u64) -> Hmac<Sha256> {
        let (account, maildir) = (mailbox.account.as_str(), mailbox.maildir.as_os_str());
        self.seal([b"mailbox", account.as_bytes(), maildir.as_encoded_bytes()], expires)
    }

    fn seal_relay(&self, sender: &Sender, expires: u64) -> Hmac<Sha256> {
        let by: &[u8] = match sender.entitlement {
            Entitlement::Authentication => b"authentication",
            Entitlement::Window => b"window",
            Entitlement::LocalUser => b"local user",
        };
        self.seal([b"relay", sender.account.as_str().as_bytes(), by], expires)
    }

    fn seal_operator(&self, account: &AccountName, may_act: bool, expires: u64) -> Hmac<Sha256> {
        let act: &[u8] = if may_act { b"act" } else { b"look" };
        self.seal([b"operator", account.as_str().as_bytes(), act], expires)
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
#[error("the grant is not valid")]
pub struct GrantInvalid;

impl MailboxGrant {
    /// Grants `mailbox`; `now` in seconds since 1970.
    pub fn issue(key: &GrantKey, mailbox: Mailbox, now: u64) -> MailboxGrant {
        let expires = now + LIFETIME;
        let seal = key.seal_mailbox(&mailbox, expires).finalize().into_bytes().into();
        MailboxGrant { mailbox, expires, seal }
    }

    /// The mailbox, if the grant is genuine and not too old.
    ///
    /// # Errors
    /// If it is neither.
    pub fn redeem(self, key: &GrantKey, now: u64) -> Result<Mailbox, GrantInvalid> {
        key.seal_mailbox(&self.mailbox, self.expires).verify_slice(&self.seal).map_err(|_| GrantInvalid)?;
        if now > self.expires {
            return Err(GrantInvalid);
        }
        Ok(self.mailbox)
    }
}

/// Leave to send to the world, in one account's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayGrant {
    sender: Sender,
    expires: u64,
    seal: [u8; 32],
}

impl RelayGrant {
    /// Grants relaying to `sender`; `now` in seconds since 1970.
    pub fn issue(key: &GrantKey, sender: Sender, now: u64) -> RelayGrant {
        let expires = now + RELAY_LIFETIME;
        let seal = key.seal_relay(&sender, expires).finalize().into_bytes().into();
        RelayGrant { sender, expires, seal }
    }

    /// Who it says may send. Believe it only of a grant that the directory gave just now.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Who may send, if the grant is genuine and not too old.
    ///
    /// # Errors
    /// If it is neither.
    pub fn redeem(&self, key: &GrantKey, now: u64) -> Result<&Sender, GrantInvalid> {
        key.seal_relay(&self.sender, self.expires).verify_slice(&self.seal).map_err(|_| GrantInvalid)?;
        if now > self.expires {
            return Err(GrantInvalid);
        }
        Ok(&self.sender)
    }
}

/// Leave to question the queue as an operator, for a short time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorGrant {
    account: AccountName,
    may_act: bool,
    expires: u64,
    seal: [u8; 32],
}

impl OperatorGrant {
    /// Grants an operator to look, and to act if `may_act`; `now` in seconds since 1970.
    pub fn issue(key: &GrantKey, account: AccountName, may_act: bool, now: u64) -> OperatorGrant {
        let expires = now + OPERATOR_LIFETIME;
        let seal = key.seal_operator(&account, may_act, expires).finalize().into_bytes().into();
        OperatorGrant { account, may_act, expires, seal }
    }

    /// Who asks and whether he may act, if the grant is genuine and not too old.
    ///
    /// # Errors
    /// If it is neither.
    pub fn redeem(&self, key: &GrantKey, now: u64) -> Result<(&AccountName, bool), GrantInvalid> {
        let seal = key.seal_operator(&self.account, self.may_act, self.expires);
        seal.verify_slice(&self.seal).map_err(|_| GrantInvalid)?;
        if now > self.expires {
            return Err(GrantInvalid);
        }
        Ok((&self.account, self.may_act))
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

    #[test]
    fn a_relay_grant_is_for_one_account_and_cannot_be_made_up() {
        let key = GrantKey::new([7; 32]);
        let sender = |name: &str| Sender { account: name.parse().unwrap(), entitlement: Entitlement::Window };
        let grant = RelayGrant::issue(&key, sender("abc"), 1000);
        assert_eq!(grant.redeem(&key, 1000), Ok(&sender("abc")));
        assert_eq!(grant.redeem(&key, 1001 + RELAY_LIFETIME), Err(GrantInvalid));
        assert_eq!(grant.redeem(&GrantKey::new([8; 32]), 1000), Err(GrantInvalid));
        let forged = RelayGrant { sender: sender("xyz"), ..grant };
        assert_eq!(forged.redeem(&key, 1000), Err(GrantInvalid));
    }

    #[test]
    fn an_operator_who_may_look_cannot_make_himself_act() {
        let key = GrantKey::new([7; 32]);
        let grant = OperatorGrant::issue(&key, "root".parse().unwrap(), false, 1000);
        assert!(!grant.redeem(&key, 1060).unwrap().1);
        assert_eq!(grant.redeem(&key, 1061), Err(GrantInvalid));
        assert_eq!(grant.redeem(&GrantKey::new([8; 32]), 1000), Err(GrantInvalid));
        let forged = OperatorGrant { may_act: true, ..grant };
        assert_eq!(forged.redeem(&key, 1000), Err(GrantInvalid));
    }
}
