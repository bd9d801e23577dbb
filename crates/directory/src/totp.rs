//! Codes of an authenticator: TOTP (RFC 6238) as all of them do it, SHA-1, 30 seconds, six digits.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Seconds for which a code is shown (RFC 6238 §5.2).
const STEP: u64 = 30;
/// Codes before and after the present one that are taken, for clocks that are not right.
const DRIFT: u64 = 1;
/// Octets of a secret: as many as SHA-1 has (RFC 4226 §4, R6).
const SECRET: usize = 20;

/// What an authenticator and the directory know. Its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Zeroizing<[u8; SECRET]>);

impl TotpSecret {
    /// A new one.
    pub(crate) fn random() -> Result<TotpSecret, SysError> {
        let mut octets = Zeroizing::new([0; SECRET]);
        SysRng.try_fill_bytes(octets.as_mut())?;
        Ok(TotpSecret(octets))
    }

    pub(crate) fn from_octets(octets: [u8; SECRET]) -> TotpSecret {
        TotpSecret(Zeroizing::new(octets))
    }

    pub(crate) fn octets(&self) -> &[u8; SECRET] {
        &self.0
    }

    /// For typing: 32 letters and digits of Base32 (RFC 4648 §6).
    pub fn base32(&self) -> Zeroizing<String> {
        // These few lines rather than a crate: only this length is needed, and only this direction.
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut text = Zeroizing::new(String::with_capacity(SECRET * 8 / 5));
        for five in self.0.chunks_exact(5) {
            let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
            text.extend((0..8).rev().map(|at| char::from(ALPHABET[(bits >> (at * 5) & 31) as usize])));
        }
        text
    }

    /// For a QR code: `otpauth://totp/issuer:account?…`, as authenticators read it.
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let secret = self.base32();
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            *secret
        ))
    }

    /// What an authenticator shows at this time, in seconds since 1970.
    pub fn shown_at(&self, now: u64) -> String {
        self.code(now / STEP).iter().map(|digit| char::from(*digit)).collect()
    }

    /// The step of which this code is, if it is a code of about `now` (seconds since 1970) and of a step after
    /// `last`: each is taken once (RFC 6238 §5.2).
    pub(crate) fn step_of(&self, code: &str, now: u64, last: u64) -> Option<u64> {
        let code: [u8; 6] = code.as_bytes().try_into().ok()?;
        let present = now / STEP;
        let steps = present.saturating_sub(DRIFT)..=present.saturating_add(DRIFT);
        // All are computed, so that the time does not tell which one fits.
        steps.fold(None, |found, step| {
            let fits: bool = self.code(step).ct_eq(&code).into();
            if fits && step > last { Some(step) } else { found }
        })
    }

    /// The six digits of a step (RFC 4226 §5.3).
    fn code(&self, step: u64) -> [u8; 6] {
        let number = self.truncated(step) % 1_000_000;
        let mut digits = [b'0'; 6];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }

    fn truncated(&self, step: u64) -> u32 {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.as_ref()).expect("HMAC takes a key of any length");
        mac.update(&step.to_be_bytes());
        let mac: [u8; 20] = mac.finalize().into_bytes().into();
        // The last four bits say where: at most at 15, so four octets are there.
        let at = usize::from(mac[19] & 0x0f);
        u32::from_be_bytes([mac[at], mac[at + 1], mac[at + 2], mac[at + 3]]) & 0x7fff_ffff
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret")
    }
}

/// All but what RFC 3986 §2.3 leaves as it is.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(octet.into()),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The secret of the tests in RFC 4226 appendix D and RFC 6238 appendix B.
    fn secret() -> TotpSecret {
        TotpSecret::from_octets(*b"12345678901234567890")
    }

    fn code(step: u64) -> String {
        secret().shown_at(step.saturating_mul(30))
    }

    #[test]
    fn codes_are_those_of_rfc_4226() {
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        assert_eq!((0..10).map(code).collect::<Vec<_>>(), expected);
        assert_eq!(secret().truncated(0), 1_284_755_224);
        assert_eq!(secret().truncated(9), 645_520_489);
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (at, eight_digits) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000_u64, 65_353_130),
        ] {
            assert_eq!(secret().truncated(at / 30) % 100_000_000, eight_digits, "{at}");
            assert_eq!(code(at / 30), format!("{:06}", eight_digits % 1_000_000));
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_or_late_and_no_further() {
        let now = 3000;
        for (step, taken) in [(98, false), (99, true), (100, true), (101, true), (102, false)] {
            assert_eq!(secret().step_of(&code(step), now, 0), taken.then_some(step), "{step}");
        }
        assert_eq!(secret().step_of(&code(0), 0, 0), None);
        assert_eq!(secret().step_of(&code(u64::MAX / 30), u64::MAX, 0), Some(u64::MAX / 30));
    }

    #[test]
    fn a_code_and_those_before_it_are_taken_no_more() {
        assert_eq!(secret().step_of(&code(100), 3000, 99), Some(100));
        assert_eq!(secret().step_of(&code(100), 3000, 100), None);
        assert_eq!(secret().step_of(&code(99), 3000, 100), None);
    }

    #[test]
    fn a_secret_is_shown_in_base32_and_as_an_address_for_authenticators() {
        assert_eq!(*secret().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            *secret().uri("pobox.example", "abc@pobox.example"),
            "otpauth://totp/pobox.example:abc%40pobox.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=pobox.example&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(*TotpSecret::from_octets([0xff; 20]).base32(), "7".repeat(32));
        assert_eq!(format!("{:?}", secret()), "TotpSecret");
        assert_ne!(TotpSecret::random().unwrap(), TotpSecret::random().unwrap());
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_or_none(text in "\\PC{0,8}|[0-9]{6}", now in any::<u64>(), last in any::<u64>()) {
            if let Some(step) = secret().step_of(&text, now, last) {
                prop_assert!(step > last && step.abs_diff(now / STEP) <= DRIFT);
                prop_assert_eq!(code(step), text);
            }
        }
    }
}
