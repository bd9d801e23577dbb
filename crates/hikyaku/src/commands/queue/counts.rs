//! Counts: of the whole queue, or by what messages have in common.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::bail;
use clap::{Args, ValueEnum};
use envelope::Walk;
use link::services::queue::operators::{Answer, Group, Question, Stats, Trait};

use super::selection::Selection;
use super::{OTHER_VERSION, Office};
use crate::commands::output::{self, say};

#[derive(Args)]
pub struct Counting {
    /// Count by what messages, and the recipients that they wait for, have in common.
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    /// How many groups, the largest first.
    #[arg(long, value_name = "N", default_value_t = 20, requires = "by")]
    top: usize,
    /// Print JSON, with --by one group a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The domains of the recipients that are waited for.
    Domain,
    /// The reverse-paths.
    Sender,
    /// The customers who sent them.
    Account,
    /// What the last attempts said.
    Reason,
}

/// Counts.
pub fn run(office: &mut Office, counting: &Counting) -> anyhow::Result<()> {
    if let Some(by) = counting.by {
        return count_by(office, by, counting);
    }
    if counting.selection.is_given() {
        bail!("say by what to count: --by domain, sender, account or reason");
    }
    let Answer::Stats(stats) = office.ask(Question::Stats)?.value else {
        bail!(OTHER_VERSION);
    };
    if counting.json { output::json(&stats) } else { print(&stats) }
}

fn print(stats: &Stats) -> anyhow::Result<()> {
    say!("messages     {} ({} being tried, {} held)", stats.messages, stats.in_flight, stats.held);
    say!("octets       {}", stats.octets);
    say!("oldest       {}", stats.oldest.map_or("-".into(), output::moment));
    say!("segments     {}", stats.segments);
    say!(
        "since start  {} accepted, {} delivered, {} failed, {} deferred",
        stats.accepted,
        stats.delivered,
        stats.failed,
        stats.deferred
    );
    Ok(())
}

fn count_by(office: &mut Office, by: By, counting: &Counting) -> anyhow::Result<()> {
    let filter = counting.selection.filter();
    let mut groups = Groups::default();
    let mut walk = Walk::default();
    loop {
        let question = Question::Count { by: by.into(), filter: filter.clone(), walk };
        let Answer::Counted { groups: page, progress } = office.ask(question)?.value else {
            bail!(OTHER_VERSION);
        };
        groups.add(page);
        match progress.rest {
            Some(rest) => walk = rest,
            None => break,
        }
    }
    if !counting.json {
        say!("{:>10} {:>10}  {}", "messages", "recipients", by.heading());
    }
    let all = groups.0.len();
    for group in groups.largest(counting.top) {
        if counting.json {
            output::json(&group)?;
        } else {
            let name = group.name.as_deref().unwrap_or(by.nothing());
            say!("{:>10} {:>10}  {name}", group.messages, group.recipients);
        }
    }
    if !counting.json && all > counting.top {
        say!("(the largest {} of {all}; --top shows more)", counting.top);
    }
    Ok(())
}

/// Counts by name, from several pages.
#[derive(Default)]
struct Groups(HashMap<Option<String>, (u64, u64)>);

impl Groups {
    fn add(&mut self, page: Vec<Group>) {
        for Group { name, messages, recipients } in page {
            let count = self.0.entry(name).or_default();
            count.0 += messages;
            count.1 += recipients;
        }
    }

    fn largest(self, most: usize) -> Vec<Group> {
        let group = |(name, (messages, recipients))| Group { name, messages, recipients };
        let mut groups: Vec<Group> = self.0.into_iter().map(group).collect();
        groups.sort_unstable_by(|a, b| {
            let key = |group: &Group| (Reverse(group.recipients), Reverse(group.messages));
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        groups.truncate(most);
        groups
    }
}

impl By {
    fn heading(self) -> &'static str {
        match self {
            By::Domain => "domain",
            By::Sender => "sender",
            By::Account => "account",
            By::Reason => "last reply",
        }
    }

    /// What a group is called whose messages have nothing of the kind.
    fn nothing(self) -> &'static str {
        match self {
            By::Domain | By::Sender => "(unreadable)",
            By::Account => "(no customer's)",
            By::Reason => "(not tried yet)",
        }
    }
}

impl From<By> for Trait {
    fn from(by: By) -> Trait {
        match by {
            By::Domain => Trait::Domain,
            By::Sender => Trait::Sender,
            By::Account => Trait::Account,
            By::Reason => Trait::Reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_several_pages_are_one_and_the_largest_comes_first() {
        let group = |name: Option<&str>, messages, recipients| Group {
            name: name.map(Into::into),
            messages,
            recipients,
        };
        let mut groups = Groups::default();
        groups.add(vec![group(Some("a"), 1, 2), group(None, 1, 1)]);
        groups.add(vec![group(Some("b"), 1, 1), group(None, 2, 2), group(Some("c"), 1, 1)]);
        let expected = [group(None, 3, 3), group(Some("a"), 1, 2), group(Some("b"), 1, 1)];
        assert_eq!(groups.largest(3), expected);
    }
}
