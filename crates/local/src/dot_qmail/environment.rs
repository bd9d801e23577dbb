//! What a program is told: the variables of qmail-command(8).

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use envelope::{Address, ReversePath};
use thiserror::Error;

use crate::dot_qmail::forward_to::bare;
use crate::dot_qmail::from_line::from_line;
use crate::dot_qmail::owner::NewSender;

/// The delivery that a program is part of.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The message's reverse-path.
    pub sender: &'a ReversePath,
    /// What forwards will have for it: see [`new_sender`](super::new_sender).
    pub new_sender: &'a NewSender,
    /// The recipient as Delivered-To has it.
    pub recipient: &'a Address,
    /// The account's name.
    pub user: &'a str,
    /// The account's home, where the program begins.
    pub home: &'a Path,
    /// What stands after the account's name and the dash, in its original case.
    pub extension: Option<&'a str>,
    /// Of the [`Candidate`](super::Candidate) whose instructions are obeyed.
    pub default_part: Option<&'a str>,
    /// The time of the delivery in seconds since 1970.
    pub seconds: u64,
}

/// The names of all variables that [`environment`] may give.
pub const VARIABLES: [&str; 18] = [
    "SENDER",
    "NEWSENDER",
    "RECIPIENT",
    "USER",
    "HOME",
    "HOST",
    "HOST2",
    "HOST3",
    "HOST4",
    "LOCAL",
    "EXT",
    "EXT2",
    "EXT3",
    "EXT4",
    "DTLINE",
    "RPLINE",
    "UFLINE",
    "DEFAULT",
];

/// A value has a NUL, so no program can be told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the value of {name} has a NUL character")]
pub struct NulInVariable {
    /// The variable.
    pub name: &'static str,
}

/// The variables that qmail gives a program, each name once.
///
/// **The values are whatever a stranger wrote**: quotes, `$(…)`, spaces. They are nowhere quoted
/// for a shell, and must reach the program as its environment, never as a piece of the command.
///
/// `DTLINE` has the recipient as our own Delivered-To field does, so that a program that sends the
/// message on with it does not hide a loop; qmail's has no quotes.
///
/// # Errors
/// If a value has a NUL.
pub fn environment(scene: &Scene<'_>) -> Result<Vec<(&'static str, Vec<u8>)>, NulInVariable> {
    let recipient = scene.recipient;
    let sender = scene.sender.address().map(bare).unwrap_or_default();
    let extension = scene.extension.unwrap_or("");
    let host = recipient.host.to_string();
    let [ext2, ext3, ext4] = after_dashes(extension);
    let [host2, host3, host4] = before_dots(&host);
    let mut variables: Vec<(&'static str, Vec<u8>)> = vec![
        ("SENDER", sender.into()),
        ("NEWSENDER", scene.new_sender.to_string().into()),
        ("RECIPIENT", bare(recipient).into()),
        ("USER", scene.user.into()),
        ("HOME", scene.home.as_os_str().as_bytes().into()),
        ("HOST", host.as_str().into()),
        ("HOST2", host2.into()),
        ("HOST3", host3.into()),
        ("HOST4", host4.into()),
        ("LOCAL", recipient.local_part.as_str().into()),
        ("EXT", extension.into()),
        ("EXT2", ext2.into()),
        ("EXT3", ext3.into()),
        ("EXT4", ext4.into()),
        ("DTLINE", format!("Delivered-To: {recipient}\n").into()),
        ("RPLINE", format!("Return-Path: {}\n", scene.sender).into()),
        ("UFLINE", from_line(scene.sender, scene.seconds).into()),
    ];
    if let Some(default_part) = scene.default_part {
        variables.push(("DEFAULT", default_part.into()));
    }
    match variables.iter().find(|(_, value)| value.contains(&0)) {
        Some((name, _)) => Err(NulInVariable { name }),
        None => Ok(variables),
    }
}

/// What follows the first, second and third dash; empty where there is none.
fn after_dashes(extension: &str) -> [&str; 3] {
    let mut rest = extension;
    [(); 3].map(|()| {
        rest = rest.split_once('-').map_or("", |(_, after)| after);
        rest
    })
}

/// What precedes the last, second-last and third-last dot; where there is none, all that is left.
fn before_dots(host: &str) -> [&str; 3] {
    let mut rest = host;
    [(); 3].map(|()| {
        rest = rest.rsplit_once('.').map_or(rest, |(before, _)| before);
        rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn told(scene: &Scene<'_>) -> BTreeMap<&'static str, String> {
        let variables = environment(scene).unwrap();
        variables.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    }

    #[test]
    fn a_program_is_told_all_that_qmail_tells() {
        let sender = ReversePath::Address("\"s p\"@x.example".parse().unwrap());
        let scene = Scene {
            sender: &sender,
            new_sender: &NewSender::Same(ReversePath::Address("abc-L-owner@a.b.c.d.e".parse().unwrap())),
            recipient: &"abc-L-one-Two-3@a.b.c.d.e".parse().unwrap(),
            user: "abc",
            home: Path::new("/home/abc"),
            extension: Some("L-one-Two-3"),
            default_part: Some("Two-3"),
            seconds: 0,
        };
        let expected = [
            ("SENDER", "s p@x.example"),
            ("NEWSENDER", "abc-L-owner@a.b.c.d.e"),
            ("RECIPIENT", "abc-L-one-Two-3@a.b.c.d.e"),
            ("USER", "abc"),
            ("HOME", "/home/abc"),
            ("HOST", "a.b.c.d.e"),
            ("HOST2", "a.b.c.d"),
            ("HOST3", "a.b.c"),
            ("HOST4", "a.b"),
            ("LOCAL", "abc-L-one-Two-3"),
            ("EXT", "L-one-Two-3"),
            ("EXT2", "one-Two-3"),
            ("EXT3", "Two-3"),
            ("EXT4", "3"),
            ("DEFAULT", "Two-3"),
            ("DTLINE", "Delivered-To: abc-L-one-Two-3@a.b.c.d.e\n"),
            ("RPLINE", "Return-Path: <\"s p\"@x.example>\n"),
            ("UFLINE", "From s-p@x.example Thu Jan  1 00:00:00 1970\n"),
        ];
        assert_eq!(BTreeSet::from(VARIABLES), expected.iter().map(|(name, _)| *name).collect());
        assert_eq!(told(&scene), expected.map(|(name, value)| (name, value.to_string())).into());
    }

    #[test]
    fn what_is_not_there_is_empty_and_default_is_told_only_where_it_was_used() {
        let scene = Scene {
            sender: &ReversePath::Null,
            new_sender: &NewSender::Same(ReversePath::Null),
            recipient: &"abc@example".parse().unwrap(),
            user: "abc",
            home: Path::new("/home/abc"),
            extension: None,
            default_part: None,
            seconds: 0,
        };
        let told = told(&scene);
        for name in ["SENDER", "NEWSENDER", "EXT", "EXT2", "EXT3", "EXT4"] {
            assert_eq!(told[name], "", "{name}");
        }
        assert_eq!(told["HOST4"], "example");
        assert_eq!(told["RPLINE"], "Return-Path: <>\n");
        assert_eq!(told["UFLINE"], "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
        assert!(!told.contains_key("DEFAULT"));
    }

    proptest! {
        #[test]
        fn hostile_values_pass_as_they_are_and_a_nul_never(
            user in ".{0,9}", extension in "(?s)[-;$`'\"|\\PC\0]{0,40}", local in "\\PC{1,64}",
        ) {
            let Ok(local) = envelope::LocalPart::new(&local) else { return Ok(()) };
            let recipient = Address::new(local, envelope::Host::parse("x.example").unwrap());
            let scene = Scene {
                sender: &ReversePath::Address(recipient.clone()),
                new_sender: &NewSender::Same(ReversePath::Null),
                recipient: &recipient,
                user: &user,
                home: Path::new("/h"),
                extension: Some(&extension),
                default_part: None,
                seconds: 0,
            };
            let nul = user.contains('\0') || extension.contains('\0');
            match environment(&scene) {
                Err(_) => prop_assert!(nul),
                Ok(variables) => {
                    prop_assert!(!nul);
                    prop_assert!(variables.contains(&("EXT", extension.into_bytes())));
                    for (name, value) in variables {
                        let lines = value.iter().filter(|octet| **octet == b'\n').count();
                        prop_assert_eq!(lines, usize::from(name.ends_with("LINE")));
                    }
                }
            }
        }
    }
}
