//! MD5-crypt, `$1$`: what passwords were kept as in the days of qmail. Only checked, never made.

use md5::{Digest, Md5};

/// What begins such a string.
pub(crate) const MAGIC: &str = "$1$";

/// The octets of the last digest, as they are written: each row of three in four characters.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
/// The octet that is left, in two characters.
const LAST: usize = 11;
/// The digits of crypt(3), the lowest first.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 22 characters that follow the salt.
pub(crate) fn md5_crypt(password: &[u8], salt: &[u8]) -> [u8; 22] {
    let inner = digest(&[password, salt, password]);
    let mut start = Md5::new();
    start.update(password);
    start.update(MAGIC);
    start.update(salt);
    // As many octets of the inner digest as the password has.
    let mut left = password.len();
    while left > 0 {
        let some = left.min(inner.len());
        start.update(&inner[..some]);
        left -= some;
    }
    // An octet for each bit of the password's length, the lowest first: NUL for 1, and the
    // password's first for 0. That it is this way round is how everybody has it.
    let mut bits = password.len();
    while bits > 0 {
        start.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    let mut last: [u8; 16] = start.finalize().into();
    for round in 0..1000 {
        let odd = round % 2 == 1;
        last = digest(&[
            if odd { password } else { &last },
            if round % 3 != 0 { salt } else { &[] },
            if round % 7 != 0 { password } else { &[] },
            if odd { &last } else { password },
        ]);
    }
    written(&last)
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    md5.finalize().into()
}

fn written(digest: &[u8; 16]) -> [u8; 22] {
    let mut text = [0; 22];
    for (characters, octets) in text.chunks_mut(4).zip(ORDER) {
        write(characters, octets.iter().fold(0, |bits, octet| bits << 8 | u32::from(digest[*octet])));
    }
    write(&mut text[20..], digest[LAST].into());
    text
}

fn write(characters: &mut [u8], mut bits: u32) {
    for character in characters {
        *character = DIGITS[(bits & 63) as usize];
        bits >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_crypt_3() {
        for (password, salt, written) in [
            ("abc-try", "saltsalt", "hvuf8zlFXCii1v88PlX3N1"),
            ("abc-try", "ab", "6EAjAc0dMZfPQ7HOJTAPk/"),
            ("a", "saltsalt", "MzDjbImyzEz2m0NTiPzNW/"),
            ("秘密の言葉", "saltsalt", "xpHSFpLo3mVXJTWlNa.Z10"),
            (&"x".repeat(80), "saltsalt", "cdp3mv1pRxGa6vHES2lPv."),
        ] {
            assert_eq!(md5_crypt(password.as_bytes(), salt.as_bytes()), written.as_bytes(), "{password}");
        }
    }

    #[test]
    fn any_password_has_an_answer() {
        for length in 0..200 {
            md5_crypt(&vec![b'x'; length], b"");
        }
    }
}
