//! Which address of an account: the key of delivery instructions.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::label::is_unseen;

/// What begins the name of each file of instructions in qmail.
const FILE: &str = ".qmail";
/// The longest extension in octets: a virtual domain's prefix of 32 with its dash, a local-part's 64, and
/// `-default`.
const LENGTH_MAX: usize = 105;

/// One of the addresses of an account, as qmail names the file of its instructions: `.qmail` is the
/// standard address `abc@pobox.example`, `.qmail-foo` is `foo@abc.pobox.example`, and
/// `.qmail-default` is all that have none of their own.
///
/// Case is folded, and a dot is a colon: `Foo.Bar` and `foo:bar` are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Extension(Box<str>);

/// The text is no extension that can have instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "an address with instructions of its own has letters, digits and any of !#$%&'*+-=?^_{{}}~.: before the @, and is \
     not too long (mail to others is delivered all the same)"
)]
pub struct NotAnExtension;

impl Extension {
    /// The extension that is typed so, such as `foo` in `foo@abc.pobox.example` and in `abc-foo@`; none is
    /// the standard address, which is not the same as an empty one (`abc-@`).
    ///
    /// # Errors
    /// If it has a character that would mean something to a shell or a path, or is not seen.
    pub fn parse(typed: Option<&str>) -> Result<Extension, NotAnExtension> {
        let Some(typed) = typed else { return Ok(Extension::standard()) };
        if typed.len() > LENGTH_MAX || !typed.chars().all(is_allowed) {
            return Err(NotAnExtension);
        }
        let folded = folded(typed);
        // Some letters take more octets in lower case.
        if folded.len() > LENGTH_MAX {
            return Err(NotAnExtension);
        }
        Ok(Extension(format!("-{folded}").into()))
    }

    /// That of the standard address.
    pub fn standard() -> Extension {
        Extension("".into())
    }

    /// The extension of a file of qmail: `.qmail`, `.qmail-foo`.
    ///
    /// # Errors
    /// If it is not named so, or as [`Extension::parse`].
    pub fn of_file(name: &str) -> Result<Extension, NotAnExtension> {
        match name.strip_prefix(FILE).ok_or(NotAnExtension)? {
            "" => Extension::parse(None),
            rest => Extension::parse(Some(rest.strip_prefix('-').ok_or(NotAnExtension)?)),
        }
    }

    /// The name that the file would have in qmail.
    pub fn file_name(&self) -> String {
        format!("{FILE}{}", self.0)
    }

    /// The key in the store.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }

    /// What is stored. Written by this very type.
    pub(crate) fn of_key(key: &str) -> Result<Extension, NotAnExtension> {
        Extension::of_file(&format!("{FILE}{key}"))
    }

    /// The first key, and the end of the keys, of all extensions that begin so.
    pub(crate) fn keys_beginning(typed: &str) -> (String, String) {
        let first = if typed.is_empty() { String::new() } else { format!("-{}", folded(typed)) };
        // No key has this character, and none that begins with `first` sorts after it.
        let end = format!("{first}\u{10ffff}");
        (first, end)
    }
}

/// The key under which a file of this name would be stored, if there were one.
pub(crate) fn key_of_file(name: &str) -> Option<&str> {
    name.strip_prefix(FILE)
}

fn folded(typed: &str) -> String {
    typed.to_lowercase().replace('.', ":")
}

fn is_allowed(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        c if c.is_ascii() => "!#$%&'*+-=?^_{}~.:".contains(c),
        c => !c.is_whitespace() && !is_unseen(c) && c != '\u{10ffff}',
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FILE}{}", self.0)
    }
}

impl TryFrom<String> for Extension {
    type Error = NotAnExtension;
    fn try_from(name: String) -> Result<Extension, NotAnExtension> {
        Extension::of_file(&name)
    }
}

impl From<Extension> for String {
    fn from(extension: Extension) -> String {
        extension.file_name()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_extension_has_the_name_of_its_file_in_qmail() {
        for (typed, file) in [
            (None, ".qmail"),
            (Some(""), ".qmail-"),
            (Some("foo"), ".qmail-foo"),
            (Some("Foo.Bar"), ".qmail-foo:bar"),
            (Some("foo:bar"), ".qmail-foo:bar"),
            (Some(".."), ".qmail-::"),
            (Some("default"), ".qmail-default"),
            (Some("太郎"), ".qmail-太郎"),
        ] {
            let extension = Extension::parse(typed).unwrap();
            assert_eq!(extension.to_string(), file);
            assert_eq!(Extension::of_file(file), Ok(extension));
        }
    }

    #[test]
    fn what_a_shell_or_a_path_would_understand_is_refused() {
        for hostile in [
            "a/b",
            "../x",
            "|sh",
            "a\0",
            "a b",
            "a\"b",
            "a\\b",
            "`id`",
            "$(id)",
            "a;b",
            "<a>",
            "a\nb",
            "a\u{202e}b",
            "a\u{3000}b",
            &"x".repeat(106),
            &"x".repeat(10_000),
            // 104 octets, and 156 in lower case.
            &"\u{23a}".repeat(52),
        ] {
            assert_eq!(Extension::parse(Some(hostile)), Err(NotAnExtension), "{hostile}");
            assert_eq!(Extension::of_file(&format!(".qmail-{hostile}")), Err(NotAnExtension), "{hostile}");
        }
        for name in ["", "qmail-foo", ".qmailfoo", ".qmail/foo", "x/.qmail"] {
            assert_eq!(Extension::of_file(name), Err(NotAnExtension), "{name}");
        }
        assert!(NotAnExtension.to_string().contains("!#$%&'*+-=?^_{}~.:"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_extension_or_an_error(typed in "\\PC{0,110}|[a-zA-Z.:-]{0,20}") {
            if let Ok(extension) = Extension::parse(Some(&typed)) {
                prop_assert_eq!(Extension::of_key(extension.key()), Ok(extension.clone()));
                prop_assert_eq!(Extension::of_file(&extension.file_name()), Ok(extension.clone()));
                prop_assert!(!extension.file_name().contains(['/', '\0']));
                let (first, end) = Extension::keys_beginning(&typed);
                let begins = first.as_str() <= extension.key() && extension.key() < end.as_str();
                prop_assert!(begins);
            }
            let _ = Extension::of_file(&typed);
        }
    }
}
