//! Who may in.
//!
//! Each login reads the account's row, so a changed password or state counts at once, whoever
//! changed it. Whether the password is right is asked of the memory first (`verified.rs`), then of
//! argon2. An unknown name takes the same way as a known one, against a PHC string that is
//! nobody's; so neither the answer nor the time it takes tells which names there are.

use std::time::Instant;

use envelope::{Account, AccountName, AccountState, Domain, LocalPart};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accounts::{columns, read_account};
use crate::error::StoreError;
use crate::hashing::{HashingFailed, NOBODY};
use crate::label::Label;
use crate::password::PASSWORD_MAX;
use crate::resolve::{Hosted, Lookup};
use crate::scram::{self, ScramKeys};
use crate::store::{Settings, Store};

/// Somebody was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whose password it was.
    pub account: Account,
    /// The app password that it was, if it was one.
    pub app_password: Option<Label>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginRefused {
    /// Unknown name or wrong password; which one is not said.
    #[error("unknown name or wrong password")]
    Credentials,
    /// The password is right, but the account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// Too busy, or the store does not answer: try again later.
    #[error("logins cannot be checked now")]
    Unavailable,
}

impl Store {
    /// Lets in who knows a password of an account: its own, or an app password. The name is the
    /// account's, `abc`; or its standard address under any provider domain, `abc@pobox.example`; or any
    /// address of a virtual domain, which is its owner's. Case makes no difference.
    ///
    /// Blocks for the time of an argon2, and up to 5 seconds more for its turn, unless the memory
    /// knows the password.
    ///
    /// # Errors
    /// Says no more than the person at the other end may know; what fails inside is logged.
    pub fn login(&self, name: &str, password: &str) -> Result<Login, LoginRefused> {
        self.login_at(name, password, Accepted::AppPasswordsToo, Instant::now())
    }

    /// As [`Store::login`], but app passwords do not count: they are for mail programs, and must not
    /// change the account.
    ///
    /// # Errors
    /// As [`Store::login`].
    pub fn login_to_page(&self, name: &str, password: &str) -> Result<Login, LoginRefused> {
        self.login_at(name, password, Accepted::OwnPassword, Instant::now())
    }

    fn login_at(
        &self,
        name: &str,
        password: &str,
        accepted: Accepted,
        now: Instant,
    ) -> Result<Login, LoginRefused> {
        // What cannot be a name or a password costs nothing: that it cannot is no secret.
        if !(1..=PASSWORD_MAX).contains(&password.len()) {
            return Err(LoginRefused::Credentials);
        }
        let unavailable = |error: StoreError| {
            tracing::error!(%error, "a login could not be checked");
            LoginRefused::Unavailable
        };
        let found = self.read(|moment| {
            let Some(named) = named(moment, &self.settings, name)? else { return Ok(None) };
            let row = if named.hosted { self.login_row(moment, &named.name)? } else { None };
            Ok(Some((named.name, row)))
        });
        let (name, row) = found.map_err(unavailable)?.ok_or(LoginRefused::Credentials)?;
        if let Some(row) = &row
            && accepted == Accepted::AppPasswordsToo
            && let Some(label) = self.app_password(row.id, password).map_err(unavailable)?
        {
            return let_in(&row.account, Some(label));
        }
        let stored = row.as_ref().and_then(|row| row.password.as_deref()).unwrap_or(NOBODY);
        let right = self.check(&name, password.as_bytes(), stored, now).map_err(|error| {
            match error {
                HashingFailed::Busy => tracing::warn!(account = %name, %error, "a login was not checked"),
                _ => tracing::error!(account = %name, %error, "a login could not be checked"),
            }
            LoginRefused::Unavailable
        })?;
        let Some(row) = row.filter(|_| right != Judgement::Wrong) else {
            return Err(LoginRefused::Credentials);
        };
        if right == Judgement::Right {
            self.upgrade(&row, password);
        }
        let_in(&row.account, None)
    }

    fn check(
        &self,
        name: &AccountName,
        password: &[u8],
        stored: &str,
        now: Instant,
    ) -> Result<Judgement, HashingFailed> {
        let trial = self.verified.trial(stored, password);
        let recall = || match self.verified.recall(name, &trial, now)? {
            true => Some(Judgement::RememberedAsRight),
            false => Some(Judgement::Wrong),
        };
        if let Some(judgement) = recall() {
            return Ok(judgement);
        }
        let turn = self.hasher.turn()?;
        // Many a client opens several connections at once: one of them may have been judged meanwhile.
        if let Some(judgement) = recall() {
            return Ok(judgement);
        }
        let right = turn.check(password, stored)?;
        self.verified.remember(name, trial, right, now);
        Ok(if right { Judgement::Right } else { Judgement::Wrong })
    }

    /// What a login needs to know of an account.
    pub(crate) fn login_row(
        &self,
        moment: &Connection,
        name: &AccountName,
    ) -> rusqlite::Result<Option<LoginRow>> {
        let row = moment
            .prepare_cached(concat!("SELECT ", columns!(), ", id, password FROM accounts WHERE name = ?1"))?
            .query_row([name.as_str()], |row| {
                Ok((read_account(row, &self.settings)?, row.get(6)?, row.get(7)?))
            })
            .optional()?;
        let Some((account, id, password)) = row else { return Ok(None) };
        Ok(Some(LoginRow { account, id, password, keys: scram::keys(moment, id)? }))
    }
}

/// Which passwords count.
#[derive(Clone, Copy, PartialEq)]
enum Accepted {
    OwnPassword,
    AppPasswordsToo,
}

/// What came of a check.
#[derive(Clone, Copy, PartialEq)]
enum Judgement {
    Right,
    RememberedAsRight,
    Wrong,
}

/// An account on its way in.
pub(crate) struct LoginRow {
    pub(crate) account: Account,
    pub(crate) id: i64,
    /// Its stored hash.
    pub(crate) password: Option<String>,
    pub(crate) keys: Option<ScramKeys>,
}

/// The account that a login name means.
pub(crate) struct Named {
    pub(crate) name: AccountName,
    /// False if the address is of a domain that is not ours: then it is nobody.
    pub(crate) hosted: bool,
}

/// Which account a login name means; none if it is no name at all.
pub(crate) fn named(moment: &Connection, settings: &Settings, text: &str) -> rusqlite::Result<Option<Named>> {
    let account = |text, hosted| AccountName::parse(text).ok().map(|name| Named { name, hosted });
    let Some((local_part, domain)) = text.split_once('@') else { return Ok(account(text, true)) };
    let Ok(domain) = Domain::parse(domain) else { return Ok(None) };
    Ok(match (Lookup { moment, settings }).hosted(&domain)? {
        Some(Hosted::Provider { .. }) => account(local_part, true),
        Some(Hosted::Virtual { owner, .. }) => {
            LocalPart::new(local_part).ok().map(|_| Named { name: owner.account, hosted: true })
        }
        Some(Hosted::Relay) | None => account(local_part, false),
    })
}

/// One text for all names that mean the same account, and for each name that means none. Of a text too
/// long for a name, its beginning.
pub(crate) fn identity(moment: &Connection, settings: &Settings, text: &str) -> rusqlite::Result<String> {
    Ok(match named(moment, settings, text)? {
        Some(Named { name, hosted: true }) => name.into(),
        _ => text.chars().take(NAME_MAX).flat_map(char::to_lowercase).collect(),
    })
}

/// The longest login name, an address: 64 octets, `@`, 255 octets (RFC 5321 §4.5.3.1).
const NAME_MAX: usize = 320;

fn let_in(account: &Account, app_password: Option<Label>) -> Result<Login, LoginRefused> {
    match account.state {
        AccountState::Active | AccountState::ReceiveOnly => {
            Ok(Login { account: account.clone(), app_password })
        }
        AccountState::Suspended => Err(LoginRefused::Suspended),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, name};
    use crate::hashing::Hasher;

    /// A store in which abc has a password.
    fn pobox() -> Example {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        example
    }

    fn login(example: &Example, name: &str, password: &str) -> Result<String, LoginRefused> {
        example.store.login(name, password).map(|login| login.account.name.to_string())
    }

    /// From now on whatever needs an argon2 is [`LoginRefused::Unavailable`].
    fn forbid_argon2(example: &mut Example) {
        example.store.hasher = Hasher::with(0, Duration::ZERO);
    }

    #[test]
    fn a_login_names_the_account_or_its_standard_address_or_one_of_its_domain() {
        let example = pobox();
        example.set_password("xyz", "xyz-try");
        for right in ["xyz", "xyz@pobox.example", "order@shop.example", "O.r-d+er@SHOP.example"] {
            assert_eq!(login(&example, right, "xyz-try"), Ok("xyz".into()), "{right}");
        }
        let alias = |of: &str| envelope::DomainKind::Alias { of: of.parse().unwrap() };
        example.add_domain("shop2.example", alias("shop.example"));
        example.add_domain("box.example", alias("pobox.example"));
        for right in ["order@shop2.example", "xyz@box.example"] {
            assert_eq!(login(&example, right, "xyz-try"), Ok("xyz".into()), "{right}");
        }
        for wrong in ["@shop.example", "order@www.shop.example", "order@xyz.pobox.example"] {
            assert_eq!(login(&example, wrong, "xyz-try"), Err(LoginRefused::Credentials), "{wrong}");
        }
        for right in ["abc", "ABC", "abc@pobox.example", "Abc@Pobox.Example."] {
            assert_eq!(login(&example, right, "abc-try"), Ok("abc".into()), "{right}");
        }
        let wrong =
            ["", "abcd", "abc@shop.example", "abc@", "@", "abc@a@b", "foo@abc.pobox.example", " abc", "xyz"];
        for wrong in wrong {
            assert_eq!(login(&example, wrong, "abc-try"), Err(LoginRefused::Credentials), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_password_is_refused() {
        let example = pobox();
        for wrong in ["", "abc-Try", "abc-try ", "abc-tr", "abc-try\0", &"x".repeat(100_000)] {
            assert_eq!(login(&example, "abc", wrong), Err(LoginRefused::Credentials));
        }
    }

    #[test]
    fn an_unknown_name_costs_an_argon2_like_a_wrong_password() {
        let mut example = pobox();
        forbid_argon2(&mut example);
        for name in ["abc", "nobody", "xyz", "abc@elsewhere.example"] {
            assert_eq!(login(&example, name, "secret"), Err(LoginRefused::Unavailable), "{name}");
        }
    }

    #[test]
    fn a_repeated_login_costs_no_argon2_for_five_minutes() {
        let mut example = pobox();
        let now = Instant::now();
        example.store.login_at("abc", "abc-try", Accepted::OwnPassword, now).unwrap();
        forbid_argon2(&mut example);
        let later = |seconds| {
            example.store.login_at(
                "abc",
                "abc-try",
                Accepted::OwnPassword,
                now + Duration::from_secs(seconds),
            )
        };
        assert!(later(299).is_ok());
        assert_eq!(later(300), Err(LoginRefused::Unavailable));
    }

    #[test]
    fn a_repeated_wrong_password_costs_no_argon2_for_a_minute_known_name_or_not() {
        let mut example = pobox();
        let now = Instant::now();
        for name in ["abc", "nobody"] {
            assert_eq!(
                example.store.login_at(name, "old", Accepted::OwnPassword, now),
                Err(LoginRefused::Credentials)
            );
        }
        forbid_argon2(&mut example);
        let later = |name, seconds| {
            example.store.login_at(name, "old", Accepted::OwnPassword, now + Duration::from_secs(seconds))
        };
        for name in ["abc", "nobody"] {
            assert_eq!(later(name, 59), Err(LoginRefused::Credentials));
            assert_eq!(later(name, 60), Err(LoginRefused::Unavailable));
        }
    }

    #[test]
    fn a_changed_password_counts_at_once_in_every_process() {
        let example = pobox();
        let other = example.opened_again();
        assert!(other.login("abc", "abc-try").is_ok());
        assert_eq!(other.login("abc", "new"), Err(LoginRefused::Credentials));
        example.set_password("abc", "new");
        assert_eq!(other.login("abc", "abc-try"), Err(LoginRefused::Credentials));
        assert!(other.login("abc", "new").is_ok());
    }

    #[test]
    fn a_suspended_account_is_refused_at_once_but_only_to_who_knows_its_password() {
        let example = pobox();
        let set = |state| example.store.set_state(&name("abc"), state, &WHO).unwrap();
        assert!(login(&example, "abc", "abc-try").is_ok());
        set(AccountState::Suspended);
        assert_eq!(login(&example, "abc", "abc-try"), Err(LoginRefused::Suspended));
        assert_eq!(login(&example, "abc", "wrong"), Err(LoginRefused::Credentials));
        set(AccountState::ReceiveOnly);
        assert_eq!(example.store.login("abc", "abc-try").unwrap().account.state, AccountState::ReceiveOnly);
        set(AccountState::Active);
        assert!(login(&example, "abc", "abc-try").is_ok());
    }

    #[test]
    fn a_removed_account_is_refused_at_once() {
        let example = pobox();
        assert!(login(&example, "abc", "abc-try").is_ok());
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        assert_eq!(login(&example, "abc", "abc-try"), Err(LoginRefused::Credentials));
        example.add_account("abc");
        assert_eq!(login(&example, "abc", "abc-try"), Err(LoginRefused::Credentials));
    }

    #[test]
    fn many_logins_at_once_wait_for_their_turn() {
        let example = pobox();
        std::thread::scope(|scope| {
            let logins: Vec<_> =
                (0..16).map(|_| scope.spawn(|| login(&example, "abc", "abc-try").is_ok())).collect();
            assert!(logins.into_iter().all(|login| login.join().unwrap()));
        });
    }

    #[test]
    fn any_text_as_a_name_is_an_answer() {
        let mut example = pobox();
        forbid_argon2(&mut example);
        proptest!(|(name in any::<String>(), password in any::<String>())| {
            prop_assert!(example.store.login(&name, &password).is_err());
        });
        for hostile in ["' OR 1=1 --", "abc\0", "%s%n", "abc' --@pobox.example", &"x".repeat(10_000)] {
            assert_eq!(login(&example, hostile, "abc-try"), Err(LoginRefused::Credentials));
        }
    }
}
