//! Who gets in to the page, by which way, and for how long.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::house::{House, eventually};
use crate::page::{Page, code_of};

/// The path of a one-time link that the command line prints.
fn link(house: &House, account: &str) -> String {
    let said = house.rule(&format!("account link {account}"));
    let link = said.lines().find(|line| line.contains("://")).expect("a link");
    format!("/{}", link.splitn(4, '/').nth(3).expect("a path"))
}

/// The secret that the page of the second factor shows: 32 letters of Base32.
fn secret(page: &Page) -> String {
    let html = &page.shown.html;
    let is_base32 =
        |text: &str| text.len() == 32 && text.bytes().all(|octet| matches!(octet, b'A'..=b'Z' | b'2'..=b'7'));
    let texts = html.split(['<', '>', '"', '=', '&', ';', '?']).map(|text| text.replace([' ', '\n'], ""));
    texts.into_iter().find(|text| is_base32(text)).unwrap_or_else(|| panic!("no secret in:\n{html}"))
}

/// The recovery codes that the page shows.
fn recovery_codes(page: &Page) -> Vec<String> {
    let is_code = |text: &&str| {
        text.len() == 17
            && text.split('-').count() == 3
            && text.split('-').all(|group| {
                group.len() == 5
                    && group.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit())
            })
    };
    let texts = page.shown.html.split(['<', '>', '\n', ' ']);
    texts.filter(is_code).map(str::to_owned).collect()
}

/// Sets up the second factor of who is signed in: its secret and recovery codes.
fn enrol(page: &mut Page) -> (String, Vec<String>) {
    page.get("/second-factor");
    let secret = secret(page);
    let code = code_of(&secret, 0);
    page.post_form("/second-factor", &[("code", &code)]);
    let codes = recovery_codes(page);
    assert_eq!(codes.len(), 10, "{}", page.shown.html);
    (secret, codes)
}

#[test]
fn a_member_signs_in_and_out_by_his_password_and_nobody_else_does() {
    let house = House::new();
    let mut page = Page::of(&house);
    assert_eq!(page.get("/").path, "/sign-in?then=%2F");
    page.sign_in("abc", "abc-tri");
    assert_eq!((page.shown.status, page.shown.path.as_str()), (403, "/sign-in"));
    assert!(page.shown.alert().is_some() && !page.shown.html.contains("abc-tri"));
    page.sign_in("abc@pobox.example", "abc-try");
    assert_eq!((page.shown.status, page.shown.path.as_str()), (200, "/"));
    assert!(page.shown.html.contains("abc@pobox.example"));
    // A form without the token that stands in ours, or of another site, does nothing.
    assert_eq!(page.post("/sign-out", &[]).status, 403);
    assert!(page.is_in());
    page.post_form("/sign-out", &[]);
    assert!(!page.is_in());
    // The cookie of before opens nothing any more.
    let mut page = Page::of(&house);
    page.sign_in("xyz", "xyz-try");
    let session = page.cookie("__Host-session").unwrap().to_owned();
    page.get("/");
    page.post_form("/sign-out", &[]);
    page.set_cookie("__Host-session", &session);
    assert!(!page.is_in());
    let app_password = house.rule("account app-password add xyz phone");
    let app_password = app_password.lines().next().unwrap().trim_start_matches("password: ").to_owned();
    assert_eq!(page.sign_in("xyz", &app_password).status, 403);
}

#[test]
fn who_guesses_waits_and_unknown_names_are_answered_as_known_ones() {
    let house = House::new();
    let mut page = Page::from([127, 0, 0, 9], &house);
    let mut sentences = Vec::new();
    for name in ["abc", "nobody"] {
        let began = Instant::now();
        page.sign_in(name, "guess");
        assert!(began.elapsed() >= Duration::from_secs(1), "{name}");
        sentences.push(page.shown.alert());
    }
    assert!(sentences[0].is_some() && sentences[0] == sentences[1]);
    // Each failure that counts doubles the delay: 1 s after the fourth, 8 s after the seventh.
    for delay in [0, 0, 0, 1, 2, 4] {
        std::thread::sleep(Duration::from_millis(1100 * delay));
        page.sign_in("abc", "guess");
    }
    assert_eq!(page.sign_in("abc", "abc-try").status, 429);
    // The count is one for all ways in; the owner elsewhere is not kept out.
    assert!(house.check_mail_from([127, 0, 0, 9], "abc", "abc-try").starts_with("-ERR"));
    assert!(Page::from([127, 0, 1, 1], &house).sign_in("abc", "abc-try").path == "/");
}

#[test]
fn a_suspended_member_is_told_so_and_is_out_at_once() {
    let house = House::new();
    let mut page = Page::of(&house);
    page.sign_in("xyz", "xyz-try");
    assert!(page.is_in());
    house.rule("account suspend xyz");
    assert!(!page.is_in());
    page.sign_in("xyz", "xyz-tri");
    let wrong = page.shown.alert();
    page.sign_in("xyz", "xyz-try");
    assert!(page.shown.status == 403 && page.shown.alert() != wrong);
    house.rule("account receive-only xyz");
    assert_eq!(page.sign_in("xyz", "xyz-try").path, "/");
}

#[test]
fn sessions_survive_the_roles_that_serve_them() {
    let mut house = House::new();
    let mut page = Page::of(&house);
    page.sign_in("abc", "abc-try");
    for role in ["web", "directory"] {
        let before = house.roles()[role];
        kill(before, Signal::SIGKILL).unwrap();
        eventually("the role runs again", Duration::from_secs(20), || {
            house.roles().get(role).is_some_and(|pid| *pid != before).then_some(())
        });
        assert!(page.is_in(), "{role}");
    }
    house.stop();
    house.start();
    assert!(page.is_in());
}

#[test]
fn a_session_ends_when_it_is_not_used() {
    let house = House::with("[web]\nsession_idle = 5\nsession_max = 60");
    let mut page = Page::of(&house);
    page.sign_in("abc", "abc-try");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_secs(2));
        assert!(page.is_in());
    }
    std::thread::sleep(Duration::from_secs(6));
    assert!(!page.is_in());
}

#[test]
fn the_command_line_sees_sessions_and_ends_them() {
    let house = House::new();
    let mut page = Page::of(&house);
    page.sign_in("abc", "abc-try");
    let listed = house.json(&["account", "sessions", "abc", "--json"]);
    assert_eq!((listed.len(), &listed[0]["agent"]), (1, &"page of the tests".into()));
    house.rule("account sessions abc --end");
    assert!(!page.is_in());
    assert_eq!(house.rule("account second-factor abc"), "abc has no second factor\n");
    assert!(house.refused("account second-factor abc --remove").contains("no second factor"));
    assert!(house.refused("account link nobody").contains("there is no account nobody"));
}

#[test]
fn a_one_time_link_sets_a_password_once() {
    let house = House::new();
    let mut page = Page::of(&house);
    let link = link(&house, "xyz");
    page.get(&link);
    assert!(page.shown.status == 200 && page.shown.html.contains("xyz"), "{}", page.shown.html);
    page.post_form("/welcome", &[("password", "short"), ("again", "short")]);
    assert!(page.shown.alert().is_some());
    page.post_form("/welcome", &[("password", "a-new-one"), ("again", "a-new-one")]);
    assert_eq!((page.shown.status, page.shown.path.as_str()), (200, "/"));
    assert_eq!(Page::of(&house).get(&link).status, 410);
    assert!(house.check_mail_from([127, 0, 0, 1], "xyz", "a-new-one").starts_with("+OK"));
    assert!(house.check_mail_from([127, 0, 0, 1], "xyz", "xyz-try").starts_with("-ERR"));
}

#[test]
fn a_member_has_a_second_factor_and_recovery_codes_are_used_once() {
    let house = House::new();
    let mut page = Page::of(&house);
    page.sign_in("xyz", "xyz-try");
    let (secret, codes) = enrol(&mut page);
    let mut other = Page::of(&house);
    other.sign_in("xyz", "xyz-try");
    assert!(other.cookie("__Host-session").is_none());
    other.post_form("/sign-in/code", &[("code", "000000")]);
    assert_eq!(other.shown.status, 403);
    // The one by which it was set up is used; the next is not.
    other.post_form("/sign-in/code", &[("code", &code_of(&secret, 1))]);
    assert!(other.is_in());
    let mut third = Page::of(&house);
    for (code, right) in [(&codes[4], true), (&codes[4], false), (&codes[5], true)] {
        third.sign_in("xyz", "xyz-try");
        third.post_form("/sign-in/code", &[("code", code)]);
        assert_eq!(third.is_in(), right, "{code}");
        if right {
            third.post_form("/sign-out", &[]);
        }
    }
    // Mail programs go on as they are.
    assert!(house.check_mail_from([127, 0, 0, 1], "xyz", "xyz-try").starts_with("+OK"));
    house.rule("account second-factor xyz --remove");
    assert_eq!(third.sign_in("xyz", "xyz-try").path, "/");
}

#[test]
fn a_new_password_ends_other_sessions_and_no_app_password() {
    let house = House::new();
    let app_password = house.rule("account app-password add xyz phone");
    let app_password = app_password.lines().next().unwrap().trim_start_matches("password: ").to_owned();
    let (mut mine, mut other) = (Page::of(&house), Page::of(&house));
    mine.sign_in("xyz", "xyz-try");
    other.sign_in("xyz", "xyz-try");
    mine.get("/account/password");
    mine.post_form(
        "/account/password",
        &[("old", "xyz-try"), ("password", "a-new-one"), ("again", "a-new-one")],
    );
    assert!(mine.is_in() && !other.is_in(), "{}", mine.shown.html);
    assert_eq!(other.sign_in("xyz", "xyz-try").status, 403);
    assert_eq!(other.sign_in("xyz", "a-new-one").path, "/");
    assert!(house.check_mail_from([127, 0, 0, 1], "xyz", &app_password).starts_with("+OK"));
}

#[test]
fn an_operator_rules_after_his_link_and_second_factor_only() {
    let house = House::new();
    let mut plain = Page::of(&house);
    plain.sign_in("abc", "abc-try");
    assert!(plain.is_in());
    assert_eq!(plain.get("/operator").status, 403);
    assert_eq!(plain.get("/second-factor").status, 403);
    let mut page = Page::of(&house);
    page.get(&link(&house, "abc"));
    page.post_form("/welcome", &[("password", "a-new-one"), ("again", "a-new-one")]);
    assert_eq!(page.shown.path, "/second-factor");
    assert_eq!(page.get("/").path, "/second-factor");
    enrol(&mut page);
    assert!(page.is_in());
    assert_eq!(page.get("/operator").status, 200);
}
