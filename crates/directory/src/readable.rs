//! Secrets that people copy by hand: random letters and digits that nobody takes for one another, in groups
//! of five. They cannot be guessed, so a plain digest suffices to keep them.

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 32, so that an octet picks one evenly: five bits a letter.
pub(crate) const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUP: usize = 5;

/// A new one of so many letters: `xxxxx-xxxxx`.
pub(crate) fn random<const LETTERS: usize>() -> Result<Zeroizing<String>, SysError> {
    let mut octets = Zeroizing::new([0; LETTERS]);
    SysRng.try_fill_bytes(octets.as_mut())?;
    let mut text = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
    for (at, octet) in octets.iter().enumerate() {
        if at > 0 && at % GROUP == 0 {
            text.push('-');
        }
        text.push(ALPHABET[usize::from(*octet) % ALPHABET.len()].into());
    }
    Ok(text)
}

/// What is stored of one; none if the text has not its form. Hyphens, blanks and case make no difference.
pub(crate) fn digest<const LETTERS: usize>(text: &str) -> Option<[u8; 32]> {
    let mut letters = Zeroizing::new([0; LETTERS]);
    let mut count = 0;
    for octet in text.bytes().filter(|b| !matches!(b, b'-' | b' ')) {
        let letter = octet.to_ascii_lowercase();
        if !ALPHABET.contains(&letter) {
            return None;
        }
        *letters.get_mut(count)? = letter;
        count += 1;
    }
    (count == LETTERS).then(|| Sha256::digest(letters.as_ref()).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_is_read_back_however_it_is_copied() {
        let text = random::<15>().unwrap();
        assert_eq!((text.len(), text.matches('-').count()), (17, 2));
        let stored = digest::<15>(&text);
        assert!(stored.is_some());
        for copied in [text.to_uppercase(), text.replace('-', ""), text.replace('-', " ")] {
            assert_eq!(digest::<15>(&copied), stored);
        }
        assert_ne!(digest::<15>(&random::<15>().unwrap()), stored);
    }

    proptest! {
        #[test]
        fn any_text_has_a_digest_or_none(text in "\\PC{0,40}|[a-z2-9-]{18,24}") {
            let letters = text.replace(['-', ' '], "").to_ascii_lowercase();
            let form = letters.len() == 20 && letters.bytes().all(|b| ALPHABET.contains(&b));
            prop_assert_eq!(digest::<20>(&text).is_some(), form);
        }
    }
}
