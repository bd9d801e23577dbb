//! Facts on standard output, for people or as JSON.

use std::io::{self, Write};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Prints a line, as `println!` does, but gives an error where nobody reads any more. For functions
/// that return [`anyhow::Result`].
macro_rules! say {
    ($($text:tt)*) => { $crate::commands::output::line(format_args!($($text)*))? };
}
pub(crate) use say;

/// Prints one line.
///
/// # Errors
/// If standard output is closed.
pub fn line(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints a text as it is.
///
/// # Errors
/// If standard output is closed.
pub fn text(text: &str) -> anyhow::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Prints one value as a line of JSON.
///
/// # Errors
/// If standard output is closed.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// A time in seconds since 1970, for people.
pub fn moment(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}
