//! Which messages are meant, as the command line says it.

use anyhow::{Context, bail};
use clap::Args;
use envelope::{AccountName, AddressPattern, Filter, Host, QueueId, octets};
use time::{OffsetDateTime, UtcOffset};

use super::super::trace::since::Since;

/// Which messages: those of which everything that is said is true.
#[derive(Args, Default)]
pub struct Selection {
    /// Messages by their ids, as the log and the list show them.
    #[arg(value_name = "ID")]
    ids: Vec<QueueId>,
    /// From this reverse-path, or from any of this domain; <> for bounces.
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    sender: Option<AddressPattern>,
    /// Waiting for this recipient, or for one of this domain.
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    recipient: Option<AddressPattern>,
    /// Sent by this customer.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountName>,
    /// Waiting for a recipient of this domain.
    #[arg(long, value_name = "DOMAIN", value_parser = Host::parse)]
    domain: Option<Host>,
    /// In the queue for so long (30min, 2h, 7d), or since before a day (2026-11-24).
    #[arg(long, value_name = "AGE")]
    older_than: Option<Since>,
    /// Larger than so many octets (500K, 1M).
    #[arg(long, value_name = "SIZE", value_parser = size)]
    larger_than: Option<u64>,
    /// Waiting for a recipient of whom the last attempt said something with this in it, in any case.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Held by an operator.
    #[arg(long)]
    held: bool,
    /// Every message.
    #[arg(long, conflicts_with_all = [
        "ids", "sender", "recipient", "account", "domain", "older_than", "larger_than", "reason", "held",
    ])]
    all: bool,
}

impl Selection {
    /// What is said. Nothing said means all.
    pub fn filter(&self) -> Filter {
        let zone = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
        Filter {
            ids: self.ids.iter().copied().collect(),
            sender: self.sender.clone(),
            account: self.account.clone(),
            arrived_by: self.older_than.map(|then| then.micros(OffsetDateTime::now_utc(), zone) / 1_000_000),
            larger_than: self.larger_than,
            held: self.held,
            recipient: self.recipient.clone(),
            domain: self.domain.clone(),
            reason: self.reason.clone(),
        }
    }

    /// What is said, for whoever changes something.
    ///
    /// # Errors
    /// If nothing is said: then all must be asked for.
    pub fn deliberate(&self) -> anyhow::Result<Filter> {
        let filter = self.filter();
        if filter == Filter::default() && !self.all {
            bail!("say which messages: their ids, a filter such as --sender or --domain, or --all");
        }
        Ok(filter)
    }

    /// Whether anything is said.
    pub fn is_given(&self) -> bool {
        self.all || self.filter() != Filter::default()
    }
}

fn size(text: &str) -> anyhow::Result<u64> {
    octets::parse(text).context("write octets, such as 1000, 500K or 1M")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        selection: Selection,
    }

    fn parse(arguments: &[&str]) -> Result<Selection, clap::Error> {
        Arguments::try_parse_from([&["queue"], arguments].concat()).map(|arguments| arguments.selection)
    }

    #[test]
    fn what_is_said_is_what_is_meant() {
        let id = QueueId::from_u64(7_354_102_579_200_000_001);
        let said = [
            &*id.to_string(),
            "--sender",
            "<>",
            "--recipient",
            "u@peer.example",
            "--account",
            "abc",
            "--domain",
            "peer.example",
            "--older-than",
            "2h",
            "--larger-than",
            "1M",
            "--reason",
            "Busy",
            "--held",
        ];
        let filter = parse(&said).unwrap().deliberate().unwrap();
        let expected = Filter {
            ids: [id].into(),
            sender: Some(AddressPattern::Null),
            account: Some("abc".parse().unwrap()),
            arrived_by: filter.arrived_by,
            larger_than: Some(1 << 20),
            held: true,
            recipient: Some("u@peer.example".parse().unwrap()),
            domain: Some(Host::parse("peer.example").unwrap()),
            reason: Some("Busy".into()),
        };
        assert_eq!(filter, expected);
        let ago = OffsetDateTime::now_utc().unix_timestamp().unsigned_abs() - filter.arrived_by.unwrap();
        assert!((7200..7210).contains(&ago), "{ago}");
    }

    #[test]
    fn who_changes_something_says_which_or_all() {
        assert!(parse(&[]).unwrap().deliberate().is_err());
        assert_eq!(parse(&["--all"]).unwrap().deliberate().unwrap(), Filter::default());
        assert!(!parse(&[]).unwrap().is_given() && parse(&["--held"]).unwrap().is_given());
        for wrong in [&["--all", "--held"][..], &["--larger-than", "big"], &["--older-than", "2"], &["x y"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
