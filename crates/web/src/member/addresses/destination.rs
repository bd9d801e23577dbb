//! How it goes with each destination of an address: the last results in plain words, and what to set up there.

use envelope::carriers::Carrier;
use link::services::directory::visits::{AddressSheet, DestinationResults, DestinationState};
use time::UtcOffset;

use crate::advice::{Advice, Side};
use crate::life::Tone;
use crate::moment::Moment;
use crate::words::Words;

/// One destination, as the page tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) address: String,
    pub(crate) tone: Tone,
    /// How it stands with it, in a few words.
    pub(crate) state: String,
    /// Its owner can be asked again.
    pub(crate) can_ask: bool,
    /// How many messages it took and refused.
    pub(crate) counts: Vec<String>,
    pub(crate) last_delivered: Option<Moment>,
    pub(crate) trouble: Option<LastTrouble>,
    /// What is to be set up there.
    pub(crate) hint: Option<String>,
}

/// The last time that it refused a message or put it off.
#[derive(Debug, Clone)]
pub(crate) struct LastTrouble {
    /// It has taken none since.
    pub(crate) lasts: bool,
    pub(crate) at: Moment,
    pub(crate) cause: String,
    pub(crate) advice: String,
    /// Who said so.
    pub(crate) who: String,
    /// As it was said.
    pub(crate) reply: String,
}

/// Whether a destination that gets mail refused the last message. What it only puts off comes by itself.
pub(crate) fn any_in_trouble(sheet: &AddressSheet, results: &[DestinationResults]) -> bool {
    let is_on = |results: &DestinationResults| {
        sheet
            .destinations
            .iter()
            .any(|to| to.state == DestinationState::On && to.address == results.destination)
    };
    results.iter().any(|results| is_on(results) && lasts(results) == Some(true))
}

/// Whether the last that is known is a trouble, and if so whether it is for good.
fn lasts(results: &DestinationResults) -> Option<bool> {
    let trouble = results.last_trouble.as_ref()?;
    (Some(trouble.at) > results.last_delivered).then_some(trouble.permanent)
}

/// All destinations of an address.
pub(crate) fn cards(
    sheet: &AddressSheet,
    results: &[DestinationResults],
    days: u32,
    zone: UtcOffset,
    words: Words,
) -> Vec<Card> {
    let of = |to: &link::services::directory::visits::Destination| {
        let known = results.iter().find(|known| known.destination == to.address);
        let (tone, state) = match to.state {
            DestinationState::On => match known.and_then(lasts) {
                Some(true) => (Tone::Bad, "trouble"),
                Some(false) => (Tone::Wait, "slow"),
                None => (Tone::Good, "on"),
            },
            DestinationState::Off => (Tone::Off, "off"),
            DestinationState::Asked => (Tone::Wait, "asked"),
            DestinationState::Declined => (Tone::Bad, "declined"),
        };
        Card {
            address: to.address.to_string(),
            tone,
            state: words.say(&format!("destination-{state}")).into_owned(),
            can_ask: to.state == DestinationState::Asked,
            counts: known.map_or(Vec::new(), |known| counts(known, days, words)),
            last_delivered: known
                .and_then(|known| known.last_delivered)
                .map(|at| Moment::of_micros(at, zone, words)),
            trouble: known.and_then(|known| last_trouble(known, zone, words)),
            hint: hint(to, &sheet.address, words),
        }
    };
    sheet.destinations.iter().map(of).collect()
}

fn counts(results: &DestinationResults, days: u32, words: Words) -> Vec<String> {
    let mut told = Vec::new();
    for (count, what) in
        [(results.delivered, "took"), (results.failed, "refused"), (results.waiting, "waits")]
    {
        if count > 0 {
            let key = format!("results-{what}");
            told.push(words.with2(&key, ("count", count), ("days", days)).into_owned());
        }
    }
    if told.is_empty() {
        told.push(words.with("results-none", "days", days).into_owned());
    }
    told
}

fn last_trouble(results: &DestinationResults, zone: UtcOffset, words: Words) -> Option<LastTrouble> {
    let trouble = results.last_trouble.as_ref()?;
    let advice = Advice::on(trouble.reply.as_str(), None, trouble.host.is_some(), trouble.permanent);
    let who = match &trouble.host {
        Some(host) => words.with("life-host-said", "host", host.clone()),
        None => words.say("life-we-say"),
    };
    Some(LastTrouble {
        lasts: lasts(results).is_some(),
        at: Moment::of_micros(trouble.at, zone, words),
        cause: advice.cause(words).into_owned(),
        advice: advice.sentence(Side::Forwarded, words).into_owned(),
        who: who.into_owned(),
        reply: trouble.reply.to_string(),
    })
}

/// What the owner of a destination sets up there. A forwarded message keeps its author's From and, unless the address
/// has an owner of its own (`.qmail-foo-owner`), its envelope sender; so these filters are told the address that the
/// message was written to.
fn hint(to: &link::services::directory::visits::Destination, of: &str, words: Words) -> Option<String> {
    if to.state == DestinationState::Declined {
        return None;
    }
    let carrier = Carrier::of_address(&to.address)?;
    Some(words.with(&format!("hint-{}", carrier.as_str()), "address", of.to_owned()).into_owned())
}

#[cfg(test)]
mod tests {
    use envelope::Language;
    use link::services::directory::visits::Trouble;

    use super::super::tests::sheet;
    use super::*;

    const TO: &str = "u@docomo.ne.jp";

    fn results(last_delivered: Option<u64>, trouble: Option<(u64, bool)>) -> DestinationResults {
        DestinationResults {
            destination: TO.parse().unwrap(),
            delivered: 2,
            failed: 3,
            waiting: 0,
            last_delivered,
            last_trouble: trouble.map(|(at, permanent)| Trouble {
                at,
                permanent,
                host: Some("mx.peer.example".into()),
                reply: "550-5.1.1 no such user".into(),
            }),
        }
    }

    fn card(state: DestinationState, results: &[DestinationResults]) -> Card {
        let sheet = sheet("foo@abc.pobox.example", &[(TO, state)]);
        cards(&sheet, results, 14, UtcOffset::UTC, Words(Language::En)).remove(0)
    }

    #[test]
    fn a_refusal_counts_as_long_as_nothing_was_taken_since() {
        for (last_delivered, trouble, tone) in [
            (None, None, Tone::Good),
            (None, Some((5, true)), Tone::Bad),
            (Some(4), Some((5, true)), Tone::Bad),
            (Some(6), Some((5, true)), Tone::Good),
            (Some(4), Some((5, false)), Tone::Wait),
        ] {
            let known = [results(last_delivered, trouble)];
            assert_eq!(card(DestinationState::On, &known).tone, tone, "{trouble:?}");
            let sheet = sheet("foo@abc.pobox.example", &[(TO, DestinationState::On)]);
            assert_eq!(any_in_trouble(&sheet, &known), tone == Tone::Bad, "{trouble:?}");
        }
    }

    #[test]
    fn results_are_told_in_plain_words() {
        let card = card(DestinationState::On, &[results(Some(4), Some((5, true)))]);
        assert_eq!(
            card.counts,
            ["Took 2 messages in the last 14 days.", "Refused 3 messages in the last 14 days."]
        );
        let trouble = card.trouble.unwrap();
        assert_eq!(
            (trouble.cause.as_str(), trouble.who.as_str()),
            ("no such address", "mx.peer.example said:")
        );
        assert!(trouble.advice.contains("remove it"), "{}", trouble.advice);
    }

    #[test]
    fn a_phone_is_told_the_address_that_forwards_unless_its_owner_declined() {
        let hint = card(DestinationState::Asked, &[]).hint.unwrap();
        assert!(hint.contains("foo@abc.pobox.example") && hint.contains("宛先指定受信"), "{hint}");
        assert_eq!(card(DestinationState::Declined, &[]).hint, None);
    }

    #[test]
    fn every_family_of_mailboxes_has_its_hint_in_both_languages() {
        for carrier in Carrier::ALL {
            for language in [Language::Ja, Language::En] {
                let key = format!("hint-{}", carrier.as_str());
                let hint = Words(language).with(&key, "address", "foo@abc.pobox.example");
                assert!(!hint.starts_with("hint-"), "{key}");
            }
        }
    }
}
