//! A member and his addresses, from the form to what delivery obeys.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use directory::{AuditEntry, NewAccount};
use envelope::{DomainKind, Language, Overrides};
use link::services::directory::visits::{
    AddressOrder, AddressSheet, Consent, DestinationState, Key, Origin, Standing, Token,
};
use link::services::directory::{AddressChange, Text};

use super::*;
use crate::roles::directory::example::{WHO, desk, name};

fn visitor(account: &str) -> Visitor {
    let standing = Standing {
        account: name(account),
        address: format!("{account}@pobox.example").parse().unwrap(),
        sub_domain: None,
        language: Language::Ja,
        operates: false,
        operator: false,
        second_factor: false,
        must_enrol: false,
        fresh_until: 0,
        scope: None,
    };
    let from = Origin { client: IpAddr::V4(Ipv4Addr::LOCALHOST), agent: String::new() };
    Visitor { standing, key: Key::Session(Token::new([0; 32])), from, session: None }
}

fn ask(desk: &Desk, own: Own) -> Result<Visit, Denied> {
    desk.own_addresses(&visitor("abc"), own)
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn sheet(desk: &Desk, text: &str) -> AddressSheet {
    match ask(desk, Own::Address(address(text))) {
        Ok(Visit::Address(sheet)) => *sheet,
        other => panic!("{text}: {other:?}"),
    }
}

/// What the form would send that shows this sheet.
fn order(sheet: &AddressSheet) -> AddressOrder {
    let destinations = sheet.destinations.iter();
    AddressOrder {
        address: address(&sheet.address),
        version: sheet.version,
        keep: sheet.keep,
        destinations: destinations
            .map(|to| (to.address.to_string(), to.state != DestinationState::Off))
            .collect(),
        label: sheet.label.clone(),
        active: sheet.active,
    }
}

fn save(desk: &Desk, order: AddressOrder) -> Result<(AddressSheet, Vec<Consent>), Denied> {
    match ask(desk, Own::SaveAddress(Box::new(order)))? {
        Visit::AddressSaved { sheet, consents, grant } => {
            assert_eq!(grant.is_some(), !consents.is_empty());
            Ok((*sheet, consents))
        }
        other => panic!("{other:?}"),
    }
}

/// Saves an address with these destinations, all on.
fn forward(desk: &Desk, from: &str, keep: bool, to: &[&str]) -> Result<(AddressSheet, Vec<Consent>), Denied> {
    let destinations = to.iter().map(|to| (to.to_string(), true)).collect();
    save(desk, AddressOrder { keep, destinations, ..order(&sheet(desk, from)) })
}

/// By the command line.
fn write(desk: &Desk, file: &str, text: &str) {
    let extension = Extension::of_file(file).unwrap();
    desk.store.set_instructions(&name("abc"), &extension, text, |_, _| Ok(()), &WHO).unwrap();
}

/// What delivery is told.
fn obeyed(desk: &Desk, to: &str) -> String {
    desk.route(&address(to)).unwrap().orders.map(|orders| orders.text).unwrap_or_default()
}

fn states(sheet: &AddressSheet) -> Vec<(String, DestinationState)> {
    sheet.destinations.iter().map(|to| (to.address.to_string(), to.state)).collect()
}

fn answer(desk: &Desk, consent: &Consent, wanted: bool) {
    let answered = desk.answer_of_destination(&consent.link, wanted).unwrap();
    assert!(matches!(answered, Visit::Done));
}

const FOO: &str = "foo@abc.pobox.example";
const OUTSIDE: &str = "a@x.example";

#[test]
fn an_address_without_instructions_shows_where_its_mail_goes_all_the_same() {
    let (_folder, desk) = desk(false);
    for (text, file) in [
        ("abc@pobox.example", ".qmail"),
        (FOO, ".qmail-foo"),
        ("abc-Foo@pobox.example", ".qmail-foo"),
        ("default@abc.pobox.example", ".qmail-default"),
    ] {
        let sheet = sheet(&desk, text);
        assert_eq!((sheet.exists, sheet.keep, sheet.destinations.len()), (false, true, 0), "{text}");
        assert_eq!((sheet.file.as_str(), sheet.text.as_str(), sheet.forward_limit), (file, "", 10), "{text}");
    }
    write(&desk, ".qmail-default", "&xyz@pobox.example\n");
    let foo = sheet(&desk, FOO);
    assert_eq!((foo.exists, foo.keep), (false, false));
    assert_eq!(states(&foo), [("xyz@pobox.example".into(), DestinationState::On)]);
    assert!(sheet(&desk, "abc@pobox.example").keep);
}

#[test]
fn what_the_form_writes_is_what_delivery_obeys_and_it_shows_what_the_command_line_wrote() {
    let (_folder, desk) = desk(false);
    let (saved, consents) = forward(&desk, FOO, true, &["xyz@pobox.example", " "]).unwrap();
    assert_eq!(consents.len(), 0);
    assert_eq!(obeyed(&desk, FOO), "./Maildir/\n&xyz@pobox.example\n");
    assert_eq!(saved, sheet(&desk, FOO));

    write(&desk, ".qmail-foo", "# mine\n&xyz@pobox.example\n|true\n#&abc@pobox.example");
    let seen = sheet(&desk, FOO);
    assert_eq!(seen.other_lines, ["# mine", "|true"]);
    let label = Some("家族".to_owned());
    save(&desk, AddressOrder { label: label.clone(), ..order(&seen) }).unwrap();
    let labelled = sheet(&desk, FOO);
    assert_eq!((labelled.text, labelled.label), (seen.text, label));

    let own = Own::SwitchAddress { address: address(FOO), version: sheet(&desk, FOO).version, active: false };
    assert!(matches!(ask(&desk, own), Ok(Visit::Address(sheet)) if !sheet.active));
    assert_eq!(obeyed(&desk, FOO), "");
    let version = sheet(&desk, FOO).version;
    ask(&desk, Own::RemoveAddress { address: address(FOO), version }).unwrap();
    assert!(!sheet(&desk, FOO).exists);
    let trail: Vec<AuditEntry> = desk.store.audit_trail_of(&name("abc"), 5).unwrap();
    assert_eq!(trail[0].what, "instructions .qmail-foo of abc removed");
    assert!(trail[..3].iter().all(|entry| entry.who == "account abc"));
}

#[test]
fn two_who_edit_at_once_lose_nothing() {
    let (_folder, desk) = desk(false);
    let (first, second) = (order(&sheet(&desk, FOO)), order(&sheet(&desk, FOO)));
    save(&desk, AddressOrder { label: Some("one".into()), ..first }).unwrap();
    let refused = save(&desk, AddressOrder { label: Some("two".into()), ..second.clone() }).unwrap_err();
    let Denied::Changed(now) = refused else { panic!("{refused:?}") };
    assert_eq!(now.label.as_deref(), Some("one"));
    for own in [
        Own::SwitchAddress { address: address(FOO), version: second.version, active: false },
        Own::RemoveAddress { address: address(FOO), version: second.version },
    ] {
        assert!(matches!(ask(&desk, own), Err(Denied::Changed(_))));
    }
    save(&desk, AddressOrder { label: Some("two".into()), ..order(&now) }).unwrap();
}

#[test]
fn anothers_address_is_as_little_there_as_nobodys() {
    let (_folder, desk) = desk(false);
    let (mine, version) = (sheet(&desk, FOO), Version(0));
    for other in [
        "foo@xyz.pobox.example",
        "xyz@pobox.example",
        "foo@nobody.pobox.example",
        "nobody@pobox.example",
        OUTSIDE,
    ] {
        let other = address(other);
        for own in [
            Own::Address(other.clone()),
            Own::SaveAddress(Box::new(AddressOrder { address: other.clone(), ..order(&mine) })),
            Own::SwitchAddress { address: other.clone(), version, active: false },
            Own::RemoveAddress { address: other.clone(), version },
            Own::AskDestination { address: other.clone(), destination: address(OUTSIDE) },
        ] {
            assert_eq!(ask(&desk, own).unwrap_err(), Denied::NotFound, "{other}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_stored() {
    let (_folder, desk) = desk(false);
    let eleven: Vec<String> = (0..11).map(|n| format!("a{n}@x.example")).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    let twice = ["xyz@pobox.example", "XYZ@pobox.example"];
    assert_eq!(forward(&desk, FOO, true, &eleven).unwrap_err(), Denied::TooManyDestinations { limit: 10 });
    assert_eq!(forward(&desk, FOO, true, &twice).unwrap_err(), Denied::TwiceTheSame(address(twice[1])));
    assert_eq!(forward(&desk, FOO, false, &[]).unwrap_err(), Denied::Nowhere);
    assert_eq!(forward(&desk, FOO, false, &[FOO]).unwrap_err(), Denied::Circle);
    let megabyte = "a".repeat(1 << 20);
    for typed in
        ["|sh", "/etc/passwd", "./Maildir/", "+list", "#x@y.example", "a@x.example\n|sh", "a\0@x", &megabyte]
    {
        let refused = forward(&desk, FOO, true, &[typed]).unwrap_err();
        assert!(matches!(&refused, Denied::NotADestination(shown) if shown.len() <= 100), "{refused:?}");
    }
    for label in ["a\nb", "a\0", "\u{202e}x", &megabyte] {
        let refused = save(&desk, AddressOrder { label: Some(label.into()), ..order(&sheet(&desk, FOO)) });
        assert_eq!(refused.unwrap_err(), Denied::NotALabel);
    }
    assert!(!sheet(&desk, FOO).exists);
    let odd = ask(&desk, Own::Address(address("\"a b\"@abc.pobox.example"))).unwrap_err();
    assert_eq!(odd, Denied::NotSensible("address".into()));
    // Off counts too, and a text that an operator wrote over the limit can still be labelled.
    let off = eleven.iter().map(|to| (to.to_string(), false)).collect();
    let too_many = save(&desk, AddressOrder { destinations: off, ..order(&sheet(&desk, FOO)) }).unwrap_err();
    assert_eq!(too_many, Denied::TooManyDestinations { limit: 10 });
    write(&desk, ".qmail-foo", &eleven.join("\n"));
    save(&desk, AddressOrder { label: Some("x".into()), ..order(&sheet(&desk, FOO)) }).unwrap();
}

#[test]
fn a_destination_outside_gets_mail_once_its_owner_agrees_and_until_he_takes_it_back() {
    let (_folder, desk) = desk(false);
    let (saved, consents) = forward(&desk, FOO, true, &[OUTSIDE]).unwrap();
    assert_eq!(states(&saved), [(OUTSIDE.into(), DestinationState::Asked)]);
    assert_eq!(obeyed(&desk, FOO), "./Maildir/\n#&a@x.example\n");
    let [consent] = consents.as_slice() else { panic!("{consents:?}") };
    match desk.look_at_destination(&consent.link).unwrap() {
        Visit::Destination { destination, address, language } => {
            assert_eq!(
                (destination.to_string(), address, language),
                (OUTSIDE.into(), FOO.into(), Language::Ja)
            );
        }
        other => panic!("{other:?}"),
    }
    // It is asked for elsewhere, and switched off here: nobody is asked twice.
    let (_, again) = forward(&desk, "bar@abc.pobox.example", true, &["A@x.example"]).unwrap();
    assert!(again.is_empty());
    answer(&desk, consent, true);
    assert_eq!(obeyed(&desk, FOO), "./Maildir/\n&a@x.example\n");
    assert_eq!(obeyed(&desk, "bar@abc.pobox.example"), "./Maildir/\n&A@x.example\n");
    let (baz, none) = forward(&desk, "baz@abc.pobox.example", false, &[OUTSIDE]).unwrap();
    assert_eq!((states(&baz)[0].1, none.len()), (DestinationState::On, 0));

    answer(&desk, consent, false);
    for (from, text) in
        [(FOO, "./Maildir/\n#&a@x.example\n"), ("baz@abc.pobox.example", "./Maildir/\n#&a@x.example\n")]
    {
        assert_eq!(obeyed(&desk, from), text);
        assert_eq!(states(&sheet(&desk, from))[0].1, DestinationState::Declined);
    }
    let (still, none) = forward(&desk, FOO, true, &[OUTSIDE]).unwrap();
    assert_eq!((states(&still)[0].1, none.len()), (DestinationState::Declined, 0));
    let again = Own::AskDestination { address: address(FOO), destination: address(OUTSIDE) };
    assert!(matches!(ask(&desk, again), Err(Denied::Refused(_))));
    // An operator has the last word.
    let change =
        AddressChange { address: address(FOO), text: Some(Text(b"&a@x.example\n".to_vec())), label: None };
    assert!(desk.set_address(change, &WHO).is_ok());
    assert_eq!(states(&sheet(&desk, FOO))[0].1, DestinationState::On);
    let (_, asked) = forward(&desk, "quux@abc.pobox.example", true, &[OUTSIDE]).unwrap();
    assert_eq!(asked.len(), 1);
    let unknown = desk.look_at_destination(&Token::new([9; 32])).unwrap_err();
    assert_eq!(unknown, Denied::LinkInvalid);
}

#[test]
fn mail_is_kept_while_the_only_one_it_is_for_has_not_agreed() {
    let (_folder, desk) = desk(false);
    let (saved, consents) = forward(&desk, FOO, false, &[OUTSIDE]).unwrap();
    assert!(!saved.keep);
    assert_eq!(obeyed(&desk, FOO), "./Maildir/\n#&a@x.example\n");
    save(&desk, AddressOrder { label: Some("x".into()), ..order(&saved) }).unwrap();
    answer(&desk, &consents[0], true);
    assert_eq!(obeyed(&desk, FOO), "&a@x.example\n");
    assert!(!sheet(&desk, FOO).keep);
}

#[test]
fn who_was_asked_is_not_asked_again_at_once_and_an_account_asks_twenty_a_day() {
    let (_folder, desk) = desk(false);
    forward(&desk, FOO, true, &[OUTSIDE]).unwrap();
    let again = || Own::AskDestination { address: address(FOO), destination: address(OUTSIDE) };
    assert_eq!(ask(&desk, again()).unwrap_err(), Denied::TooMany { limit: 1 });
    for address in 0..19 {
        forward(&desk, &format!("b{address}@abc.pobox.example"), true, &[&format!("b{address}@x.example")])
            .unwrap();
    }
    let refused = forward(&desk, "c@abc.pobox.example", true, &["c@x.example"]).unwrap_err();
    assert_eq!(refused, Denied::TooMany { limit: 20 });
    assert!(!sheet(&desk, "c@abc.pobox.example").exists);
    // What the member takes back is not switched on by a yes.
    let off = vec![(OUTSIDE.to_owned(), false)];
    let (saved, _) = save(&desk, AddressOrder { destinations: off, ..order(&sheet(&desk, FOO)) }).unwrap();
    assert_eq!(states(&saved)[0].1, DestinationState::Off);
}

#[test]
fn what_was_on_stays_on_and_nobody_is_asked_where_the_provider_does_not_want_it() {
    let (_folder, desk) = desk(false);
    write(&desk, ".qmail-foo", "&a@x.example\n");
    let (saved, consents) = forward(&desk, FOO, true, &["A@X.example", "xyz@pobox.example"]).unwrap();
    assert_eq!((consents.len(), saved.destinations[0].state), (0, DestinationState::On));
    desk.confirm_destinations.store(false, Relaxed);
    let (saved, consents) = forward(&desk, FOO, true, &["b@x.example"]).unwrap();
    assert_eq!((consents.len(), saved.destinations[0].state), (0, DestinationState::On));
}

#[test]
fn addresses_of_virtual_domains_go_by_their_names_and_what_the_plan_gives_no_more_can_be_removed() {
    let (_folder, desk) = desk(false);
    let prefix = Some("shop".parse().unwrap());
    for (domain, prefix) in [("shop.example", prefix), ("plain.example", None)] {
        let kind = DomainKind::Virtual { owner: name("abc"), prefix };
        desk.store.add_domain(domain.parse().unwrap(), kind, &WHO).unwrap();
    }
    for from in ["info@shop.example", "info@plain.example"] {
        let (saved, _) = forward(&desk, from, true, &["xyz@pobox.example"]).unwrap();
        assert_eq!(saved.address, from);
    }
    let listed = || match ask(&desk, Own::Addresses { search: String::new(), after: None, limit: 50 }) {
        Ok(Visit::Addresses { sheets, .. }) => sheets.into_iter().map(|one| one.address).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed(), ["abc@pobox.example", "info@abc.pobox.example", "info@shop.example"]);
    let narrow = Overrides { sub_domain_addresses: Some(false), ..Overrides::default() };
    desk.store.set_overrides(&name("abc"), &narrow, &WHO).unwrap();
    assert_eq!(listed(), ["abc@pobox.example", "info@plain.example", "info@shop.example"]);
    assert_eq!(ask(&desk, Own::Address(address(FOO))).unwrap_err(), Denied::NotFound);
    desk.store.remove_domain(&"plain.example".parse().unwrap(), &WHO).unwrap();
    let [_, gone, _] = <[String; 3]>::try_from(listed()).unwrap();
    let version = sheet(&desk, &gone).version;
    ask(&desk, Own::RemoveAddress { address: address(&gone), version }).unwrap();
}

#[test]
fn ten_thousand_addresses_are_listed_and_searched_in_pages() {
    let (_folder, desk) = desk(false);
    let texts: Vec<(Extension, String)> = (0..10_000)
        .map(|n| {
            let text = format!("./Maildir/\n&to{n}@x.example\n# sentence {n}\n");
            (Extension::parse(Some(&format!("a{n:04}"))).unwrap(), text)
        })
        .collect();
    let all = texts.iter().map(|(extension, text)| (extension, text.as_str()));
    desk.store.import_instructions(&name("abc"), all, |_, _| Ok(()), &WHO).unwrap();
    let page = |search: &str, after: Option<&str>, limit| {
        let own = Own::Addresses { search: search.into(), after: after.map(Into::into), limit };
        match ask(&desk, own) {
            Ok(Visit::Addresses { sheets, more }) => (sheets, more),
            other => panic!("{other:?}"),
        }
    };
    let (first, more) = page("", None, 50);
    assert_eq!(
        (first.len(), first[0].file.as_str(), first[1].file.as_str(), more),
        (50, ".qmail", ".qmail-a0000", true)
    );
    let (second, _) = page("", Some(&first[49].file), 50);
    assert_eq!(second[0].file, ".qmail-a0049");
    assert_eq!(page("TO9999@x", None, 50).0[0].file, ".qmail-a9999");
    assert_eq!(page("a999@", None, 50).0.len(), 0);
    assert_eq!(page("a0999@abc", None, 50).0.len(), 1);
    assert_eq!(page("sentence", None, 50).0.len(), 0);
    let begun = Instant::now();
    for _ in 0..10 {
        page("no such thing", None, 50);
    }
    let each = begun.elapsed() / 10;
    println!("a search of 10,000 addresses that finds nothing takes {each:?}");
    // A debug build on a busy machine; what it must not be is a look-up for each.
    assert!(each.as_millis() < 500, "{each:?}");
    let refused = forward(&desk, "new@abc.pobox.example", true, &["xyz@pobox.example"]).unwrap_err();
    assert_eq!(refused, Denied::TooMany { limit: 10_000 });
}

#[test]
fn an_account_that_is_gone_has_nothing_to_see() {
    let (_folder, desk) = desk(false);
    desk.store.remove_account(&name("abc"), &WHO).unwrap();
    assert_eq!(ask(&desk, Own::Address(address(FOO))).unwrap_err(), Denied::NotFound);
    let new = NewAccount {
        name: name("abc"),
        password: None,
        language: Language::Ja,
        operator: false,
        plan: None,
        uids: Vec::new(),
    };
    desk.store.add_account(new, &WHO).unwrap();
    assert!(!sheet(&desk, FOO).exists);
}
