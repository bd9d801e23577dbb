//! The API, by a program that goes by its description.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use directory::TokenScope;

use crate::house::{House, eventually, run};
use crate::http::ask;
use crate::keys::Keys;

const DAY: u64 = 86_400;

/// A program of the Python that has the test's modules, which `cargo xtask test` installs.
fn python(program: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let modules = std::env::var_os("PYTHON_MODULES")
        .map_or_else(|| workspace.join("target/partners/python"), PathBuf::from);
    let program = modules.join("bin").join(program);
    assert!(program.is_file(), "{} is missing: cargo xtask test puts it there", program.display());
    program
}

fn url(house: &House) -> String {
    format!("http://127.0.0.1:{}/", house.http())
}

#[test]
fn every_operation_answers_as_the_description_says() {
    let house = House::new();
    house.send("xyz@pobox.example", "to be found");
    house.wait_for_messages("xyz", 1);
    house.rule("account app-password add xyz phone");
    let sent = house.submission_session("abc").transact(
        "abc@pobox.example",
        &["u@peer.example"],
        "Subject: waits\r\n\r\nx\r\n",
    );
    assert!(sent.starts_with("250"), "{sent}");
    let keys = Keys::of(&house);
    let token = |account, scope| keys.token(account, scope, DAY).reveal();
    let (write, read) = (token("xyz", TokenScope::Write), token("xyz", TokenScope::Read));
    let operate = token("abc", TokenScope::Operate);
    eventually("the mail is on record", Duration::from_secs(20), || {
        let bearer = format!("Authorization: Bearer {write}");
        let mail = ask(house.http(), "GET", "/api/v1/mail", &[&bearer], "").json();
        (mail["messages"][0]["counts"]["delivered"] == 1).then_some(())
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/api.py");
    let mut command = Command::new(python("python3"));
    command.arg("-B").arg(script).args([url(&house), write, read, operate]);
    let said = run(&mut command, "").good();
    assert!(said.starts_with("good "), "{said}");
}

#[test]
fn nothing_that_schemathesis_thinks_of_is_answered_otherwise_than_described() {
    let house = House::new();
    let keys = Keys::of(&house);
    let token = keys.token("abc", TokenScope::Operate, DAY).reveal();
    let mut command = Command::new(python("schemathesis"));
    command.current_dir(house.dir.path()).env("NO_COLOR", "1").args([
        "run",
        &format!("{}api/v1/openapi.json", url(&house)),
        "--header",
        &format!("Authorization: Bearer {token}"),
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "5",
        // The header's token is the right one.
        "--generation-with-security-parameters",
        "false",
        "--seed",
        "7",
        // A command has a minute.
        "--max-time",
        "30",
        "--suppress-health-check",
        "all",
    ]);
    let ran = run(&mut command, "");
    assert!(ran.code == Some(0), "{}\n{}", ran.output, ran.errors);
    assert!(ran.output.contains("Tested: "), "{}", ran.output);
}
