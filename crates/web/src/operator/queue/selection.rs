//! Which messages are meant, as a form says it and a link carries it.

use envelope::{AccountName, AddressPattern, Filter, Host, QueueId, Walk, octets};

use crate::form::Form;
use crate::words::Words;

/// Which messages: those of which everything that is said is true. As it was typed, and what it means.
#[derive(Default)]
pub(super) struct Selection {
    typed: Vec<(&'static str, String)>,
    /// What it means.
    pub(super) filter: Filter,
    /// Fields that say nothing which could be meant.
    wrong: Vec<&'static str>,
}

/// The fields of the form, and with `id` one message.
const FIELDS: [&str; 9] =
    ["id", "sender", "recipient", "account", "domain", "age", "larger", "reason", "held"];
/// Those of them that are typed.
pub(crate) const TYPED_FIELDS: [&str; 7] =
    ["sender", "recipient", "account", "domain", "age", "larger", "reason"];
/// The most characters of a field that are looked at.
const TYPED_MAX: usize = 400;

impl Selection {
    /// What a form or a link says. `now` in seconds since 1970.
    pub(super) fn of(form: &Form, now: u64) -> Selection {
        let mut selection = Selection::default();
        for name in FIELDS {
            let typed: String = form.text(name).chars().take(TYPED_MAX).collect();
            if typed.is_empty() {
                continue;
            }
            if selection.say(name, &typed, now).is_none() {
                selection.wrong.push(name);
            }
            selection.typed.push((name, typed));
        }
        selection
    }

    fn say(&mut self, name: &str, typed: &str, now: u64) -> Option<()> {
        let filter = &mut self.filter;
        match name {
            "id" => drop(filter.ids.insert(typed.parse().ok()?)),
            "sender" => filter.sender = Some(typed.parse::<AddressPattern>().ok()?),
            "recipient" => filter.recipient = Some(typed.parse::<AddressPattern>().ok()?),
            "account" => filter.account = Some(typed.parse::<AccountName>().ok()?),
            "domain" => filter.domain = Some(Host::parse(typed).ok()?),
            "age" => filter.arrived_by = Some(now.saturating_sub(age(typed)?)),
            "larger" => filter.larger_than = Some(octets::parse(typed)?),
            "reason" => filter.reason = Some(typed.to_owned()),
            "held" => filter.held = true,
            _ => {}
        }
        Some(())
    }

    /// A field as it was typed.
    pub(super) fn typed(&self, name: &str) -> &str {
        self.typed.iter().find(|(known, _)| *known == name).map_or("", |(_, typed)| typed)
    }

    /// Each field as it was typed.
    pub(super) fn typed_fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.typed.iter().map(|(name, typed)| (*name, typed.as_str()))
    }

    /// Whether a field makes no sense.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        self.wrong.contains(&name)
    }

    /// Whether all of it makes sense.
    pub(super) fn is_sound(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Whether nothing is said, so that every message is meant.
    pub(super) fn is_all(&self) -> bool {
        self.typed.is_empty()
    }

    /// What is said, as a query that reads back; empty, or ending in `&`.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.typed);
        let query = query.finish();
        if query.is_empty() { query } else { query + "&" }
    }

    /// What is said, field by field, for people.
    pub(super) fn told(&self, words: Words) -> Vec<(String, String)> {
        let told = |(name, typed): &(&str, String)| {
            (words.say(&format!("queue-filter-{name}")).into_owned(), typed.clone())
        };
        self.typed.iter().map(told).collect()
    }
}

/// How far a walk has come, as links carry it.
pub(super) fn walk(form: &Form) -> Walk {
    let id = |name: &str| form.text(name).parse::<QueueId>().ok();
    Walk { after: id("after"), until: id("until") }
}

/// How far a walk has come, as [`walk`] reads it.
pub(super) fn walk_query(walk: Walk) -> String {
    let part = |name: &str, id: Option<QueueId>| id.map(|id| format!("{name}={id}&")).unwrap_or_default();
    part("after", walk.after) + &part("until", walk.until)
}

/// A span such as 30min, 2h or 7d, in seconds.
fn age(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &str = "sender=%3C%3E&recipient=u%40peer.example&account=abc&domain=peer.example&age=2h&larger=1M\
                        &reason=busy+%26+%3Cfull%3E&held=on&";

    #[test]
    fn what_is_said_is_what_is_meant_and_reads_back() {
        let selection = Selection::of(&Form::read(SAID), 100_000);
        let expected = Filter {
            ids: [].into(),
            sender: Some(AddressPattern::Null),
            account: Some("abc".parse().unwrap()),
            arrived_by: Some(92_800),
            larger_than: Some(1 << 20),
            held: true,
            recipient: Some("u@peer.example".parse().unwrap()),
            domain: Some(Host::parse("peer.example").unwrap()),
            reason: Some("busy & <full>".into()),
        };
        assert!(selection.is_sound() && !selection.is_all());
        assert_eq!(selection.filter, expected);
        assert_eq!(selection.query(), SAID);
    }

    #[test]
    fn a_field_that_makes_no_sense_is_marked_and_not_left_out() {
        let selection = Selection::of(&Form::read("age=2w&larger=big&domain=peer.example&sender="), 0);
        assert!(selection.is_wrong("age") && selection.is_wrong("larger") && !selection.is_wrong("domain"));
        assert!(!selection.is_sound());
        assert_eq!(selection.typed("age"), "2w");
        assert!(Selection::of(&Form::read("after=x"), 0).is_all());
    }

    #[test]
    fn a_walk_reads_back() {
        let id = QueueId::from_u64(7_354_102_579_200_000_001);
        for from in [
            Walk::default(),
            Walk { after: Some(id), until: None },
            Walk { after: Some(id), until: Some(id) },
        ] {
            assert_eq!(walk(&Form::read(&walk_query(from))), from);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_selection_that_reads_back(
            fields in prop::collection::vec((prop::sample::select(&FIELDS[..]), "\\PC{0,20}"), 0..9),
        ) {
            let mut query = form_urlencoded::Serializer::new(String::new());
            let selection = Selection::of(&Form::read(&query.extend_pairs(&fields).finish()), 1_000_000);
            let again = Selection::of(&Form::read(&selection.query()), 1_000_000);
            prop_assert_eq!(&again.filter, &selection.filter);
            prop_assert_eq!(again.typed, selection.typed);
        }
    }
}
