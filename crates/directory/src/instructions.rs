//! Delivery instructions: what becomes of the mail to one address of an account.
//!
//! They are text in the language of `.qmail`. Here they are stored, by page, command line or import
//! alike; the language is the matter of the crate `local`, whose check each writer passes in. It is
//! told what the account's plan allows, and runs in the transaction that writes.

use envelope::{AccountName, Plan};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::accounts::id_of;
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::extension::Extension;
use crate::label::Label;
use crate::plans::effective_plan;
use crate::rows;
use crate::store::{Store, unix_now};

/// The longest text in octets.
pub const INSTRUCTIONS_MAX: usize = 64 << 10;

/// How many are read at once for an export.
const PAGE: u32 = 500;

/// The instructions of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instructions {
    /// Which address.
    pub extension: Extension,
    /// The text, in the language of `.qmail`.
    pub text: String,
    /// Whether they are obeyed. If not, it is as if they were not there.
    pub active: bool,
    /// What the customer calls them.
    pub label: Option<Label>,
    /// When the text was last changed, in seconds since 1970.
    pub updated: u64,
}

impl Instructions {
    /// Changes with what they say, their label and whether they are obeyed; never 0. Of 53 bits, so that every
    /// program takes it for the same number (RFC 8259 §6).
    pub fn fingerprint(&self) -> u64 {
        let label = self.label.as_ref().map_or("", Label::as_str);
        let digest = Sha256::new()
            .chain_update([u8::from(self.active)])
            .chain_update(label)
            .chain_update([0])
            .chain_update(&self.text);
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = digest.finalize().into();
        (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11).max(1)
    }
}

/// Instructions that are looked at in a search.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// Of which address, as qmail's file is named after `.qmail`.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// What the customer calls them.
    pub label: Option<&'a str>,
}

/// Instructions, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressedInstructions {
    /// Whose.
    pub account: AccountName,
    /// What is to be done.
    pub instructions: Instructions,
}

impl Store {
    /// Writes the instructions of an address. New ones are active; old ones keep their label, and whether
    /// they are active. Gives whether they are new.
    ///
    /// `check` sees the text and what the account may do, and says in a sentence what is wrong with it.
    ///
    /// # Errors
    /// If there is no such account, the text is over 64 KiB or has a NUL, or `check` refuses it.
    pub fn set_instructions(
        &self,
        account: &AccountName,
        extension: &Extension,
        text: &str,
        check: impl FnOnce(&str, &Plan) -> Result<(), String>,
        who: &Actor,
    ) -> Result<bool, ChangeError> {
        self.change(who, |change, trail| {
            let mut writing = Writing::begin(change, account)?;
            let new = !change
                .prepare_cached("SELECT 1 FROM instructions WHERE account = ?1 AND name = ?2")?
                .exists((writing.id, extension.key()))?;
            writing.write(extension, text, check)?;
            trail.note(&Change::InstructionsSet(account, extension, text.len()))?;
            Ok(new)
        })
    }

    /// Writes many, all or none. Gives how many.
    ///
    /// # Errors
    /// As [`Store::set_instructions`], for the first that is refused.
    pub fn import_instructions<'a>(
        &self,
        account: &AccountName,
        all: impl IntoIterator<Item = (&'a Extension, &'a str)>,
        check: impl Fn(&str, &Plan) -> Result<(), String>,
        who: &Actor,
    ) -> Result<u64, ChangeError> {
        self.change(who, |change, trail| {
            let mut writing = Writing::begin(change, account)?;
            let mut count = 0;
            for (extension, text) in all {
                writing.write(extension, text, &check)?;
                count += 1;
            }
            trail.note(&Change::InstructionsImported(account, count))?;
            Ok(count)
        })
    }

    /// Has instructions obeyed, or not, without forgetting them.
    ///
    /// # Errors
    /// If there are none.
    pub fn set_instructions_active(
        &self,
        account: &AccountName,
        extension: &Extension,
        active: bool,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let changed = change
                .prepare_cached("UPDATE instructions SET active = ?3 WHERE account = ?1 AND name = ?2")?
                .execute((id_of(change, account)?, extension.key(), active))?;
            there_were(changed, account, extension)?;
            Ok(trail.note(&Change::InstructionsActive(account, extension, active))?)
        })
    }

    /// Labels instructions, or takes their label away.
    ///
    /// # Errors
    /// If there are none.
    pub fn set_instructions_label(
        &self,
        account: &AccountName,
        extension: &Extension,
        label: Option<&Label>,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let changed = change
                .prepare_cached("UPDATE instructions SET label = ?3 WHERE account = ?1 AND name = ?2")?
                .execute((id_of(change, account)?, extension.key(), label.map(Label::as_str)))?;
            there_were(changed, account, extension)?;
            Ok(trail.note(&Change::InstructionsLabelled(account, extension))?)
        })
    }

    /// Removes the instructions of an address: then those of a default count, or else the mailbox.
    ///
    /// # Errors
    /// If there are none.
    pub fn remove_instructions(
        &self,
        account: &AccountName,
        extension: &Extension,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let removed = change
                .prepare_cached("DELETE FROM instructions WHERE account = ?1 AND name = ?2")?
                .execute((id_of(change, account)?, extension.key()))?;
            there_were(removed, account, extension)?;
            Ok(trail.note(&Change::InstructionsRemoved(account, extension))?)
        })
    }

    /// The instructions of an address, if it has any of its own.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn instructions(
        &self,
        account: &AccountName,
        extension: &Extension,
    ) -> Result<Option<Instructions>, ChangeError> {
        self.ask(|moment| Ok(one(moment, id_of(moment, account)?, extension)?))
    }

    /// A page of those of an account's instructions that are `wanted`, in the order of their file names: at most
    /// `limit`, from the first after `after` on.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn search_instructions(
        &self,
        account: &AccountName,
        after: Option<&Extension>,
        limit: usize,
        mut wanted: impl FnMut(Sought<'_>) -> bool,
    ) -> Result<Vec<Instructions>, ChangeError> {
        self.ask(|moment| {
            let mut all = moment.prepare_cached(
                "SELECT name, text, active, label, updated FROM instructions
                 WHERE account = ?1 AND (?2 IS NULL OR name > ?2) ORDER BY name",
            )?;
            let mut all = all.query((id_of(moment, account)?, after.map(Extension::key)))?;
            let mut page = Vec::new();
            while page.len() < limit
                && let Some(row) = all.next()?
            {
                // Most are passed over, so they are not copied out of the row.
                let sought = Sought {
                    name: row.get_ref(0)?.as_str().map_err(|error| rows::unreadable(0, error))?,
                    text: row.get_ref(1)?.as_str().map_err(|error| rows::unreadable(1, error))?,
                    label: row.get_ref(3)?.as_str_or_null().map_err(|error| rows::unreadable(3, error))?,
                };
                if wanted(sought) {
                    page.push(read_instructions(row)?);
                }
            }
            Ok(page)
        })
    }

    /// A page of an account's instructions whose extensions begin with `prefix` (all of them if it is
    /// empty), in the order of their file names: at most `limit`, from the first after `after` on.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn instructions_of(
        &self,
        account: &AccountName,
        prefix: &str,
        after: Option<&Extension>,
        limit: u32,
    ) -> Result<Vec<Instructions>, ChangeError> {
        let (first, end) = Extension::keys_beginning(prefix);
        self.ask(|moment| {
            let id = id_of(moment, account)?;
            let mut page = moment.prepare_cached(
                "SELECT name, text, active, label, updated FROM instructions
                 WHERE account = ?1 AND name >= ?2 AND name < ?3 AND (?4 IS NULL OR name > ?4)
                 ORDER BY name LIMIT ?5",
            )?;
            let page =
                page.query_map((id, first, end, after.map(Extension::key), limit), read_instructions)?;
            Ok(page.collect::<Result<_, _>>()?)
        })
    }

    /// A page of the instructions of all accounts, in the order of the accounts' names and of the file
    /// names: at most `limit`, from the first after `after` on.
    ///
    /// # Errors
    /// If the store fails.
    pub fn instructions_of_all(
        &self,
        after: Option<(&AccountName, &Extension)>,
        limit: u32,
    ) -> Result<Vec<AddressedInstructions>, StoreError> {
        self.read(|moment| {
            let mut page = moment.prepare_cached(
                "SELECT instructions.name, text, active, label, updated, accounts.name
                 FROM accounts JOIN instructions ON account = accounts.id
                 WHERE accounts.name >= ?1 AND (accounts.name, instructions.name) > (?1, ?2)
                 ORDER BY accounts.name, instructions.name LIMIT ?3",
            )?;
            let (account, key) = after.map_or(("", ""), |(account, last)| (account.as_str(), last.key()));
            let page = page.query_map((account, key, limit), |row| {
                Ok(AddressedInstructions {
                    account: rows::parsed(row, 5)?,
                    instructions: read_instructions(row)?,
                })
            })?;
            Ok(page.collect::<Result<_, _>>()?)
        })
    }

    /// Hands out all instructions of an account, in the order of their file names, a page at a time: what
    /// is changed meanwhile may be seen or not.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn export_instructions(
        &self,
        account: &AccountName,
        mut each: impl FnMut(Instructions),
    ) -> Result<(), ChangeError> {
        let mut after = None;
        loop {
            let page = self.instructions_of(account, "", after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.extension.clone());
            page.into_iter().for_each(&mut each);
        }
    }
}

/// Instructions of one account on their way into the store.
pub(crate) struct Writing<'a> {
    pub(crate) change: &'a Connection,
    pub(crate) account: &'a AccountName,
    pub(crate) id: i64,
    pub(crate) plan: Plan,
}

impl<'a> Writing<'a> {
    pub(crate) fn begin(
        change: &'a Connection,
        account: &'a AccountName,
    ) -> Result<Writing<'a>, ChangeError> {
        let plan =
            effective_plan(change, account)?.ok_or_else(|| ChangeError::NoSuchAccount(account.clone()))?;
        Ok(Writing { change, account, id: id_of(change, account)?, plan })
    }

    pub(crate) fn write(
        &mut self,
        extension: &Extension,
        text: &str,
        check: impl FnOnce(&str, &Plan) -> Result<(), String>,
    ) -> Result<(), ChangeError> {
        let checked = if text.len() > INSTRUCTIONS_MAX {
            Err(format!("the text has {} octets; at most {INSTRUCTIONS_MAX} are taken", text.len()))
        } else if text.contains('\0') {
            Err("the text has a NUL; it is no text file, perhaps".into())
        } else {
            check(text, &self.plan)
        };
        checked.map_err(|why| ChangeError::Instructions {
            account: self.account.clone(),
            extension: extension.clone(),
            why,
        })?;
        self.change
            .prepare_cached(
                "INSERT INTO instructions (account, name, text, active, updated) VALUES (?1, ?2, ?3, 1, ?4)
                 ON CONFLICT (account, name) DO UPDATE SET text = excluded.text, updated = excluded.updated",
            )?
            .execute((self.id, extension.key(), text, unix_now()))?;
        Ok(())
    }
}

/// The instructions of one address of an account.
pub(crate) fn one(
    moment: &Connection,
    account: i64,
    extension: &Extension,
) -> rusqlite::Result<Option<Instructions>> {
    moment
        .prepare_cached(
            "SELECT name, text, active, label, updated FROM instructions WHERE account = ?1 AND name = ?2",
        )?
        .query_row((account, extension.key()), read_instructions)
        .optional()
}

/// All instructions of an account.
pub(crate) fn all_of(moment: &Connection, account: i64) -> rusqlite::Result<Vec<Instructions>> {
    moment
        .prepare_cached("SELECT name, text, active, label, updated FROM instructions WHERE account = ?1")?
        .query_map([account], read_instructions)?
        .collect()
}

fn there_were(changed: usize, account: &AccountName, extension: &Extension) -> Result<(), ChangeError> {
    if changed == 0 {
        let (account, extension) = (account.clone(), extension.clone());
        return Err(ChangeError::NoSuchInstructions { account, extension });
    }
    Ok(())
}

fn read_instructions(row: &Row<'_>) -> rusqlite::Result<Instructions> {
    let key = row.get_ref(0)?.as_str()?;
    let label: Option<String> = row.get(3)?;
    Ok(Instructions {
        extension: Extension::of_key(key).map_err(|error| rows::unreadable(0, error))?,
        text: row.get(1)?,
        active: row.get(2)?,
        label: label
            .map(|text| Label::parse(&text).map_err(|error| rows::unreadable(3, error)))
            .transpose()?,
        updated: rows::seconds(row, 4)?,
    })
}

#[cfg(test)]
mod tests {
    use envelope::Overrides;

    use super::*;
    use crate::example::{Example, WHO, name};

    fn extension(typed: &str) -> Extension {
        Extension::parse(Some(typed)).unwrap()
    }

    /// Takes whatever the plan allows to forward.
    fn forwards(text: &str, plan: &Plan) -> Result<(), String> {
        let count = text.lines().filter(|line| line.starts_with('&')).count();
        let allowed = count <= plan.forward_limit as usize;
        if allowed { Ok(()) } else { Err(format!("line {count}: at most {} forwards", plan.forward_limit)) }
    }

    fn set(example: &Example, typed: &str, text: &str) {
        example.store.set_instructions(&name("abc"), &extension(typed), text, forwards, &WHO).unwrap();
    }

    fn found(example: &Example, file: &str) -> Option<String> {
        example.store.snapshot(|snapshot| snapshot.instructions(&name("abc"), file)).unwrap()
    }

    fn has(example: &Example, account: &str, file: &str) -> bool {
        example.store.snapshot(|snapshot| snapshot.has_instructions(&name(account), file)).unwrap()
    }

    #[test]
    fn delivery_finds_instructions_by_the_name_of_their_file() {
        let example = Example::pobox();
        set(&example, "default", "&a@x.example\n");
        set(&example, "Foo.Bar", "&b@x.example\n");
        let standard = Extension::parse(None).unwrap();
        example.store.set_instructions(&name("abc"), &standard, "./Maildir/\n", forwards, &WHO).unwrap();
        for (file, text) in [
            (".qmail-foo:bar", Some("&b@x.example\n")),
            (".qmail-default", Some("&a@x.example\n")),
            (".qmail", Some("./Maildir/\n")),
            (".qmail-foo", None),
        ] {
            assert_eq!(found(&example, file).as_deref(), text, "{file}");
            assert_eq!(has(&example, "abc", file), text.is_some(), "{file}");
            assert!(!has(&example, "xyz", file) && !has(&example, "nobody", file));
        }
    }

    #[test]
    fn instructions_that_are_not_active_are_kept_and_not_obeyed() {
        let example = Example::pobox();
        let (abc, list) = (name("abc"), extension("list"));
        set(&example, "list", "&a@x.example\n");
        example.store.set_instructions_active(&abc, &list, false, &WHO).unwrap();
        assert_eq!(found(&example, ".qmail-list"), None);
        assert!(!has(&example, "abc", ".qmail-list"));
        set(&example, "list", "&b@x.example\n");
        let kept = example.store.instructions(&abc, &list).unwrap().unwrap();
        assert_eq!((kept.active, kept.text.as_str()), (false, "&b@x.example\n"));
        example.store.set_instructions_active(&abc, &list, true, &WHO).unwrap();
        assert_eq!(found(&example, ".qmail-list").as_deref(), Some("&b@x.example\n"));
    }

    #[test]
    fn a_text_that_the_check_refuses_leaves_the_old_one() {
        let example = Example::pobox();
        set(&example, "foo", &"&a@x.example\n".repeat(10));
        let refused = example
            .store
            .set_instructions(&name("abc"), &extension("foo"), &"&a@x.example\n".repeat(11), forwards, &WHO)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the instructions .qmail-foo of abc are not changed: line 11: at most 10 forwards"
        );
        let text = example.store.instructions(&name("abc"), &extension("foo")).unwrap().unwrap().text;
        assert_eq!(text.lines().count(), 10);
        let more = Overrides { forward_limit: Some(20), ..Overrides::default() };
        example.store.set_overrides(&name("abc"), &more, &WHO).unwrap();
        set(&example, "foo", &"&a@x.example\n".repeat(11));
    }

    #[test]
    fn a_text_that_is_too_long_or_no_text_is_refused_before_it_is_checked() {
        let example = Example::pobox();
        let entries = example.store.audit_trail(100).unwrap();
        for hostile in ["x".repeat(1_000_000), "x".repeat(INSTRUCTIONS_MAX + 1), "&a@x.example\0".into()] {
            let check = |_: &str, _: &Plan| -> Result<(), String> { panic!("it was checked") };
            let refused =
                example.store.set_instructions(&name("abc"), &extension("foo"), &hostile, check, &WHO);
            assert!(matches!(refused, Err(ChangeError::Instructions { .. })));
        }
        assert_eq!(example.store.instructions(&name("abc"), &extension("foo")).unwrap(), None);
        assert_eq!(example.store.audit_trail(100).unwrap(), entries);
    }

    #[test]
    fn hostile_texts_are_stored_octet_for_octet() {
        let example = Example::pobox();
        for text in
            ["'; DROP TABLE instructions; --\n", "# %s %n \u{202e}\n", "日本語 \\ \" `id` $(id)\n", ""]
        {
            set(&example, "foo", text);
            assert_eq!(found(&example, ".qmail-foo").as_deref(), Some(text));
        }
    }

    #[test]
    fn instructions_are_listed_by_pages_and_by_prefix_and_exported_all() {
        let example = Example::pobox();
        let standard = Extension::parse(None).unwrap();
        example.store.set_instructions(&name("abc"), &standard, "", forwards, &WHO).unwrap();
        for typed in ["b", "a.x", "A", "ab", "太郎"] {
            set(&example, typed, "&a@x.example\n");
        }
        let page = |prefix: &str, after: Option<&Extension>, limit| -> Vec<String> {
            let page = example.store.instructions_of(&name("abc"), prefix, after, limit).unwrap();
            page.iter().map(|one| one.extension.to_string()).collect()
        };
        assert_eq!(page("", None, 3), [".qmail", ".qmail-a", ".qmail-a:x"]);
        assert_eq!(page("", Some(&extension("A.x")), 9), [".qmail-ab", ".qmail-b", ".qmail-太郎"]);
        assert_eq!(page("A", None, 9), [".qmail-a", ".qmail-a:x", ".qmail-ab"]);
        assert_eq!(page("a.", None, 9), [".qmail-a:x"]);
        assert_eq!(page("太", None, 9), [".qmail-太郎"]);
        for hostile in ["%", "_", "' OR 1=1 --", "\0", &"x".repeat(10_000)] {
            assert_eq!(page(hostile, None, 9), [""; 0]);
        }
        let mut exported = Vec::new();
        example
            .store
            .export_instructions(&name("abc"), |one| exported.push(one.extension.file_name()))
            .unwrap();
        assert_eq!(exported, page("", None, 9));
        assert!(example.store.export_instructions(&name("nobody"), |_| {}).is_err());
    }

    #[test]
    fn the_instructions_of_all_accounts_are_listed_by_pages() {
        let example = Example::pobox();
        example.add_account("ab");
        for (account, typed) in [("xyz", "a"), ("abc", "b"), ("abc", "a"), ("ab", "z")] {
            example
                .store
                .set_instructions(&name(account), &extension(typed), "&a@x.example\n", forwards, &WHO)
                .unwrap();
        }
        let mut seen = Vec::new();
        let mut after: Option<AddressedInstructions> = None;
        loop {
            let last = after.as_ref().map(|last| (&last.account, &last.instructions.extension));
            let page = example.store.instructions_of_all(last, 2).unwrap();
            seen.extend(page.iter().map(|one| format!("{} {}", one.account, one.instructions.extension)));
            let Some(last) = page.into_iter().last() else { break };
            after = Some(last);
        }
        assert_eq!(seen, ["ab .qmail-z", "abc .qmail-a", "abc .qmail-b", "xyz .qmail-a"]);
    }

    #[test]
    fn whoever_writes_hears_whether_the_instructions_are_new() {
        let example = Example::pobox();
        let write = || {
            let text = "&a@x.example\n";
            example.store.set_instructions(&name("abc"), &extension("foo"), text, forwards, &WHO).unwrap()
        };
        assert!(write() && !write());
    }

    #[test]
    fn ten_thousand_addresses_are_imported_in_one_change_or_none_is() {
        let example = Example::pobox();
        let all: Vec<_> =
            (0..10_000).map(|n| (extension(&format!("a{n}")), format!("&a{n}@x.example\n"))).collect();
        let import = |all: &[(Extension, String)]| {
            let all = all.iter().map(|(extension, text)| (extension, text.as_str()));
            example.store.import_instructions(&name("abc"), all, forwards, &WHO)
        };
        let mut bad = all.clone();
        bad[9_999].1 = "&a@x.example\n".repeat(11);
        assert!(matches!(import(&bad), Err(ChangeError::Instructions { .. })));
        assert_eq!(found(&example, ".qmail-a0"), None);
        assert_eq!(import(&all).unwrap(), 10_000);
        assert_eq!(example.store.audit_trail(1).unwrap()[0].what, "10000 instructions of abc imported");
        let mut count = 0;
        example.store.export_instructions(&name("abc"), |_| count += 1).unwrap();
        assert_eq!(count, 10_000);
        assert_eq!(found(&example, ".qmail-a9999").as_deref(), Some("&a9999@x.example\n"));
    }

    #[test]
    fn what_is_removed_or_was_never_there_cannot_be_changed() {
        let example = Example::pobox();
        let (abc, foo, label) = (name("abc"), extension("foo"), Label::parse("Club").unwrap());
        set(&example, "foo", "&a@x.example\n");
        example.store.set_instructions_label(&abc, &foo, Some(&label), &WHO).unwrap();
        assert_eq!(example.store.instructions(&abc, &foo).unwrap().unwrap().label, Some(label));
        example.store.set_instructions_label(&abc, &foo, None, &WHO).unwrap();
        assert_eq!(example.store.instructions(&abc, &foo).unwrap().unwrap().label, None);
        example.store.remove_instructions(&abc, &foo, &WHO).unwrap();
        let trail: Vec<_> = example.store.audit_trail(4).unwrap().into_iter().map(|e| e.what).collect();
        assert_eq!(
            trail,
            [
                "instructions .qmail-foo of abc removed",
                "instructions .qmail-foo of abc labelled",
                "instructions .qmail-foo of abc labelled",
                "instructions .qmail-foo of abc set (13 octets)",
            ]
        );
        for refused in [
            example.store.remove_instructions(&abc, &foo, &WHO),
            example.store.set_instructions_active(&abc, &foo, true, &WHO),
            example.store.set_instructions_label(&abc, &foo, None, &WHO),
        ] {
            assert!(matches!(refused, Err(ChangeError::NoSuchInstructions { .. })));
        }
        let nobody = example.store.set_instructions(&name("nobody"), &foo, "", forwards, &WHO);
        assert!(matches!(nobody, Err(ChangeError::NoSuchAccount(_))));
    }

    #[test]
    fn instructions_go_with_their_account() {
        let example = Example::pobox();
        set(&example, "foo", "&a@x.example\n");
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        example.add_account("abc");
        assert_eq!(found(&example, ".qmail-foo"), None);
    }
}
