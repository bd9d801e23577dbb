//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! ```text
//! client-first   n,,n=abc,r=CLIENT-NONCE
//! server-first   r=CLIENT-NONCE SERVER-NONCE,s=SALT,i=ITERATIONS
//! client-final   c=biws,r=CLIENT-NONCE SERVER-NONCE,p=PROOF
//! server-final   v=SIGNATURE
//! ```
//!
//! What is here reads and writes messages. The salt and the nonce are arguments, and who knows the keys judges
//! the [`Proof`]: they are never here, and nothing is random.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope::Sender;

use super::{ExchangeError, is_name};
use crate::credentials::{ScramSalt, ServerSignature};

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

/// What was said so far: waits for the client's proof.
#[derive(Debug)]
pub struct Challenge {
    first: ClientFirst,
    /// Both nonces.
    nonce: String,
    server_first: String,
}

/// That a client knows a password, for who has its keys to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whom the client says to be: neither folded nor checked.
    pub name: String,
    /// `AuthMessage` of RFC 5802 §3: what both sides said.
    pub auth_message: String,
    /// `ClientProof`.
    pub proof: [u8; 32],
}

/// The client is known, and is to acknowledge that it knows us (RFC 4954 §4).
#[derive(Debug)]
pub struct Acknowledgement {
    /// Who it is.
    pub sender: Sender,
    /// Whom it said to be.
    pub name: String,
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

    /// The challenge with this salt and our nonce: printable ASCII without a comma, never used
    /// before.
    pub fn challenge(self, ScramSalt { salt, iterations }: &ScramSalt, nonce: &str) -> Challenge {
        let nonce = format!("{}{nonce}", self.nonce);
        let server_first = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        Challenge { first: self, nonce, server_first }
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

    /// Takes the proof from a client-final-message.
    ///
    /// # Errors
    /// If it is not well formed, or is the answer to another challenge.
    pub fn proof(self, message: &str) -> Result<Proof, ExchangeError> {
        let (without_proof, written) = message.rsplit_once(",p=").ok_or(ExchangeError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), "c=").ok_or(ExchangeError::Malformed)?;
        let nonce = attribute(attributes.next(), "r=").ok_or(ExchangeError::Malformed)?;
        let mut proof = [0; 32];
        match STANDARD.decode_slice(written, &mut proof) {
            Ok(32) => {}
            _ => return Err(ExchangeError::Malformed),
        }
        if binding != STANDARD.encode(&self.first.gs2) || nonce != self.nonce {
            return Err(ExchangeError::Refused);
        }
        let auth_message = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        Ok(Proof { name: self.first.name, auth_message, proof })
    }
}

/// The server-final-message.
pub fn server_final(ServerSignature(signature): &ServerSignature) -> String {
    format!("v={}", STANDARD.encode(signature))
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

    /// Of the example of RFC 7677 §3.
    fn salt() -> ScramSalt {
        ScramSalt { salt: STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), iterations: 4096 }
    }

    fn challenge(first: &str) -> Challenge {
        ClientFirst::parse(first).unwrap().challenge(&salt(), SERVER_NONCE)
    }

    /// The messages of RFC 7677 §3. Whether the proof is right is for the directory to say, and tested there
    /// with the same example.
    #[test]
    fn the_example_of_rfc_7677_is_carried_out() {
        let challenge = challenge(CLIENT_FIRST);
        assert_eq!(challenge.name(), "user");
        let server_first =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(challenge.server_first(), server_first);
        let proof = challenge.proof(CLIENT_FINAL).unwrap();
        assert_eq!(STANDARD.encode(proof.proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let without_proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let auth_message = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,{server_first},{without_proof}");
        assert_eq!((proof.name.as_str(), proof.auth_message), ("user", auth_message));
        let signature = STANDARD.decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        let server_final = server_final(&ServerSignature(signature.try_into().unwrap()));
        assert_eq!(server_final, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn the_answer_to_another_challenge_is_refused() {
        for (from, to) in [("$k0", "$k1"), ("biws", "eSws")] {
            let answer = challenge(CLIENT_FIRST).proof(&CLIENT_FINAL.replace(from, to));
            assert_eq!(answer, Err(ExchangeError::Refused), "{to}");
        }
        // The client said "y", and somebody on the line made it "n" or the other way round.
        let altered = challenge(&CLIENT_FIRST.replacen("n,", "y,", 1));
        assert_eq!(altered.proof(CLIENT_FINAL), Err(ExchangeError::Refused));
        for message in ["", "p=", ",p=", "c=biws,p=", "c=biws,r=x,p=AAAA", "r=x,c=biws,p=", "c=biws,r=x"] {
            assert_eq!(challenge(CLIENT_FIRST).proof(message), Err(ExchangeError::Malformed), "{message}");
        }
        // 33 octets.
        let longer = CLIENT_FINAL.replace("dVQ=", "dVQA");
        assert_eq!(challenge(CLIENT_FIRST).proof(&longer), Err(ExchangeError::Malformed));
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

    proptest! {
        #[test]
        fn any_text_is_a_message_or_an_error(text in "(n|y|p|,|=|2C|3D|a|r|c|biws|é){0,20}") {
            if let Ok(first) = ClientFirst::parse(&text) {
                prop_assert!(!first.name().is_empty());
            }
            prop_assert!(challenge(CLIENT_FIRST).proof(&text).is_err());
        }
    }
}
