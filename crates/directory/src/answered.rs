//! Whom accounts have answered while their owners were away, so that nobody is answered twice. Kept in
//! the file that `usage.rs` tells of, as the directory's own file must not change with every message.

use rusqlite::{Connection, TransactionBehavior};

use crate::absence::ANSWER_AGAIN_AFTER;
use crate::correspondents::Correspondent;

/// One answer: by which account, in which of its absences, to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) account: i64,
    pub(crate) absence: i64,
    pub(crate) to: Correspondent,
}

/// Notes an answer, durably. False if there was one of late, and then nothing is changed.
pub(crate) fn note(file: &mut Connection, answer: Answer, now: u64) -> rusqlite::Result<bool> {
    // What the file has else may be lost with the last second before a power cut.
    file.pragma_update(None, "synchronous", "FULL")?;
    let noted = note_at_once(file, answer, now);
    file.pragma_update(None, "synchronous", "NORMAL")?;
    noted
}

fn note_at_once(file: &mut Connection, answer: Answer, now: u64) -> rusqlite::Result<bool> {
    let at = i64::try_from(now).unwrap_or(i64::MAX);
    let over = i64::try_from(now.saturating_sub(ANSWER_AGAIN_AFTER)).unwrap_or(i64::MAX);
    let change = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.prepare_cached("DELETE FROM answered WHERE at <= ?1")?.execute([over])?;
    let noted = change
        .prepare_cached("INSERT INTO answered VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
        .execute((answer.account, answer.absence, answer.to.0, at))?;
    change.commit()?;
    Ok(noted > 0)
}

/// It was not given after all.
pub(crate) fn take_back(file: &Connection, answer: Answer) -> rusqlite::Result<()> {
    file.prepare_cached("DELETE FROM answered WHERE account = ?1 AND absence = ?2 AND address = ?3")?
        .execute((answer.account, answer.absence, answer.to.0))?;
    Ok(())
}
