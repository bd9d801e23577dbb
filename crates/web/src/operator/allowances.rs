//! The allowances of a plan, or of an account, as a form shows and sends them.

use envelope::plan::NotAnAllowance;
use envelope::{Overrides, Plan, octets};
use link::services::directory::visits::Denied;

use crate::form::Form;
use crate::trouble::Trouble;
use crate::words::Words;

/// One allowance in a form.
pub(super) struct Field {
    /// Its name, by which the command line and the API know it too.
    pub(super) name: &'static str,
    /// What it is, in words.
    pub(super) label: String,
    /// Its value as the form has it; empty: the plan's.
    pub(super) value: String,
    /// The plan's value, if this is an account's form.
    pub(super) of_plan: Option<String>,
    /// What there is to choose from; empty: it is typed.
    pub(super) choices: Vec<Choice>,
}

/// Something to choose.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: String,
    pub(super) chosen: bool,
}

/// One allowance as a page tells it.
pub(super) struct Told {
    pub(super) label: String,
    pub(super) value: String,
    /// Whether an account has it otherwise than its plan says.
    pub(super) own: bool,
}

/// A plan's allowances, to be told.
pub(super) fn told(words: Words, plan: &Plan, own: &Overrides) -> Vec<Told> {
    let own = own.numbers();
    let values = values(plan).into_iter().zip(own);
    values
        .map(|((name, value), own)| Told {
            label: label(words, name),
            value: shown(words, name, &value),
            own: own.is_some(),
        })
        .collect()
}

/// The form of a plan.
pub(super) fn of_plan(words: Words, plan: &Plan) -> Vec<Field> {
    values(plan).into_iter().map(|(name, value)| field(words, name, typed(name, &value), None)).collect()
}

/// The form of an account: what it has itself, and beside it what its plan says.
pub(super) fn of_account(words: Words, plan: &Plan, own: &Overrides) -> Vec<Field> {
    let with_own = values(&own.applied_to(plan));
    let fields = values(plan).into_iter().zip(with_own).zip(own.numbers());
    fields
        .map(|(((name, of_plan), (_, value)), own)| {
            let value = own.map_or_else(String::new, |_| typed(name, &value));
            field(words, name, value, Some(shown(words, name, &of_plan)))
        })
        .collect()
}

/// The same form with what was typed, to be shown again.
pub(super) fn again(mut fields: Vec<Field>, form: &Form) -> Vec<Field> {
    for field in &mut fields {
        field.value = form.text(field.name).to_owned();
        for choice in &mut field.choices {
            choice.chosen = choice.value == field.value;
        }
    }
    fields
}

/// What was typed for each allowance; none: the plan's counts.
pub(super) fn sent(form: &Form) -> Result<Vec<(String, Option<String>)>, Trouble> {
    let mut all = Vec::new();
    for name in Plan::NAMES {
        let typed = form.text(name);
        if typed.is_empty() {
            all.push(((*name).to_owned(), None));
            continue;
        }
        let value = match Plan::SIZES.contains(name) && typed != "unlimited" {
            true => octets::parse(typed).map(|octets| octets.to_string()),
            false => Some(typed.to_owned()),
        };
        let value = value.ok_or_else(|| not_a_value(name, typed))?;
        Overrides::default().set(name, Some(&value)).map_err(|error| refused(&error))?;
        all.push(((*name).to_owned(), Some(value)));
    }
    Ok(all)
}

fn not_a_value(name: &'static str, typed: &str) -> Trouble {
    refused(&NotAnAllowance::Value {
        name,
        value: typed.chars().take(40).collect(),
        wanted: "octets such as 1000, 500K, 500M or 1G, or `unlimited`",
    })
}

fn refused(error: &NotAnAllowance) -> Trouble {
    Trouble::Denied(Denied::Refused(error.to_string()))
}

/// Each name and its value, as the plan displays them: so no list of values is kept here.
fn values(plan: &Plan) -> Vec<(&'static str, String)> {
    let displayed = plan.to_string();
    let values = displayed.split(' ').filter_map(|text| text.split_once('='));
    Plan::NAMES.iter().zip(values).map(|(name, (_, value))| (*name, value.to_owned())).collect()
}

fn field(words: Words, name: &'static str, value: String, of_plan: Option<String>) -> Field {
    let choices = choices(name)
        .iter()
        .map(|choice| Choice { value: choice, label: said(words, choice), chosen: *choice == value })
        .collect();
    Field { name, label: label(words, name), value, of_plan, choices }
}

fn choices(name: &str) -> &'static [&'static str] {
    match name {
        "script_author" => &["own", "keep", "reply-to"],
        "sub_domain_addresses" | "pop_before_smtp" | "programs" | "files" => &["true", "false"],
        _ => &[],
    }
}

/// As it is typed: sizes with their unit.
fn typed(name: &str, value: &str) -> String {
    match value.parse() {
        Ok(size) if Plan::SIZES.contains(&name) => octets::exact(size),
        _ => value.to_owned(),
    }
}

/// As it is read.
fn shown(words: Words, name: &str, value: &str) -> String {
    use crate::figures::Figures;
    match value.parse::<u64>() {
        Ok(size) if Plan::SIZES.contains(&name) => octets::exact(size),
        Ok(number) => number.grouped(),
        Err(_) => said(words, value),
    }
}

fn label(words: Words, name: &str) -> String {
    words.say(&format!("allowance-{name}")).into_owned()
}

fn said(words: Words, value: &str) -> String {
    words.say(&format!("allowed-{value}")).into_owned()
}

#[cfg(test)]
mod tests {
    use envelope::{Language, Limit};

    use super::*;

    #[test]
    fn what_a_form_shows_is_what_it_sends() {
        let plan = Plan { quota_bytes: Limit::AtMost(1 << 30), ..Plan::default() };
        let query: Vec<String> = of_plan(Words(Language::Ja), &plan)
            .iter()
            .map(|field| format!("{}={}", field.name, field.value))
            .collect();
        let sent = sent(&Form::read(&query.join("&"))).unwrap();
        let mut read = Plan::default();
        for (name, value) in sent {
            read.set(&name, &value.unwrap()).unwrap();
        }
        assert_eq!(read, plan);
    }

    #[test]
    fn every_choice_that_is_offered_is_one() {
        for field in of_plan(Words(Language::En), &Plan::default()) {
            for choice in &field.choices {
                Plan::default().set(field.name, choice.value).unwrap();
            }
            let chosen = field.choices.iter().filter(|choice| choice.chosen).count();
            assert_eq!(chosen, usize::from(!field.choices.is_empty()), "{}", field.name);
        }
    }

    #[test]
    fn an_account_shows_its_own_values_and_else_none() {
        let own = Overrides { quota_bytes: Some(Limit::AtMost(5 << 20)), ..Overrides::default() };
        let fields = of_account(Words(Language::En), &Plan::default(), &own);
        for field in fields {
            let expected = if field.name == "quota_bytes" { "5M" } else { "" };
            assert_eq!(field.value, expected, "{}", field.name);
            assert!(field.of_plan.is_some());
        }
    }

    #[test]
    fn what_is_no_value_is_refused_in_words() {
        for wrong in ["quota_bytes=much", "forward_limit=-1", "programs=perhaps"] {
            let trouble = sent(&Form::read(wrong)).unwrap_err();
            assert!(
                matches!(&trouble, Trouble::Denied(Denied::Refused(why)) if why.contains("is no value for"))
            );
        }
    }
}
