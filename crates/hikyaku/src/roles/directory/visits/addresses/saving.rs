//! What the form says, written.

use std::collections::HashSet;

use directory::{ASKED_PER_DAY_MAX, AskedEnough, ConsentState, Editing, Extension, LINK_LIFETIME, Label};
use envelope::provenance::Reached;
use envelope::{AccountName, Address, Entitlement, Language, Sender};
use link::grant::RelayGrant;
use link::services::directory::visits::{AddressOrder, Consent, Denied, Token, Visit};
use local::dot_qmail::{self, Context, Form, ForwardTo, Instruction, Instructions};

use super::super::Visitor;
use super::{Place, Stopped, sheets};
use crate::roles::directory::Desk;
use crate::roles::unix_now;

/// The most addresses with instructions of their own that a member can make.
const ADDRESSES_MAX: u32 = 10_000;
/// So much of what was typed is shown again where it is refused.
const TYPED_SHOWN: usize = 100;

impl Desk {
    pub(super) fn save_address(&self, account: &AccountName, order: AddressOrder) -> Result<Visit, Denied> {
        let place = self.place(account, &order.address)?;
        let label = order.label.as_deref().map(str::trim).filter(|label| !label.is_empty());
        let label = label.map(Label::parse).transpose().map_err(|_| Denied::NotALabel)?;
        let mut destinations = Vec::new();
        for (typed, on) in order.destinations.iter().filter(|(typed, _)| !typed.trim().is_empty()) {
            let address = dot_qmail::destination(typed);
            let shown = || typed.trim().chars().take(TYPED_SHOWN).collect();
            destinations.push((address.map_err(|_| Denied::NotADestination(shown()))?, *on));
        }
        let consents = self.edit(account, &place, |editing| {
            let own = self.seen(editing, &place, order.version)?;
            if own.is_none() && editing.count()? >= ADDRESSES_MAX {
                return Err(Denied::TooMany { limit: ADDRESSES_MAX }.into());
            }
            let before = match &own {
                Some(own) => own.text.clone(),
                None => {
                    self.store.snapshot(|snapshot| sheets::in_force(snapshot, account, &place.extension))?
                }
            };
            let mut asking = self.judged(editing, &place, &Form::read(before.as_bytes()), &destinations)?;
            let mut form = own.as_ref().map_or_else(Form::blank, |own| Form::read(own.text.as_bytes()));
            form.keep = order.keep;
            form.destinations = asking.destinations.clone();
            if !asking.waiting.is_empty() && delivers_nowhere(&form.write()) {
                // Its mail must not be lost while the only ones that it is for have not answered.
                form.keep = true;
                asking.interim = true;
            }
            let text = String::from_utf8(form.write()).map_err(|_| Denied::Unavailable)?;
            if own.as_ref().is_none_or(|own| own.text != text) {
                self.check_form(account, &place.extension, editing, &form, &text)?;
                editing.write(&place.extension, &text, order.active)?;
            }
            let label_was = own.as_ref().and_then(|own| own.label.as_ref());
            if label_was != label.as_ref() {
                editing.set_label(&place.extension, label.as_ref())?;
            }
            if own.is_some_and(|own| own.active != order.active) {
                if order.active {
                    self.check_for_circle_of(account, &place.extension, &text)?;
                }
                editing.set_active(&place.extension, order.active)?;
            }
            asking.note(editing, &place.extension)
        })?;
        self.saved(account, &place, consents)
    }

    /// Asks the owner of a destination again, or for the first time if it stood there switched off.
    pub(super) fn ask_destination(
        &self,
        visitor: &Visitor,
        address: &Address,
        destination: &Address,
    ) -> Result<Visit, Denied> {
        let account = &visitor.standing.account;
        let place = self.place(account, address)?;
        let consents = self.edit(account, &place, |editing| {
            let own = editing.instructions(&place.extension)?.ok_or(Denied::NotFound)?;
            let on = Form::read(own.text.as_bytes()).has(destination).ok_or(Denied::NotFound)?;
            let consent = editing.consent(destination, &place.extension)?;
            match consent.map(|consent| consent.state) {
                Some(ConsentState::Declined) => {
                    return Err(Denied::Refused(declined(destination, visitor.standing.language)).into());
                }
                Some(ConsentState::Agreed) => return Ok(Vec::new()),
                _ if on || !self.needs_consent(destination)? => return Ok(Vec::new()),
                _ => {}
            }
            let link = Token::new(rand::random());
            ask(editing, destination, &link)?;
            let interim = consent.is_some_and(|consent| consent.interim);
            editing.want(destination, &place.extension, interim)?;
            Ok(vec![Consent { destination: destination.clone(), link }])
        })?;
        self.saved(account, &place, consents)
    }

    fn saved(&self, account: &AccountName, place: &Place, consents: Vec<Consent>) -> Result<Visit, Denied> {
        let grant = (!consents.is_empty()).then(|| {
            let sender = Sender { account: account.clone(), entitlement: Entitlement::Authentication };
            RelayGrant::issue(&self.grant_key, sender, unix_now())
        });
        Ok(Visit::AddressSaved { sheet: Box::new(self.sheet(account, place)?), consents, grant })
    }

    /// Which destinations may get mail at once, and whose owners are to be asked before.
    fn judged(
        &self,
        editing: &Editing<'_, '_>,
        place: &Place,
        before: &Form,
        destinations: &[(Address, bool)],
    ) -> Result<Asking, Stopped> {
        let mut asking = Asking::default();
        for (address, on) in destinations {
            let mut goes = *on;
            if *on {
                // What an operator wrote, or was there before anybody was asked, stays.
                let was_on = before.has(address) == Some(true);
                let consent = editing.consent(address, &place.extension)?;
                asking.wanted.extend(consent.map(|_| address.clone()));
                goes = was_on || !self.needs_consent(address)?;
                match consent.map(|consent| (consent.state, consent.asked)) {
                    _ if goes => {}
                    Some((ConsentState::Agreed, _)) => goes = true,
                    Some((ConsentState::Declined, _)) => {}
                    Some((ConsentState::Asked, asked)) if unix_now() < asked + LINK_LIFETIME => {
                        asking.waiting.push(address.clone());
                    }
                    Some((ConsentState::Asked, _)) | None => {
                        asking.waiting.push(address.clone());
                        asking.new.push(address.clone());
                    }
                }
            }
            asking.destinations.push((address.clone(), goes));
        }
        Ok(asking)
    }

    /// Refuses what its writer cannot have meant or may not do. Lines that the form cannot express are not his.
    fn check_form(
        &self,
        account: &AccountName,
        extension: &Extension,
        editing: &Editing<'_, '_>,
        form: &Form,
        text: &str,
    ) -> Result<(), Stopped> {
        let mut once = HashSet::new();
        for (address, _) in &form.destinations {
            if !once.insert(Reached::address(address)) {
                return Err(Denied::TwiceTheSame(address.clone()).into());
            }
        }
        let others = Instructions::parse(text.as_bytes(), &Context::default()).map_or(0, |obeyed| {
            let is_other = |one: &&Instruction| {
                matches!(one, Instruction::Forward(to) if !matches!(to, ForwardTo::Address(_)))
            };
            obeyed.as_slice().iter().filter(is_other).count()
        });
        let limit = editing.plan().forward_limit;
        if form.destinations.len() + others > limit as usize {
            return Err(Denied::TooManyDestinations { limit }.into());
        }
        if delivers_nowhere(text.as_bytes()) {
            return Err(Denied::Nowhere.into());
        }
        self.check_for_circle_of(account, extension, text)
    }

    /// Refuses a text by which mail goes back to it, and nowhere else.
    pub(super) fn check_for_circle_of(
        &self,
        account: &AccountName,
        extension: &Extension,
        text: &str,
    ) -> Result<(), Stopped> {
        let Ok(obeyed) = Instructions::parse(text.as_bytes(), &Context::default()) else { return Ok(()) };
        let also = HashSet::from([extension.file_name()]);
        match self.goes_in_a_circle(account, extension, &obeyed, &also)? {
            true => Err(Denied::Circle.into()),
            false => Ok(()),
        }
    }
}

/// What comes of an order's destinations.
#[derive(Default)]
struct Asking {
    /// All, and whether they get mail at once.
    destinations: Vec<(Address, bool)>,
    /// Those whose owners were asked before, whatever they said.
    wanted: Vec<Address>,
    /// Those that wait for an answer.
    waiting: Vec<Address>,
    /// Of these, whom to ask now.
    new: Vec<Address>,
    /// The mailbox has a copy only until one of them agrees.
    interim: bool,
}

impl Asking {
    /// Notes whom the address waits for, and who is asked now.
    fn note(self, editing: &mut Editing<'_, '_>, extension: &Extension) -> Result<Vec<Consent>, Stopped> {
        let mut consents = Vec::with_capacity(self.new.len());
        for destination in self.new {
            let link = Token::new(rand::random());
            ask(editing, &destination, &link)?;
            consents.push(Consent { destination, link });
        }
        editing.want_none(extension)?;
        for destination in &self.wanted {
            editing.want(destination, extension, false)?;
        }
        for destination in &self.waiting {
            editing.want(destination, extension, self.interim)?;
        }
        Ok(consents)
    }
}

fn ask(editing: &mut Editing<'_, '_>, destination: &Address, link: &Token) -> Result<(), Stopped> {
    let enough = editing.ask_consent(destination, &link.digest(), unix_now())?;
    enough.map_err(|enough| {
        let limit = match enough {
            AskedEnough::Today => ASKED_PER_DAY_MAX,
            AskedEnough::JustNow => 1,
        };
        Denied::TooMany { limit }.into()
    })
}

/// Whether mail is accepted and thrown away by this text.
pub(super) fn delivers_nowhere(text: &[u8]) -> bool {
    Instructions::parse(text, &Context::default()).is_ok_and(|obeyed| {
        obeyed.as_slice().iter().all(|instruction| *instruction == Instruction::ForwardOnly)
    })
}

fn declined(destination: &Address, language: Language) -> String {
    match language {
        Language::Ja => format!(
            "{destination} の方は転送を受け取らないと回答されました。もう一度お尋ねすることはできません。"
        ),
        Language::En => {
            format!("The owner of {destination} answered that he does not want it, and is not asked again.")
        }
    }
}
