//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what the server must know of a password.
//!
//! The keys are made when a password is set, or at its next good login, and belong to the account's own
//! password: app passwords log in by PLAIN and LOGIN. A name that nobody has gets keys too, always the
//! same, so that an exchange tells nobody which names there are.
//!
//! RFC 5802 has passwords prepared by SASLprep. It leaves alone what people type in Japanese and English
//! (RFC 4013 §2); a password with letters that it would change logs in by PLAIN and LOGIN.

use std::fmt;

use envelope::{Account, AccountState};
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::StoreError;
use crate::login::{LoginRefused, LoginRow, identity, named};
use crate::store::Store;

/// How often the client must hash. RFC 7677 §4 wants 4096 at least; who steals the file tries
/// passwords by these keys, so it is more, as much as an old telephone does in a second.
const ITERATIONS: u32 = 32_768;

/// What the client is told to hash with (RFC 5802 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScramChallenge {
    /// The salt.
    pub salt: [u8; 16],
    /// The iteration count.
    pub iterations: u32,
}

/// Somebody was let in by a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramLogin {
    /// Whose password he has shown to know.
    pub account: Account,
    /// `ServerSignature`, by which the server proves itself too.
    pub server_signature: [u8; 32],
}

/// What the server's side of an exchange needs (RFC 5802 §3). It is never displayed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ScramKeys {
    salt: [u8; 16],
    iterations: u32,
    /// `StoredKey`, by which the client's proof is checked.
    stored_key: [u8; 32],
    /// `ServerKey`, by which the server proves itself.
    server_key: [u8; 32],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys")
    }
}

/// Keys for an exchange, and who it is if the proof is right.
struct Candidate {
    /// None if nobody can log in by this name: no proof fits such keys.
    account: Option<Account>,
    keys: ScramKeys,
}

impl Store {
    /// With what a login name's password is hashed; the name is as [`Store::login`] takes it. For a name
    /// that nobody has, or an account that has no keys, it is made up, and the same each time.
    ///
    /// # Errors
    /// If the store fails.
    pub fn scram_challenge(&self, name: &str) -> Result<ScramChallenge, StoreError> {
        let ScramKeys { salt, iterations, .. } = self.scram_candidate(name)?.keys;
        Ok(ScramChallenge { salt, iterations })
    }

    /// Lets in who shows by `proof`, the `ClientProof` over `auth_message` (RFC 5802 §3), that he knows an
    /// account's own password.
    ///
    /// # Errors
    /// As [`Store::login`].
    pub fn scram_login(
        &self,
        name: &str,
        auth_message: &str,
        proof: &[u8; 32],
    ) -> Result<ScramLogin, LoginRefused> {
        let Candidate { account, keys } = self.scram_candidate(name).map_err(|error| {
            tracing::error!(%error, "a login could not be checked");
            LoginRefused::Unavailable
        })?;
        let right = keys.fit(auth_message.as_bytes(), proof);
        let account = account.filter(|_| right).ok_or(LoginRefused::Credentials)?;
        if account.state == AccountState::Suspended {
            return Err(LoginRefused::Suspended);
        }
        let server_signature = hmac(&keys.server_key, &[auth_message.as_bytes()]);
        Ok(ScramLogin { account, server_signature })
    }

    /// Does the same whether or not somebody has the name, so that the time tells nothing.
    fn scram_candidate(&self, name: &str) -> Result<Candidate, StoreError> {
        self.read(|moment| {
            let secret: Vec<u8> = moment
                .prepare_cached("SELECT value FROM secrets WHERE name = 'unknown names'")?
                .query_row([], |row| row.get(0))?;
            let nobody = ScramKeys::of_nobody(&secret, &identity(moment, &self.settings, name)?);
            let row = match named(moment, &self.settings, name)? {
                Some(named) if named.hosted => self.login_row(moment, &named.name)?,
                _ => None,
            };
            Ok(match row {
                Some(LoginRow { account, keys: Some(keys), .. }) => {
                    Candidate { account: Some(account), keys }
                }
                _ => Candidate { account: None, keys: nobody },
            })
        })
    }
}

impl ScramKeys {
    /// The keys of a password, with a new salt.
    pub(crate) fn of_password(password: &[u8]) -> Result<ScramKeys, SysError> {
        let mut salt = [0; 16];
        SysRng.try_fill_bytes(&mut salt)?;
        Ok(ScramKeys::derive(password, salt, ITERATIONS))
    }

    /// RFC 5802 §3.
    fn derive(password: &[u8], salt: [u8; 16], iterations: u32) -> ScramKeys {
        let salted_password = hi(password, &salt, iterations);
        let client_key = hmac(&salted_password, &[b"Client Key"]);
        ScramKeys {
            salt,
            iterations,
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac(&salted_password, &[b"Server Key"]),
        }
    }

    /// Whether a proof shows the password (RFC 5802 §3): `H(ClientProof XOR ClientSignature)` is
    /// `StoredKey`.
    fn fit(&self, auth_message: &[u8], proof: &[u8; 32]) -> bool {
        let mut client_key = hmac(&self.stored_key, &[auth_message]);
        client_key.iter_mut().zip(proof).for_each(|(signature, proof)| *signature ^= proof);
        Sha256::digest(client_key).ct_eq(&self.stored_key).into()
    }

    /// Keys that no password has.
    fn of_nobody(secret: &[u8], identity: &str) -> ScramKeys {
        let made = |what: &[u8]| hmac(secret, &[what, identity.as_bytes()]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&made(b"salt ")[..16]);
        let (stored_key, server_key) = (made(b"stored "), made(b"server "));
        ScramKeys { salt, iterations: ITERATIONS, stored_key, server_key }
    }
}

/// Keeps the keys of an account's password, or that it has none.
pub(crate) fn set_keys(change: &Connection, account: i64, keys: Option<&ScramKeys>) -> rusqlite::Result<()> {
    match keys {
        Some(keys) => change
            .prepare_cached("INSERT OR REPLACE INTO scram_keys VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((account, keys.salt, keys.iterations, keys.stored_key, keys.server_key))?,
        None => change.prepare_cached("DELETE FROM scram_keys WHERE account = ?1")?.execute([account])?,
    };
    Ok(())
}

/// The keys of an account, by its row.
pub(crate) fn keys(moment: &Connection, account: i64) -> rusqlite::Result<Option<ScramKeys>> {
    moment
        .prepare_cached("SELECT salt, iterations, stored_key, server_key FROM scram_keys WHERE account = ?1")?
        .query_row([account], |row| {
            Ok(ScramKeys {
                salt: row.get(0)?,
                iterations: row.get(1)?,
                stored_key: row.get(2)?,
                server_key: row.get(3)?,
            })
        })
        .optional()
}

/// `Hi` of RFC 5802 §2.2: PBKDF2 with one block (RFC 8018 §5.2).
fn hi(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let keyed = keyed(password);
    let mut block = mac(&keyed, &[salt, &1_u32.to_be_bytes()]);
    let mut result = block;
    for _ in 1..iterations {
        block = mac(&keyed, &[&block]);
        result.iter_mut().zip(block).for_each(|(all, one)| *all ^= one);
    }
    result
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac(&keyed(key), parts)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn mac(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, name, password};

    fn keys_of(store: &Store, name: &str) -> ScramKeys {
        store.scram_candidate(name).unwrap().keys
    }

    fn account_of(store: &Store, name: &str) -> Option<String> {
        store.scram_candidate(name).unwrap().account.map(|account| account.name.to_string())
    }

    /// The proof of a client that knows `password`.
    fn proof(password: &[u8], challenge: ScramChallenge, message: &str) -> [u8; 32] {
        let salted_password = hi(password, &challenge.salt, challenge.iterations);
        let mut proof = hmac(&salted_password, &[b"Client Key"]);
        let signature = hmac(&Sha256::digest(proof), &[message.as_bytes()]);
        proof.iter_mut().zip(signature).for_each(|(key, sign)| *key ^= sign);
        proof
    }

    /// A login by `password`.
    fn login(store: &Store, name: &str, password: &str) -> Result<ScramLogin, LoginRefused> {
        let proof = proof(password.as_bytes(), store.scram_challenge(name).unwrap(), "message");
        store.scram_login(name, "message", &proof)
    }

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        let salt: [u8; 16] = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        let keys = ScramKeys::derive(b"pencil", salt, 4096);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let message = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        let written = |octets: &[u8]| BASE64_STANDARD.encode(octets);
        let server_signature = hmac(&keys.server_key, &[message.as_bytes()]);
        assert_eq!(written(&server_signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = BASE64_STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        assert!(keys.fit(message.as_bytes(), &proof.try_into().unwrap()));
    }

    #[test]
    fn a_password_that_is_set_has_keys_and_a_new_one_new_keys() {
        let example = Example::pobox();
        let store = &example.store;
        example.set_password("abc", "abc-try");
        let keys = keys_of(store, "abc");
        assert_eq!(keys_of(store, "abc@pobox.example"), keys);
        assert_eq!(login(store, "ABC@Pobox.example", "abc-try").unwrap().account.name, name("abc"));
        assert_eq!(login(store, "abc", "abc-Try"), Err(LoginRefused::Credentials));
        example.set_password("abc", "new");
        assert!(keys_of(store, "abc").salt != keys.salt && login(store, "abc", "new").is_ok());
        assert_eq!(login(store, "abc", "abc-try"), Err(LoginRefused::Credentials));
        let given = crate::NewAccount {
            password: Some(crate::NewPassword::Password(password("at once"))),
            ..crate::example::new_account("def")
        };
        store.add_account(given, &WHO).unwrap();
        assert!(login(store, "def", "at once").is_ok());
    }

    #[test]
    fn the_server_proves_itself_by_the_password_too() {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        let ScramChallenge { salt, iterations } = example.store.scram_challenge("abc").unwrap();
        let server_key = hmac(&hi(b"abc-try", &salt, iterations), &[b"Server Key"]);
        let signature = login(&example.store, "abc", "abc-try").unwrap().server_signature;
        assert_eq!(signature, hmac(&server_key, &[b"message"]));
    }

    #[test]
    fn a_proof_is_good_for_its_exchange_and_its_name_only() {
        let example = Example::pobox();
        let store = &example.store;
        example.set_password("abc", "abc-try");
        example.set_password("xyz", "abc-try");
        let right = proof(b"abc-try", store.scram_challenge("abc").unwrap(), "message");
        assert!(store.scram_login("abc", "message", &right).is_ok());
        for (name, message, octet) in [("abc", "Message", 0), ("xyz", "message", 0), ("abc", "message", 1)] {
            let mut proof = right;
            proof[31] ^= octet;
            assert_eq!(store.scram_login(name, message, &proof), Err(LoginRefused::Credentials));
        }
    }

    #[test]
    fn only_who_knows_the_password_hears_of_a_suspension() {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        let set = |state| example.store.set_state(&name("abc"), state, &WHO).unwrap();
        set(AccountState::Suspended);
        assert_eq!(login(&example.store, "abc", "abc-try"), Err(LoginRefused::Suspended));
        assert_eq!(login(&example.store, "abc", "guessed"), Err(LoginRefused::Credentials));
        set(AccountState::ReceiveOnly);
        assert!(login(&example.store, "abc", "abc-try").is_ok());
    }

    #[test]
    fn a_virtual_domains_address_has_its_owners_keys() {
        let example = Example::pobox();
        example.set_password("xyz", "xyz-try");
        assert_eq!(account_of(&example.store, "order@shop.example").as_deref(), Some("xyz"));
        assert_eq!(keys_of(&example.store, "Order@SHOP.example"), keys_of(&example.store, "xyz"));
    }

    #[test]
    fn an_unknown_name_has_keys_that_look_like_any_and_are_the_same_each_time() {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        let store = &example.store;
        // xyz has no password.
        for unknown in
            ["nobody", "xyz", "no.name", "abc@elsewhere.example", "", "a b", "\0", &"x".repeat(9000)]
        {
            let keys = keys_of(store, unknown);
            assert_eq!(account_of(store, unknown), None, "{unknown}");
            assert_eq!(keys.iterations, keys_of(store, "abc").iterations);
            assert_eq!(keys_of(&example.opened_again(), unknown), keys, "{unknown}");
            assert_eq!(keys_of(store, &unknown.to_uppercase()), keys, "{unknown}");
        }
        // As with a known name, the short and the long form are one.
        assert_eq!(keys_of(store, "nobody"), keys_of(store, "nobody@pobox.example"));
        assert_ne!(keys_of(store, "nobody"), keys_of(store, "nobodi"));
        assert_ne!(keys_of(store, "nobody"), keys_of(&Example::pobox().store, "nobody"));
    }

    #[test]
    fn keys_go_with_their_account_and_are_not_in_debug_texts() {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        assert_eq!(format!("{:?}", keys_of(&example.store, "abc")), "ScramKeys");
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        example.add_account("abc");
        assert_eq!(account_of(&example.store, "abc"), None);
    }

    #[test]
    fn any_text_as_a_name_has_keys() {
        let example = Example::pobox();
        proptest!(|(name in any::<String>())| {
            prop_assert_eq!(example.store.scram_candidate(&name).unwrap().account, None);
            let login = example.store.scram_login(&name, &name, &[0; 32]);
            prop_assert_eq!(login, Err(LoginRefused::Credentials));
        });
    }
}
