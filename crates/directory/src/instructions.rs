//! Delivery instructions: what becomes of the mail to one address of an account.
//!
//! They are text in the language of `.qmail`. Here they are stored, by page, command line or import
//! alike; the language is the matter of the crate `local`, whose check each writer passes in. It is
//! told what the account's plan allows, and runs in the transaction that writes.

use envelope::{AccountName, Plan};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use crate::accounts::{id_if_any, id_of};
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::extension::{Extension, key_of_file};
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

/// The instructions that delivery obeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundInstructions {
    /// Which of the candidates it was.
    pub candidate: usize,
    /// The text.
    pub text: String,
}

impl Store {
    /// Writes the instructions of an address. New ones are active; old ones keep their label, and whether
    /// they are active.
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
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let mut writing = Writing::begin(change, account)?;
            writing.write(extension, text, check)?;
            Ok(trail.note(&Change::InstructionsSet(account, extension, text.len()))?)
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
        self.ask(|moment| {
            Ok(moment
                .prepare_cached(
                    "SELECT name, text, active, label, updated FROM instructions
                     WHERE account = ?1 AND name = ?2",
                )?
                .query_row((id_of(moment, account)?, extension.key()), read_instructions)
                .optional()?)
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

    /// For delivery: the first of these names under which the account has active instructions. The names
    /// are those of qmail's files, `.qmail-foo`, already folded, in the order in which they count.
    ///
    /// # Errors
    /// If the store fails.
    pub fn find_instructions(
        &self,
        account: &AccountName,
        candidates: &[&str],
    ) -> Result<Option<FoundInstructions>, StoreError> {
        self.read(|moment| {
            let Some(id) = id_if_any(moment, account)? else { return Ok(None) };
            let mut find = moment.prepare_cached(
                "SELECT text FROM instructions WHERE account = ?1 AND name = ?2 AND active",
            )?;
            for (candidate, name) in candidates.iter().enumerate() {
                let Some(key) = key_of_file(name) else { continue };
                if let Some(text) = find.query_row((id, key), |row| row.get(0)).optional()? {
                    return Ok(Some(FoundInstructions { candidate, text }));
                }
            }
            Ok(None)
        })
    }

    /// For the `-owner` rule: under which of these names the account has active instructions.
    ///
    /// # Errors
    /// If the store fails.
    pub fn have_instructions(&self, account: &AccountName, names: &[&str]) -> Result<Vec<bool>, StoreError> {
        self.read(|moment| {
            let Some(id) = id_if_any(moment, account)? else { return Ok(vec![false; names.len()]) };
            let mut find = moment
                .prepare_cached("SELECT 1 FROM instructions WHERE account = ?1 AND name = ?2 AND active")?;
            let exists = |name: &&str| key_of_file(name).map_or(Ok(false), |key| find.exists((id, key)));
            Ok(names.iter().map(exists).collect::<Result<_, _>>()?)
        })
    }
}

/// Instructions of one account on their way into the store.
struct Writing<'a> {
    change: &'a Connection,
    account: &'a AccountName,
    id: i64,
    plan: Plan,
}

impl<'a> Writing<'a> {
    fn begin(change: &'a Connection, account: &'a AccountName) -> Result<Writing<'a>, ChangeError> {
        let plan =
            effective_plan(change, account)?.ok_or_else(|| ChangeError::NoSuchAccount(account.clone()))?;
        Ok(Writing { change, account, id: id_of(change, account)?, plan })
    }

    fn write(
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

    fn found(example: &Example, candidates: &[&str]) -> Option<(usize, String)> {
        let found = example.store.find_instructions(&name("abc"), candidates).unwrap();
        found.map(|found| (found.candidate, found.text))
    }

    #[test]
    fn instructions_are_found_by_the_first_candidate_that_has_any() {
        let example = Example::pobox();
        set(&example, "default", "&a@x.example\n");
        set(&example, "Foo.Bar", "&b@x.example\n");
        let standard = Extension::parse(None).unwrap();
        example.store.set_instructions(&name("abc"), &standard, "./Maildir/\n", forwards, &WHO).unwrap();
        for (candidates, expected) in [
            (&[".qmail-foo:bar", ".qmail-default"][..], Some((0, "&b@x.example\n"))),
            (&[".qmail-foo", ".qmail-default"], Some((1, "&a@x.example\n"))),
            (&[".qmail", ".qmaildefault"], Some((0, "./Maildir/\n"))),
            (&[".qmail-foo", "", "/etc/passwd", "' OR 1=1 --"], None),
            (&[], None),
        ] {
            assert_eq!(found(&example, candidates), expected.map(|(at, text)| (at, text.to_owned())));
        }
        assert_eq!(example.store.find_instructions(&name("xyz"), &[".qmail"]).unwrap(), None);
        assert_eq!(example.store.find_instructions(&name("nobody"), &[".qmail"]).unwrap(), None);
        let names = [".qmail-foo:bar", ".qmail-foo:bar-owner", ".qmail"];
        assert_eq!(example.store.have_instructions(&name("abc"), &names).unwrap(), [true, false, true]);
        assert_eq!(example.store.have_instructions(&name("nobody"), &names).unwrap(), [false; 3]);
    }

    #[test]
    fn instructions_that_are_not_active_are_kept_and_not_obeyed() {
        let example = Example::pobox();
        let (abc, list) = (name("abc"), extension("list"));
        set(&example, "list", "&a@x.example\n");
        example.store.set_instructions_active(&abc, &list, false, &WHO).unwrap();
        assert_eq!(found(&example, &[".qmail-list"]), None);
        assert_eq!(example.store.have_instructions(&abc, &[".qmail-list"]).unwrap(), [false]);
        set(&example, "list", "&b@x.example\n");
        let kept = example.store.instructions(&abc, &list).unwrap().unwrap();
        assert_eq!((kept.active, kept.text.as_str()), (false, "&b@x.example\n"));
        example.store.set_instructions_active(&abc, &list, true, &WHO).unwrap();
        assert_eq!(found(&example, &[".qmail-list"]), Some((0, "&b@x.example\n".into())));
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
            assert_eq!(found(&example, &[".qmail-foo"]), Some((0, text.into())));
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
        assert_eq!(found(&example, &[".qmail-a0"]), None);
        assert_eq!(import(&all).unwrap(), 10_000);
        assert_eq!(example.store.audit_trail(1).unwrap()[0].what, "10000 instructions of abc imported");
        let mut count = 0;
        example.store.export_instructions(&name("abc"), |_| count += 1).unwrap();
        assert_eq!(count, 10_000);
        assert_eq!(found(&example, &[".qmail-a9999"]), Some((0, "&a9999@x.example\n".into())));
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
        assert_eq!(found(&example, &[".qmail-foo"]), None);
    }
}
