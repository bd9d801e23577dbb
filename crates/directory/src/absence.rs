//! What an account answers while its owner is away (RFC 3834).
//!
//! An absence is set by page or command line, and lasts from one moment to another. In one absence a
//! sender is answered once in seven days; one that is set after it ended, or was switched off, is a new
//! one.

use std::fmt;
use std::ops::Range;

use envelope::{AccountName, Address};
use rusqlite::{Connection, OptionalExtension, Row};
use thiserror::Error;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::accounts::{id_if_any, id_of};
use crate::answered::Answer;
use crate::audit::{Actor, Change};
use crate::correspondents::Correspondent;
use crate::error::{ChangeError, StoreError};
use crate::limits::SendingRefused;
use crate::store::{Store, unix_now};

/// The longest subject, in characters.
pub const ABSENCE_SUBJECT_MAX: usize = 200;
/// The longest text, in characters.
pub const ABSENCE_TEXT_MAX: usize = 10_000;
/// Who was answered is answered again after so long, in seconds (RFC 3834 §2: a week is usual).
pub const ANSWER_AGAIN_AFTER: u64 = 7 * 86_400;

/// The end of year 9999, in seconds since 1970: no date field can say more.
const LATEST: u64 = 253_402_300_799;
/// Octets that the header of an answer has, roughly.
const HEADER: u64 = 1024;

/// What an account answers, and when.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Absence {
    /// Whether it is given at all.
    pub active: bool,
    /// From when on, in seconds since 1970; none: at once.
    pub from: Option<u64>,
    /// Until when; none: until it is switched off.
    pub until: Option<u64>,
    /// The answer's subject; empty: one of ours.
    pub subject: String,
    /// The answer, lines by LF.
    pub text: String,
}

/// Something does not make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAnAbsence {
    /// It begins after the end of time.
    #[error("it begins after the year 9999")]
    From,
    /// It ends before it begins, or has ended.
    #[error("it must end after it begins, and not be over already")]
    Until,
    /// The subject.
    #[error("its subject has at most {ABSENCE_SUBJECT_MAX} characters, in one line")]
    Subject,
    /// There is no text, or it cannot be.
    #[error(
        "its text has 1 to {ABSENCE_TEXT_MAX} characters, and no control characters but line ends and tabs"
    )]
    Text,
}

impl NotAnAbsence {
    /// The field that is wrong, as [`Absence`] names it.
    pub fn field(self) -> &'static str {
        match self {
            NotAnAbsence::From => "from",
            NotAnAbsence::Until => "until",
            NotAnAbsence::Subject => "subject",
            NotAnAbsence::Text => "text",
        }
    }
}

/// Why somebody is not answered.
#[derive(Debug, Error)]
pub enum NotAnswered {
    /// The owner is not away now.
    #[error("the owner is not away")]
    NotAway,
    /// He was answered within the last seven days.
    #[error("the sender was answered of late")]
    OfLate,
    /// The account may not send, or has sent as much as it may.
    #[error(transparent)]
    Sending(#[from] SendingRefused),
}

impl From<StoreError> for NotAnswered {
    fn from(error: StoreError) -> NotAnswered {
        NotAnswered::Sending(error.into())
    }
}

impl Absence {
    /// Whether it can be set at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// The first field that does not make sense.
    pub fn check(&self, now: u64) -> Result<(), NotAnAbsence> {
        let too_long = |text: &str, most| text.chars().nth(most).is_some();
        if self.from.is_some_and(|from| from > LATEST) {
            return Err(NotAnAbsence::From);
        }
        if let Some(until) = self.until
            && (until > LATEST
                || self.from.is_some_and(|from| until <= from)
                || (self.active && until <= now))
        {
            return Err(NotAnAbsence::Until);
        }
        if too_long(&self.subject, ABSENCE_SUBJECT_MAX) || self.subject.chars().any(char::is_control) {
            return Err(NotAnAbsence::Subject);
        }
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        let blank = self.active && self.text.trim().is_empty();
        if blank || too_long(&self.text, ABSENCE_TEXT_MAX) || self.text.chars().any(control) {
            return Err(NotAnAbsence::Text);
        }
        Ok(())
    }

    /// When it is given, in seconds since 1970; empty if it is not.
    pub fn times(&self) -> Range<u64> {
        match self.active {
            true => self.from.unwrap_or(0)..self.until.unwrap_or(u64::MAX),
            false => 0..0,
        }
    }

    /// Octets of the answer, roughly: most texts are encoded.
    fn size(&self) -> u64 {
        HEADER + (self.subject.len() + self.text.len()) as u64 * 4 / 3
    }
}

impl fmt::Debug for Absence {
    /// The text is its owner's, and not for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Absence").field("times", &self.times()).finish_non_exhaustive()
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.active {
            return f.write_str("switched off");
        }
        f.write_str("set")?;
        if let Some(from) = self.from {
            write!(f, " from {}", moment(from))?;
        }
        self.until.map_or(Ok(()), |until| write!(f, " until {}", moment(until)))
    }
}

/// `2026-11-24 08:00 UTC`
fn moment(seconds: u64) -> String {
    let at =
        i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    at.and_then(|at| at.format(format).ok()).unwrap_or_else(|| seconds.to_string())
}

impl Store {
    /// What an account answers. Where nothing was ever set, it is not active and has no text.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn absence(&self, account: &AccountName) -> Result<Absence, ChangeError> {
        self.ask(|moment| {
            let id = id_of(moment, account)?;
            Ok(numbered(moment, id)?.map(|(_, absence)| absence).unwrap_or_default())
        })
    }

    /// Sets what an account answers.
    ///
    /// # Errors
    /// If there is no such account, or [`Absence::check`] refuses it.
    pub fn set_absence(
        &self,
        account: &AccountName,
        absence: &Absence,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.set_absence_at(account, absence, who, unix_now().unsigned_abs())
    }

    fn set_absence_at(
        &self,
        account: &AccountName,
        absence: &Absence,
        who: &Actor,
        now: u64,
    ) -> Result<(), ChangeError> {
        absence.check(now)?;
        self.change(who, |change, trail| {
            let id = id_of(change, account)?;
            let number = match numbered(change, id)? {
                Some((number, before)) if before.times().end > now || !absence.active => number,
                Some((number, _)) => number + 1,
                None => 1,
            };
            let seconds = |at: Option<u64>| at.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
            change
                .prepare_cached(
                    "INSERT OR REPLACE INTO absences (account, number, active, begins, ends, subject, text)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute((
                    id,
                    number,
                    absence.active,
                    seconds(absence.from),
                    seconds(absence.until),
                    &absence.subject,
                    &absence.text,
                ))?;
            Ok(trail.note(&Change::AbsenceSet(account, absence))?)
        })
    }

    /// What a sender is to be answered who has written to an account at `now`, in seconds since 1970. He
    /// counts as answered from here on, durably, and the answer as a message that the account sends.
    ///
    /// # Errors
    /// Why he is not answered.
    pub fn answer(&self, account: &AccountName, sender: &Address, now: u64) -> Result<Absence, NotAnswered> {
        let found = self.read(|moment| {
            let Some(id) = id_if_any(moment, account)? else { return Ok(None) };
            Ok(numbered(moment, id)?.map(|(number, absence)| (id, number, absence)))
        })?;
        let now_away = |(_, _, absence): &(i64, i64, Absence)| absence.times().contains(&now);
        let (id, number, absence) = found.filter(now_away).ok_or(NotAnswered::NotAway)?;
        let answer = Answer { account: id, absence: number, to: Correspondent::of(sender) };
        if !self.usage().answer(answer, now)? {
            return Err(NotAnswered::OfLate);
        }
        // Noted first: of two messages of one sender at the same moment only one is counted.
        if let Err(refused) = self.count(account, std::slice::from_ref(sender), absence.size(), now) {
            self.usage().take_back(answer)?;
            return Err(refused.into());
        }
        Ok(absence)
    }
}

/// When the owner of an account is away, in seconds since 1970.
pub(crate) fn times(moment: &Connection, account: &AccountName) -> rusqlite::Result<Option<Range<u64>>> {
    moment
        .prepare_cached(
            "SELECT begins, ends FROM absences
             WHERE account = (SELECT id FROM accounts WHERE name = ?1) AND active",
        )?
        .query_row([account.as_str()], |row| {
            Ok(seconds(row, 0)?.unwrap_or(0)..seconds(row, 1)?.unwrap_or(u64::MAX))
        })
        .optional()
}

/// What an account answers, and the number of the absence.
fn numbered(moment: &Connection, account: i64) -> rusqlite::Result<Option<(i64, Absence)>> {
    moment
        .prepare_cached(
            "SELECT number, active, begins, ends, subject, text FROM absences WHERE account = ?1",
        )?
        .query_row([account], |row| {
            let (active, subject, text) = (row.get(1)?, row.get(4)?, row.get(5)?);
            let (from, until) = (seconds(row, 2)?, seconds(row, 3)?);
            Ok((row.get(0)?, Absence { active, from, until, subject, text }))
        })
        .optional()
}

fn seconds(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let seconds: Option<i64> = row.get(column)?;
    Ok(seconds.map(i64::unsigned_abs))
}

#[cfg(test)]
mod tests {
    use envelope::{AccountState, Limit, Overrides};
    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, name, settings};

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn away() -> Absence {
        Absence { active: true, text: "不在にしております。\n".into(), ..Absence::default() }
    }

    fn set(example: &Example, absence: &Absence, now: u64) {
        example.store.set_absence_at(&name("abc"), absence, &WHO, now).unwrap();
    }

    fn answered(example: &Example, sender: &str, now: u64) -> Result<Absence, NotAnswered> {
        example.store.answer(&name("abc"), &sender.parse().unwrap(), now)
    }

    #[track_caller]
    fn is_answered(example: &Example, sender: &str, now: u64, expected: bool) {
        let answered = answered(example, sender, now);
        assert_eq!(answered.is_ok(), expected, "{answered:?}");
    }

    #[test]
    fn an_absence_reads_back_and_stands_in_the_trail_without_its_text() {
        let example = Example::pobox();
        assert_eq!(example.store.absence(&name("abc")).unwrap(), Absence::default());
        let absence = Absence { from: Some(NOW), until: Some(NOW + DAY), subject: "不在".into(), ..away() };
        set(&example, &absence, NOW);
        assert_eq!(example.store.absence(&name("abc")).unwrap(), absence);
        assert_eq!(example.store.absence(&name("xyz")).unwrap(), Absence::default());
        let absent = |account| example.store.snapshot(|moment| moment.absent(&name(account))).unwrap();
        assert_eq!((absent("abc"), absent("xyz")), (Some(NOW..NOW + DAY), None));
        set(&example, &Absence { active: false, ..absence }, NOW);
        assert_eq!(absent("abc"), None);
        let trail = example.store.audit_trail_of(&name("abc"), 2).unwrap();
        let trail: Vec<&str> = trail.iter().map(|entry| entry.what.as_str()).collect();
        let set = "automatic reply of abc set from 2027-01-15 08:00 UTC until 2027-01-16 08:00 UTC";
        assert_eq!(trail, ["automatic reply of abc switched off", set]);
        assert!(matches!(
            example.store.set_absence(&name("nobody"), &away(), &WHO),
            Err(ChangeError::NoSuchAccount(_))
        ));
    }

    #[test]
    fn what_does_not_make_sense_is_refused_by_the_name_of_its_field() {
        let long = |count| "字".repeat(count);
        for (absence, field) in [
            (Absence { from: Some(LATEST + 1), ..away() }, "from"),
            (Absence { from: Some(NOW + 9), until: Some(NOW + 9), ..away() }, "until"),
            (Absence { until: Some(NOW), ..away() }, "until"),
            (Absence { until: Some(u64::MAX), ..away() }, "until"),
            (Absence { subject: long(201), ..away() }, "subject"),
            (Absence { subject: "a\r\nBcc: b".into(), ..away() }, "subject"),
            (Absence { text: String::new(), ..away() }, "text"),
            (Absence { text: " \n".into(), ..away() }, "text"),
            (Absence { text: long(10_001), ..away() }, "text"),
            (Absence { text: "a\0".into(), ..away() }, "text"),
            (Absence { text: "a\r\nb".into(), ..away() }, "text"),
        ] {
            let refused = absence.check(NOW).unwrap_err();
            assert_eq!(refused.field(), field);
        }
        let full = Absence { subject: long(200), text: format!("\t{}\n", long(9_998)), ..away() };
        assert_eq!(full.check(NOW), Ok(()));
        let over = Absence { active: false, until: Some(NOW), text: String::new(), ..away() };
        assert_eq!(over.check(NOW), Ok(()));
    }

    #[test]
    fn a_sender_is_answered_once_in_seven_days_however_he_writes_his_address() {
        let example = Example::pobox();
        set(&example, &away(), NOW);
        assert_eq!(answered(&example, "u@peer.example", NOW).unwrap(), away());
        is_answered(&example, "U@PEER.example", NOW + 1, false);
        is_answered(&example, "v@peer.example", NOW + 1, true);
        // Nor after the text changes, nor after a restart.
        set(&example, &Absence { text: "later".into(), ..away() }, NOW + 2);
        is_answered(&example, "u@peer.example", NOW + 2, false);
        let Example { store, folder } = example;
        drop(store);
        let store = Store::open(&folder.path().join("directory.db"), settings()).unwrap();
        let example = Example { store, folder };
        is_answered(&example, "u@peer.example", NOW + 7 * DAY - 1, false);
        is_answered(&example, "u@peer.example", NOW + 7 * DAY, true);
    }

    #[test]
    fn a_new_absence_starts_anew() {
        let example = Example::pobox();
        set(&example, &away(), NOW);
        is_answered(&example, "u@peer.example", NOW, true);
        set(&example, &Absence { active: false, ..away() }, NOW + 1);
        is_answered(&example, "v@peer.example", NOW + 1, false);
        set(&example, &Absence { until: Some(NOW + 10), ..away() }, NOW + 2);
        is_answered(&example, "u@peer.example", NOW + 3, true);
        // One that ended by itself is over too.
        set(&example, &Absence { from: Some(NOW + 20), ..away() }, NOW + 10);
        is_answered(&example, "u@peer.example", NOW + 20, true);
        is_answered(&example, "u@peer.example", NOW + 21, false);
    }

    #[test]
    fn nobody_is_answered_before_it_begins_or_after_it_ends() {
        let example = Example::pobox();
        set(&example, &Absence { from: Some(NOW + 10), until: Some(NOW + 20), ..away() }, NOW);
        for (at, expected) in [(9, false), (10, true), (19, true), (20, false)] {
            is_answered(&example, &format!("u{at}@peer.example"), NOW + at, expected);
        }
    }

    #[test]
    fn an_answer_counts_as_a_message_and_over_the_limit_there_is_none() {
        let example = Example::pobox();
        set(&example, &away(), NOW);
        let overrides = Overrides { messages_per_hour: Some(Limit::AtMost(1)), ..Overrides::default() };
        example.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        is_answered(&example, "u@peer.example", NOW, true);
        let refused = answered(&example, "v@peer.example", NOW + 1);
        assert!(matches!(refused, Err(NotAnswered::Sending(SendingRefused::LimitReached(_)))));
        assert_eq!(example.store.sent_so_far(&name("abc"), NOW).unwrap().unwrap().messages_this_hour, 1);
        // He may be in the next hour: he was not answered.
        is_answered(&example, "v@peer.example", NOW + 3600, true);
        example.store.set_state(&name("abc"), AccountState::Suspended, &WHO).unwrap();
        is_answered(&example, "w@peer.example", NOW + 7200, false);
    }

    #[test]
    fn of_many_messages_at_once_one_is_answered() {
        let example = Example::pobox();
        set(&example, &away(), NOW);
        let given = std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..16).map(|_| scope.spawn(|| answered(&example, "u@peer.example", NOW).is_ok())).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).filter(|given| *given).count()
        });
        assert_eq!(given, 1);
    }

    #[test]
    fn an_answer_is_no_change_of_the_directory() {
        let example = Example::pobox();
        set(&example, &away(), NOW);
        let before = example.store.change_count().unwrap();
        is_answered(&example, "u@peer.example", NOW, true);
        assert_eq!(example.store.change_count().unwrap(), before);
    }

    proptest! {
        #[test]
        fn any_text_is_stored_as_it_is_or_refused(subject in any::<String>(), text in any::<String>()) {
            let absence = Absence { subject, text, ..away() };
            if absence.check(NOW).is_ok() {
                prop_assert!(!absence.subject.contains(['\r', '\n', '\0']));
                prop_assert!(!absence.text.contains(['\r', '\0']) && !absence.text.trim().is_empty());
            }
        }
    }
}
