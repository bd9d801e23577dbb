//! The allowances of a plan on the command line: `messages_per_hour=500`, `quota_bytes=1G`.

use std::str::FromStr;

use envelope::{Overrides, Plan, octets};
use serde_json::{Map, Value};
use thiserror::Error;

/// `NAME=VALUE`, with sizes in octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The allowance's name. Whether there is such a one, the directory knows.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The text is no assignment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAnAssignment {
    /// No `=`, or nothing before it.
    #[error("write ALLOWANCE=VALUE, such as messages_per_day=2000; there are {}", Plan::NAMES.join(", "))]
    Shape,
    /// Neither a number nor one with a unit.
    #[error("{0:?} is no size; write a number of octets, or 500K, 500M, 1G or 1T, or unlimited")]
    Size(String),
}

impl FromStr for Assignment {
    type Err = NotAnAssignment;
    fn from_str(text: &str) -> Result<Assignment, NotAnAssignment> {
        let (name, value) = text.split_once('=').ok_or(NotAnAssignment::Shape)?;
        if name.is_empty() {
            return Err(NotAnAssignment::Shape);
        }
        let is_size = Plan::SIZES.contains(&name) && !["unlimited", "plan"].contains(&value);
        let value = match is_size {
            true => octets::parse(value).ok_or_else(|| NotAnAssignment::Size(value.into()))?.to_string(),
            false => value.into(),
        };
        Ok(Assignment { name: name.into(), value })
    }
}

/// Each allowance of a plan for people: its name, its value, and whether it is the account's own.
pub fn lines(plan: &Plan, own: &Overrides) -> Vec<String> {
    let own = own.to_string();
    let is_own = |name: &str| values(&own).any(|(of_own, _)| of_own == name);
    values(&plan.to_string())
        .map(|(name, value)| {
            let value = match value.parse() {
                Ok(size) if Plan::SIZES.contains(&name) => octets::exact(size),
                _ => value.into(),
            };
            let mark = if is_own(name) { "  (the account's own)" } else { "" };
            format!("{name:<24}{value}{mark}")
        })
        .collect()
}

/// The allowances of a plan for scripts: numbers, true, false, and "unlimited".
pub fn json(plan: &Plan) -> Map<String, Value> {
    json_of(&plan.to_string())
}

/// What an account has otherwise than its plan says, for scripts.
pub fn json_of_own(own: &Overrides) -> Map<String, Value> {
    json_of(&own.to_string())
}

/// Each `name=value`, as plans are displayed: so no list of names is kept here.
fn values(displayed: &str) -> impl Iterator<Item = (&str, &str)> {
    displayed.split(' ').filter_map(|text| text.split_once('='))
}

fn json_of(displayed: &str) -> Map<String, Value> {
    values(displayed)
        .map(|(name, value)| {
            let value = match (value.parse::<bool>(), value.parse::<u64>()) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => value.into(),
            };
            (name.into(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use envelope::Limit;

    use super::*;

    #[test]
    fn sizes_have_units_and_counts_have_none() {
        for (text, value) in [
            ("quota_bytes=500M", "524288000"),
            ("quota_bytes=1g", "1073741824"),
            ("message_size_max=10", "10"),
            ("message_size_max=unlimited", "unlimited"),
            ("quota_bytes=plan", "plan"),
            ("messages_per_hour=1K", "1K"),
            ("colour=", ""),
        ] {
            assert_eq!(text.parse::<Assignment>().unwrap().value, value, "{text}");
        }
        for wrong in
            ["quota_bytes=", "quota_bytes=1X", "quota_bytes=-1", "quota_bytes=99999999T", "quota_bytes=M"]
        {
            assert!(matches!(wrong.parse::<Assignment>(), Err(NotAnAssignment::Size(_))), "{wrong}");
        }
        for wrong in ["", "=1", "quota_bytes"] {
            assert_eq!(wrong.parse::<Assignment>(), Err(NotAnAssignment::Shape), "{wrong}");
        }
    }

    #[test]
    fn allowances_are_shown_for_people_and_for_scripts() {
        let own = Overrides { quota_bytes: Some(Limit::AtMost(1 << 30)), ..Overrides::default() };
        let plan = own.applied_to(&Plan::default());
        let lines = lines(&plan, &own);
        assert_eq!(lines.len(), Plan::NAMES.len());
        assert!(lines.contains(&"quota_bytes             1G  (the account's own)".into()), "{lines:?}");
        assert!(lines.contains(&"forward_limit           10".into()), "{lines:?}");
        let json = json(&plan);
        assert_eq!(json["quota_bytes"], 1 << 30);
        assert_eq!((&json["programs"], &json["message_size_max"]), (&false.into(), &"unlimited".into()));
        assert_eq!(Value::from(json_of_own(&own)), serde_json::json!({ "quota_bytes": 1 << 30 }));
        assert_eq!(json_of_own(&Overrides::default()).len(), 0);
    }
}
