//! Consent: whether the owner of a destination outside wants what an account forwards to him.
//!
//! He is asked by mail, and answers by the link in it. Until then the destination is switched off in the
//! instructions, and so it is what delivery obeys, not this table, that keeps his mailbox free of what he did not ask
//! for.
//!
//! | state | the link | comes by | next |
//! |---|---|---|---|
//! | asked | lives for [`LINK_LIFETIME`] | a mail | agreed or declined by the link; asked again by another mail |
//! | agreed | lives on | the link | declined by the link, at any time |
//! | declined | lives on | the link | agreed by the link; nobody else can ask him again |

use envelope::provenance::Reached;
use envelope::{AccountName, Address};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::extension::Extension;
use crate::instructions::{Instructions, all_of, one};
use crate::rows;
use crate::store::{Store, unix_now};

/// How long a link lives that nobody has followed, in seconds.
pub const LINK_LIFETIME: u64 = 7 * 86_400;
/// The most mails that one account can have written to owners of destinations, in 24 hours.
pub const ASKED_PER_DAY_MAX: u32 = 20;
/// After so many seconds the same one may be asked again.
pub const ASKED_AGAIN_AFTER: u64 = 3600;

/// What somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentState {
    /// Nothing yet.
    Asked,
    /// He wants it.
    Agreed,
    /// He does not.
    Declined,
}

impl ConsentState {
    const ALL: [ConsentState; 3] = [ConsentState::Asked, ConsentState::Agreed, ConsentState::Declined];

    fn as_str(self) -> &'static str {
        match self {
            ConsentState::Asked => "asked",
            ConsentState::Agreed => "agreed",
            ConsentState::Declined => "declined",
        }
    }
}

/// What the owner of one destination said to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// What he said.
    pub state: ConsentState,
    /// Whether the destination is wanted in the address that was asked about.
    pub wanted: bool,
    /// Whether the mailbox of that address has a copy only until he agrees.
    pub interim: bool,
    /// When he was last asked, in seconds since 1970.
    pub asked: u64,
}

/// What a link is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedConsent {
    /// Who forwards.
    pub account: AccountName,
    /// To whom, folded.
    pub destination: Address,
    /// From which addresses.
    pub addresses: Vec<Extension>,
    /// What he has said so far.
    pub state: ConsentState,
}

/// Why nobody is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedEnough {
    /// The account has had [`ASKED_PER_DAY_MAX`] asked.
    Today,
    /// This one was asked within [`ASKED_AGAIN_AFTER`].
    JustNow,
}

impl Store {
    /// What a link is about, by the digest of what opens it; none if it does not live.
    ///
    /// # Errors
    /// If the store fails.
    pub fn linked_consent(&self, link: &[u8; 32], now: u64) -> Result<Option<LinkedConsent>, StoreError> {
        self.read(|moment| Ok(linked(moment, link, now)?.map(|(_, _, consent)| consent)))
    }

    /// Takes an answer, and has it obeyed at once: a yes in the addresses for which he was asked, a no in all of the
    /// account. Gives what it was about; none if the link does not live.
    ///
    /// `rewrite` is given instructions, and whether the mailbox has a copy only until a yes; it gives their text
    /// with the destination switched on or off, or none if nothing changes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn answer_consent(
        &self,
        link: &[u8; 32],
        wanted: bool,
        now: u64,
        rewrite: impl Fn(&LinkedConsent, &str, bool) -> Option<String>,
    ) -> Result<Option<LinkedConsent>, ChangeError> {
        self.change(&Actor::Server, |change, trail| {
            let Some((id, account, consent)) = linked(change, link, now)? else { return Ok(None) };
            let state = if wanted { ConsentState::Agreed } else { ConsentState::Declined };
            if state == consent.state {
                return Ok(Some(consent));
            }
            change
                .prepare_cached("UPDATE consents SET state = ?2 WHERE id = ?1")?
                .execute((id, state.as_str()))?;
            let concerned: Vec<(Instructions, bool)> = match wanted {
                true => wanted_in(change, id)?
                    .into_iter()
                    .filter_map(|(extension, interim)| {
                        one(change, account, &extension)
                            .map(|found| found.map(|one| (one, interim)))
                            .transpose()
                    })
                    .collect::<Result<_, _>>()?,
                false => all_of(change, account)?.into_iter().map(|one| (one, false)).collect(),
            };
            let mut rewritten = 0;
            for (instructions, interim) in concerned {
                let Some(text) = rewrite(&consent, &instructions.text, interim) else { continue };
                change
                    .prepare_cached(
                        "UPDATE instructions SET text = ?3, updated = ?4 WHERE account = ?1 AND name = ?2",
                    )?
                    .execute((account, instructions.extension.key(), text, unix_now()))?;
                rewritten += 1;
            }
            change
                .prepare_cached("UPDATE consent_addresses SET interim = 0 WHERE consent = ?1")?
                .execute([id])?;
            let (of, to) = (&consent.account, &consent.destination);
            trail.note(&Change::ConsentAnswered(of, to, wanted, rewritten))?;
            Ok(Some(consent))
        })
    }

    /// Forgets that these declined what the account forwards, because an operator says so: they may be asked again.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn forget_declined<'a>(
        &self,
        account: &AccountName,
        destinations: impl IntoIterator<Item = &'a Address>,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, _| {
            let id = crate::accounts::id_of(change, account)?;
            for destination in destinations {
                change
                    .prepare_cached(
                        "DELETE FROM consents WHERE account = ?1 AND destination = ?2 AND state = 'declined'",
                    )?
                    .execute((id, folded(destination)))?;
            }
            Ok(())
        })
    }
}

/// What the owner of a destination said to an account.
pub(crate) fn find(
    moment: &Connection,
    account: i64,
    destination: &Address,
    of: &Extension,
) -> rusqlite::Result<Option<Consent>> {
    moment
        .prepare_cached(
            "SELECT state, asked, interim
             FROM consents LEFT JOIN consent_addresses ON consent = id AND name = ?3
             WHERE account = ?1 AND destination = ?2",
        )?
        .query_row((account, folded(destination), of.key()), |row| {
            let interim: Option<bool> = row.get(2)?;
            let (wanted, interim) = (interim.is_some(), interim.unwrap_or(false));
            Ok(Consent { state: state(row, 0)?, wanted, interim, asked: rows::seconds(row, 1)? })
        })
        .optional()
}

/// Notes that he is asked now, by a mail with this link; what he was asked by before is void.
pub(crate) fn ask(
    change: &Connection,
    account: i64,
    destination: &Address,
    link: &[u8; 32],
    now: u64,
) -> rusqlite::Result<Result<(), AskedEnough>> {
    let (now, second) = (i64::try_from(now).unwrap_or(i64::MAX), |seconds: u64| seconds.cast_signed());
    let just_now = change
        .prepare_cached("SELECT 1 FROM consents WHERE account = ?1 AND destination = ?2 AND asked > ?3")?
        .exists((account, folded(destination), now - second(ASKED_AGAIN_AFTER)))?;
    if just_now {
        return Ok(Err(AskedEnough::JustNow));
    }
    change
        .prepare_cached("DELETE FROM consent_mails WHERE account = ?1 AND at <= ?2")?
        .execute((account, now - second(86_400)))?;
    let today: u32 = change
        .prepare_cached("SELECT count(*) FROM consent_mails WHERE account = ?1")?
        .query_row([account], |row| row.get(0))?;
    if today >= ASKED_PER_DAY_MAX {
        return Ok(Err(AskedEnough::Today));
    }
    change.prepare_cached("INSERT INTO consent_mails VALUES (?1, ?2)")?.execute((account, now))?;
    change
        .prepare_cached(
            "INSERT INTO consents (account, destination, state, link, asked) VALUES (?1, ?2, 'asked', ?3, ?4)
             ON CONFLICT (account, destination) DO UPDATE
             SET state = excluded.state, link = excluded.link, asked = excluded.asked",
        )?
        .execute((account, folded(destination), link, now))?;
    Ok(Ok(()))
}

/// Notes that a destination, whose owner was asked some time, is wanted in an address.
pub(crate) fn want(
    change: &Connection,
    account: i64,
    destination: &Address,
    of: &Extension,
    interim: bool,
) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT OR REPLACE INTO consent_addresses (consent, name, interim)
             SELECT id, ?3, ?4 FROM consents WHERE account = ?1 AND destination = ?2",
        )?
        .execute((account, folded(destination), of.key(), interim))?;
    Ok(())
}

/// Notes that no such destination is wanted in an address.
pub(crate) fn want_none(change: &Connection, account: i64, of: &Extension) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "DELETE FROM consent_addresses
             WHERE name = ?2 AND consent IN (SELECT id FROM consents WHERE account = ?1)",
        )?
        .execute((account, of.key()))?;
    Ok(())
}

/// The consent of a living link, with its row and the account's.
fn linked(
    moment: &Connection,
    link: &[u8; 32],
    now: u64,
) -> rusqlite::Result<Option<(i64, i64, LinkedConsent)>> {
    let found = moment
        .prepare_cached(
            "SELECT consents.id, account, accounts.name, destination, consents.state, asked
             FROM consents JOIN accounts ON accounts.id = account WHERE link = ?1",
        )?
        .query_row([link], |row| {
            let (account, destination) = (rows::parsed(row, 2)?, rows::parsed(row, 3)?);
            let (state, asked) = (state(row, 4)?, rows::seconds(row, 5)?);
            let consent = LinkedConsent { account, destination, addresses: Vec::new(), state };
            Ok((row.get(0)?, row.get(1)?, consent, asked))
        })
        .optional()?;
    let Some((id, account, mut consent, asked)) = found else { return Ok(None) };
    if consent.state == ConsentState::Asked && now >= asked.saturating_add(LINK_LIFETIME) {
        return Ok(None);
    }
    consent.addresses = wanted_in(moment, id)?.into_iter().map(|(extension, _)| extension).collect();
    Ok(Some((id, account, consent)))
}

/// In which addresses it is wanted, and whether the mailbox has a copy only until then.
fn wanted_in(moment: &Connection, consent: i64) -> rusqlite::Result<Vec<(Extension, bool)>> {
    moment
        .prepare_cached("SELECT name, interim FROM consent_addresses WHERE consent = ?1 ORDER BY name")?
        .query_map([consent], |row| {
            let key = row.get_ref(0)?.as_str()?;
            Ok((Extension::of_key(key).map_err(|error| rows::unreadable(0, error))?, row.get(1)?))
        })?
        .collect()
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<ConsentState> {
    rows::one_of(row, column, &ConsentState::ALL, ConsentState::as_str)
}

/// As addresses compare on the road of the mail.
fn folded(address: &Address) -> String {
    match Reached::address(address) {
        Reached::Address(folded) => folded.into(),
        Reached::Mailbox(_) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::editing::Editing;
    use crate::example::{Example, WHO, name};

    const NOW: u64 = 1_800_000_000;

    fn foo() -> Extension {
        Extension::parse(Some("foo")).unwrap()
    }

    fn edit<T>(example: &Example, edit: impl FnOnce(&mut Editing<'_, '_>) -> Result<T, ChangeError>) -> T {
        example.store.edit_instructions(&name("abc"), &WHO, edit).unwrap()
    }

    fn to(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// Has `a@x.example` asked for `.qmail-foo`.
    fn asked(example: &Example, link: u8, now: u64) -> Result<(), AskedEnough> {
        edit(example, |editing| {
            editing.write(&foo(), "./Maildir/\n#&a@x.example\n", true)?;
            let asked = editing.ask_consent(&to("A@x.example"), &[link; 32], now)?;
            editing.want(&to("a@x.example"), &foo(), false)?;
            Ok(asked)
        })
    }

    fn answer(example: &Example, link: u8, wanted: bool, now: u64) -> Option<LinkedConsent> {
        let (off, on) = ("#&a@x.example", "&a@x.example");
        let rewrite = |_: &LinkedConsent, text: &str, _| {
            let text = text.replace(off, on);
            Some(if wanted { text } else { text.replace(on, off) })
        };
        example.store.answer_consent(&[link; 32], wanted, now, rewrite).unwrap()
    }

    fn text(example: &Example) -> String {
        example.store.instructions(&name("abc"), &foo()).unwrap().unwrap().text
    }

    fn state_of(example: &Example) -> Option<ConsentState> {
        let found = example
            .store
            .snapshot(|snapshot| snapshot.consent(&name("abc"), &to("a@X.example"), &foo()))
            .unwrap();
        found.map(|consent| consent.state)
    }

    #[test]
    fn a_yes_is_obeyed_where_he_was_asked_and_a_no_everywhere_at_any_time() {
        let example = Example::pobox();
        asked(&example, 1, NOW).unwrap();
        assert_eq!(state_of(&example), Some(ConsentState::Asked));
        let consent = example.store.linked_consent(&[1; 32], NOW).unwrap().unwrap();
        assert_eq!((consent.account, consent.addresses), (name("abc"), vec![foo()]));
        answer(&example, 1, true, NOW + 1).unwrap();
        assert_eq!(text(&example), "./Maildir/\n&a@x.example\n");
        assert_eq!(state_of(&example), Some(ConsentState::Agreed));
        answer(&example, 1, false, NOW + 100 * LINK_LIFETIME).unwrap();
        assert_eq!(text(&example), "./Maildir/\n#&a@x.example\n");
        assert_eq!(state_of(&example), Some(ConsentState::Declined));
        let what = example.store.audit_trail_of(&name("abc"), 1).unwrap().remove(0).what;
        assert_eq!(what, "a@x.example does not want what abc forwards (1 instructions changed)");
    }

    #[test]
    fn a_link_lives_for_seven_days_and_until_the_next_and_nobody_guesses_one() {
        let example = Example::pobox();
        asked(&example, 1, NOW).unwrap();
        assert!(answer(&example, 2, true, NOW).is_none());
        assert!(answer(&example, 1, true, NOW + LINK_LIFETIME).is_none());
        asked(&example, 3, NOW + LINK_LIFETIME).unwrap();
        assert!(answer(&example, 1, true, NOW + LINK_LIFETIME).is_none());
        assert!(answer(&example, 3, true, NOW + LINK_LIFETIME).is_some());
    }

    #[test]
    fn nobody_is_asked_twice_in_an_hour_and_an_account_asks_twenty_a_day() {
        let example = Example::pobox();
        asked(&example, 1, NOW).unwrap();
        assert_eq!(asked(&example, 2, NOW + ASKED_AGAIN_AFTER - 1), Err(AskedEnough::JustNow));
        let ask = |number: u8, now| {
            let address = to(&format!("a{number}@x.example"));
            edit(&example, |editing| editing.ask_consent(&address, &[number; 32], now))
        };
        (2..=20).for_each(|number| ask(number, NOW).unwrap());
        assert_eq!(ask(21, NOW + 86_399), Err(AskedEnough::Today));
        assert_eq!(ask(21, NOW + 86_400), Ok(()));
    }

    #[test]
    fn who_declined_is_asked_again_once_an_operator_says_so() {
        let example = Example::pobox();
        asked(&example, 1, NOW).unwrap();
        example.store.forget_declined(&name("abc"), [&to("a@x.example")], &WHO).unwrap();
        assert_eq!(state_of(&example), Some(ConsentState::Asked));
        answer(&example, 1, false, NOW);
        example.store.forget_declined(&name("abc"), [&to("A@x.example")], &WHO).unwrap();
        assert_eq!(state_of(&example), None);
    }
}
