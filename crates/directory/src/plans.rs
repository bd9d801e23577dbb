//! Plans: making, changing and removing them, and what an account may after all.
//!
//! An account has the plan that it was given, or else the default plan, and on top of that its own
//! overrides. Nothing of it is remembered: a change counts from the next question on.

use std::iter;
use std::sync::LazyLock;

use envelope::{AccountName, NamedPlan, Overrides, Plan, PlanName};
use rusqlite::types::{FromSql, Value};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::accounts::id_of;
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::rows;
use crate::store::Store;

impl Store {
    /// Makes a plan, or changes it for every account that has it. A new one begins as the default plan
    /// stands. Gives what it is now.
    ///
    /// # Errors
    /// That of `make`, or if the store fails.
    pub fn change_plan(
        &self,
        name: &PlanName,
        make: impl FnOnce(&mut Plan) -> Result<(), ChangeError>,
        who: &Actor,
    ) -> Result<Plan, ChangeError> {
        self.change(who, |change, trail| {
            let present = plan(change, name.as_str())?;
            let mut plan = match present {
                Some(present) => present,
                None => plan(change, PlanName::DEFAULT)?.unwrap_or_default(),
            };
            make(&mut plan)?;
            write_plan(change, name, &plan)?;
            trail.note(&Change::PlanSet(name, &plan))?;
            Ok(plan)
        })
    }

    /// Sets all of a plan.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_plan(&self, name: &PlanName, plan: &Plan, who: &Actor) -> Result<(), ChangeError> {
        let all = |changed: &mut Plan| {
            changed.clone_from(plan);
            Ok(())
        };
        self.change_plan(name, all, who).map(drop)
    }

    /// All plans, in the order of their names.
    ///
    /// # Errors
    /// If the store fails.
    pub fn plans(&self) -> Result<Vec<NamedPlan>, StoreError> {
        static ALL: LazyLock<String> =
            LazyLock::new(|| format!("SELECT name, {} FROM plans ORDER BY name", Plan::NAMES.join(", ")));
        self.read(|reader| {
            let mut all = reader.prepare_cached(&ALL)?;
            let plans = all.query_map([], |row| {
                Ok(NamedPlan { name: rows::parsed(row, 0)?, plan: read_plan(row, 1)? })
            })?;
            Ok(plans.collect::<Result<_, _>>()?)
        })
    }

    /// Removes a plan.
    ///
    /// # Errors
    /// If there is none of this name, it is the default plan, or accounts have it.
    pub fn remove_plan(&self, name: &PlanName, who: &Actor) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let id = id_of_plan(change, name)?;
            if name.as_str() == PlanName::DEFAULT {
                return Err(ChangeError::DefaultPlan);
            }
            let accounts: i64 = change
                .prepare_cached("SELECT count(*) FROM accounts WHERE plan = ?1")?
                .query_row([id], |row| row.get(0))?;
            if accounts > 0 {
                let accounts = accounts.unsigned_abs();
                return Err(ChangeError::PlanInUse { plan: name.clone(), accounts });
            }
            change.prepare_cached("DELETE FROM plans WHERE id = ?1")?.execute([id])?;
            Ok(trail.note(&Change::PlanRemoved(name))?)
        })
    }

    /// Gives an account a plan.
    ///
    /// # Errors
    /// If there is no such account or plan.
    pub fn assign_plan(
        &self,
        account: &AccountName,
        plan: &PlanName,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            assign(change, id_of(change, account)?, plan)?;
            Ok(trail.note(&Change::PlanAssigned(account, plan))?)
        })
    }

    /// Which plan an account has.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn plan_of(&self, account: &AccountName) -> Result<PlanName, ChangeError> {
        self.read(|reader| {
            Ok(reader
                .prepare_cached(
                    "SELECT plans.name FROM accounts JOIN plans ON plans.id = coalesce(plan, 1)
                     WHERE accounts.name = ?1",
                )?
                .query_row([account.as_str()], |row| rows::parsed(row, 0))
                .optional()?)
        })?
        .ok_or_else(|| ChangeError::NoSuchAccount(account.clone()))
    }

    /// Sets what an account has otherwise than its plan says: all of it, so that what is not said
    /// is as the plan says.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn set_overrides(
        &self,
        account: &AccountName,
        overrides: &Overrides,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            write_overrides(change, id_of(change, account)?, overrides)?;
            Ok(trail.note(&Change::OverridesSet(account, overrides))?)
        })
    }

    /// What an account has otherwise than its plan says.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn overrides(&self, account: &AccountName) -> Result<Overrides, ChangeError> {
        self.ask(|moment| Ok(overrides(moment, id_of(moment, account)?)?))
    }

    /// What an account may after all: its plan, with its overrides. None if there is no such account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn effective_plan(&self, account: &AccountName) -> Result<Option<Plan>, StoreError> {
        self.read(|reader| Ok(effective_plan(reader, account)?))
    }
}

/// What an account may after all, at the moment of this connection.
pub(crate) fn effective_plan(
    connection: &Connection,
    account: &AccountName,
) -> rusqlite::Result<Option<Plan>> {
    static EFFECTIVE: LazyLock<String> = LazyLock::new(|| {
        let values = each(|name| format!("coalesce(overrides.{name}, plans.{name})"));
        format!(
            "SELECT {values} FROM accounts JOIN plans ON plans.id = coalesce(plan, 1)
             LEFT JOIN overrides ON account = accounts.id WHERE accounts.name = ?1"
        )
    });
    connection.prepare_cached(&EFFECTIVE)?.query_row([account.as_str()], |row| read_plan(row, 0)).optional()
}

/// Gives an account, by its row, a plan.
pub(crate) fn assign(change: &Connection, account: i64, plan: &PlanName) -> Result<(), ChangeError> {
    let plan = id_of_plan(change, plan)?;
    change.prepare_cached("UPDATE accounts SET plan = ?2 WHERE id = ?1")?.execute((account, plan))?;
    Ok(())
}

/// What an account, by its row, has otherwise than its plan says.
pub(crate) fn overrides(moment: &Connection, account: i64) -> rusqlite::Result<Overrides> {
    static OF_ACCOUNT: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {} FROM overrides WHERE account = ?1", Plan::NAMES.join(", ")));
    let found = moment
        .prepare_cached(&OF_ACCOUNT)?
        .query_row([account], |row| {
            let overrides = Overrides::of_numbers(&numbers(row, 0)?);
            overrides.ok_or_else(|| rows::unreadable(0, "overrides with a number out of range"))
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Sets all that an account, by its row, has otherwise than its plan says.
pub(crate) fn write_overrides(
    change: &Connection,
    account: i64,
    overrides: &Overrides,
) -> rusqlite::Result<()> {
    static SET: LazyLock<String> = LazyLock::new(|| {
        let names = Plan::NAMES.join(", ");
        let values = ", ?".repeat(Plan::NAMES.len());
        format!("INSERT OR REPLACE INTO overrides (account, {names}) VALUES (?{values})")
    });
    let numbers = overrides.numbers().into_iter().map(Value::from);
    let values = iter::once(Value::from(account)).chain(numbers);
    change.prepare_cached(&SET)?.execute(params_from_iter(values))?;
    Ok(())
}

fn write_plan(change: &Connection, name: &PlanName, plan: &Plan) -> rusqlite::Result<()> {
    static SET: LazyLock<String> = LazyLock::new(|| {
        let names = Plan::NAMES.join(", ");
        let values = ", ?".repeat(Plan::NAMES.len());
        let changes = each(|name| format!("{name} = excluded.{name}"));
        format!(
            "INSERT INTO plans (name, {names}) VALUES (?{values}) ON CONFLICT (name) DO UPDATE SET {changes}"
        )
    });
    let numbers = plan.numbers().into_iter().map(Value::from);
    let values = iter::once(Value::from(name.to_string())).chain(numbers);
    change.prepare_cached(&SET)?.execute(params_from_iter(values))?;
    Ok(())
}

fn plan(moment: &Connection, name: &str) -> rusqlite::Result<Option<Plan>> {
    static OF_NAME: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {} FROM plans WHERE name = ?1", Plan::NAMES.join(", ")));
    moment.prepare_cached(&OF_NAME)?.query_row([name], |row| read_plan(row, 0)).optional()
}

fn id_of_plan(connection: &Connection, name: &PlanName) -> Result<i64, ChangeError> {
    connection
        .prepare_cached("SELECT id FROM plans WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| ChangeError::NoSuchPlan(name.clone()))
}

/// Reads a plan from the columns of its allowances, of which the first is column `first`.
fn read_plan(row: &Row<'_>, first: usize) -> rusqlite::Result<Plan> {
    let plan = Plan::of_numbers(&numbers(row, first)?);
    plan.ok_or_else(|| rows::unreadable(first, "a plan with a number out of range"))
}

fn numbers<T: FromSql>(row: &Row<'_>, first: usize) -> rusqlite::Result<Vec<T>> {
    (first..first + Plan::NAMES.len()).map(|column| row.get(column)).collect()
}

/// A piece of SQL for each allowance, with commas between.
fn each(piece: impl Fn(&str) -> String) -> String {
    Plan::NAMES.iter().map(|name| piece(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use envelope::{Destination, Limit};

    use super::*;
    use crate::example::{Example, WHO, name};

    fn plan_name(text: &str) -> PlanName {
        text.parse().unwrap()
    }

    fn mail_only() -> Plan {
        Plan { sub_domain_addresses: false, messages_per_day: Limit::AtMost(100), ..Plan::default() }
    }

    #[test]
    fn a_new_plan_begins_as_the_default_plan_stands() {
        let store = &Example::empty().store;
        let change = |plan: &str, name: &str, value: &str| {
            store.change_plan(&plan_name(plan), |plan| Ok(plan.set(name, value)?), &WHO)
        };
        change("default", "forward_limit", "4").unwrap();
        let made = change("new", "messages_per_day", "100").unwrap();
        let messages_per_day = Limit::AtMost(100);
        assert_eq!(made, Plan { forward_limit: 4, messages_per_day, ..Plan::default() });
        let changed = change("new", "programs", "true").unwrap();
        assert_eq!(changed, Plan { programs: true, ..made });
        let refused = change("other", "programs", "perhaps").unwrap_err();
        assert_eq!(refused.to_string(), "\"perhaps\" is no value for programs; it wants true or false");
        assert_eq!(store.plans().unwrap().len(), 2);
    }

    #[test]
    fn an_account_has_the_default_plan_until_it_is_given_another() {
        let example = Example::pobox();
        let store = &example.store;
        assert_eq!(store.plan_of(&name("abc")).unwrap(), plan_name(PlanName::DEFAULT));
        assert_eq!(store.effective_plan(&name("abc")).unwrap(), Some(Plan::default()));
        store.set_plan(&plan_name("mail-only"), &mail_only(), &WHO).unwrap();
        store.assign_plan(&name("abc"), &plan_name("mail-only"), &WHO).unwrap();
        assert_eq!(store.plan_of(&name("abc")).unwrap(), plan_name("mail-only"));
        assert_eq!(store.effective_plan(&name("abc")).unwrap(), Some(mail_only()));
        assert_eq!(store.effective_plan(&name("xyz")).unwrap(), Some(Plan::default()));
        assert_eq!(store.effective_plan(&name("nobody")).unwrap(), None);
        let names: Vec<_> = store.plans().unwrap().into_iter().map(|plan| plan.name.to_string()).collect();
        assert_eq!(names, ["default", "mail-only"]);
    }

    #[test]
    fn overrides_count_before_the_plan_also_when_it_changes() {
        let example = Example::pobox();
        let store = &example.store;
        let overrides = Overrides { messages_per_day: Some(Limit::Unlimited), ..Overrides::default() };
        store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        assert_eq!(store.overrides(&name("abc")).unwrap(), overrides);
        store.set_plan(&plan_name(PlanName::DEFAULT), &mail_only(), &WHO).unwrap();
        let plan = store.effective_plan(&name("abc")).unwrap().unwrap();
        assert_eq!((plan.sub_domain_addresses, plan.messages_per_day), (false, Limit::Unlimited));
        store.set_overrides(&name("abc"), &Overrides::default(), &WHO).unwrap();
        assert_eq!(store.effective_plan(&name("abc")).unwrap(), Some(mail_only()));
    }

    #[test]
    fn a_plan_that_is_in_use_or_the_default_stays() {
        let example = Example::pobox();
        let store = &example.store;
        let basic = plan_name("basic");
        store.set_plan(&basic, &mail_only(), &WHO).unwrap();
        store.assign_plan(&name("abc"), &basic, &WHO).unwrap();
        assert_eq!(
            store.remove_plan(&basic, &WHO).unwrap_err().to_string(),
            "1 account(s) have the plan basic; give them another by `hikyaku account set NAME --plan PLAN` first"
        );
        let default = plan_name(PlanName::DEFAULT);
        assert!(matches!(store.remove_plan(&default, &WHO), Err(ChangeError::DefaultPlan)));
        store.assign_plan(&name("abc"), &default, &WHO).unwrap();
        store.remove_plan(&basic, &WHO).unwrap();
        assert!(matches!(store.remove_plan(&basic, &WHO), Err(ChangeError::NoSuchPlan(_))));
        assert!(store.assign_plan(&name("abc"), &basic, &WHO).is_err());
        assert!(store.assign_plan(&name("nobody"), &default, &WHO).is_err());
        assert!(store.set_overrides(&name("nobody"), &Overrides::default(), &WHO).is_err());
    }

    #[test]
    fn sub_domain_addresses_come_and_go_with_the_plan_at_once() {
        let example = Example::pobox();
        let leads = |address: &str| example.store.resolve(&address.parse().unwrap()).unwrap();
        let all = ["foo@abc.pobox.example", "abc+foo@pobox.example", "abc-foo@pobox.example"];
        assert!(all.iter().all(|address| matches!(leads(address), Destination::Local(_))));
        let basic = plan_name("basic");
        example.store.set_plan(&basic, &mail_only(), &WHO).unwrap();
        for account in ["abc", "xyz"] {
            example.store.assign_plan(&name(account), &basic, &WHO).unwrap();
        }
        assert!(all.iter().all(|address| leads(address) == Destination::NoSuchMailbox));
        for kept in ["abc@pobox.example", "order@shop.example"] {
            assert!(matches!(leads(kept), Destination::Local(_)), "{kept}");
        }
        let overrides = Overrides { sub_domain_addresses: Some(true), ..Overrides::default() };
        example.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        assert!(all.iter().all(|address| matches!(leads(address), Destination::Local(_))));
    }

    #[test]
    fn the_longest_account_name_decides_even_if_its_plan_says_no() {
        let example = Example::pobox();
        example.add_account("abc-foo");
        let none = Overrides { sub_domain_addresses: Some(false), ..Overrides::default() };
        example.store.set_overrides(&name("abc-foo"), &none, &WHO).unwrap();
        let to = "abc-foo-bar@pobox.example".parse().unwrap();
        assert_eq!(example.store.resolve(&to).unwrap(), Destination::NoSuchMailbox);
    }

    #[test]
    fn overrides_go_with_their_account() {
        let example = Example::pobox();
        let overrides = Overrides { programs: Some(true), ..Overrides::default() };
        example.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        example.add_account("abc");
        assert_eq!(example.store.overrides(&name("abc")).unwrap(), Overrides::default());
    }

    #[test]
    fn each_change_of_a_plan_is_in_the_trail_with_its_numbers() {
        let example = Example::pobox();
        let overrides = Overrides { programs: Some(true), ..Overrides::default() };
        example.store.set_plan(&plan_name("basic"), &mail_only(), &WHO).unwrap();
        example.store.assign_plan(&name("abc"), &plan_name("basic"), &WHO).unwrap();
        example.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        let trail = example.store.audit_trail(3).unwrap();
        assert_eq!(trail[0].what, "account abc has, whatever its plan says, programs=true");
        assert_eq!(trail[1].what, "account abc given plan basic");
        assert!(trail[2].what.starts_with("plan basic set to sub_domain_addresses=false forward_limit=10 "));
    }
}
