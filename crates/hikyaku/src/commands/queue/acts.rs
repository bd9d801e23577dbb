//! What an operator has done with messages: page by page, so that mail flows meanwhile.

use std::io::{self, BufRead, IsTerminal};

use anyhow::bail;
use clap::Args;
use envelope::{Filter, Walk};
use link::services::queue::operators::{Act, Answer, Question};

use super::selection::Selection;
use super::{OTHER_VERSION, Office, list};
use crate::commands::output::{self, say};

#[derive(Args)]
pub struct Ruling {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON: each message that was touched, as it stood before, in a line.
    #[arg(long)]
    json: bool,
}

/// What was done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    touched: u64,
    untouched: u64,
    in_hand: u64,
}

/// Does it, if that is meant for `sure`, and says with how many messages.
pub fn run(office: &mut Office, act: Act, ruling: &Ruling, sure: bool) -> anyhow::Result<()> {
    let filter = ruling.selection.deliberate()?;
    // What arrives from here on is not touched, nor are the reports that are made on the way.
    let mut walk = if sure { Walk::default() } else { confirm(office, &filter)? };
    let mut tally = Tally::default();
    loop {
        let question = Question::Act { act, filter: filter.clone(), walk };
        let Answer::Acted { touched, untouched, in_hand, progress } = office.ask(question)?.value else {
            bail!(OTHER_VERSION);
        };
        tally.touched += touched.len() as u64;
        tally.untouched += untouched;
        tally.in_hand += in_hand;
        if ruling.json {
            list::print(&touched, true)?;
        } else if act == Act::Remove {
            let lines = touched.iter().map(|message| format!("removed  {}\n", list::line(message)));
            output::text(&lines.collect::<String>())?;
        }
        match progress.rest {
            Some(rest) => walk = rest,
            None => break,
        }
    }
    if tally.touched + tally.untouched == 0 {
        bail!("no message in the queue is meant by this; `hikyaku queue list` shows what there is");
    }
    if !ruling.json {
        for sentence in sentences(act, tally) {
            say!("{sentence}");
        }
    }
    Ok(())
}

/// Asks the person at the terminal. Gives the way to those messages that were counted.
fn confirm(office: &mut Office, filter: &Filter) -> anyhow::Result<Walk> {
    if !io::stdin().is_terminal() {
        bail!("what is removed is gone, and nobody is told: say --yes if that is meant");
    }
    let mut count = 0;
    let walk = list::walk(office, filter, Walk::default(), |messages| {
        count += messages.len();
        Ok(())
    })?;
    // Where nothing is meant there is nothing to ask; the walk says so.
    if count > 0 {
        eprint!("Remove {}? Nobody is told. [y/N] ", messages(count as u64));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was removed");
        }
    }
    Ok(walk)
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".into() } else { format!("{count} messages") }
}

/// What was done, in sentences.
fn sentences(act: Act, tally: Tally) -> Vec<String> {
    let Tally { touched, untouched, in_hand } = tally;
    let (done, left, hand) = match act {
        Act::Retry => (
            "to be tried now",
            "had nothing to try: held (`hikyaku queue release`), or being tried already",
            "what is being tried of them goes on as it is",
        ),
        Act::Hold => (
            "held; `hikyaku queue release` lets them go on",
            "held already",
            "that attempt goes on, and what is left of them is held after it",
        ),
        Act::Release => (
            "released, and tried at the times they had",
            "not held",
            "that attempt began before they were held",
        ),
        Act::Bounce => (
            "returned, with reports to their senders",
            "left as they are: all that was meant is being tried, or cannot be read",
            "what is being tried of them was left alone; hold them and bounce them again to return that too",
        ),
        Act::Remove => ("removed", "not removed", "that attempt may still deliver them"),
    };
    let mut sentences = vec![format!("{} {done}", messages(touched))];
    if untouched > 0 {
        sentences.push(format!("{} {left}", messages(untouched)));
    }
    if in_hand > 0 {
        sentences.push(format!("{} being tried at this moment: {hand}", messages(in_hand)));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_with_what_could_not_be() {
        let tally = Tally { touched: 1, untouched: 0, in_hand: 0 };
        assert_eq!(sentences(Act::Hold, tally), ["1 message held; `hikyaku queue release` lets them go on"]);
        let tally = Tally { touched: 2, untouched: 3, in_hand: 1 };
        for act in [Act::Retry, Act::Hold, Act::Release, Act::Bounce, Act::Remove] {
            let told = sentences(act, tally);
            assert!(told[0].starts_with("2 messages ") && told[1].starts_with("3 messages "), "{told:?}");
            assert!(told[2].starts_with("1 message being tried at this moment: "), "{told:?}");
        }
    }
}
