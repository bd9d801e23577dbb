//! In which language a sender writes, by the header of his message.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use envelope::Language;

use crate::fields::{Field, fields};

/// Charsets that hold Japanese text and nothing else.
const CHARSETS: [&str; 6] = ["iso-2022-jp", "shift_jis", "shift-jis", "euc-jp", "windows-31j", "cp932"];

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The language of a message that has this header: Japanese if a charset, a language tag or a letter of
/// kana says so, else English. Chinese characters alone say nothing.
pub fn language_of(header: &[u8]) -> Language {
    let telling = ["Subject", "From", "To", "Cc", "Content-Type", "Content-Language"];
    let mut telling = fields(header).filter(|field| telling.iter().any(|name| field.is(name)));
    if telling.any(|field| is_japanese(&field)) { Language::Ja } else { Language::En }
}

fn is_japanese(field: &Field<'_>) -> bool {
    let text = String::from_utf8_lossy(field.body);
    let lower = text.to_ascii_lowercase();
    CHARSETS.iter().any(|charset| lower.contains(charset))
        || (field.is("Content-Language") && lower.trim_start().starts_with("ja"))
        // A run of ISO-2022-JP (RFC 1468) without the frame of MIME.
        || ["\x1b$B", "\x1b$@"].iter().any(|escape| text.contains(escape))
        || has_kana(&text)
        || encoded_words(&text).any(|word| has_kana(&word))
}

fn has_kana(text: &str) -> bool {
    text.chars()
        .any(|c| matches!(c, '\u{3041}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{ff66}'..='\u{ff9d}'))
}

/// The encoded-words in UTF-8 of a field (RFC 2047 §2), decoded.
fn encoded_words(text: &str) -> impl Iterator<Item = String> {
    text.split("=?").skip(1).filter_map(|word| {
        let mut parts = word.split('?');
        let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
        if !charset.eq_ignore_ascii_case("utf-8") {
            return None;
        }
        let octets = match encoding {
            "B" | "b" => LENIENT.decode(text).ok()?,
            "Q" | "q" => q_decoded(text),
            _ => return None,
        };
        // A character may be cut in two by the end of its word.
        Some(String::from_utf8_lossy(&octets).into_owned())
    })
}

/// The "Q" encoding (RFC 2047 §4.2); what is none stays as it is.
fn q_decoded(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| octet == b'=') {
            Some(decoded) => {
                octets.push(decoded);
                rest = &after[2..];
            }
            None => {
                octets.push(octet);
                rest = after;
            }
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn charsets_tags_and_kana_tell_japanese() {
        for japanese in [
            &b"Subject: =?ISO-2022-JP?B?GyRCO24bKEI=?="[..],
            b"Subject: =?Shift_JIS?Q?=8E=8E?=",
            b"Content-Type: text/plain; charset=\"iso-2022-jp\"",
            b"Content-Language: ja-JP",
            b"Subject: \x1b$B;n\x1b(B",
            "Subject: こんにちは".as_bytes(),
            "From: ﾀﾛｳ <a@x.example>".as_bytes(),
            b"Subject: =?utf-8?B?44GT44KT?=",
            b"From: =?UTF-8?q?=E3=82=BF=E3=83=AD=E3=82=A6?= <a@x.example>",
        ] {
            assert_eq!(language_of(japanese), Language::Ja, "{}", String::from_utf8_lossy(japanese));
        }
    }

    #[test]
    fn other_headers_are_answered_in_english() {
        for other in [
            &b"Subject: hello"[..],
            b"",
            "Subject: 你好".as_bytes(),
            b"Subject: =?utf-8?B?5L2g5aW9?=",
            b"X-Note: iso-2022-jp",
            b"Subject: x\r\n\r\nSubject: =?iso-2022-jp?B?GyRCO24bKEI=?=",
            b"Subject: caf\xe9 =?utf-8?Q?=E3=8?= =?utf-8?B",
        ] {
            assert_eq!(language_of(other), Language::En, "{}", String::from_utf8_lossy(other));
        }
    }

    proptest! {
        #[test]
        fn any_header_has_a_language(header in proptest::collection::vec(any::<u8>(), 0..300), q in "(=[0-9A-Fa-f]|\\PC|=){0,20}") {
            language_of(&header);
            prop_assert!(q_decoded(&q).len() <= q.len());
            language_of(format!("Subject: =?utf-8?q?{q}?=").as_bytes());
        }
    }
}
