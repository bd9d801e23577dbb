//! A destination outside: asked by mail, answered by the link in it, obeyed from the next message on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::sink::Sink;
use super::{PATIENCE, World};
use crate::house::{House, eventually};
use crate::page::Page;
use crate::page_addresses::{member, open, save};

const FOO: &str = "foo@xyz.pobox.example";
const FRIEND: &str = "friend@there.example";

/// The link in the mail that asks, without the name of the house.
fn link(sink: &Sink) -> String {
    let mail = eventually("the question is asked", PATIENCE, || {
        sink.messages()
            .into_iter()
            .find(|mail| mail.contains("\nAuto-Submitted: auto-generated") && mail.contains("\n\n"))
    });
    assert!(mail.contains("X-Mail-Args: <>") && mail.contains(&format!("X-Rcpt-Args: <{FRIEND}>")), "{mail}");
    let (_, body) = mail.split_once("\n\n").unwrap();
    let text = String::from_utf8(STANDARD.decode(body.replace(['\r', '\n'], "")).unwrap()).unwrap();
    assert!(text.contains(FOO), "{text}");
    let link = text.lines().find(|line| line.starts_with("https://")).expect("a link");
    format!("/{}", link.splitn(4, '/').nth(3).unwrap())
}

fn answer(house: &House, link: &str, wanted: &str) {
    let mut page = Page::of(house);
    page.get(link);
    assert_eq!(page.shown.status, 200, "{}", page.shown.html);
    assert!(page.shown.html.contains(FRIEND) && page.shown.html.contains(FOO), "{}", page.shown.html);
    page.post_form("/consent", &[("wanted", wanted)]);
    assert_eq!(page.shown.status, 200, "{}", page.shown.html);
}

#[test]
fn mail_goes_to_a_destination_outside_from_its_owners_yes_to_his_no() {
    let world = World::new();
    let sink = Sink::start(world.host("there.example", 2));
    let house = world.house();
    let mut page = member(&house);
    open(&mut page, FOO);
    save(&mut page, false, &[(FRIEND, true)], &[]);
    assert!(page.shown.path.contains("done=asked"), "{:?}", page.shown);
    let link = link(&sink);

    house.send(FOO, "before the answer");
    house.wait_for_messages("xyz", 1);
    house.wait_for_an_empty_queue();
    assert_eq!(sink.count(), 1, "nothing but the question");

    answer(&house, &link, "yes");
    house.send(FOO, "after a yes");
    sink.wait_for("after a yes");
    house.wait_for_an_empty_queue();
    assert_eq!(house.messages("xyz").len(), 1, "no copy was asked for");

    answer(&house, &link, "no");
    house.send(FOO, "after a no");
    assert!(house.wait_for_messages("xyz", 2).iter().any(|message| message.contains("Subject: after a no")));
    house.wait_for_an_empty_queue();
    assert_eq!(sink.count(), 2);
    // And he is not asked again.
    open(&mut page, FOO);
    save(&mut page, true, &[(FRIEND, true)], &[]);
    house.wait_for_an_empty_queue();
    assert_eq!(sink.count(), 2);
}

#[test]
fn a_link_that_was_made_up_answers_nothing() {
    let house = World::new().house();
    let mut page = Page::of(&house);
    for link in ["A".repeat(43), "x".into(), "' OR 1=1 --".replace(' ', "%20")] {
        page.get(&format!("/consent?link={link}"));
        assert_eq!(page.shown.status, 410, "{link}");
    }
}
