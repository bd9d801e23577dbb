//! What the caller's environment says, in the variables of qmail-inject.

use envelope::Address;

use crate::job::{Letters, Names};

/// The variables that [`names`] and [`lists_path`] look at.
pub const VARIABLES: [&str; 17] = [
    "QMAILUSER",
    "MAILUSER",
    "USER",
    "LOGNAME",
    "QMAILHOST",
    "MAILHOST",
    "QMAILNAME",
    "MAILNAME",
    "NAME",
    "QMAILSUSER",
    "QMAILSHOST",
    "QMAILDEFAULTHOST",
    "QMAILDEFAULTDOMAIN",
    "QMAILPLUSDOMAIN",
    "QMAILIDHOST",
    "QMAILINJECT",
    "QMAILMFTFILE",
];

/// The most octets of a value that counts; longer ones are taken for rubbish, as are those with control
/// characters.
const VALUE_MAX: usize = 255;
/// The most octets of the file that `QMAILMFTFILE` names.
pub const LISTS_FILE_MAX: usize = 64 << 10;
const ESC: u8 = 0x1b;

/// The names that the environment gives. Of several variables, the first that is set counts. One that is
/// set and empty names no user and no host, so the next counts; but it does say that there is no full
/// name.
pub fn names(environment: &dyn Fn(&str) -> Option<Vec<u8>>) -> Names {
    let value = |name: &str| environment(name).filter(|value| is_sound(value, false));
    let first = |names: &[&str]| names.iter().find_map(|name| value(name).filter(|value| !value.is_empty()));
    let full_name = ["QMAILNAME", "MAILNAME", "NAME"].iter().find_map(|name| environment(name));
    Names {
        user: first(&["QMAILUSER", "MAILUSER", "USER", "LOGNAME"]),
        host: first(&["QMAILHOST", "MAILHOST"]),
        name: full_name.filter(|name| !name.is_empty() && is_sound(name, true)),
        sender_user: first(&["QMAILSUSER"]),
        sender_host: first(&["QMAILSHOST"]),
        default_host: first(&["QMAILDEFAULTHOST"]),
        default_domain: first(&["QMAILDEFAULTDOMAIN"]),
        plus_domain: first(&["QMAILPLUSDOMAIN"]),
        id_host: first(&["QMAILIDHOST"]),
        letters: environment("QMAILINJECT").map(|value| letters(&value)).unwrap_or_default(),
        lists: Vec::new(),
    }
}

/// The path in `QMAILMFTFILE`: the file that it names is read with [`lists`] into [`Names::lists`].
pub fn lists_path(environment: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    environment("QMAILMFTFILE").filter(|path| !path.is_empty() && !path.contains(&0))
}

/// The addresses in the file that `QMAILMFTFILE` names: one a line. Lines that have none are passed over,
/// and so is what lies behind [`LISTS_FILE_MAX`] octets.
pub fn lists(text: &[u8]) -> Vec<Address> {
    let whole = match text.get(..LISTS_FILE_MAX) {
        // The last line is cut.
        Some(beginning) => &beginning[..beginning.iter().rposition(|&octet| octet == b'\n').unwrap_or(0)],
        None => text,
    };
    let lines = whole.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii);
    lines.filter_map(|line| Address::parse(std::str::from_utf8(line).ok()?).ok()).collect()
}

fn letters(value: &[u8]) -> Letters {
    let has = |letter: u8| value.contains(&letter);
    Letters {
        comment_name: has(b'c'),
        ignore_return_path: has(b's'),
        drop_from: has(b'f'),
        drop_message_id: has(b'i'),
        verp: has(b'r'),
        message_verp: has(b'm'),
    }
}

fn is_sound(value: &[u8], escapes: bool) -> bool {
    let control = |octet: &u8| octet.is_ascii_control() && !(escapes && *octet == ESC);
    value.len() <= VALUE_MAX && !value.iter().any(control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names_of(variables: &[(&str, &str)]) -> Names {
        names(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.as_bytes().to_vec())
        })
    }

    fn text(value: Option<Vec<u8>>) -> String {
        value.map_or("-".into(), |value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn the_first_variable_that_is_set_counts() {
        for (variables, user, host, name) in [
            (&[][..], "-", "-", "-"),
            (&[("LOGNAME", "l"), ("USER", "u")], "u", "-", "-"),
            (&[("USER", "u"), ("MAILUSER", "m"), ("MAILHOST", "mh")], "m", "mh", "-"),
            (
                &[("MAILUSER", "m"), ("QMAILUSER", "q"), ("QMAILHOST", "qh"), ("MAILHOST", "mh")],
                "q",
                "qh",
                "-",
            ),
            (&[("NAME", "n")], "-", "-", "n"),
            (&[("NAME", "n"), ("MAILNAME", "m"), ("QMAILNAME", "q")], "-", "-", "q"),
            (&[("NAME", "n"), ("MAILNAME", "m")], "-", "-", "m"),
            (&[("QMAILUSER", ""), ("USER", "u"), ("QMAILNAME", ""), ("NAME", "n")], "u", "-", "-"),
        ] {
            let names = names_of(variables);
            assert_eq!(
                [text(names.user), text(names.host), text(names.name)],
                [user, host, name],
                "{variables:?}"
            );
        }
        let all = names_of(&[
            ("QMAILSUSER", "su"),
            ("QMAILSHOST", "sh"),
            ("QMAILDEFAULTHOST", "dh"),
            ("QMAILDEFAULTDOMAIN", "dd"),
            ("QMAILPLUSDOMAIN", "pd"),
            ("QMAILIDHOST", "ih"),
        ]);
        let values = [
            all.sender_user,
            all.sender_host,
            all.default_host,
            all.default_domain,
            all.plus_domain,
            all.id_host,
        ];
        assert_eq!(values.map(text), ["su", "sh", "dh", "dd", "pd", "ih"]);
    }

    #[test]
    fn each_letter_of_qmailinject_says_something_of_its_own() {
        type Said = fn(&Letters) -> bool;
        let meanings: [(&str, Said); 6] = [
            ("c", |letters| letters.comment_name),
            ("s", |letters| letters.ignore_return_path),
            ("f", |letters| letters.drop_from),
            ("i", |letters| letters.drop_message_id),
            ("r", |letters| letters.verp),
            ("m", |letters| letters.message_verp),
        ];
        for (letter, _) in meanings {
            let letters = names_of(&[("QMAILINJECT", letter)]).letters;
            for (other, said) in meanings {
                assert_eq!(said(&letters), letter == other, "{letter} {other}");
            }
        }
        let all = names_of(&[("QMAILINJECT", "csfirm, and more")]).letters;
        assert!(meanings.iter().all(|(_, said)| said(&all)));
    }

    #[test]
    fn rubbish_counts_as_if_it_were_not_there() {
        let long = "a".repeat(100_000);
        let names =
            names_of(&[("QMAILUSER", &long), ("USER", "u"), ("NAME", "a\nBcc: b"), ("QMAILHOST", "h\0")]);
        assert_eq!([text(names.user), text(names.host), text(names.name)], ["u", "-", "-"]);
        let japanese = names_of(&[("QMAILNAME", "\x1b$B;3ED\x1b(B")]);
        assert_eq!(text(japanese.name), "\x1b$B;3ED\x1b(B");
    }

    #[test]
    fn a_file_of_lists_has_an_address_a_line() {
        let read = |text: &[u8]| lists(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            read(b"a@x.example\r\n\n# no\nb@y.example \nnone\nc@z.example"),
            ["a@x.example", "b@y.example", "c@z.example"]
        );
        assert_eq!(lists_path(&|name| (name == "QMAILMFTFILE").then(|| b"/l".to_vec())).unwrap(), b"/l");
        assert_eq!(read(&b"a@x.example\n".repeat(10_000)).len(), LISTS_FILE_MAX / 12);
    }

    proptest! {
        #[test]
        fn no_environment_brings_a_line_end(values in proptest::collection::vec(any::<Vec<u8>>(), VARIABLES.len())) {
            let names = names(&|name| {
                VARIABLES.iter().position(|variable| *variable == name).map(|at| values[at].clone())
            });
            for value in [names.user, names.host, names.name, names.id_host].into_iter().flatten() {
                prop_assert!(value.len() <= VALUE_MAX && !value.contains(&b'\n') && !value.is_empty());
            }
            lists(&values[0]);
        }
    }
}
