//! Who may send, and how much.

use directory::SendingRefused;
use envelope::{AccountName, Address};
use link::services::directory::{LoginRefused, NotCounted, Response};
use tracing::{info, warn};

use super::Desk;
use crate::roles::unix_now;

impl Desk {
    /// Whether an account may send one more message, as far as that is known before there is one.
    ///
    /// The first message over a limit passes here: it is refused when it is counted, where the queue has
    /// the owner told.
    pub(super) fn may_send(&self, account: &AccountName) -> Response {
        let now = unix_now();
        match self.store.may_send(account, now) {
            // Of no message yet: how large one may be is judged when it is counted.
            Ok(()) | Err(SendingRefused::TooLarge(_)) => Response::Done,
            Err(SendingRefused::Suspended | SendingRefused::NoSuchAccount) => {
                Response::LoginRefused(LoginRefused::Suspended)
            }
            Err(SendingRefused::ReceiveOnly) => Response::LoginRefused(LoginRefused::ReceiveOnly),
            Err(SendingRefused::LimitReached(reached)) => {
                match self.store.was_told_of_limit(account, reached.which, now) {
                    Ok(false) => Response::Done,
                    _ => Response::LimitReached(reached),
                }
            }
            Err(SendingRefused::Store(error)) => {
                warn!(event = "directory_unreadable", %error);
                Response::Unavailable
            }
        }
    }

    /// Counts a message that is about to be accepted, unless it is more than the account may send.
    pub(super) fn count(&self, account: &AccountName, recipients: &[Address], size: u64) -> Response {
        let now = unix_now();
        Response::NotCounted(match self.store.count(account, recipients, size, now) {
            Ok(()) => return Response::Counted,
            Err(SendingRefused::Suspended | SendingRefused::ReceiveOnly | SendingRefused::NoSuchAccount) => {
                NotCounted::MayNotSend
            }
            Err(SendingRefused::TooLarge(most)) => NotCounted::TooLarge(most),
            Err(SendingRefused::LimitReached(reached)) => {
                info!(event = "limit_reached", %account, limit = %reached.which, most = reached.most);
                let tell_owner = self.store.tell_of_limit(account, reached.which, now).unwrap_or(false);
                NotCounted::LimitReached { reached, tell_owner }
            }
            Err(SendingRefused::Store(error)) => {
                warn!(event = "directory_unreadable", %error);
                return Response::Unavailable;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use envelope::{AccountState, Limit, Overrides, SendingLimit};

    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    #[test]
    fn a_limit_is_told_before_the_message_and_its_owner_once() {
        let (_folder, desk) = desk(false);
        let overrides = Overrides {
            messages_per_hour: Some(Limit::AtMost(1)),
            message_size_max: Some(Limit::AtMost(100)),
            ..Overrides::default()
        };
        desk.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        let to = ["a@x.example".parse().unwrap()];
        let count = |size| desk.count(&name("abc"), &to, size);
        assert!(matches!(count(101), Response::NotCounted(NotCounted::TooLarge(100))));
        assert!(matches!(desk.may_send(&name("abc")), Response::Done));
        assert!(matches!(count(100), Response::Counted));
        for first in [true, false] {
            assert_eq!(matches!(desk.may_send(&name("abc")), Response::Done), first);
            assert!(matches!(
                count(1),
                Response::NotCounted(NotCounted::LimitReached { tell_owner, .. }) if tell_owner == first
            ));
        }
        assert!(matches!(
            desk.may_send(&name("abc")),
            Response::LimitReached(reached) if reached.which == SendingLimit::MessagesPerHour
        ));
    }

    #[test]
    fn who_may_not_send_is_not_counted() {
        let (_folder, desk) = desk(false);
        let to = ["a@x.example".parse().unwrap()];
        for (state, refused) in [
            (AccountState::Suspended, LoginRefused::Suspended),
            (AccountState::ReceiveOnly, LoginRefused::ReceiveOnly),
        ] {
            desk.store.set_state(&name("abc"), state, &WHO).unwrap();
            assert!(matches!(desk.may_send(&name("abc")), Response::LoginRefused(why) if why == refused));
            let counted = desk.count(&name("abc"), &to, 1);
            assert!(matches!(counted, Response::NotCounted(NotCounted::MayNotSend)));
        }
        assert!(matches!(desk.may_send(&name("nobody")), Response::LoginRefused(LoginRefused::Suspended)));
    }
}
