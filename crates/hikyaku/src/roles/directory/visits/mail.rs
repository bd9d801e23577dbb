//! Where a member's mail is.
//!
//! What of it he sees, the record knows (`events/member.rs` of the crate `directory`); what is his, the directory
//! says here: an address is his if it leads to his account, by the one function that delivery asks too.

use std::cell::RefCell;
use std::collections::HashMap;

use directory::{Extension, ForwardResults, Member, OwnMail, OwnMailSearch, StoreError};
use envelope::event::Party;
use envelope::{AccountName, Address, Destination, Domain, DomainKind, HostedDomain, QueueId};
use link::services::directory::Page;
use link::services::directory::visits::{
    Denied, DestinationResults, MailLine, MailSearch, Own, Trouble, Visit, Way,
};
use local::dot_qmail;

use super::{Visitor, unavailable};
use crate::roles::directory::Desk;
use crate::roles::unix_micros;

/// The most lines of one page, and how far one can go back by pages.
const LINES_MAX: u32 = 200;
const SKIP_MAX: u32 = 2_000;
/// Of how many addresses with instructions of their own mail is looked for that reached no mailbox, besides those in
/// domains that are all his.
const EXTENSIONS_MAX: u32 = 100;
const DAY: u64 = 86_400_000_000;

impl Desk {
    pub(super) fn own_mail(&self, visitor: &Visitor, own: Own) -> Result<Visit, Denied> {
        let account = &visitor.standing.account;
        match own {
            Own::Mail(search) => self.mail_of(account, search),
            Own::Life(id) => self.life_of(account, id),
            Own::Results(address) => self.results_of(account, &address),
            _ => Err(Denied::Unavailable),
        }
    }

    fn mail_of(&self, account: &AccountName, search: MailSearch) -> Result<Visit, Denied> {
        let MailSearch { with, way, days, skip, limit } = search;
        let from = unix_micros().saturating_sub(u64::from(days.max(1)).saturating_mul(DAY));
        let wanted = OwnMailSearch {
            with,
            got: way != Way::Out,
            sent: way != Way::In,
            times: from..=u64::MAX,
            skip: count(skip.min(SKIP_MAX)),
            limit: count(limit.clamp(1, LINES_MAX)),
        };
        let parties = self.parties(account).map_err(|error| unavailable(&error))?;
        let (found, more) =
            self.as_member(account, parties, |member| self.events.mail_of(member, &wanted))?;
        let line = |OwnMail { summary, sent, .. }| {
            let went = match way {
                Way::Both if sent => Way::Out,
                Way::Both => Way::In,
                asked => asked,
            };
            MailLine { summary, way: went }
        };
        Ok(Visit::Mail(found.into_iter().map(line).collect(), more && skip < SKIP_MAX))
    }

    fn life_of(&self, account: &AccountName, id: QueueId) -> Result<Visit, Denied> {
        let events = self.as_member(account, Vec::new(), |member| self.events.life_of(member, id))?;
        match events.is_empty() {
            true => Err(Denied::NotFound),
            // As many as fit an answer.
            false => Ok(Visit::Life(Page::of(events, 0).items)),
        }
    }

    fn results_of(&self, account: &AccountName, address: &Address) -> Result<Visit, Denied> {
        let leads_to = self.resolve(address).map_err(|error| unavailable(&error))?;
        let Destination::Local(local) = leads_to else { return Err(Denied::NotFound) };
        if local.mailbox.account != *account {
            return Err(Denied::NotFound);
        }
        let extension = Extension::parse(local.extension.as_deref());
        let file = extension.map_err(|_| Denied::NotSensible("address".into()))?.file_name();
        let parties = self.parties_of(account, &file).map_err(|error| unavailable(&error))?;
        let known: RefCell<HashMap<String, bool>> = RefCell::default();
        // Every form of the address counts, and for one that stands for others, those that have none of their own.
        let is_it = |recipient: &Address| {
            let key = format!("{}@{}", recipient.local_part.folded(), recipient.host);
            if let Some(known) = known.borrow().get(&key) {
                return *known;
            }
            let is_it = self.obeys(account, &file, recipient).unwrap_or(false);
            known.borrow_mut().insert(key, is_it);
            is_it
        };
        let results = self.as_member(account, parties, |member| self.events.forwards_of(member, is_it))?;
        Ok(Visit::Results(results.into_iter().map(told).collect()))
    }

    /// Looks at the record as a member.
    fn as_member<T>(
        &self,
        account: &AccountName,
        parties: Vec<Party>,
        look: impl FnOnce(&Member<'_>) -> T,
    ) -> Result<T, Denied> {
        let found = self.store.account(account).map_err(|error| unavailable(&error))?;
        let since = found.ok_or(Denied::NotFound)?.created.saturating_mul(1_000_000);
        let known: RefCell<HashMap<Address, bool>> = RefCell::default();
        let owns = |address: &Address| {
            if let Some(known) = known.borrow().get(address) {
                return *known;
            }
            // What cannot be looked up now is not his: rather too little is shown.
            let owns = self
                .resolve(address)
                .is_ok_and(|to| matches!(to, Destination::Local(local) if local.mailbox.account == *account));
            known.borrow_mut().insert(address.clone(), owns);
            owns
        };
        Ok(look(&Member { account, since, parties, owns: &owns }))
    }

    /// Whether mail to an address of the account goes by the instructions of this file, or would if they were active.
    fn obeys(&self, account: &AccountName, file: &str, address: &Address) -> Result<bool, StoreError> {
        self.store.snapshot(|snapshot| {
            let Destination::Local(local) = self.resolve_at(snapshot, address)? else { return Ok(false) };
            if local.mailbox.account != *account {
                return Ok(false);
            }
            let extension = local.extension.as_deref();
            if Extension::parse(extension).is_ok_and(|own| own.file_name() == file) {
                return Ok(true);
            }
            for candidate in dot_qmail::candidates(extension) {
                if snapshot.has_instructions(account, candidate.name.as_str())? {
                    return Ok(candidate.name.as_str() == file);
                }
            }
            Ok(false)
        })
    }

    /// Under which parties a member's mail is found.
    fn parties(&self, account: &AccountName) -> Result<Vec<Party>, StoreError> {
        let mut parties = vec![Party::Account(account.clone())];
        let domains = self.store.domains()?;
        for domain in &domains {
            match kind(domain, &domains) {
                DomainKind::Provider => {
                    parties.extend(at(account.as_str(), &domain.name));
                    parties.extend(sub_domain(account, &domain.name).map(Party::Domain));
                    // Whoever gets the postmaster's mail, is found by it; the others have nothing there.
                    parties.extend(["postmaster", "abuse", "root"].iter().filter_map(|role| {
                        let address = at(role, &domain.name)?;
                        let Party::Address(whose) = &address else { return None };
                        let to = self.resolve(whose).ok()?;
                        let his =
                            matches!(to, Destination::Local(local) if local.mailbox.account == *account);
                        his.then_some(address)
                    }));
                }
                DomainKind::Virtual { owner, .. } if owner == account => {
                    parties.push(Party::Domain(domain.name.clone()));
                }
                DomainKind::Virtual { .. } | DomainKind::Alias { .. } | DomainKind::Relay => {}
            }
        }
        let own = self.store.instructions_of(account, "", None, EXTENSIONS_MAX);
        for own in own.into_iter().flatten() {
            let file = own.extension.file_name();
            let Some(typed) = file.strip_prefix(".qmail-") else { continue };
            let providers = domains.iter().filter(|it| matches!(kind(it, &domains), DomainKind::Provider));
            parties.extend(providers.flat_map(|it| with_account(account, typed, &it.name)));
        }
        Ok(parties)
    }

    /// Under which parties the mail to one address is found, whose instructions have this file.
    fn parties_of(&self, account: &AccountName, file: &str) -> Result<Vec<Party>, StoreError> {
        let domains = self.store.domains()?;
        let Some(typed) = file.strip_prefix(".qmail-") else {
            let providers = domains.iter().filter(|it| matches!(kind(it, &domains), DomainKind::Provider));
            return Ok(providers.filter_map(|it| at(account.as_str(), &it.name)).collect());
        };
        // It stands for addresses that are not known by name.
        if typed.ends_with("default") {
            return self.parties(account);
        }
        let mut parties = Vec::new();
        for domain in &domains {
            match kind(domain, &domains) {
                DomainKind::Provider => {
                    parties.extend(
                        sub_domain(account, &domain.name).into_iter().flat_map(|at| forms(typed, &at)),
                    );
                    parties.extend(with_account(account, typed, &domain.name));
                }
                DomainKind::Virtual { owner, prefix } if owner == account => {
                    let local_part = match prefix {
                        None => Some(typed),
                        Some(prefix) => {
                            typed.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('-'))
                        }
                    };
                    parties.extend(local_part.into_iter().flat_map(|typed| forms(typed, &domain.name)));
                }
                DomainKind::Virtual { .. } | DomainKind::Alias { .. } | DomainKind::Relay => {}
            }
        }
        // Such as the postmaster's.
        parties.extend(
            domains
                .iter()
                .filter(|it| matches!(kind(it, &domains), DomainKind::Provider))
                .flat_map(|it| forms(typed, &it.name)),
        );
        Ok(parties)
    }
}

/// What a domain is to us: an alias what its target is.
fn kind<'a>(domain: &'a HostedDomain, all: &'a [HostedDomain]) -> &'a DomainKind {
    match &domain.kind {
        DomainKind::Alias { of } => all.iter().find(|it| it.name == *of).map_or(&domain.kind, |it| &it.kind),
        kind => kind,
    }
}

fn at(local_part: &str, domain: &Domain) -> Option<Party> {
    format!("{local_part}@{domain}").parse().ok().map(Party::Address)
}

fn sub_domain(account: &AccountName, domain: &Domain) -> Option<Domain> {
    format!("{account}.{domain}").parse().ok()
}

/// How the part before the @ may be written of an address whose file has this name: a colon there is a dot.
fn forms(typed: &str, domain: &Domain) -> Vec<Party> {
    let mut forms: Vec<Party> = at(typed, domain).into_iter().collect();
    if typed.contains(':') {
        forms.extend(at(&typed.replace(':', "."), domain));
    }
    forms
}

/// `abc-foo@` and `abc+foo@`.
fn with_account(account: &AccountName, typed: &str, domain: &Domain) -> Vec<Party> {
    let mut all = forms(&format!("{account}-{typed}"), domain);
    all.extend(forms(&format!("{account}+{typed}"), domain));
    all
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn told(results: ForwardResults) -> DestinationResults {
    let ForwardResults { destination, delivered, failed, waiting, last_delivered, last_trouble } = results;
    let trouble = |trouble: directory::ForwardTrouble| {
        let directory::ForwardTrouble { at, permanent, host, reply } = trouble;
        Trouble { at, permanent, host, reply }
    };
    let last_trouble = last_trouble.map(trouble);
    DestinationResults { destination, delivered, failed, waiting, last_delivered, last_trouble }
}

#[cfg(test)]
mod tests {
    use directory::NewAccount;
    use envelope::event::{Accepted, Delivery, Door, Event, What};
    use envelope::{Language, Plan, ReversePath};

    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// Now, and so many seconds later: accounts of tests are made in this second.
    fn at_second(seconds: u64) -> u64 {
        unix_micros() + (1 + seconds) * 1_000_000
    }

    fn id(at: u64) -> QueueId {
        QueueId::from_u64(at << 12 | 1)
    }

    fn came(at: u64, door: Door, from: &str, to: &[&str]) -> Event {
        let accepted = Accepted {
            door,
            client: None,
            account: (door == Door::Submission).then(|| from.split('@').next().unwrap().parse().unwrap()),
            reverse_path: ReversePath::Address(address(from)),
            recipients: to.iter().copied().map(address).collect(),
            size: 1,
            message_id: None,
        };
        Event { at, queue_id: Some(id(at)), what: What::Accepted(Box::new(accepted)) }
    }

    fn forwarded(of: u64, by: &str, child: u64, to: &str) -> Event {
        let what = What::Forwarded { recipient: address(by), id: id(child), to: vec![address(to)] };
        Event { at: child, queue_id: Some(id(of)), what }
    }

    fn delivered(of: u64, to: &str, account: &str) -> Event {
        let to_mailbox = Delivery::Mailbox(name(account));
        let what = What::Delivered { recipient: address(to), to: to_mailbox, took_ms: 1 };
        Event { at: of + 1, queue_id: Some(id(of)), what }
    }

    fn set(desk: &Desk, file: &str, text: &str) {
        let extension = Extension::of_file(file).unwrap();
        desk.store.set_instructions(&name("abc"), &extension, text, |_, _: &Plan| Ok(()), &WHO).unwrap();
    }

    fn mail(desk: &Desk, account: &str, way: Way) -> Vec<Option<QueueId>> {
        let search = MailSearch { with: None, way, days: 30, skip: 0, limit: 50 };
        match desk.mail_of(&name(account), search).unwrap() {
            Visit::Mail(lines, _) => lines.into_iter().map(|line| line.summary.queue_id).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn results(desk: &Desk, whose: &str) -> Vec<(String, u32)> {
        match desk.results_of(&name("abc"), &address(whose)) {
            Ok(Visit::Results(all)) => {
                all.into_iter().map(|one| (one.destination.to_string(), one.delivered)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mail_is_found_by_every_form_of_ones_addresses_and_by_no_other() {
        let (_folder, desk) = desk(false);
        let owner = name("abc");
        desk.store
            .add_domain("shop.example".parse().unwrap(), DomainKind::Virtual { owner, prefix: None }, &WHO)
            .unwrap();
        let of = "pobox.example".parse().unwrap();
        desk.store.add_domain("box.example".parse().unwrap(), DomainKind::Alias { of }, &WHO).unwrap();
        set(&desk, ".qmail-list", "&far@there.example\n");
        let to = [
            "abc@pobox.example",
            "any@abc.pobox.example",
            "info@SHOP.example",
            "Abc@box.example",
            "x@abc.box.example",
            "abc-list@pobox.example",
            "abc+List@pobox.example",
        ];
        let mut expected = Vec::new();
        for (number, to) in (0..).zip(to) {
            let at = at_second(number);
            expected.insert(0, Some(id(at)));
            desk.note(&[came(at, Door::Mx, "u@peer.example", &[to])]);
        }
        desk.note(&[came(at_second(50), Door::Mx, "u@peer.example", &["xyz@pobox.example"])]);
        assert_eq!(mail(&desk, "abc", Way::In), expected);
        assert_eq!(mail(&desk, "abc", Way::Out), []);
        assert_eq!(mail(&desk, "xyz", Way::Both).len(), 1);
        // The postmaster's is the oldest account's here, where there is no operator.
        let at = at_second(60);
        desk.note(&[came(at, Door::Mx, "u@peer.example", &["postmaster@pobox.example"])]);
        assert!(mail(&desk, "abc", Way::In).contains(&Some(id(at))));
        assert!(!mail(&desk, "xyz", Way::In).contains(&Some(id(at))));
    }

    #[test]
    fn what_ones_programs_and_one_sent_is_found_and_shown_as_such() {
        let (_folder, desk) = desk(false);
        let at = at_second(1);
        desk.note(&[came(at, Door::Submission, "abc@pobox.example", &["xyz@pobox.example"])]);
        assert_eq!(mail(&desk, "abc", Way::Both), [Some(id(at))]);
        assert_eq!(mail(&desk, "abc", Way::In), []);
        assert_eq!(mail(&desk, "xyz", Way::In), [Some(id(at))]);
        assert!(matches!(desk.life_of(&name("abc"), id(at)), Ok(Visit::Life(events)) if events.len() == 1));
        assert!(matches!(desk.life_of(&name("xyz"), id(at)), Ok(Visit::Life(_))));
        desk.store.add_account(stranger("other"), &WHO).unwrap();
        assert!(matches!(desk.life_of(&name("other"), id(at)), Err(Denied::NotFound)));
        assert!(matches!(desk.life_of(&name("abc"), id(1)), Err(Denied::NotFound)));
    }

    fn stranger(account: &str) -> NewAccount {
        let (password, language, plan, uids) = (None, Language::Ja, None, Vec::new());
        NewAccount { name: name(account), password, language, operator: false, plan, uids }
    }

    #[test]
    fn results_are_those_of_one_address_however_it_is_written() {
        let (_folder, desk) = desk(false);
        set(&desk, ".qmail-foo:bar", "&far@there.example\n");
        set(&desk, ".qmail-default", "&all@there.example\n");
        for (number, (to, forward)) in (0..).zip([
            ("Foo.Bar@abc.pobox.example", "far@there.example"),
            ("abc-foo.bar@pobox.example", "far@there.example"),
            ("abc+foo.bar@pobox.example", "far@there.example"),
            ("else@abc.pobox.example", "all@there.example"),
        ]) {
            let (at, child) = (at_second(10 * number), at_second(10 * number + 5));
            desk.note(&[
                came(at, Door::Mx, "u@peer.example", &[to]),
                forwarded(at, to, child, forward),
                came(child, Door::Forward { of: id(at) }, "u@peer.example", &[forward]),
                delivered(child, forward, "xyz"),
            ]);
        }
        assert_eq!(results(&desk, "foo.bar@abc.pobox.example"), [("far@there.example".into(), 3)]);
        assert_eq!(results(&desk, "abc-foo.bar@pobox.example"), [("far@there.example".into(), 3)]);
        assert_eq!(results(&desk, "default@abc.pobox.example"), [("all@there.example".into(), 1)]);
        assert_eq!(results(&desk, "abc@pobox.example"), []);
        for (whose, by) in
            [("abc", "xyz@pobox.example"), ("xyz", "abc@pobox.example"), ("abc", "u@peer.example")]
        {
            let denied = desk.results_of(&name(whose), &address(by));
            assert!(matches!(denied, Err(Denied::NotFound)), "{whose} {by}: {denied:?}");
        }
    }

    #[test]
    fn who_has_a_name_that_another_had_sees_nothing_of_before() {
        let (_folder, desk) = desk(false);
        let before = unix_micros() - 10_000_000;
        desk.note(&[came(before, Door::Mx, "u@peer.example", &["abc@pobox.example"])]);
        assert_eq!(mail(&desk, "abc", Way::Both), []);
        assert!(matches!(desk.life_of(&name("abc"), id(before)), Err(Denied::NotFound)));
    }
}
