//! `hikyaku account absence`: what a mailbox answers while its owner is away.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use directory::ABSENCE_TEXT_MAX;
use envelope::AccountName;
use link::services::directory::Rule;
use link::services::directory::visits;
use time::macros::format_description;
use time::{Date, UtcOffset};

use super::desk::{Desk, ask};
use super::output::{self, say};
use super::text_file::TextFile;
use crate::config::Config;

#[derive(Args)]
pub struct Absence {
    /// The account's name.
    name: AccountName,
    /// The text of the answer, in UTF-8; `-` is standard input. [default: the text that is there]
    #[arg(long, value_name = "FILE")]
    text_file: Option<TextFile>,
    /// The subject of the answer; empty: `Auto:` and that of the message. [default: the subject that is there]
    #[arg(long)]
    subject: Option<String>,
    /// The first day, such as 2026-12-29, by this machine's clock. [default: at once]
    #[arg(long, value_name = "DATE")]
    from: Option<Day>,
    /// The last day. [default: until it is switched off]
    #[arg(long, value_name = "DATE")]
    until: Option<Day>,
    /// Give the answer that is there again, at once.
    #[arg(long)]
    on: bool,
    /// Give no answer any more; its text stays.
    #[arg(long, conflicts_with_all = ["text_file", "subject", "from", "until", "on", "json"])]
    off: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A day on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(Date);

impl FromStr for Day {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> anyhow::Result<Day> {
        let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
        day.map(Day).context("write a day like 2026-12-29")
    }
}

impl Day {
    /// When it begins, in seconds since 1970, as clocks at `zone` say.
    fn begins(self, zone: UtcOffset) -> u64 {
        u64::try_from(self.0.midnight().assume_offset(zone).unix_timestamp()).unwrap_or(0)
    }

    /// When it is over.
    fn ends(self, zone: UtcOffset) -> u64 {
        self.0.next_day().map_or(u64::MAX, |next| Day(next).begins(zone))
    }
}

/// Does it: without any option it shows what is there.
pub fn run(config: &Config, asked: Absence) -> anyhow::Result<ExitCode> {
    // Before there are threads: the system's clock is asked for its zone.
    let zone = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let Absence { name, text_file, subject, from, until, on, off, json } = asked;
    // A character of UTF-8 has at most four octets.
    let text = text_file.map(|file| file.read(4 * ABSENCE_TEXT_MAX)).transpose()?;
    let text = text.map(String::from_utf8).transpose().context("the text is not in UTF-8")?;
    let mut desk = Desk::open(config)?;
    let mut absence = ask!(desk, Rule::Absence(name.clone()) => Absence);
    if off {
        absence.active = false;
        desk.change(Rule::SetAbsence(name.clone(), absence))?;
        say!("the automatic reply of {name} is switched off");
        return Ok(ExitCode::SUCCESS);
    }
    if on || text.is_some() || subject.is_some() || from.is_some() || until.is_some() {
        absence = visits::Absence {
            active: true,
            from: from.map(|day| day.begins(zone)),
            until: until.map(|day| day.ends(zone)),
            subject: subject.unwrap_or(absence.subject),
            text: text.unwrap_or(absence.text),
        };
        if absence.text.trim().is_empty() {
            bail!("there is no text to answer with; say --text-file FILE");
        }
        desk.change(Rule::SetAbsence(name.clone(), absence))?;
        absence = ask!(desk, Rule::Absence(name.clone()) => Absence);
    }
    if json {
        output::json(&absence)?;
    } else {
        show(&name, &absence)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(name: &AccountName, absence: &visits::Absence) -> anyhow::Result<()> {
    if !absence.active {
        say!("the automatic reply of {name} is switched off");
    } else {
        let from = absence.from.map_or("at once".into(), |from| format!("from {}", output::moment(from)));
        let until = absence.until.map_or("it is switched off".into(), output::moment);
        say!("whoever writes to {name} is answered, {from} until {until}, once in seven days");
    }
    if !absence.subject.is_empty() {
        say!("subject: {}", absence.subject);
    }
    if !absence.text.is_empty() {
        say!("\n{}", absence.text.trim_end());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::{datetime, offset};

    use super::*;

    #[test]
    fn an_absence_lasts_from_the_first_day_to_the_end_of_the_last() {
        let day: Day = "2026-12-31".parse().unwrap();
        let begins = datetime!(2026-12-31 0:00 +9).unix_timestamp().unsigned_abs();
        assert_eq!((day.begins(offset!(+9)), day.ends(offset!(+9))), (begins, begins + 86_400));
        for wrong in ["", "tomorrow", "2026-02-30", "2026-12-31 10:00", "来週"] {
            assert!(wrong.parse::<Day>().is_err(), "{wrong}");
        }
    }
}
