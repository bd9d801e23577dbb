//! The languages of our responses (RFC 6856 §3).

use envelope::Language;

/// All there are, with each one's own name for itself, as LANG lists them.
pub(crate) const LANGUAGES: [(Language, &str); 2] = [(Language::En, "English"), (Language::Ja, "日本語")];

/// Finds the language for a basic language range (RFC 4647 §2.1): by its primary subtag, so that
/// `ja-JP` finds Japanese, and `*` finds what the operator prefers.
pub(crate) fn matching(range: &str, preferred: Language) -> Option<Language> {
    if range == "*" {
        return Some(preferred);
    }
    let well_formed =
        |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
    if !range.split('-').all(well_formed) {
        return None;
    }
    let primary = range.split('-').next()?;
    LANGUAGES.iter().map(|(language, _)| *language).find(|l| l.as_str().eq_ignore_ascii_case(primary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_finds_its_language() {
        for (range, found) in [
            ("ja", Some(Language::Ja)),
            ("JA", Some(Language::Ja)),
            ("ja-JP", Some(Language::Ja)),
            ("en-GB-oed", Some(Language::En)),
            ("*", Some(Language::Ja)),
            ("fr", None),
            ("jav", None),
            ("ja-", None),
            ("ja-*", None),
            ("", None),
        ] {
            assert_eq!(matching(range, Language::Ja), found, "{range}");
        }
    }
}
