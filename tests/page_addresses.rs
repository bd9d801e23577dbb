//! A member's addresses on the page: what the form writes, delivery obeys on the next message.

use crate::house::House;
use crate::page::Page;

const FOO: &str = "foo@xyz.pobox.example";

/// A browser in which xyz has signed in.
pub fn member(house: &House) -> Page {
    let mut page = Page::of(house);
    page.sign_in("xyz", "xyz-try");
    assert!(page.is_in(), "{}", page.shown.html);
    page
}

/// Opens the form of an address.
pub fn open(page: &mut Page, address: &str) {
    page.get(&format!("/addresses/edit?address={}", address.replace('@', "%40")));
    assert_eq!(page.shown.status, 200, "{}", page.shown.html);
}

/// Sends the form that is shown, with these destinations and fields in place of what stands there.
pub fn save(page: &mut Page, keep: bool, destinations: &[(&str, bool)], fields: &[(&str, &str)]) {
    let mut filled = page.shown.form("/addresses/edit");
    let replaced = |name: &str| {
        ["keep", "rows", "do"].contains(&name)
            || name.starts_with("destination-")
            || name.starts_with("on-")
            || fields.iter().any(|(field, _)| *field == name)
    };
    filled.retain(|(name, _)| !replaced(name));
    let mut fill = |name: String, value: &str| filled.push((name, value.to_owned()));
    for (at, (address, on)) in destinations.iter().enumerate() {
        fill(format!("destination-{at}"), address);
        if *on {
            fill(format!("on-{at}"), "on");
        }
    }
    fill("rows".into(), &destinations.len().to_string());
    if keep {
        fill("keep".into(), "on");
    }
    for (name, value) in fields {
        fill((*name).into(), value);
    }
    let filled: Vec<(&str, &str)> =
        filled.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    page.post("/addresses/edit", &filled);
}

/// All instructions of xyz, as the command line shows them.
fn stored(house: &House) -> String {
    house.rule("address list xyz")
}

#[test]
fn what_the_form_writes_is_obeyed_on_the_next_message() {
    let house = House::new();
    let mut page = member(&house);
    house.send(FOO, "before");
    house.wait_for_messages("xyz", 1);
    open(&mut page, FOO);
    save(&mut page, false, &[("abc@pobox.example", true)], &[("label", "仕事")]);
    assert!(page.shown.path.contains("done=saved"), "{:?}", page.shown);
    house.send(FOO, "forwarded");
    assert!(house.wait_for_messages("abc", 1)[0].contains("Subject: forwarded"));
    assert_eq!(house.messages("xyz").len(), 1);

    open(&mut page, FOO);
    save(&mut page, true, &[("abc@pobox.example", false)], &[]);
    assert!(house.rule(&format!("address show {FOO}")).contains("#&abc@pobox.example"));
    house.send(FOO, "kept");
    assert!(house.wait_for_messages("xyz", 2).iter().any(|message| message.contains("Subject: kept")));

    // What the command line writes is what the form shows.
    house.rule(&format!("address set {FOO} --to abc@pobox.example"));
    open(&mut page, FOO);
    let form = page.shown.form("/addresses/edit");
    let has = |name: &str, value: &str| form.iter().any(|(there, is)| there == name && is == value);
    assert!(
        has("destination-0", "abc@pobox.example") && has("on-0", "on") && has("label", "仕事"),
        "{form:?}"
    );
    assert!(!form.iter().any(|(name, _)| name == "keep"), "{form:?}");
    house.wait_for_an_empty_queue();
    assert_eq!(house.messages("abc").len(), 1);
}

#[test]
fn the_eleventh_destination_is_refused_in_words_and_what_was_typed_stays_there() {
    let house = House::new();
    let mut page = member(&house);
    open(&mut page, FOO);
    let eleven: Vec<String> = (0..11).map(|number| format!("m{number}@pobox.example")).collect();
    let eleven: Vec<(&str, bool)> = eleven.iter().map(|address| (address.as_str(), true)).collect();
    save(&mut page, true, &eleven, &[]);
    assert_ne!(page.shown.status, 200);
    let alert = page.shown.alert().expect("a sentence");
    assert!(alert.contains("10"), "{alert}");
    assert!(page.shown.html.contains("m10@pobox.example"));
    assert!(!stored(&house).contains("foo@"), "{}", stored(&house));
    save(&mut page, true, &eleven[..10], &[]);
    assert_eq!(house.rule(&format!("address show {FOO}")).matches("&m").count(), 10);
}

#[test]
fn of_two_who_edit_at_once_the_second_is_told() {
    let house = House::new();
    let (mut first, mut second) = (member(&house), member(&house));
    open(&mut first, FOO);
    open(&mut second, FOO);
    save(&mut first, true, &[("abc@pobox.example", true)], &[]);
    save(&mut second, true, &[("root@pobox.example", true)], &[]);
    assert_eq!(second.shown.status, 409, "{}", second.shown.html);
    assert!(second.shown.alert().is_some());
    let shown = house.rule(&format!("address show {FOO}"));
    assert!(shown.contains("&abc@pobox.example") && !shown.contains("root@"), "{shown}");
    // He sees what stands there, and what he typed; now he decides.
    save(&mut second, true, &[("root@pobox.example", true)], &[]);
    assert!(house.rule(&format!("address show {FOO}")).contains("&root@pobox.example"));
}

#[test]
fn through_no_field_comes_in_what_should_not() {
    let house = House::new();
    let mut page = member(&house);
    let before = stored(&house);
    let long = "a".repeat(60_000);
    let hostile = [
        "|touch /tmp/x",
        "&|id@x.example",
        "/etc/passwd",
        "./Maildir/",
        "+list",
        "#a@x.example",
        "a@x.example\r\n|id",
        "a@x.example\n./Maildir/",
        "a\0@x.example",
        "<script>alert(1)</script>",
        "' OR 1=1; DROP TABLE instructions --",
        "\"|id\"@x.example",
        &long,
    ];
    for typed in hostile {
        open(&mut page, FOO);
        save(&mut page, true, &[(typed, true)], &[]);
        assert!((400..500).contains(&page.shown.status), "{typed:.60}: {}", page.shown.status);
        assert!(!page.shown.html.contains("<script>alert"), "{typed}");
        assert_eq!(stored(&house), before, "{typed:.60}");
    }
    for label in ["a\r\nb", "a\0b", "\u{202e}gpj", &long] {
        open(&mut page, FOO);
        save(&mut page, true, &[], &[("label", label)]);
        assert!((400..500).contains(&page.shown.status), "{label:.60}: {}", page.shown.status);
        assert_eq!(stored(&house), before, "{label:.60}");
    }
    // What is only text is shown as text.
    open(&mut page, FOO);
    save(&mut page, true, &[], &[("label", "<script>alert(1)</script>")]);
    assert!(page.get("/addresses").html.contains("&#60;script&#62;alert"), "{}", page.shown.html);
    // Whose it is not, is not there.
    for other in ["foo@abc.pobox.example", "abc@pobox.example", "foo@nobody.pobox.example", "a@x.example"] {
        page.get(&format!("/addresses/edit?address={other}"));
        assert_eq!(page.shown.status, 404, "{other}");
        open(&mut page, FOO);
        save(&mut page, true, &[("xyz@pobox.example", true)], &[("address", other)]);
        assert_eq!(page.shown.status, 404, "{other}");
    }
    assert!(!house.rule("address list abc").contains("foo@"));
}
