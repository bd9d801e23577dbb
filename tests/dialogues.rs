//! What the server answers, word for word: `dialogues/*.txt`, each against a server of its own.
//!
//! | line | meaning |
//! | --- | --- |
//! | `# …` | a comment |
//! | `config …` | a line of the configuration, before anything else |
//! | `open DOOR` | a new connection: `smtp`, `submission`, `submissions`, `pop3` or `pop3s` |
//! | `tls` | the client negotiates TLS |
//! | `C: …` | the client sends this line with CRLF |
//! | `C<< …` | the client sends these octets: `\r`, `\n`, `\t`, `\\`, `\xHH`, `\{N:…}` for N times |
//! | `C.` | the client sends no more |
//! | `S: …` | the server says this line; one `*` in it stands for whatever it says there |
//! | `S.` | the server says no more and closes the connection |
//! | `hikyaku …` | an operator runs this command, which has to succeed |
//! | `mailbox NAME N` | waits until N messages lie in this account's mailbox |

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::house::House;
use crate::wire::Wire;

macro_rules! dialogues {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { hold(stringify!($name)); })*
    };
}

dialogues! {
    address_forms authentication bdat bdat_refusals command_lines data data_refusals dsn errors greeting hello limits mail_and_rcpt
    pipelining postmaster quota relaying sender_rule sending_limits sequence smtp_starttls smtputf8 storage_full submission
    pop3_authorization pop3_capabilities pop3_commands pop3_errors pop3_japanese pop3_login_failures
    pop3_multiline pop3_stls pop3_transaction pop3_update
}

#[test]
fn every_dialogue_file_is_held() {
    let files: BTreeSet<String> =
        files().iter().map(|file| file.file_stem().unwrap().to_str().unwrap().into()).collect();
    assert_eq!(files, NAMES.iter().map(ToString::to_string).collect());
}

#[test]
fn every_smtp_reply_occurs_in_a_dialogue() {
    every_text_occurs(
        include_str!("../crates/smtp/src/replies.rs"),
        &[
            // `limits.rs` has them: they take a server that is crowded, slow, stopping or half dead.
            "sorry, too many connections",
            "sorry, I could not write your message to disk",
            "sorry, I cannot look up that address now",
            "timeout (#4.4.2)",
            "the service is stopping, please come again",
            // `sending.rs`: they take an account in some state, or a name that was guessed at.
            "sorry, this account is suspended",
            "sorry, too many wrong passwords for that name",
            // `forwarding.rs`: it takes a mailbox that stays full for a while.
            "sorry, that mailbox has been full for some days",
            // `submit.rs`: programs of this machine are told these instead of a greeting.
            "sorry, user id ",
            " belongs to no customer; ask the operator",
            "sorry, the account of user id ",
            " may not send mail; ask the operator",
            // The session's own tests: the directory away, or a client beyond loopback, are not had
            // here.
            "sorry, I cannot look up that name now",
            "sorry, I cannot look up who you are now",
            "sorry, no passwords in clear text",
            "AUTH comes before MAIL",
        ],
    );
}

#[test]
fn every_pop3_response_occurs_in_a_dialogue() {
    every_text_occurs(
        include_str!("../crates/pop3/src/responses.rs"),
        &[
            // `mailboxes.rs` has them: they take two clients, a missing mailbox, or a suspended account.
            "IN-USE",
            "SYS/PERM",
            "your mailbox is open in another session",
            "メールボックスはほかの接続で使用中です",
            "your mailbox cannot be opened",
            "メールボックスを開けません",
            "this account is suspended",
            "このアカウントは停止中です",
            "unable to open that message",
            "そのメールを開けません",
            // `limits.rs`: a role that does not answer, a client that is no loopback.
            "SYS/TEMP",
            "temporary trouble on this server",
            "サーバーに一時的な問題があります",
            "no password without TLS",
            "TLS なしではパスワードを受け付けません",
            // `killing.rs`: the mailbox is gone in the middle of a session.
            "some deleted messages not removed",
            "削除できないメールがありました",
            // The server has no reason to say these: TLS is always offered, and every message sent
            // as it is.
            "TLS is not offered here",
            "ここでは TLS を使えません",
            "this message needs UTF-8 mode",
            "このメールには UTF-8 モードが必要です",
        ],
    );
}

/// Every string of this source that a client may read stands in a dialogue, but for `elsewhere`.
fn every_text_occurs(source: &str, elsewhere: &[&str]) {
    let said: String = files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let said: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("S: ")).collect();
    let mut missing = Vec::new();
    for text in strings(source) {
        for fixed in fixed_parts(&text).into_iter().filter(|part| part.trim().len() >= 6) {
            let occurs = said.iter().any(|line| line.contains(fixed.trim()));
            if !occurs && !elsewhere.iter().any(|text| fixed.contains(text)) {
                missing.push(fixed.to_string());
            }
        }
    }
    assert!(missing.is_empty(), "in no dialogue: {missing:#?}");
}

/// The lines of a text without its placeholders, which may stand for anything.
fn fixed_parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some((fixed, after)) = rest.split_once('{') {
            parts.push(fixed);
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        parts.push(rest);
    }
    parts
}

/// The string literals of Rust source before its tests, comments left out, escapes undone.
fn strings(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut strings = Vec::new();
    let mut rest = code.as_str();
    while let Some((_, after)) = rest.split_once('"') {
        let mut text = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next() {
                Some((at, '"')) => break at + 1,
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    // A line that goes on.
                    Some((_, '\n')) => {
                        let blank = characters.as_str().len() - characters.as_str().trim_start().len();
                        characters.nth(blank.saturating_sub(1));
                    }
                    Some((_, other)) => text.push(other),
                    None => panic!("the source ends in a string"),
                },
                Some((_, other)) => text.push(other),
                None => panic!("the source ends in a string"),
            }
        };
        strings.push(text);
        rest = &after[end..];
    }
    strings
}

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues");
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Holds one dialogue.
fn hold(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/dialogues/{name}.txt"));
    let text = fs::read_to_string(&file).unwrap();
    let config: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("config ")).collect();
    let house = House::with(&config.join("\n"));
    let mut stage = Stage { house: &house, wire: None };
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}.txt:{}", number + 1);
        if let Err(problem) = stage.play(line) {
            panic!("{place}: {line}\n{problem}");
        }
    }
    stage.leave().unwrap_or_else(|problem| panic!("{name}.txt, at the end: {problem}"));
}

struct Stage<'a> {
    house: &'a House,
    wire: Option<Wire>,
}

impl Stage<'_> {
    fn play(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') || line.starts_with("config ") {
            return Ok(());
        }
        if let Some(door) = line.strip_prefix("open ") {
            self.leave()?;
            self.wire = Some(self.open(door)?);
            return Ok(());
        }
        if let Some(arguments) = line.strip_prefix("hikyaku ") {
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let ran = self.house.run(&arguments, "");
            return if ran.code == Some(0) { Ok(()) } else { Err(format!("{ran:?}")) };
        }
        if let Some(arguments) = line.strip_prefix("mailbox ") {
            let (account, count) = arguments.split_once(' ').ok_or("mailbox NAME N")?;
            self.house.wait_for_messages(account, count.parse().map_err(|_| "N is a number")?);
            return Ok(());
        }
        let wire = self.wire.as_mut().ok_or("nothing is open")?;
        match line.split_once(' ').unwrap_or((line, "")) {
            ("C:", text) => {
                wire.try_send(format!("{text}\r\n").as_bytes()).map_err(|error| error.to_string())
            }
            ("C<<", text) => wire.try_send(&octets(text)?).map_err(|error| error.to_string()),
            ("C.", "") => {
                wire.end_of_input();
                Ok(())
            }
            ("S:", expected) => match wire.try_line() {
                Ok(said) if matches(expected, &said) => Ok(()),
                Ok(said) => Err(format!(
                    "but the server said {said:?}; unread: {:?}",
                    wire.unread().escape_ascii().to_string()
                )),
                Err(error) => Err(format!("but the server said nothing: {error}")),
            },
            ("S.", "") => match wire.line() {
                None => {
                    self.wire = None;
                    Ok(())
                }
                Some(said) => Err(format!("but the server said {said:?}")),
            },
            ("tls", "") => {
                let wire = self.wire.take().ok_or("nothing is open")?;
                self.wire = Some(wire.start_tls(&self.house.certificate(), "mail.pobox.example"));
                Ok(())
            }
            _ => Err("no such line; dialogues.rs lists those there are".into()),
        }
    }

    fn open(&self, door: &str) -> Result<Wire, String> {
        let house = self.house;
        let port = match door {
            "smtp" => house.smtp(),
            "submission" => house.submission(),
            "submissions" => house.submissions(),
            "pop3" => house.pop3(),
            "pop3s" => house.pop3s(),
            _ => return Err("no such door".into()),
        };
        Ok(Wire::connect(SocketAddr::from(([127, 0, 0, 1], port))))
    }

    /// Leaves a connection, on which the server may not have said more than was expected.
    fn leave(&mut self) -> Result<(), String> {
        match self.wire.take() {
            Some(wire) if !wire.unread().is_empty() => {
                Err(format!("the server said more: {:?}", wire.unread().escape_ascii().to_string()))
            }
            _ => Ok(()),
        }
    }
}

fn matches(expected: &str, said: &str) -> bool {
    match expected.split_once('*') {
        Some((beginning, end)) => {
            said.len() >= beginning.len() + end.len() && said.starts_with(beginning) && said.ends_with(end)
        }
        None => said == expected,
    }
}

/// Undoes the escapes of a `C<<` line.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let (kind, after) = escape.split_at_checked(1).ok_or("an escape is cut short")?;
        rest = after;
        match kind {
            "r" => octets.push(b'\r'),
            "n" => octets.push(b'\n'),
            "t" => octets.push(b'\t'),
            "\\" => octets.push(b'\\'),
            "x" => {
                let (digits, after) = after.split_at_checked(2).ok_or("\\x has two digits")?;
                octets.push(u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?);
                rest = after;
            }
            "{" => {
                let (repeated, after) = after.split_once('}').ok_or("no } ends the repetition")?;
                let (times, what) = repeated.split_once(':').ok_or("a repetition is {N:what}")?;
                let times: usize = times.parse().map_err(|_| "N is a number")?;
                octets.extend(self::octets(what)?.repeat(times));
                rest = after;
            }
            other => return Err(format!("no escape \\{other}")),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}
