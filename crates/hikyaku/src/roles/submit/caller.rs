//! Who calls. The kernel says the user id, the directory what it stands for; of a program in delivery
//! instructions, the role that ran it says whose they are. Nothing that a caller says of himself is believed.

use envelope::{AccountName, Sender};
use link::services::directory::{LocalUser, LoginRefused};
use link::services::submit::Left;
use sendmail::{Refusal, Standing};

use super::House;
use crate::control::Settings;

/// A program of this machine whose account is known.
pub struct Caller {
    /// As whom it runs.
    pub uid: u32,
    /// As whom it sends.
    pub user: LocalUser,
    /// It forwards the very message that is being delivered.
    forwards_delivery: bool,
}

impl Caller {
    /// Finds out who has this user id.
    ///
    /// # Errors
    /// If he is nobody's, may not send, or cannot be found out.
    pub async fn of(house: &House, uid: u32) -> Result<Caller, Refusal> {
        match house.addresses.local_user(uid).await {
            Ok(user) => Ok(Caller { uid, user, forwards_delivery: false }),
            Err(LoginRefused::UnknownUser) => Err(Refusal::UnknownUser(uid)),
            Err(LoginRefused::Suspended | LoginRefused::ReceiveOnly) => {
                Err(Refusal::NotAllowed(format!("the account as which user id {uid} sends may not send")))
            }
            Err(_) => Err(directory_away()),
        }
    }

    /// The caller who left this file, a program in the delivery instructions of an account: the directory
    /// says that it sends as this user.
    pub fn of_program(left: Left, user: LocalUser) -> Caller {
        Caller { uid: left.uid, user, forwards_delivery: left.forwards_delivery }
    }

    /// The account, and what entitles it.
    pub fn sender(&self) -> &Sender {
        self.user.grant.sender()
    }

    /// The account.
    pub fn account(&self) -> &AccountName {
        &self.sender().account
    }

    /// What holds for him when a message is composed.
    pub fn standing(&self, settings: &Settings) -> Standing {
        Standing {
            uid: self.uid,
            account: self.account().clone(),
            address: self.user.address.clone(),
            hostname: settings.hostname.clone(),
            domain: settings.domain.clone(),
            author: self.user.author,
            recipients_max: settings.limits.recipients_max,
            forwards_delivery: self.forwards_delivery,
        }
    }

    /// The refusal of whatever would be sent in the account's name now.
    pub fn suspended(&self) -> Refusal {
        Refusal::Suspended { account: self.account().to_string(), uid: self.uid }
    }
}

/// Nobody says who anybody is.
pub fn directory_away() -> Refusal {
    Refusal::ServerAway("its directory of accounts is away".into())
}
