//! Plans: what an account may do, and how much of it.
//!
//! A plan is a list of allowances. Each has a name, under which the store and the command line know
//! it, and a value that is also a number and a text; so whoever keeps, shows or sets them needs no
//! list of his own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::account::AccountName;
use crate::policy::ScriptAuthor;

/// The most of something that an account may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// As much as there is.
    Unlimited,
    /// So much and no more.
    AtMost(u64),
}

impl Limit {
    /// Whether so much is within the limit.
    pub fn allows(self, amount: u64) -> bool {
        match self {
            Limit::Unlimited => true,
            Limit::AtMost(most) => amount <= most,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Unlimited => f.pad("unlimited"),
            Limit::AtMost(most) => most.fmt(f),
        }
    }
}

impl FromStr for Limit {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Limit, Self::Err> {
        if text == "unlimited" { Ok(Limit::Unlimited) } else { text.parse().map(Limit::AtMost) }
    }
}

/// The name of a plan: a label in lower case, as an account's name is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanName(AccountName);

/// The text is no name of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the name of a plan has 1 to 32 letters, digits or hyphens, and begins and ends with a letter or digit"
)]
pub struct NotAPlanName;

impl PlanName {
    /// The plan of accounts that were given no other. It is always there.
    pub const DEFAULT: &str = "default";

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PlanName {
    type Err = NotAPlanName;
    fn from_str(text: &str) -> Result<PlanName, NotAPlanName> {
        text.parse().map(PlanName).map_err(|_| NotAPlanName)
    }
}

/// A plan and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPlan {
    /// Its name.
    pub name: PlanName,
    /// What it allows.
    pub plan: Plan,
}

/// An allowance cannot be set so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAnAllowance {
    /// None has this name.
    #[error("there is no allowance {0:?}; there are {names}", names = Plan::NAMES.join(", "))]
    Name(String),
    /// The value does not suit it.
    #[error("{value:?} is no value for {name}; it wants {wanted}")]
    Value {
        /// Which allowance.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        wanted: &'static str,
    },
}

/// The value of an allowance, as a number and a text.
trait Allowance: Copy + fmt::Display + FromStr {
    const WANTED: &str;
    fn number(self) -> i64;
    fn of_number(number: i64) -> Option<Self>;
}

impl Allowance for bool {
    const WANTED: &str = "true or false";
    fn number(self) -> i64 {
        self.into()
    }
    fn of_number(number: i64) -> Option<bool> {
        [false, true].into_iter().find(|value| value.number() == number)
    }
}

impl Allowance for u32 {
    const WANTED: &str = "a number";
    fn number(self) -> i64 {
        self.into()
    }
    fn of_number(number: i64) -> Option<u32> {
        number.try_into().ok()
    }
}

impl Allowance for Limit {
    const WANTED: &str = "a number or `unlimited`";
    fn number(self) -> i64 {
        match self {
            Limit::Unlimited => -1,
            Limit::AtMost(most) => most.try_into().unwrap_or(i64::MAX),
        }
    }
    fn of_number(number: i64) -> Option<Limit> {
        match number {
            -1 => Some(Limit::Unlimited),
            most => most.try_into().ok().map(Limit::AtMost),
        }
    }
}

impl Allowance for ScriptAuthor {
    const WANTED: &str = "own, keep or reply-to";
    fn number(self) -> i64 {
        match self {
            ScriptAuthor::Own => 0,
            ScriptAuthor::Keep => 1,
            ScriptAuthor::ReplyTo => 2,
        }
    }
    fn of_number(number: i64) -> Option<ScriptAuthor> {
        [ScriptAuthor::Own, ScriptAuthor::Keep, ScriptAuthor::ReplyTo]
            .into_iter()
            .find(|value| value.number() == number)
    }
}

fn parse<T: Allowance>(name: &'static str, value: &str) -> Result<T, NotAnAllowance> {
    value.parse().map_err(|_| NotAnAllowance::Value { name, value: value.into(), wanted: T::WANTED })
}

/// Defines [`Plan`] and [`Overrides`] from one list.
macro_rules! plan {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr,)*) => {
        /// What an account may do, and how much of it. Sizes are in bytes.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Plan {
            $($(#[$doc])* pub $name: $kind,)*
        }

        /// What one account has otherwise than its plan says; where it says nothing, the plan counts.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Overrides {
            $($(#[$doc])* pub $name: Option<$kind>,)*
        }

        impl Plan {
            /// The names of the allowances.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// The names of those that are sizes, in octets.
            pub const SIZES: &[&str] = &["message_size_max", "quota_bytes"];

            /// The allowances as numbers, in the order of [`Plan::NAMES`]: -1 is unlimited.
            pub fn numbers(&self) -> Vec<i64> {
                vec![$(self.$name.number(),)*]
            }

            /// The plan of these numbers; none if one of them has no meaning.
            pub fn of_numbers(numbers: &[i64]) -> Option<Plan> {
                let mut numbers = numbers.iter();
                Some(Plan { $($name: Allowance::of_number(*numbers.next()?)?,)* })
            }

            /// Sets one allowance by its name.
            ///
            /// # Errors
            /// If there is none of this name, or the value does not suit it.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), NotAnAllowance> {
                match name {
                    $(stringify!($name) => self.$name = parse(stringify!($name), value)?,)*
                    _ => return Err(NotAnAllowance::Name(name.into())),
                }
                Ok(())
            }
        }

        impl Overrides {
            /// The plan, with what is otherwise for this account.
            pub fn applied_to(&self, plan: &Plan) -> Plan {
                Plan { $($name: self.$name.unwrap_or(plan.$name),)* }
            }

            /// The overrides as numbers, in the order of [`Plan::NAMES`].
            pub fn numbers(&self) -> Vec<Option<i64>> {
                vec![$(self.$name.map(Allowance::number),)*]
            }

            /// The overrides of these numbers; none if one of them has no meaning.
            pub fn of_numbers(numbers: &[Option<i64>]) -> Option<Overrides> {
                let mut numbers = numbers.iter();
                Some(Overrides {
                    $($name: match *numbers.next()? {
                        Some(number) => Some(Allowance::of_number(number)?),
                        None => None,
                    },)*
                })
            }

            /// Sets one override by its name, or takes it back.
            ///
            /// # Errors
            /// If there is none of this name, or the value does not suit it.
            pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), NotAnAllowance> {
                match name {
                    $(stringify!($name) => {
                        self.$name = value.map(|value| parse(stringify!($name), value)).transpose()?;
                    })*
                    _ => return Err(NotAnAllowance::Name(name.into())),
                }
                Ok(())
            }
        }

        impl Default for Plan {
            fn default() -> Plan {
                Plan { $($name: $default,)* }
            }
        }

        impl fmt::Display for Plan {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let texts = [$(format!("{}={}", stringify!($name), self.$name),)*];
                f.write_str(&texts.join(" "))
            }
        }

        impl fmt::Display for Overrides {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let texts = [$(self.$name.map(|value| format!("{}={value}", stringify!($name))),)*];
                let texts: Vec<String> = texts.into_iter().flatten().collect();
                f.write_str(if texts.is_empty() { "nothing" } else { "" })?;
                f.write_str(&texts.join(" "))
            }
        }
    };
}

plan! {
    /// Whether `foo@abc.pobox.example`, `abc-foo@` and `abc+foo@pobox.example` are addresses.
    sub_domain_addresses: bool = true,
    /// To how many places one address may be forwarded.
    forward_limit: u32 = 10,
    /// Messages that may be sent in an hour.
    messages_per_hour: Limit = Limit::AtMost(500),
    /// Messages that may be sent in a day.
    messages_per_day: Limit = Limit::AtMost(2_000),
    /// Recipients that may be written to in an hour.
    recipients_per_hour: Limit = Limit::AtMost(2_000),
    /// Recipients that may be written to in a day.
    recipients_per_day: Limit = Limit::AtMost(10_000),
    /// Recipients to whom the account has not written before, in a day.
    new_recipients_per_day: Limit = Limit::AtMost(2_000),
    /// The largest message that may be sent.
    message_size_max: Limit = Limit::Unlimited,
    /// How much mail may lie in the mailbox.
    quota_bytes: Limit = Limit::Unlimited,
    /// Whether checking mail opens a relay window.
    pop_before_smtp: bool = true,
    /// Whether delivery instructions may run programs.
    programs: bool = false,
    /// Whether delivery instructions may name Maildirs and mbox files besides the mailbox.
    files: bool = false,
    /// As whom the account's programs may write on this machine (`sendmail`).
    script_author: ScriptAuthor = ScriptAuthor::Own,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plan_is_set_by_name_and_prints_what_was_set() {
        let mut plan = Plan::default();
        for (name, value) in
            [("sub_domain_addresses", "false"), ("forward_limit", "4"), ("quota_bytes", "1000")]
        {
            plan.set(name, value).unwrap();
            assert!(plan.to_string().contains(&format!("{name}={value}")), "{plan}");
        }
        plan.set("quota_bytes", "unlimited").unwrap();
        assert_eq!((plan.sub_domain_addresses, plan.quota_bytes), (false, Limit::Unlimited));
    }

    #[test]
    fn a_wrong_name_or_value_is_refused_and_changes_nothing() {
        let mut plan = Plan::default();
        let unknown = plan.set("forwards", "1").unwrap_err().to_string();
        assert!(unknown.starts_with("there is no allowance \"forwards\"; there are sub_domain_addresses, "));
        for (name, value) in [("programs", "yes"), ("forward_limit", "-1"), ("quota_bytes", "1G")] {
            assert!(matches!(plan.set(name, value), Err(NotAnAllowance::Value { .. })), "{name} {value}");
            assert!(Overrides::default().set(name, Some(value)).is_err());
        }
        assert_eq!(plan, Plan::default());
        assert_eq!(
            plan.set("quota_bytes", "").unwrap_err().to_string(),
            "\"\" is no value for quota_bytes; it wants a number or `unlimited`"
        );
    }

    #[test]
    fn an_override_counts_before_the_plan_and_can_be_taken_back() {
        let mut overrides = Overrides::default();
        assert_eq!(overrides.to_string(), "nothing");
        overrides.set("messages_per_day", Some("unlimited")).unwrap();
        overrides.set("programs", Some("true")).unwrap();
        assert_eq!(overrides.to_string(), "messages_per_day=unlimited programs=true");
        let plan = overrides.applied_to(&Plan::default());
        assert_eq!((plan.messages_per_day, plan.programs), (Limit::Unlimited, true));
        overrides.set("programs", None).unwrap();
        overrides.set("messages_per_day", None).unwrap();
        assert_eq!(overrides.applied_to(&plan), plan);
    }

    #[test]
    fn sizes_are_allowances() {
        assert!(Plan::SIZES.iter().all(|name| Plan::NAMES.contains(name)));
    }

    #[test]
    fn a_limit_allows_as_much_as_it_says() {
        assert!(Limit::AtMost(10).allows(10) && !Limit::AtMost(10).allows(11));
        assert!(Limit::Unlimited.allows(u64::MAX) && !Limit::AtMost(0).allows(1));
    }

    proptest! {
        #[test]
        fn numbers_are_a_plan_of_just_these_numbers_or_none(
            numbers in prop::collection::vec(-2i64..12, 0..15),
            nulls in prop::collection::vec(prop::option::of(-2i64..12), 0..15),
        ) {
            if let Some(plan) = Plan::of_numbers(&numbers) {
                prop_assert_eq!(&plan.numbers()[..], &numbers[..Plan::NAMES.len()]);
            }
            if let Some(overrides) = Overrides::of_numbers(&nulls) {
                prop_assert_eq!(&overrides.numbers()[..], &nulls[..Plan::NAMES.len()]);
            }
        }

        #[test]
        fn any_text_is_a_value_or_an_error(name in "[a-z_]{0,30}", value in any::<String>()) {
            let _ = Plan::default().set(&name, &value);
            for name in Plan::NAMES {
                let _ = Overrides::default().set(name, Some(&value));
            }
            let _ = value.parse::<PlanName>();
        }
    }
}
