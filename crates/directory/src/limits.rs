//! Whether an account may send one more message, and that it sends it.
//!
//! [`Store::may_send`] is asked early and counts nothing. [`Store::count`] judges and counts in one step,
//! when all is known of the message: of two at the same moment only one passes where one more was allowed.

use envelope::{AccountName, AccountState, Address, Limit, LimitReached, Plan, SendingLimit};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::correspondents::Correspondent;
use crate::error::StoreError;
use crate::plans::effective_plan;
use crate::rows;
use crate::sent::{DAY, HOUR, Period, Periods};
use crate::store::Store;

/// Why an account may not send a message.
#[derive(Debug, Error)]
pub enum SendingRefused {
    /// The account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// The account may receive, but not send.
    #[error("the account may receive mail, but not send it")]
    ReceiveOnly,
    /// There is no such account: it was removed meanwhile.
    #[error("there is no such account any more")]
    NoSuchAccount,
    /// The message is larger than the account's plan allows, in bytes.
    #[error("the message is larger than the {0} bytes that the account's plan allows")]
    TooLarge(u64),
    /// Enough for now.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for SendingRefused {
    fn from(error: rusqlite::Error) -> SendingRefused {
        SendingRefused::Store(error.into())
    }
}

/// What an account has sent in the current hour and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentSoFar {
    /// Messages in this hour.
    pub messages_this_hour: u64,
    /// Recipients in this hour.
    pub recipients_this_hour: u64,
    /// Messages in this day.
    pub messages_this_day: u64,
    /// Recipients in this day.
    pub recipients_this_day: u64,
    /// Of them, who had not been written to before.
    pub new_recipients_this_day: u64,
}

impl Store {
    /// Whether an account may send one more message of one recipient at `now`, in seconds since 1970.
    /// Whether that recipient would be a new one is not asked.
    ///
    /// # Errors
    /// If it may not, or the store fails.
    pub fn may_send(&self, account: &AccountName, now: u64) -> Result<(), SendingRefused> {
        let sender = self.active_sender(account)?;
        sender.allows(&self.usage().sent().at(sender.id, now), 1)
    }

    /// Counts a message of `size` bytes to these recipients that is about to be accepted at `now`, in
    /// seconds since 1970, if the account may send it.
    ///
    /// # Errors
    /// If it may not, or the store fails: then nothing is counted.
    pub fn count(
        &self,
        account: &AccountName,
        recipients: &[Address],
        size: u64,
        now: u64,
    ) -> Result<(), SendingRefused> {
        let sender = self.active_sender(account)?;
        if let Limit::AtMost(most) = sender.plan.message_size_max
            && size > most
        {
            return Err(SendingRefused::TooLarge(most));
        }
        let (id, count) = (sender.id, recipients.len() as u64);
        let all = Correspondent::all(recipients);
        let usage = self.usage();
        // Until it is counted, nobody else is judged.
        let _one_at_a_time = usage.counting();
        let periods = usage.sent().at(id, now);
        sender.allows(&periods, count)?;
        let new = usage.new_correspondents(id, &all, now)?;
        if new > 0 {
            let limit = sender.plan.new_recipients_per_day;
            let day = Ask::of(&periods.day, DAY);
            day.allows(SendingLimit::NewRecipientsPerDay, limit, periods.day.new, new)?;
        }
        usage.correspondents().add(id, &all, now);
        usage.sent().add(id, count, new, now);
        usage.changed();
        Ok(())
    }

    /// Whether the owner is to be told of a limit: true the first time in the hour or day in which it was
    /// reached, and then no more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tell_of_limit(
        &self,
        account: &AccountName,
        which: SendingLimit,
        now: u64,
    ) -> Result<bool, StoreError> {
        let Some(Sender { id, .. }) = self.sender(account)? else { return Ok(false) };
        let usage = self.usage();
        let first = {
            let mut sent = usage.sent();
            let mut periods = sent.at(id, now);
            let period = if is_of_hour(which) { &mut periods.hour } else { &mut periods.day };
            let first = period.told & bit(which) == 0;
            period.told |= bit(which);
            sent.put(id, periods);
            first
        };
        usage.changed();
        Ok(first)
    }

    /// Whether the owner was told already, in this hour or day, that this limit was reached.
    ///
    /// # Errors
    /// If the store fails.
    pub fn was_told_of_limit(
        &self,
        account: &AccountName,
        which: SendingLimit,
        now: u64,
    ) -> Result<bool, StoreError> {
        let Some(Sender { id, .. }) = self.sender(account)? else { return Ok(true) };
        let Periods { hour, day } = self.usage().sent().at(id, now);
        Ok((if is_of_hour(which) { hour } else { day }).told & bit(which) != 0)
    }

    /// What an account has sent in the hour and day of `now`, in seconds since 1970. None if there is no
    /// such account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sent_so_far(&self, account: &AccountName, now: u64) -> Result<Option<SentSoFar>, StoreError> {
        let Some(Sender { id, .. }) = self.sender(account)? else { return Ok(None) };
        let periods = self.usage().sent().at(id, now);
        Ok(Some(SentSoFar {
            messages_this_hour: periods.hour.messages,
            recipients_this_hour: periods.hour.recipients,
            messages_this_day: periods.day.messages,
            recipients_this_day: periods.day.recipients,
            new_recipients_this_day: periods.day.new,
        }))
    }

    fn sender(&self, account: &AccountName) -> Result<Option<Sender>, StoreError> {
        self.read(|moment| {
            let Some((id, state)) = id_and_state(moment, account)? else { return Ok(None) };
            Ok(effective_plan(moment, account)?.map(|plan| Sender { id, state, plan }))
        })
    }

    fn active_sender(&self, account: &AccountName) -> Result<Sender, SendingRefused> {
        let sender = self.sender(account)?.ok_or(SendingRefused::NoSuchAccount)?;
        match sender.state {
            AccountState::Active => Ok(sender),
            AccountState::Suspended => Err(SendingRefused::Suspended),
            AccountState::ReceiveOnly => Err(SendingRefused::ReceiveOnly),
        }
    }
}

/// An account that wants to send.
struct Sender {
    id: i64,
    state: AccountState,
    plan: Plan,
}

impl Sender {
    /// Whether one more message of so many recipients is within the limits, whoever they are.
    fn allows(&self, periods: &Periods, recipients: u64) -> Result<(), SendingRefused> {
        use SendingLimit::{MessagesPerDay, MessagesPerHour, RecipientsPerDay, RecipientsPerHour};
        let (plan, Periods { hour, day }) = (&self.plan, periods);
        let (in_hour, in_day) = (Ask::of(hour, HOUR), Ask::of(day, DAY));
        in_hour.allows(MessagesPerHour, plan.messages_per_hour, hour.messages, 1)?;
        in_day.allows(MessagesPerDay, plan.messages_per_day, day.messages, 1)?;
        in_hour.allows(RecipientsPerHour, plan.recipients_per_hour, hour.recipients, recipients)?;
        in_day.allows(RecipientsPerDay, plan.recipients_per_day, day.recipients, recipients)?;
        Ok(())
    }
}

fn bit(which: SendingLimit) -> u32 {
    1 << which as u32
}

fn is_of_hour(which: SendingLimit) -> bool {
    matches!(which, SendingLimit::MessagesPerHour | SendingLimit::RecipientsPerHour)
}

/// What is asked of one period.
struct Ask {
    ends: u64,
}

impl Ask {
    fn of(period: &Period, length: u64) -> Ask {
        Ask { ends: period.begun.saturating_add(length) }
    }

    fn allows(&self, which: SendingLimit, limit: Limit, so_far: u64, more: u64) -> Result<(), LimitReached> {
        match limit {
            Limit::AtMost(most) if !limit.allows(so_far.saturating_add(more)) => {
                let until = limit.allows(more).then_some(self.ends);
                Err(LimitReached { which, most, until })
            }
            _ => Ok(()),
        }
    }
}

fn id_and_state(moment: &Connection, account: &AccountName) -> rusqlite::Result<Option<(i64, AccountState)>> {
    use AccountState::{Active, ReceiveOnly, Suspended};
    moment
        .prepare_cached("SELECT id, state FROM accounts WHERE name = ?1")?
        .query_row([account.as_str()], |row| {
            let states = [Active, Suspended, ReceiveOnly];
            Ok((row.get(0)?, rows::one_of(row, 1, &states, AccountState::as_str)?))
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use envelope::Overrides;
    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, name};

    const NOW: u64 = 1_800_000_000;

    fn to(count: usize) -> Vec<Address> {
        (0..count).map(|number| format!("a{number}@x.example").parse().unwrap()).collect()
    }

    /// A store in which abc has these overrides.
    fn with(overrides: Overrides) -> Example {
        let example = Example::pobox();
        example.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
        example
    }

    /// Sends if it is allowed; else says which limit, and for how many seconds it holds.
    fn send(store: &Store, recipients: &[Address], now: u64) -> Result<(), (SendingLimit, Option<u64>)> {
        match store.count(&name("abc"), recipients, 1000, now) {
            Ok(()) => Ok(()),
            Err(SendingRefused::LimitReached(reached)) => {
                Err((reached.which, reached.until.map(|until| until - now)))
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn messages_are_counted_by_the_hour_and_by_the_day_from_the_first_on() {
        let overrides = Overrides {
            messages_per_hour: Some(Limit::AtMost(2)),
            messages_per_day: Some(Limit::AtMost(3)),
            ..Overrides::default()
        };
        let store = &with(overrides).store;
        assert_eq!(send(store, &to(1), NOW), Ok(()));
        assert_eq!(send(store, &to(1), NOW + 3000), Ok(()));
        assert_eq!(send(store, &to(1), NOW + 3599), Err((SendingLimit::MessagesPerHour, Some(1))));
        assert_eq!(send(store, &to(1), NOW + 3600), Ok(()));
        assert_eq!(send(store, &to(1), NOW + 3600), Err((SendingLimit::MessagesPerDay, Some(82_800))));
        assert_eq!(send(store, &to(1), NOW + 86_400), Ok(()));
        let so_far = store.sent_so_far(&name("abc"), NOW + 86_400).unwrap().unwrap();
        assert_eq!((so_far.messages_this_hour, so_far.messages_this_day), (1, 1));
        assert_eq!(store.sent_so_far(&name("nobody"), NOW).unwrap(), None);
    }

    #[test]
    fn recipients_are_counted_and_one_message_that_is_over_the_limit_never_passes() {
        let overrides = Overrides { recipients_per_hour: Some(Limit::AtMost(10)), ..Overrides::default() };
        let store = &with(overrides).store;
        assert_eq!(send(store, &to(11), NOW), Err((SendingLimit::RecipientsPerHour, None)));
        assert_eq!(send(store, &to(6), NOW), Ok(()));
        assert_eq!(send(store, &to(5), NOW), Err((SendingLimit::RecipientsPerHour, Some(3600))));
        assert_eq!(send(store, &to(4), NOW), Ok(()));
        let per_day = Overrides { recipients_per_day: Some(Limit::AtMost(10)), ..Overrides::default() };
        store.set_overrides(&name("abc"), &per_day, &WHO).unwrap();
        assert_eq!(send(store, &to(1), NOW), Err((SendingLimit::RecipientsPerDay, Some(86_400))));
    }

    #[test]
    fn only_recipients_who_were_not_written_to_before_are_new_also_after_a_restart() {
        let overrides = Overrides { new_recipients_per_day: Some(Limit::AtMost(5)), ..Overrides::default() };
        let example = with(overrides);
        assert_eq!(send(&example.store, &to(5), NOW), Ok(()));
        assert_eq!(send(&example.store, &to(5), NOW), Ok(()));
        let reached = Err((SendingLimit::NewRecipientsPerDay, Some(86_400)));
        assert_eq!(send(&example.store, &to(6), NOW), reached);
        example.store.flush_usage();
        let again = example.opened_again();
        assert_eq!(send(&again, &to(5), NOW), Ok(()));
        assert_eq!(send(&again, &to(6), NOW), reached);
        assert_eq!(send(&again, &to(6), NOW + 86_400), Ok(()));
        let so_far = again.sent_so_far(&name("abc"), NOW + 86_400).unwrap().unwrap();
        assert_eq!(so_far.new_recipients_this_day, 1);
        // After a year without a letter somebody is new again.
        again.flush_usage();
        let later = NOW + 367 * 86_400;
        assert_eq!(send(&again, &to(5), later), Ok(()));
        assert_eq!(again.sent_so_far(&name("abc"), later).unwrap().unwrap().new_recipients_this_day, 5);
    }

    #[test]
    fn counts_survive_a_restart_and_are_swept_out_when_they_are_over() {
        let example = with(Overrides { messages_per_day: Some(Limit::AtMost(1)), ..Overrides::default() });
        assert_eq!(send(&example.store, &to(1), NOW), Ok(()));
        assert!(example.store.tell_of_limit(&name("abc"), SendingLimit::MessagesPerDay, NOW).unwrap());
        example.store.flush_usage();
        let again = example.opened_again();
        assert_eq!(send(&again, &to(1), NOW + 10), Err((SendingLimit::MessagesPerDay, Some(86_390))));
        assert!(!again.tell_of_limit(&name("abc"), SendingLimit::MessagesPerDay, NOW).unwrap());
        again.usage().sent().sweep(NOW + 86_399);
        assert!(send(&again, &to(1), NOW + 20).is_err());
        again.usage().sent().sweep(NOW + 86_400);
        again.flush_usage();
        assert_eq!(send(&example.opened_again(), &to(1), NOW + 20), Ok(()));
    }

    #[test]
    fn the_owner_is_told_once_of_each_limit_in_its_period() {
        let store = &Example::pobox().store;
        let told = |which, now| store.tell_of_limit(&name("abc"), which, now).unwrap();
        send(store, &to(1), NOW).unwrap();
        assert!(told(SendingLimit::MessagesPerHour, NOW) && !told(SendingLimit::MessagesPerHour, NOW + 3599));
        assert!(told(SendingLimit::RecipientsPerHour, NOW) && told(SendingLimit::MessagesPerDay, NOW));
        assert!(told(SendingLimit::MessagesPerHour, NOW + 3600));
        assert!(
            !told(SendingLimit::MessagesPerDay, NOW + 86_399)
                && told(SendingLimit::MessagesPerDay, NOW + 86_400)
        );
        assert!(!store.tell_of_limit(&name("nobody"), SendingLimit::MessagesPerDay, NOW).unwrap());
    }

    #[test]
    fn who_is_suspended_or_may_only_receive_or_is_gone_may_not_send() {
        let example = Example::pobox();
        let ask = || {
            let early = example.store.may_send(&name("abc"), NOW).unwrap_err();
            let late = example.store.count(&name("abc"), &to(1), 1, NOW).unwrap_err();
            assert_eq!(early.to_string(), late.to_string());
            late
        };
        let set = |state| example.store.set_state(&name("abc"), state, &WHO).unwrap();
        set(AccountState::Suspended);
        assert!(matches!(ask(), SendingRefused::Suspended));
        set(AccountState::ReceiveOnly);
        assert!(matches!(ask(), SendingRefused::ReceiveOnly));
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        assert!(matches!(ask(), SendingRefused::NoSuchAccount));
    }

    #[test]
    fn a_message_may_be_as_large_as_the_plan_says() {
        let example = with(Overrides { message_size_max: Some(Limit::AtMost(1000)), ..Overrides::default() });
        let ask = |size| example.store.count(&name("abc"), &to(1), size, NOW);
        assert!(ask(1000).is_ok());
        let refused = ask(1001).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the message is larger than the 1000 bytes that the account's plan allows"
        );
    }

    #[test]
    fn who_asks_early_hears_of_a_limit_and_counts_nothing() {
        let overrides = Overrides {
            messages_per_hour: Some(Limit::AtMost(2)),
            new_recipients_per_day: Some(Limit::AtMost(1)),
            ..Overrides::default()
        };
        let store = &with(overrides).store;
        let ask = || store.may_send(&name("abc"), NOW);
        (0..5).for_each(|_| ask().unwrap());
        assert_eq!(send(store, &to(1), NOW), Ok(()));
        // He may write to the same person once more.
        ask().unwrap();
        assert_eq!(send(store, &to(1), NOW), Ok(()));
        let reached = LimitReached { which: SendingLimit::MessagesPerHour, most: 2, until: Some(NOW + 3600) };
        assert!(matches!(ask(), Err(SendingRefused::LimitReached(found)) if found == reached));
    }

    #[test]
    fn a_limit_that_was_lowered_since_keeps_nobody_from_writing_to_whom_he_knows() {
        let example = Example::pobox();
        assert_eq!(send(&example.store, &to(5), NOW), Ok(()));
        let none = Overrides { new_recipients_per_day: Some(Limit::AtMost(0)), ..Overrides::default() };
        example.store.set_overrides(&name("abc"), &none, &WHO).unwrap();
        assert_eq!(send(&example.store, &to(5), NOW), Ok(()));
        assert_eq!(send(&example.store, &to(6), NOW), Err((SendingLimit::NewRecipientsPerDay, None)));
    }

    #[test]
    fn of_messages_at_the_same_moment_no_more_pass_than_are_allowed() {
        let one = Some(Limit::AtMost(1));
        let store = &with(Overrides { messages_per_hour: one, ..Overrides::default() }).store;
        let together = &std::sync::Barrier::new(4);
        // In each of so many hours, all try to be the one.
        let hours = 500;
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let passes = |hour: &u64| {
                            together.wait();
                            send(store, &to(1), NOW + hour * 3600).is_ok()
                        };
                        (0..hours).filter(passes).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed as u64, hours);
    }

    #[test]
    fn a_clock_that_is_set_back_blocks_nobody_for_longer_than_a_day() {
        let store =
            &with(Overrides { messages_per_day: Some(Limit::AtMost(1)), ..Overrides::default() }).store;
        assert_eq!(send(store, &to(1), NOW), Ok(()));
        assert_eq!(send(store, &to(1), NOW - 1_000_000), Ok(()));
        let reached = Err((SendingLimit::MessagesPerDay, Some(86_400)));
        assert_eq!(send(store, &to(1), NOW - 1_000_000), reached);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        /// Whatever is sent when: in no day of ours is more accepted than the limit.
        #[test]
        fn no_period_has_more_than_its_limit(
            steps in prop::collection::vec((0u64..20_000, 1usize..4), 1..60),
        ) {
            let overrides =
                Overrides { recipients_per_day: Some(Limit::AtMost(7)), ..Overrides::default() };
            let store = &with(overrides).store;
            let mut now = NOW;
            let mut period: Option<(u64, usize)> = None;
            for (later, recipients) in steps {
                now += later;
                let (begun, count) = period.filter(|(begun, _)| now < begun + 86_400).unwrap_or((now, 0));
                let sent = send(store, &to(recipients), now);
                prop_assert_eq!(sent.is_ok(), count + recipients <= 7);
                if sent.is_ok() {
                    period = Some((begun, count + recipients));
                }
            }
        }
    }
}
