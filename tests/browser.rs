//! The pages in a real browser: every task of members and operators, in both languages, on a narrow and a wide
//! window, members' tasks without JavaScript too. What each page must be, `browser/visit.mjs` says.
//!
//! With `PICTURES=DIR` in the environment each page leaves a picture there.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::house::{House, message};

/// A script may take so long; each of its steps has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a script of `tests/browser` against this server, with these variables.
fn browse(house: &House, script: &str, variables: &[(&str, &str)]) {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let modules = std::env::var_os("BROWSER_MODULES")
        .map_or_else(|| workspace.join("target/partners/browser"), PathBuf::from);
    assert!(
        modules.join("node_modules").is_dir(),
        "{} is missing: cargo xtask test puts there what drives the browser",
        modules.display()
    );
    let mut node = Command::new("timeout");
    node.arg(PATIENCE.as_secs().to_string()).arg("node").arg(workspace.join("tests/browser").join(script));
    node.env("BROWSER_MODULES", modules).env("SITE", format!("https://127.0.0.1:{}", house.https()));
    let output = node.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("good\n"), "{script}:\n{out}{err}");
}

/// A member with mail, who does all that a member can do.
fn a_member_does_everything(account: &str, language: &str, width: &str, javascript: &str, dark: &str) {
    let house = House::new();
    house.add_account(account);
    house.send(&format!("{account}@pobox.example"), "<script>alert(1)</script>");
    house.wait_for_messages(account, 1);
    browse(
        &house,
        "member.mjs",
        &[
            ("ACCOUNT", account),
            ("LANGUAGE", language),
            ("WIDTH", width),
            ("JAVASCRIPT", javascript),
            ("DARK", dark),
        ],
    );
}

#[test]
fn a_member_does_everything_in_japanese_on_a_phone_without_javascript() {
    a_member_does_everything("hanako", "ja", "360", "off", "off");
}

#[test]
fn a_member_does_everything_in_japanese_on_a_wide_window() {
    a_member_does_everything("taro", "ja", "1280", "on", "off");
}

#[test]
fn a_member_does_everything_in_english_on_a_phone() {
    a_member_does_everything("alice", "en", "360", "on", "on");
}

#[test]
fn a_member_does_everything_in_english_on_a_wide_window_without_javascript() {
    a_member_does_everything("bob", "en", "1280", "off", "off");
}

/// An operator, from his one-time link on.
fn an_operator_does_everything(language: &str, width: &str, javascript: &str, dark: &str) {
    let house = House::new();
    house.ran(&["account", "add", "ruler", "--operator", "--language", language], "ruler-try\n");
    let mut session = house.submission_session("abc");
    session.transact(
        "abc@pobox.example",
        &["nobody@unreachable.example"],
        &message("<b>it waits</b>").replace("sender@elsewhere.example", "abc@pobox.example"),
    );
    house.wait_for_event("deferred");
    let said = house.rule("account link ruler");
    let link =
        said.split_whitespace().find(|word| word.contains("/welcome?link=")).expect("a link is printed");
    let path = &link[link.find("/welcome").unwrap()..];
    browse(
        &house,
        "operator.mjs",
        &[
            ("LINK", path),
            ("LANGUAGE", language),
            ("WIDTH", width),
            ("JAVASCRIPT", javascript),
            ("DARK", dark),
        ],
    );
}

#[test]
fn an_operator_does_everything_in_japanese_on_a_wide_window() {
    an_operator_does_everything("ja", "1280", "on", "off");
}

#[test]
fn an_operator_does_everything_in_english_on_a_phone() {
    an_operator_does_everything("en", "360", "on", "on");
}
