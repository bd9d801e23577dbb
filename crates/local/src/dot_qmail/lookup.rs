//! Under which names the instructions of an address may stand.

use std::fmt;

/// The longest name that a file can have, in octets (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// The name of a set of instructions: `.qmail`, `.qmail-foo`, `.qmail-foo-default`.
///
/// Always one plain file name of at most 255 octets: no `/`, no NUL, no dot but the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(Box<str>);

/// A name to look under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The name.
    pub name: FileName,
    /// What `default` stands for, in its original case: the program's `DEFAULT`. None if the name
    /// is that of the whole extension.
    pub default_part: Option<&'a str>,
}

/// Where to look for the instructions of an address, in qmail's order; the first that exists
/// counts.
///
/// `extension` is what stands after the account's name and the dash, in its original case; none
/// for the account's standard address, which is not the same as an empty one (`abc-@`).
///
/// A name that no file can have is left out; then a shorter `default` may still serve.
pub fn candidates(extension: Option<&str>) -> impl Iterator<Item = Candidate<'_>> {
    let whole = FileName::of(extension).map(|name| Candidate { name, default_part: None });
    let text = extension.unwrap_or("");
    let ends = text.rmatch_indices('-').map(|(dash, _)| dash + 1).chain([0]);
    let defaults = ends.filter_map(move |end| {
        let (kept, rest) = text.split_at(end);
        // For a standard address this is `.qmaildefault`, which qmail obeys though no manual says so.
        let name = FileName::build(extension.map(|_| kept), "default")?;
        Some(Candidate { name, default_part: Some(rest) })
    });
    whole.into_iter().chain(defaults)
}

impl FileName {
    /// The name for exactly this extension; none for the account's standard address.
    ///
    /// None if no file can have such a name: it would have a `/` or NUL, or over 255 octets.
    pub fn of(extension: Option<&str>) -> Option<FileName> {
        FileName::build(extension, "")
    }

    /// Case is folded as our mailboxes compare it, and every dot becomes a colon, so that nobody
    /// walks about with `..`.
    pub(super) fn build(extension: Option<&str>, suffix: &str) -> Option<FileName> {
        let mut name = String::from(".qmail");
        if let Some(extension) = extension {
            if extension.len() > NAME_MAX || extension.contains(['/', '\0']) {
                return None;
            }
            name.push('-');
            name.push_str(&extension.to_lowercase().replace('.', ":"));
        }
        name.push_str(suffix);
        (name.len() <= NAME_MAX).then(|| FileName(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_asked_for_in_the_order_of_qmail() {
        type Case<'a> = (Option<&'a str>, &'a [(&'a str, Option<&'a str>)]);
        let cases: &[Case] = &[
            (None, &[(".qmail", None), (".qmaildefault", Some(""))]),
            (Some(""), &[(".qmail-", None), (".qmail-default", Some(""))]),
            (Some("foo"), &[(".qmail-foo", None), (".qmail-default", Some("foo"))]),
            (
                Some("foo-"),
                &[(".qmail-foo-", None), (".qmail-foo-default", Some("")), (".qmail-default", Some("foo-"))],
            ),
            (
                Some("foo-bar"),
                &[
                    (".qmail-foo-bar", None),
                    (".qmail-foo-default", Some("bar")),
                    (".qmail-default", Some("foo-bar")),
                ],
            ),
            (Some("Foo.Bar"), &[(".qmail-foo:bar", None), (".qmail-default", Some("Foo.Bar"))]),
            (
                Some("A.b-C-D"),
                &[
                    (".qmail-a:b-c-d", None),
                    (".qmail-a:b-c-default", Some("D")),
                    (".qmail-a:b-default", Some("C-D")),
                    (".qmail-default", Some("A.b-C-D")),
                ],
            ),
            (
                Some("-x"),
                &[(".qmail--x", None), (".qmail--default", Some("x")), (".qmail-default", Some("-x"))],
            ),
            (Some(".."), &[(".qmail-::", None), (".qmail-default", Some(".."))]),
            (Some("../../etc"), &[(".qmail-default", Some("../../etc"))]),
            (Some("a-b/c"), &[(".qmail-a-default", Some("b/c")), (".qmail-default", Some("a-b/c"))]),
            (Some("太郎"), &[(".qmail-太郎", None), (".qmail-default", Some("太郎"))]),
        ];
        for (extension, expected) in cases {
            let found: Vec<Candidate> = candidates(*extension).collect();
            let found: Vec<(&str, Option<&str>)> =
                found.iter().map(|c| (c.name.as_str(), c.default_part)).collect();
            assert_eq!(found, *expected, "{extension:?}");
        }
    }

    #[test]
    fn an_endless_extension_costs_no_more_than_its_dashes() {
        let long = "-".repeat(10_000);
        assert!(candidates(Some(&long)).all(|candidate| candidate.name.as_str().len() <= NAME_MAX));
    }

    proptest! {
        #[test]
        fn any_extension_gives_plain_file_names_and_ends_with_default(extension in "(?s)[-./\\PC\0]{0,80}") {
            let all: Vec<Candidate> = candidates(Some(&extension)).collect();
            for candidate in &all {
                let name = candidate.name.as_str();
                prop_assert!(name.starts_with(".qmail-"));
                prop_assert!(!name[1..].contains(['.', '/', '\0']));
                prop_assert!(candidate.default_part.is_none_or(|part| extension.ends_with(part)));
            }
            prop_assert_eq!(all.last().map(|c| c.name.as_str()), Some(".qmail-default"));
        }
    }
}
