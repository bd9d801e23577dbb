//! Typed values out of the columns of a row.

use std::error::Error;
use std::str::FromStr;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

/// A text column, parsed.
pub(crate) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// A text column that may be NULL, parsed.
pub(crate) fn parsed_if_any<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

/// A column that holds seconds since 1970.
pub(crate) fn seconds(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let seconds: i64 = row.get(column)?;
    u64::try_from(seconds).map_err(|error| unreadable(column, error))
}

/// A value of which there are few, by its name.
pub(crate) fn one_of<T: Copy>(
    row: &Row<'_>,
    column: usize,
    values: &[T],
    name: impl Fn(T) -> &'static str,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    let found = values.iter().copied().find(|value| name(*value) == text);
    found.ok_or_else(|| unreadable(column, format!("nothing is called {text:?}")))
}

/// The error for a value that this version does not know.
pub(crate) fn unreadable(column: usize, why: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}

/// The answer to a `SELECT count(*)`.
pub(crate) fn count(connection: &Connection, question: &str) -> rusqlite::Result<u64> {
    let count: i64 = connection.prepare_cached(question)?.query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}
