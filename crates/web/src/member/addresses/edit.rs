//! The form of one address: where its mail goes.

use askama::Template;
use axum::response::Response;
use envelope::Address;
use link::services::directory::visits::{AddressSheet, Denied, DestinationResults, Own, Visit};

use super::destination::{self, Card};
use super::typed::{Place, Typed};
use super::{asked_for, edit_path, encoded, sheet};
use crate::consent::{self, Asked};
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/addresses/edit", edit).post(Who::Member, "/addresses/edit", save).post(
        Who::Member,
        "/addresses/ask",
        ask_again,
    )
}

/// The form.
#[derive(Template)]
#[template(path = "member/address.html")]
pub(crate) struct AddressPage {
    pub(crate) frame: Frame,
    pub(crate) sheet: AddressSheet,
    /// As it stands in a query.
    pub(crate) encoded: String,
    pub(crate) is_standard: bool,
    /// It is for all addresses of its domain that have no instructions of their own.
    pub(crate) is_rest: bool,
    pub(crate) typed: Typed,
    pub(crate) trouble: Option<Misplaced>,
    /// What is stored now, where somebody else saved meanwhile.
    pub(crate) conflict: Option<Vec<String>>,
    pub(crate) cards: Vec<Card>,
}

/// What is wrong, and where.
#[derive(Debug, Clone)]
pub(crate) struct Misplaced {
    pub(crate) place: Place,
    pub(crate) sentence: String,
}

impl Misplaced {
    /// The id of the field.
    pub(crate) fn field(&self) -> Option<String> {
        match self.place {
            Place::Destination(at) => Some(format!("destination-{at}")),
            Place::Destinations => Some("destinations".into()),
            Place::Keep => Some("keep".into()),
            Place::Label => Some("label".into()),
            Place::Form => None,
        }
    }

    pub(crate) fn is_at_keep(&self) -> bool {
        self.place == Place::Keep
    }

    pub(crate) fn is_at_label(&self) -> bool {
        self.place == Place::Label
    }

    pub(crate) fn is_at_destinations(&self) -> bool {
        self.place == Place::Destinations
    }
}

async fn edit(member: Member) -> Result<Response, Trouble> {
    let sheet = sheet(&member, asked_for(&member.query())?).await?;
    let typed = Typed::of(&sheet);
    Ok(frame::page(&page(&member, sheet, typed).await))
}

async fn save(member: Member, form: Form) -> Result<Response, Trouble> {
    let address = asked_for(&form)?;
    let sheet = sheet(&member, address.clone()).await?;
    let mut typed = Typed::read(&form, &sheet);
    if form.text("do") == "more" {
        typed.add_fields();
        return Ok(frame::page(&page(&member, sheet, typed).await));
    }
    match member.own(Own::SaveAddress(Box::new(typed.order(address)))).await {
        Ok(Visit::AddressSaved { sheet, consents, grant }) => {
            let asked = consent::ask(&member, &sheet.address, consents, grant).await;
            let done = if asked.is_empty() { "saved" } else { told(&asked) };
            Ok(frame::see_other(&format!("{}&done={done}", edit_path(&sheet.address))))
        }
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble) => refused(&member, sheet, typed, trouble).await,
    }
}

async fn ask_again(member: Member, form: Form) -> Result<Response, Trouble> {
    let address = asked_for(&form)?;
    let destination = form.text("destination").parse().map_err(|_| Trouble::NotFound)?;
    let before = sheet(&member, address.clone()).await?;
    match member.own(Own::AskDestination { address, destination }).await {
        Ok(Visit::AddressSaved { sheet, consents, grant }) => {
            let done = told(&consent::ask(&member, &sheet.address, consents, grant).await);
            Ok(frame::see_other(&format!("{}&done={done}", edit_path(&sheet.address))))
        }
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble) => {
            let typed = Typed::of(&before);
            refused(&member, before, typed, trouble).await
        }
    }
}

/// What is told of owners who were to be asked.
fn told(asked: &[Asked]) -> &'static str {
    if asked.iter().all(|asked| asked.sent) { "asked" } else { "not-asked" }
}

/// The form again, with what was typed and what is wrong with it.
async fn refused(
    member: &Member,
    sheet: AddressSheet,
    mut typed: Typed,
    trouble: Trouble,
) -> Result<Response, Trouble> {
    let Trouble::Denied(denied) = &trouble else { return Err(trouble) };
    let mut conflict = None;
    let sheet = match denied {
        Denied::Changed(now) => {
            conflict = Some(stored(now, member));
            // Who saves after he has seen it does so knowingly.
            typed.version = now.version.0;
            (**now).clone()
        }
        _ => sheet,
    };
    let place = typed.place(denied);
    let mut page = page(member, sheet, typed).await;
    page.conflict = conflict;
    let sentence = match denied {
        // Limits of the directory: one mail an hour to somebody, some a day from an account.
        Denied::TooMany { limit: 1 } => member.words.say("address-asked-just-now"),
        Denied::TooMany { limit } if *limit < 1_000 => {
            member.words.with("address-asked-today", "limit", *limit)
        }
        _ => trouble.sentence(member.words),
    };
    page.trouble = Some(Misplaced { place, sentence: sentence.into_owned() });
    let mut response = frame::page(&page);
    *response.status_mut() = trouble.status();
    Ok(response)
}

/// What is stored, line by line.
fn stored(sheet: &AddressSheet, member: &Member) -> Vec<String> {
    let mut lines = Vec::new();
    if sheet.exists && !sheet.active {
        lines.push(member.words.say("addresses-off").into_owned());
    }
    lines.extend(sheet.keep.then(|| member.words.say("addresses-mailbox").into_owned()));
    lines.extend(sheet.destinations.iter().map(|to| to.address.to_string()));
    lines.extend(sheet.other_lines.iter().cloned());
    let label = sheet.label.as_ref();
    lines.extend(label.map(|label| format!("{}: {label}", member.words.say("address-label"))));
    lines
}

async fn page(member: &Member, sheet: AddressSheet, typed: Typed) -> AddressPage {
    let results = match sheet.address.parse::<Address>() {
        Ok(address) if !sheet.destinations.is_empty() => results(member, address).await,
        _ => Vec::new(),
    };
    let site = member.house.site();
    AddressPage {
        cards: destination::cards(&sheet, &results, site.trace_days, site.zone, member.words),
        ..AddressPage::of(Frame::of(member, "address-title"), sheet, typed, &member.standing().address)
    }
}

/// What became of mail to each destination. The form is there without it too.
async fn results(member: &Member, address: Address) -> Vec<DestinationResults> {
    match member.own(Own::Results(address)).await {
        Ok(Visit::Results(results)) => results,
        _ => Vec::new(),
    }
}

impl AddressPage {
    pub(crate) fn of(frame: Frame, sheet: AddressSheet, typed: Typed, standard: &Address) -> AddressPage {
        AddressPage {
            frame,
            encoded: encoded(&sheet.address),
            is_standard: sheet.address == standard.to_string(),
            is_rest: sheet.address.starts_with("default@"),
            typed,
            trouble: None,
            conflict: None,
            cards: Vec::new(),
            sheet,
        }
    }

    /// What is wrong with a destination.
    fn wrong_at(&self, at: &usize) -> Option<&str> {
        let wrong = self.trouble.as_ref()?;
        (wrong.place == Place::Destination(*at)).then_some(&wrong.sentence)
    }
}

#[cfg(test)]
mod tests {
    use link::services::directory::visits::{DestinationState, Trouble as LastTrouble};

    use super::super::tests::{LABEL, sheet};
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};
    use crate::words::Words;

    fn full() -> AddressSheet {
        let states = [
            DestinationState::On,
            DestinationState::Off,
            DestinationState::Asked,
            DestinationState::Declined,
        ];
        let domains = ["gmail.com", "docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp", "x.example"];
        let destinations: Vec<_> =
            (0..10).map(|at| (format!("u{at}@{}", domains[at % 5]), states[at % 4])).collect();
        let destinations: Vec<_> = destinations.iter().map(|(to, state)| (to.as_str(), *state)).collect();
        AddressSheet {
            label: Some(LABEL.into()),
            other_lines: vec![format!("|{HOSTILE}"); 3],
            text: format!("# {HOSTILE}\n./Maildir/\n").repeat(20),
            ..sheet("foo@abc.pobox.example", &destinations)
        }
    }

    fn results(sheet: &AddressSheet) -> Vec<DestinationResults> {
        let of = |to: &link::services::directory::visits::Destination| DestinationResults {
            destination: to.address.clone(),
            delivered: 17,
            failed: 3,
            waiting: 1,
            last_delivered: Some(1_795_523_405_000_000),
            last_trouble: Some(LastTrouble {
                at: 1_795_523_406_000_000,
                permanent: true,
                host: Some(HOSTILE.into()),
                reply: format!("550-5.7.26 {HOSTILE}").into(),
            }),
        };
        sheet.destinations.iter().map(of).collect()
    }

    fn page(language: envelope::Language, sheet: AddressSheet, typed: Typed) -> AddressPage {
        let standard = "abc@pobox.example".parse().unwrap();
        let path = "/addresses/edit?address=foo%40abc.pobox.example";
        AddressPage::of(frame(language, "address-title", path), sheet, typed, &standard)
    }

    #[test]
    fn an_address_with_all_that_it_can_have_is_shown_in_both_languages() {
        for language in LANGUAGES {
            let sheet = full();
            let zone = time::UtcOffset::UTC;
            let cards = destination::cards(&sheet, &results(&sheet), 14, zone, Words(language));
            let typed = Typed::of(&sheet);
            let html = checked(&AddressPage { cards, ..page(language, sheet, typed) });
            assert!(html.contains("&#60;script"), "hostile words are shown, as text");
            assert!(html.contains("name=\"destination-9\""));
            assert_eq!(html.matches("action=\"/addresses/ask\"").count(), 2);
        }
    }

    #[test]
    fn each_trouble_stands_at_its_field_and_is_told_above() {
        let sheet = full();
        for (place, field) in [
            (Place::Destination(3), "destination-3-error"),
            (Place::Destinations, "destinations-error"),
            (Place::Keep, "keep-error"),
            (Place::Label, "label-error"),
        ] {
            for language in LANGUAGES {
                let mut page = page(language, sheet.clone(), Typed::of(&sheet));
                page.trouble = Some(Misplaced { place, sentence: HOSTILE.into() });
                let html = checked(&page);
                assert!(html.contains(&format!("id=\"{field}\"")), "{field}");
                assert_eq!(
                    html.matches("aria-invalid=\"true\"").count(),
                    usize::from(field != "destinations-error")
                );
                assert!(html.contains("role=\"alert\""));
            }
        }
    }

    #[test]
    fn who_comes_too_late_sees_what_is_stored_and_what_he_typed() {
        for language in LANGUAGES {
            let mut typed = Typed::of(&full());
            typed.rows[0].text = "mine@x.example".into();
            let mut page = page(language, full(), typed);
            page.trouble = Some(Misplaced { place: Place::Form, sentence: "changed".into() });
            page.conflict = Some(vec!["theirs@x.example".into(), HOSTILE.into()]);
            let html = checked(&page);
            assert!(html.contains("<li>theirs@x.example</li>") && html.contains("value=\"mine@x.example\""));
        }
    }
}
