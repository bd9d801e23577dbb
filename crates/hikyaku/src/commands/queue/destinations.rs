//! How the destinations of mail for other hosts do.

use anyhow::bail;
use clap::Args;
use link::services::queue::operators::{Answer, Question};
use link::services::remote::Destination;

use super::{OTHER_VERSION, Office};
use crate::commands::output::{self, say};

#[derive(Args)]
pub struct Asking {
    /// Try this one again now, though it is being left alone; its name as it is shown here.
    #[arg(long, value_name = "NAME")]
    retry: Option<String>,
    /// Print JSON, one destination a line.
    #[arg(long, conflicts_with = "retry")]
    json: bool,
}

/// Shows them, or has one tried again.
pub fn run(office: &mut Office, asking: &Asking) -> anyhow::Result<()> {
    let Answer::Destinations(mut destinations) = office.ask(Question::Destinations)?.value else {
        bail!(OTHER_VERSION);
    };
    if let Some(name) = &asking.retry {
        if !destinations.iter().any(|known| known.name == *name) {
            bail!(
                "nothing is known of {name}: `hikyaku queue destinations` shows those in use or in trouble"
            );
        }
        let Answer::Done = office.ask(Question::Resume(name.clone()))?.value else {
            bail!(OTHER_VERSION);
        };
        say!(
            "{name} is tried again; `hikyaku queue retry --domain` has the mail that waits for it tried too"
        );
        return Ok(());
    }
    // Trouble first.
    destinations.sort_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.name.cmp(&b.name)));
    for destination in &destinations {
        if asking.json {
            output::json(destination)?;
        } else {
            say!("{}", words(destination));
        }
    }
    if destinations.is_empty() && !asking.json {
        say!("no destination is in use or in trouble");
    }
    Ok(())
}

/// A destination in a line or two.
fn words(destination: &Destination) -> String {
    let Destination { name, active, limit, failures, pause, last_trouble } = destination;
    let mut words = format!("{name}: {active} of at most {limit} under way");
    match (failures, pause) {
        (0, None) => words.push_str(", well"),
        (failures, None) => words.push_str(&format!(", {failures} failures in a row")),
        (failures, Some(seconds)) => {
            words.push_str(&format!(", {failures} failures in a row, left alone for {seconds} s"));
        }
    }
    for line in last_trouble.iter().flat_map(|trouble| trouble.lines()) {
        words.push_str(&format!("\n    {line}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_told_with_its_trouble() {
        let mut destination = Destination {
            name: "peer.example".into(),
            active: 2,
            limit: 5,
            failures: 0,
            pause: None,
            last_trouble: None,
        };
        assert_eq!(words(&destination), "peer.example: 2 of at most 5 under way, well");
        destination.failures = 3;
        destination.pause = Some(60);
        destination.last_trouble = Some("timed out".into());
        assert_eq!(
            words(&destination),
            "peer.example: 2 of at most 5 under way, 3 failures in a row, left alone for 60 s\n    timed out"
        );
    }
}
