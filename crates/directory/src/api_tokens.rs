//! Tokens by which programs use the API in an account's name.
//!
//! A token is random, so its digest suffices to keep it. It ends when its time is over, when its owner revokes
//! it, and when the account is suspended or an operator sets another password.

use envelope::{Account, AccountName, AccountState};
use rusqlite::{Connection, OptionalExtension};

use crate::accounts::{columns, id_of, read_account};
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::label::Label;
use crate::plans::effective_plan;
use crate::rows;
use crate::store::{Store, unix_now};

/// Tokens that one account may have.
pub(crate) const EACH: u64 = 64;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// To look.
    Read,
    /// To change what belongs to the account, but for its ways in.
    Write,
    /// To rule.
    Operate,
}

impl TokenScope {
    const ALL: [TokenScope; 3] = [TokenScope::Read, TokenScope::Write, TokenScope::Operate];

    /// `read`, `write` or `operate`.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenScope::Read => "read",
            TokenScope::Write => "write",
            TokenScope::Operate => "operate",
        }
    }
}

/// A token as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// What its owner calls it.
    pub label: Label,
    /// What it allows.
    pub scope: TokenScope,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// From this second on it is void.
    pub expires: u64,
    /// When it was last used, in seconds since 1970, to the minute.
    pub last_used: Option<u64>,
}

/// A good token, and what is to be known of who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenToken {
    /// Whose it is.
    pub account: Account,
    /// What it allows.
    pub scope: TokenScope,
    /// Whether the account has a second factor.
    pub has_second_factor: bool,
    /// Whether the account has all addresses of its sub-domain.
    pub sub_domain: bool,
}

impl Store {
    /// Makes a token, good until `expires` (seconds since 1970); `digest` is its SHA-256.
    ///
    /// # Errors
    /// If there is no such account, it has one of this label, or it has 64.
    pub fn add_api_token(
        &self,
        name: &AccountName,
        label: &Label,
        scope: TokenScope,
        digest: &[u8; 32],
        expires: u64,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            let (all, same): (i64, bool) = change
                .prepare_cached(
                    "SELECT count(*), coalesce(max(label = ?2), 0) FROM api_tokens WHERE account = ?1",
                )?
                .query_row((account, label.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))?;
            if same {
                return Err(ChangeError::ApiTokenExists { account: name.clone(), label: label.clone() });
            }
            if all.unsigned_abs() >= EACH {
                return Err(ChangeError::TooManyApiTokens(name.clone()));
            }
            change
                .prepare_cached(
                    "INSERT INTO api_tokens (account, label, digest, scope, made, expires)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((
                    account,
                    label.as_str(),
                    digest,
                    scope.as_str(),
                    unix_now(),
                    expires.cast_signed(),
                ))?;
            Ok(trail.note(&Change::ApiTokenAdded(name, label, scope))?)
        })
    }

    /// The tokens of an account, in the order in which they were made; those too whose time is over, until they
    /// are revoked.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn api_tokens(&self, name: &AccountName) -> Result<Vec<ApiToken>, ChangeError> {
        let all = self.ask(|moment| {
            let account = id_of(moment, name)?;
            let mut all = moment.prepare_cached(
                "SELECT id, label, scope, made, expires FROM api_tokens WHERE account = ?1 ORDER BY id",
            )?;
            let all = all.query_map([account], |row| {
                let token = ApiToken {
                    label: rows::parsed(row, 1)?,
                    scope: rows::one_of(row, 2, &TokenScope::ALL, TokenScope::as_str)?,
                    made: rows::seconds(row, 3)?,
                    expires: rows::seconds(row, 4)?,
                    last_used: None,
                };
                Ok((row.get(0)?, token))
            })?;
            Ok(all.collect::<Result<Vec<(i64, ApiToken)>, _>>()?)
        })?;
        let uses = self.usage().token_uses();
        Ok(all.into_iter().map(|(id, token)| ApiToken { last_used: uses.last(id), ..token }).collect())
    }

    /// Whose token this is and what it allows, if it is good; it counts as used now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn api_token(&self, digest: &[u8; 32], now: u64) -> Result<Option<OpenToken>, StoreError> {
        let found = self.read(|moment| {
            let found = moment
                .prepare_cached(concat!(
                    "SELECT ",
                    columns!(),
                    ", api_tokens.id, scope, EXISTS (SELECT 1 FROM second_factors WHERE account = accounts.id)
                     FROM api_tokens JOIN accounts ON accounts.id = account WHERE digest = ?1 AND expires > ?2"
                ))?
                .query_row((digest, now.cast_signed()), |row| {
                    let open = OpenToken {
                        account: read_account(row, &self.settings)?,
                        scope: rows::one_of(row, 7, &TokenScope::ALL, TokenScope::as_str)?,
                        has_second_factor: row.get(8)?,
                        sub_domain: false,
                    };
                    Ok((row.get::<_, i64>(6)?, open))
                })
                .optional()?;
            let Some((id, mut open)) = found else { return Ok(None) };
            let plan = effective_plan(moment, &open.account.name)?;
            open.sub_domain = plan.is_some_and(|plan| plan.sub_domain_addresses);
            Ok(Some((id, open)))
        })?;
        let Some((id, open)) = found.filter(|(_, open)| open.account.state != AccountState::Suspended) else {
            return Ok(None);
        };
        let usage = self.usage();
        if usage.token_uses().used(id, now) {
            usage.changed();
        }
        Ok(Some(open))
    }

    /// Revokes the token of this label.
    ///
    /// # Errors
    /// If there is no such account, or it has none of this label.
    pub fn remove_api_token(
        &self,
        name: &AccountName,
        label: &Label,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        let removed: i64 = self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            let removed = change
                .prepare_cached("DELETE FROM api_tokens WHERE account = ?1 AND label = ?2 RETURNING id")?
                .query_row((account, label.as_str()), |row| row.get(0))
                .optional()?;
            let Some(removed) = removed else {
                return Err(ChangeError::NoSuchApiToken { account: name.clone(), label: label.clone() });
            };
            trail.note(&Change::ApiTokenRemoved(name, label))?;
            Ok(removed)
        })?;
        self.forget_tokens(&[removed]);
        Ok(())
    }

    /// What is known of the use of these tokens goes too.
    pub(crate) fn forget_tokens(&self, tokens: &[i64]) {
        if !tokens.is_empty() {
            tokens.iter().for_each(|token| self.usage().token_uses().forget(*token));
            self.usage().changed();
        }
    }
}

/// The rows of an account's tokens, by which their uses are known.
pub(crate) fn ids(moment: &Connection, account: i64) -> rusqlite::Result<Vec<i64>> {
    moment
        .prepare_cached("SELECT id FROM api_tokens WHERE account = ?1")?
        .query_map([account], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name, password};
    use crate::second_factor::tests::set_up;
    use crate::sessions::tests::NOW;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    fn add(store: &Store, text: &str, scope: TokenScope, digest: u8) -> Result<(), ChangeError> {
        store.add_api_token(&name("abc"), &label(text), scope, &[digest; 32], NOW + 100, &WHO)
    }

    fn scope(store: &Store, digest: u8, now: u64) -> Option<TokenScope> {
        store.api_token(&[digest; 32], now).unwrap().map(|open| open.scope)
    }

    #[test]
    fn a_token_is_good_until_its_time_is_over_and_its_use_is_kept() {
        let example = Example::pobox();
        let store = &example.store;
        add(store, "script", TokenScope::Write, 1).unwrap();
        let open = store.api_token(&[1; 32], NOW).unwrap().unwrap();
        assert!(open.account.name == name("abc") && open.sub_domain && !open.has_second_factor);
        assert_eq!(scope(store, 1, NOW + 99), Some(TokenScope::Write));
        assert_eq!((scope(store, 1, NOW + 100), scope(store, 2, NOW)), (None, None));
        store.flush_usage();
        for store in [store, &example.opened_again()] {
            let all = store.api_tokens(&name("abc")).unwrap();
            assert_eq!((all.len(), all[0].label.as_str(), all[0].expires), (1, "script", NOW + 100));
            assert_eq!(all[0].last_used, Some(NOW + 99));
        }
    }

    #[test]
    fn a_label_is_given_once_one_is_revoked_and_the_others_stay() {
        let store = &Example::pobox().store;
        add(store, "a", TokenScope::Read, 1).unwrap();
        add(store, "b", TokenScope::Read, 2).unwrap();
        assert!(matches!(add(store, "a", TokenScope::Read, 3), Err(ChangeError::ApiTokenExists { .. })));
        store.remove_api_token(&name("abc"), &label("a"), &WHO).unwrap();
        assert_eq!((scope(store, 1, NOW), scope(store, 2, NOW)), (None, Some(TokenScope::Read)));
        let again = store.remove_api_token(&name("abc"), &label("a"), &WHO).unwrap_err();
        assert!(matches!(again, ChangeError::NoSuchApiToken { .. }));
        (3..66).for_each(|number| add(store, &number.to_string(), TokenScope::Read, number).unwrap());
        assert!(matches!(add(store, "more", TokenScope::Read, 99), Err(ChangeError::TooManyApiTokens(_))));
    }

    #[test]
    fn tokens_end_by_suspension_and_an_operators_password_and_stay_by_ones_own() {
        let store = &Example::pobox().store;
        let abc = name("abc");
        add(store, "a", TokenScope::Read, 1).unwrap();
        store.change_password(&abc, &password("a-new-one"), 0).unwrap();
        assert!(scope(store, 1, NOW).is_some());
        store.set_password(&abc, &password("another-one"), &WHO).unwrap();
        assert!(scope(store, 1, NOW).is_none());
        add(store, "a", TokenScope::Read, 1).unwrap();
        store.set_state(&abc, AccountState::Suspended, &WHO).unwrap();
        store.set_state(&abc, AccountState::Active, &WHO).unwrap();
        assert!(scope(store, 1, NOW).is_none());
    }

    #[test]
    fn who_has_no_second_factor_any_more_has_no_token_to_rule_by() {
        let store = &Example::pobox().store;
        set_up(store);
        add(store, "read", TokenScope::Read, 1).unwrap();
        add(store, "rule", TokenScope::Operate, 2).unwrap();
        store.remove_second_factor(&name("abc"), &WHO).unwrap();
        assert_eq!((scope(store, 1, NOW), scope(store, 2, NOW)), (Some(TokenScope::Read), None));
    }
}
