//! Users of this machine, by the names that the system has for them.
//!
//! Roles cannot look into /etc/passwd; so what is to reach them is made numbers here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use envelope::AccountName;
use nix::unistd::{Uid, User};
use thiserror::Error;

/// The id of a user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalUid(pub u32);

/// The text is no user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotALocalUser {
    /// The system knows none of this name.
    #[error("this machine has no user {0}; `getent passwd` shows those there are, or give the number")]
    Unknown(String),
    /// The system could not be asked.
    #[error("the users of this machine cannot be asked for {0}: {1}; give the number")]
    Unreadable(String, nix::Error),
}

impl FromStr for LocalUid {
    type Err = NotALocalUser;
    /// A number, or a name that the system knows.
    fn from_str(text: &str) -> Result<LocalUid, NotALocalUser> {
        if let Ok(uid) = text.parse() {
            return Ok(LocalUid(uid));
        }
        match User::from_name(text) {
            Ok(Some(user)) => Ok(LocalUid(user.uid.as_raw())),
            Ok(None) => Err(NotALocalUser::Unknown(text.into())),
            Err(error) => Err(NotALocalUser::Unreadable(text.into(), error)),
        }
    }
}

impl fmt::Display for LocalUid {
    /// For people: with the name, if the system knows one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.0)?;
        match User::from_uid(Uid::from_raw(self.0)) {
            Ok(Some(user)) => write!(f, " ({})", user.name),
            _ => Ok(()),
        }
    }
}

/// `[sendmail.users]` in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LocalUsers {
    /// As which account programs of these users send.
    pub accounts: BTreeMap<u32, AccountName>,
    /// What is wrong, each a sentence. A line that is wrong does not count.
    pub problems: Vec<String>,
}

impl LocalUsers {
    /// Looks up the names.
    pub fn of(users: &BTreeMap<String, AccountName>) -> LocalUsers {
        let mut found = LocalUsers::default();
        for (user, account) in users {
            match user.parse() {
                Ok(LocalUid(uid)) => {
                    let first = found.accounts.entry(uid).or_insert_with(|| account.clone());
                    if first != account {
                        found.problems.push(format!(
                            "user {user} (uid {uid}) stands there twice, for {first} and for {account}; \
                             remove one of the two"
                        ));
                    }
                }
                Err(problem) => found.problems.push(problem.to_string()),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_users_and_what_is_wrong_is_told() {
        let name = |text: &str| text.parse::<AccountName>().unwrap();
        let users = [("root", "abc"), ("0", "xyz"), ("4000000000", "xyz"), ("no-such-user", "abc")];
        let users = users.map(|(user, account)| (user.into(), name(account))).into();
        let found = LocalUsers::of(&users);
        assert_eq!(found.accounts.keys().copied().collect::<Vec<_>>(), [0, 4_000_000_000]);
        assert_eq!(found.problems.len(), 2);
        assert!(found.problems[0].starts_with("this machine has no user no-such-user; "), "{found:?}");
        assert!(found.problems[1].contains("(uid 0) stands there twice, for xyz and for abc"), "{found:?}");
        assert_eq!(
            (LocalUid(0).to_string(), LocalUid(4_000_000_000).to_string()),
            ("uid 0 (root)".into(), "uid 4000000000".into())
        );
        for wrong in ["", "-1", "4294967296", "a\0b", "a b"] {
            assert!(wrong.parse::<LocalUid>().is_err(), "{wrong:?}");
        }
    }
}
