//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! ```text
//! client-first   n,,n=abc,r=CLIENT-NONCE
//! server-first   r=CLIENT-NONCE SERVER-NONCE,s=SALT,i=ITERATIONS
//! client-final   c=biws,r=CLIENT-NONCE SERVER-NONCE,p=PROOF
//! server-final   v=SIGNATURE
//! ```
//!
//! Keys and nonce are arguments: nothing is looked up here, and nothing is random.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope::Sender;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{ExchangeError, is_name};
use crate::credentials::{AuthenticationFailure, ScramKeys};

/// What the client says first: its name and its nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    name: String,
    nonce: String,
    /// The GS2 header, that the client must repeat.
    gs2: String,
    /// What follows it, of which both sides make a signature.
    bare: String,
}

/// The keys of the client, and what was said so far: waits for its proof.
#[derive(Debug)]
pub struct Challenge {
    first: ClientFirst,
    keys: ScramKeys,
    /// Both nonces.
    nonce: String,
    server_first: String,
}

impl ClientFirst {
    /// Parses a client-first-message (RFC 5802 §7).
    ///
    /// # Errors
    /// If it is not well formed, asks for channel binding, or for an identity not the user's own.
    pub fn parse(message: &str) -> Result<ClientFirst, ExchangeError> {
        let mut parts = message.splitn(3, ',');
        let (Some(binding), Some(identity), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ExchangeError::Malformed);
        };
        match binding {
            // "y": the client could, and thinks that we cannot. It is right (RFC 5802 §6).
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(ExchangeError::ChannelBinding),
            _ => return Err(ExchangeError::Malformed),
        }
        // "m=" in front would be an extension that must be understood; there are none.
        let mut attributes = bare.split(',');
        let name = attribute(attributes.next(), "n=").and_then(saslname).ok_or(ExchangeError::Malformed)?;
        let nonce = attribute(attributes.next(), "r=").filter(|nonce| is_nonce(nonce));
        let nonce = nonce.ok_or(ExchangeError::Malformed)?.to_owned();
        if !identity.is_empty() {
            let identity = attribute(Some(identity), "a=").and_then(saslname);
            if identity.ok_or(ExchangeError::Malformed)? != name {
                return Err(ExchangeError::Refused);
            }
        }
        let gs2 = message[..message.len() - bare.len()].to_owned();
        Ok(ClientFirst { name, nonce, gs2, bare: bare.to_owned() })
    }

    /// Whom the client says to be.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The challenge with these keys and our nonce: printable ASCII without a comma, never used
    /// before.
    pub fn challenge(self, keys: ScramKeys, nonce: &str) -> Challenge {
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = STANDARD.encode(&keys.salt);
        let server_first = format!("r={nonce},s={salt},i={}", keys.iterations);
        Challenge { first: self, keys, nonce, server_first }
    }
}

impl Challenge {
    /// The server-first-message.
    pub fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Whom the client says to be.
    pub fn name(&self) -> &str {
        self.first.name()
    }

    /// Verifies a client-final-message, and gives the server-final-message.
    ///
    /// # Errors
    /// If it is not well formed, or the proof is wrong.
    pub fn verify(&self, message: &str) -> Result<String, ExchangeError> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ExchangeError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), "c=").ok_or(ExchangeError::Malformed)?;
        let nonce = attribute(attributes.next(), "r=").ok_or(ExchangeError::Malformed)?;
        let mut given = Zeroizing::new([0; 32]);
        match STANDARD.decode_slice(proof, given.as_mut()) {
            Ok(32) => {}
            _ => return Err(ExchangeError::Malformed),
        }
        if binding != STANDARD.encode(&self.first.gs2) || nonce != self.nonce {
            return Err(ExchangeError::Refused);
        }
        let signed = [&self.first.bare, ",", &self.server_first, ",", without_proof];
        // ClientKey := ClientProof XOR ClientSignature, and StoredKey is its hash (RFC 5802 §3).
        let signature = hmac(&self.keys.stored_key, &signed);
        for (octet, mask) in given.iter_mut().zip(signature.iter()) {
            *octet ^= mask;
        }
        let stored_key: Zeroizing<[u8; 32]> = Zeroizing::new(Sha256::digest(given.as_ref()).into());
        if !bool::from(stored_key.as_ref().ct_eq(self.keys.stored_key.as_ref())) {
            return Err(ExchangeError::Refused);
        }
        Ok(format!("v={}", STANDARD.encode(hmac(&self.keys.server_key, &signed).as_ref())))
    }

    /// Who the client is, once it is verified; or why he may not send all the same.
    pub fn sender(&self) -> &Result<Sender, AuthenticationFailure> {
        &self.keys.sender
    }
}

fn hmac(key: &[u8; 32], parts: &[&str]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part.as_bytes());
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn attribute<'a>(text: Option<&'a str>, name: &str) -> Option<&'a str> {
    text?.strip_prefix(name)
}

/// Undoes `=2C` and `=3D`; no other `=` may stand there (RFC 5802 §5.1).
fn saslname(written: &str) -> Option<String> {
    let mut parts = written.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = part.split_at_checked(2)?;
        name.push(match character {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    is_name(&name).then_some(name)
}

/// Printable ASCII without a comma (RFC 5802 §7).
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    /// `Hi` of RFC 5802 §2.2: PBKDF2 with one block.
    fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
        let mac = |message: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(password.as_bytes()).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().into()
        };
        let mut last = mac(&[salt, &[0, 0, 0, 1]].concat());
        let mut sum = last;
        for _ in 1..iterations {
            last = mac(&last);
            sum.iter_mut().zip(last).for_each(|(octet, other)| *octet ^= other);
        }
        sum
    }

    /// The keys of `user` with the password `pencil` in the example of RFC 7677 §3.
    fn keys() -> ScramKeys {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted("pencil", &salt, 4096);
        ScramKeys {
            salt,
            iterations: 4096,
            stored_key: Zeroizing::new(Sha256::digest(hmac(&salted, &["Client Key"]).as_ref()).into()),
            server_key: hmac(&salted, &["Server Key"]),
            sender: Err(AuthenticationFailure::Credentials),
        }
    }

    #[test]
    fn the_example_of_rfc_7677_is_carried_out() {
        let first = ClientFirst::parse(CLIENT_FIRST).unwrap();
        assert_eq!(first.name(), "user");
        let challenge = first.challenge(keys(), SERVER_NONCE);
        assert_eq!(
            challenge.server_first(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let server_final = challenge.verify(CLIENT_FINAL);
        assert_eq!(server_final.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn a_wrong_proof_nonce_or_binding_is_refused() {
        let challenge = |first| ClientFirst::parse(first).unwrap().challenge(keys(), SERVER_NONCE);
        let expected = challenge(CLIENT_FIRST);
        for (from, to) in [("p=dHz", "p=dHy"), ("$k0", "$k1"), ("biws", "eSws")] {
            let verdict = expected.verify(&CLIENT_FINAL.replace(from, to));
            assert_eq!(verdict, Err(ExchangeError::Refused), "{to}");
        }
        // The client said "y", and somebody on the line made it "n" or the other way round.
        let altered = challenge(&CLIENT_FIRST.replacen("n,", "y,", 1));
        assert_eq!(altered.verify(CLIENT_FINAL), Err(ExchangeError::Refused));
        let mut others = keys();
        others.stored_key[0] ^= 1;
        let others = ClientFirst::parse(CLIENT_FIRST).unwrap().challenge(others, SERVER_NONCE);
        assert_eq!(others.verify(CLIENT_FINAL), Err(ExchangeError::Refused));
        for message in ["", "p=", ",p=", "c=biws,p=", "c=biws,r=x,p=AAAA", "r=x,c=biws,p=", "c=biws,r=x"] {
            assert_eq!(expected.verify(message), Err(ExchangeError::Malformed), "{message}");
        }
    }

    #[test]
    fn the_first_message_has_a_name_and_a_nonce() {
        for (message, name) in [
            ("n,,n=user,r=a", "user"),
            ("y,,n=a=2Cb=3D,r=a,x=later", "a,b="),
            ("n,a=user,n=user,r=a", "user"),
            ("n,,n=飛脚,r=a", "飛脚"),
        ] {
            assert_eq!(ClientFirst::parse(message).unwrap().name(), name, "{message}");
        }
        for (message, error) in [
            ("p=tls-exporter,,n=user,r=a", ExchangeError::ChannelBinding),
            ("n,a=root,n=user,r=a", ExchangeError::Refused),
            ("", ExchangeError::Malformed),
            ("n,n=user,r=a", ExchangeError::Malformed),
            ("x,,n=user,r=a", ExchangeError::Malformed),
            ("n,,m=must,n=user,r=a", ExchangeError::Malformed),
            ("n,,n=,r=a", ExchangeError::Malformed),
            ("n,,n=a=2c,r=a", ExchangeError::Malformed),
            ("n,,n=a=,r=a", ExchangeError::Malformed),
            ("n,,n=user,r=", ExchangeError::Malformed),
            ("n,,n=user,r=a b", ExchangeError::Malformed),
            ("n,,r=a,n=user", ExchangeError::Malformed),
        ] {
            assert_eq!(ClientFirst::parse(message), Err(error), "{message}");
        }
    }

    /// Keys that belong to no password.
    fn cheap_keys() -> ScramKeys {
        ScramKeys {
            salt: vec![1],
            iterations: 1,
            stored_key: Zeroizing::new([1; 32]),
            server_key: Zeroizing::new([1; 32]),
            sender: Err(AuthenticationFailure::Credentials),
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_message_or_an_error(text in "(n|y|p|,|=|2C|3D|a|r|c|biws|é){0,20}") {
            if let Ok(first) = ClientFirst::parse(&text) {
                prop_assert!(!first.name().is_empty());
            }
            let challenge = ClientFirst::parse(CLIENT_FIRST).unwrap().challenge(cheap_keys(), SERVER_NONCE);
            prop_assert!(challenge.verify(&text).is_err());
        }
    }
}
