//! All texts, in Japanese and English. They lie in `texts/`, one Fluent file for each part of the pages.

use std::borrow::Cow;
use std::sync::LazyLock;

use envelope::Language;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// The parts: a name, its Japanese, its English.
macro_rules! parts {
    ($($part:literal),* $(,)?) => {
        &[$(($part, include_str!(concat!("../texts/ja/", $part, ".ftl")), include_str!(concat!("../texts/en/", $part, ".ftl")))),*]
    };
}

const PARTS: &[(&str, &str, &str)] = parts![
    "frame",
    "sign-in",
    "trouble",
    "overview",
    "moment",
    "advice",
    "life",
    "addresses",
    "consent",
    "mail",
    "api",
    "account",
    "absence",
    "sheet",
    "operator",
    "operator-accounts",
    "operator-domains",
    "operator-queue",
    "operator-traffic",
    "operator-health"
];

type Bundle = FluentBundle<FluentResource>;

static JA: LazyLock<Bundle> = LazyLock::new(|| bundle("ja", PARTS.iter().map(|part| part.1)));
static EN: LazyLock<Bundle> = LazyLock::new(|| bundle("en", PARTS.iter().map(|part| part.2)));

fn bundle<'a>(tag: &str, texts: impl Iterator<Item = &'a str>) -> Bundle {
    let language: LanguageIdentifier = tag.parse().expect("ja and en are language tags");
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Marks round what is filled in would be copied along with it.
    bundle.set_use_isolating(false);
    for text in texts {
        // What cannot be read is left out, and a test says so.
        let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
        let _ = bundle.add_resource(resource);
    }
    bundle
}

/// The texts in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words(pub Language);

impl Words {
    /// The language tag, for `lang` attributes.
    pub fn tag(&self) -> &'static str {
        self.0.as_str()
    }

    /// Whether they are Japanese.
    pub fn is_ja(&self) -> bool {
        self.0 == Language::Ja
    }

    /// A text.
    pub fn say(&self, key: &str) -> Cow<'static, str> {
        self.fill(key, &FluentArgs::new())
    }

    /// A text with one thing filled in.
    pub fn with<'a>(&self, key: &str, name: &'a str, value: impl Into<FluentValue<'a>>) -> Cow<'static, str> {
        let mut args = FluentArgs::new();
        args.set(name, value);
        self.fill(key, &args)
    }

    /// A text with two things filled in.
    pub fn with2<'a>(
        &self,
        key: &str,
        (name, value): (&'a str, impl Into<FluentValue<'a>>),
        (other, another): (&'a str, impl Into<FluentValue<'a>>),
    ) -> Cow<'static, str> {
        let mut args = FluentArgs::new();
        args.set(name, value);
        args.set(other, another);
        self.fill(key, &args)
    }

    /// A text with things filled in. A text that is missing shows its key: a test keeps that from happening.
    pub fn fill(&self, key: &str, args: &FluentArgs<'_>) -> Cow<'static, str> {
        let bundle: &'static Bundle = if self.is_ja() { &JA } else { &EN };
        let (key, attribute) =
            key.split_once('.').map_or((key, None), |(key, attribute)| (key, Some(attribute)));
        let message = bundle.get_message(key);
        let pattern = message.and_then(|message| match attribute {
            Some(attribute) => message.get_attribute(attribute).map(|attribute| attribute.value()),
            None => message.value(),
        });
        let Some(pattern) = pattern else {
            tracing::error!(key, "a text is missing");
            return Cow::Owned(key.to_owned());
        };
        let mut errors = Vec::new();
        Cow::Owned(bundle.format_pattern(pattern, Some(args), &mut errors).into_owned())
    }
}

/// The language of a visitor whose account does not say: by the header field Accept-Language (RFC 9110 §12.5.4),
/// Japanese unless he likes English better.
pub fn accepted(header: Option<&str>) -> Language {
    let mut best = (Language::Ja, 0.0_f32);
    for range in header.unwrap_or_default().split(',').take(20) {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        let primary = tag.trim().split('-').next().unwrap_or_default();
        let language = match primary {
            _ if primary.eq_ignore_ascii_case("ja") => Language::Ja,
            _ if primary.eq_ignore_ascii_case("en") => Language::En,
            _ => continue,
        };
        if weight > best.1 {
            best = (language, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    /// Each message of a file, and what is filled in there.
    fn messages(text: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut key = String::new();
        for line in text.lines() {
            let is_key = line.starts_with(|c: char| c.is_ascii_lowercase());
            if let Some((name, _)) = line.split_once(" =").filter(|_| is_key) {
                key = name.to_owned();
                assert!(all.insert(key.clone(), BTreeSet::new()).is_none(), "{key} stands there twice");
            }
            for rest in line.split('$').skip(1) {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
                let variable = rest[..end.unwrap_or(rest.len())].to_owned();
                all.entry(key.clone()).or_default().insert(variable);
            }
        }
        all
    }

    #[test]
    fn both_languages_have_the_same_texts_with_the_same_things_filled_in() {
        for (part, ja, en) in PARTS {
            for text in [ja, en] {
                FluentResource::try_new((*text).to_owned())
                    .unwrap_or_else(|(_, errors)| panic!("{part}: {errors:?}"));
            }
            assert_eq!(messages(ja), messages(en), "{part}");
        }
        let all: usize = PARTS.iter().map(|(_, ja, _)| messages(ja).len()).sum();
        let distinct: BTreeSet<_> = PARTS.iter().flat_map(|(_, ja, _)| messages(ja).into_keys()).collect();
        assert_eq!(all, distinct.len(), "a key stands in two parts");
    }

    /// Every file below `folder` whose name ends so.
    fn sources(folder: &Path, ending: &str) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all += &sources(&path, ending);
            } else if path.extension().is_some_and(|found| found == ending) {
                all += &std::fs::read_to_string(&path).unwrap();
            }
        }
        all
    }

    #[test]
    fn every_text_is_used_somewhere_and_every_template_finds_its_texts() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (templates, code) = (sources(&here.join("templates"), "html"), sources(&here.join("src"), "rs"));
        let known: BTreeSet<_> = PARTS.iter().flat_map(|(_, ja, _)| messages(ja).into_keys()).collect();
        for call in [".say(\"", ".with(\"", ".with2(\""] {
            for rest in templates.split(call).skip(1) {
                let key = rest.split('"').next().unwrap_or_default().split('.').next().unwrap_or_default();
                assert!(known.contains(key), "a template says {key}, and there is no such text");
            }
        }
        for key in &known {
            let quoted = format!("\"{key}");
            // Some are put together: `done-` and what was done.
            let made = key.match_indices('-').any(|(at, _)| code.contains(&format!("\"{}-{{", &key[..at])));
            assert!(templates.contains(&quoted) || code.contains(&quoted) || made, "{key} is used nowhere");
        }
    }

    #[test]
    fn a_language_is_chosen_by_what_the_browser_likes() {
        for (header, expected) in [
            (None, Language::Ja),
            (Some("en-US,en;q=0.9"), Language::En),
            (Some("en;q=0.5, ja;q=0.8"), Language::Ja),
            (Some("fr, en;q=0.3"), Language::En),
            (Some("fr"), Language::Ja),
            (Some(";;q=,,,=\u{0}"), Language::Ja),
        ] {
            assert_eq!(accepted(header), expected, "{header:?}");
        }
    }
}
