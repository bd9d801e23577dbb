//! Looking for a text among all accounts and instructions, for operators.
//!
//! A text may stand anywhere, which no index helps with; so the names are read, from an index that holds nothing else
//! of size, and the instructions as they lie. Both are bounded by how many are wanted, and the accounts whose names
//! begin with the text come first.

use envelope::AccountName;

use crate::error::StoreError;
use crate::extension::Extension;
use crate::rows;
use crate::store::Store;

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Accounts.
    pub accounts: u64,
    /// Of these, suspended.
    pub suspended: u64,
    /// Of these, that may only receive.
    pub receive_only: u64,
    /// Domains.
    pub domains: u64,
    /// Addresses with instructions of their own.
    pub addresses: u64,
}

impl Store {
    /// Accounts that have this text in their names, those that begin with it first: at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn find_accounts(&self, text: &str, limit: u32) -> Result<Vec<AccountName>, StoreError> {
        let text = text.to_ascii_lowercase();
        // Sorts after every name that begins so: names are letters, digits and hyphens.
        let end = format!("{text}~");
        self.read(|moment| {
            let mut found: Vec<AccountName> = moment
                .prepare_cached("SELECT name FROM accounts WHERE name >= ?1 AND name < ?2 ORDER BY name LIMIT ?3")?
                .query_map((&text, end, limit), |row| rows::parsed(row, 0))?
                .collect::<Result<_, _>>()?;
            let rest = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if rest > 0 {
                let mut others = moment.prepare_cached(
                    "SELECT name FROM accounts INDEXED BY accounts_for_mail WHERE instr(name, ?1) > 1 LIMIT ?2",
                )?;
                for name in others.query_map((&text, rest), |row| rows::parsed(row, 0))? {
                    found.push(name?);
                }
            }
            Ok(found)
        })
    }

    /// Addresses with instructions of their own that have this text in their name, their label or their text: at most
    /// `limit`, and whose they are.
    ///
    /// # Errors
    /// If the store fails.
    pub fn find_instructions(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Vec<(AccountName, Extension)>, StoreError> {
        let text = text.to_lowercase();
        // A dot is a colon there.
        let named = text.replace('.', ":");
        self.read(|moment| {
            let mut found = moment.prepare_cached(
                "SELECT accounts.name, instructions.name FROM instructions JOIN accounts ON accounts.id = account
                 WHERE instr(instructions.name, ?2) OR instr(lower(text), ?1)
                     OR label IS NOT NULL AND instr(lower(label), ?1)
                 LIMIT ?3",
            )?;
            let found = found.query_map((text, named, limit), |row| {
                let extension = Extension::of_key(row.get_ref(1)?.as_str()?);
                Ok((rows::parsed(row, 0)?, extension.map_err(|error| rows::unreadable(1, error))?))
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// How much there is.
    ///
    /// # Errors
    /// If the store fails.
    pub fn counts(&self) -> Result<StoreCounts, StoreError> {
        self.read(|moment| {
            let mut counts = StoreCounts {
                domains: rows::count(moment, "SELECT count(*) FROM domains")?,
                addresses: rows::count(moment, "SELECT count(*) FROM instructions")?,
                ..StoreCounts::default()
            };
            let mut states = moment.prepare_cached("SELECT state, count(*) FROM accounts GROUP BY state")?;
            let mut states = states.query([])?;
            while let Some(row) = states.next()? {
                let count = row.get::<_, i64>(1)?.unsigned_abs();
                counts.accounts += count;
                match row.get::<_, String>(0)?.as_str() {
                    "suspended" => counts.suspended = count,
                    "receive-only" => counts.receive_only = count,
                    _ => {}
                }
            }
            Ok(counts)
        })
    }
}

#[cfg(test)]
mod tests {
    use envelope::{AccountState, Plan};

    use super::*;
    use crate::example::{Example, WHO, name};
    use crate::label::Label;

    fn found(example: &Example, text: &str) -> Vec<String> {
        let accounts = example.store.find_accounts(text, 50).unwrap();
        accounts.iter().map(ToString::to_string).collect()
    }

    fn addresses(example: &Example, text: &str) -> Vec<String> {
        let found = example.store.find_instructions(text, 50).unwrap();
        found.iter().map(|(account, extension)| format!("{account} {extension}")).collect()
    }

    fn set(example: &Example, account: &str, extension: &str, text: &str) {
        let extension = Extension::parse(Some(extension)).unwrap();
        let any = |_: &str, _: &Plan| Ok(());
        example.store.set_instructions(&name(account), &extension, text, any, &WHO).unwrap();
    }

    #[test]
    fn accounts_that_begin_so_stand_before_those_that_have_it_somewhere() {
        let example = Example::pobox();
        for account in ["zabc", "abcd", "a-b-c"] {
            example.add_account(account);
        }
        assert_eq!(found(&example, "ABC"), ["abc", "abcd", "zabc"]);
        assert_eq!(found(&example, "-b-"), ["a-b-c"]);
        assert_eq!(example.store.find_accounts("abc", 1).unwrap().len(), 1);
        assert_eq!(example.store.find_accounts("abc", 3).unwrap().len(), 3);
        for nobodys in ["abc%", "_", "'", "abc~", "ａｂｃ"] {
            assert_eq!(found(&example, nobodys), Vec::<String>::new(), "{nobodys}");
        }
    }

    #[test]
    fn addresses_are_found_by_name_label_and_destination() {
        let example = Example::pobox();
        set(&example, "abc", "Shop.Order", "&Me@Gmail.example\n");
        set(&example, "xyz", "list", "&other@there.example\n");
        let label = Label::parse("会報の Mail").unwrap();
        let list = Extension::parse(Some("list")).unwrap();
        example.store.set_instructions_label(&name("xyz"), &list, Some(&label), &WHO).unwrap();
        for text in ["order", "shop.ord", "me@gmail", "GMAIL.example"] {
            assert_eq!(addresses(&example, text), ["abc .qmail-shop:order"], "{text}");
        }
        for text in ["list", "会報", "mail\u{0}"] {
            let expected: &[&str] = if text.contains('\0') { &[] } else { &["xyz .qmail-list"] };
            assert_eq!(addresses(&example, text), expected, "{text}");
        }
        assert_eq!(addresses(&example, "mail"), ["abc .qmail-shop:order", "xyz .qmail-list"]);
        assert_eq!(example.store.find_instructions("mail", 1).unwrap().len(), 1);
    }

    #[test]
    fn everything_is_counted() {
        let example = Example::pobox();
        let before = example.store.counts().unwrap();
        example.add_account("one");
        example.store.set_state(&name("one"), AccountState::Suspended, &WHO).unwrap();
        example.store.set_state(&name("abc"), AccountState::ReceiveOnly, &WHO).unwrap();
        set(&example, "abc", "foo", "&a@x.example\n");
        let after = example.store.counts().unwrap();
        assert_eq!(
            after,
            StoreCounts {
                accounts: before.accounts + 1,
                suspended: 1,
                receive_only: 1,
                addresses: before.addresses + 1,
                ..before
            }
        );
    }
}
