//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what the server must know of a password.
//!
//! The keys are made when a password is set, or at its next good login, and belong to the account's own
//! password: app passwords log in by PLAIN and LOGIN. A name that nobody has gets keys too, always the
//! same, so that an exchange tells nobody which names there are.
//!
//! RFC 5802 has passwords prepared by SASLprep. It leaves alone what people type in Japanese and English
//! (RFC 4013 §2); a password with letters that it would change logs in by PLAIN and LOGIN.

use std::fmt;

use envelope::Account;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::StoreError;
use crate::login::{identity, named};
use crate::store::Store;

/// How often the client must hash. RFC 7677 §4 wants 4096 at least; who steals the file tries
/// passwords by these keys, so it is more, as much as an old telephone does in a second.
const ITERATIONS: u32 = 32_768;

/// What the server's side of an exchange needs (RFC 5802 §3). It is never displayed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// The salt, sent to the client.
    pub salt: [u8; 16],
    /// The iteration count, sent to the client.
    pub iterations: u32,
    /// `StoredKey`, by which the client's proof is checked.
    pub stored_key: [u8; 32],
    /// `ServerKey`, by which the server proves itself.
    pub server_key: [u8; 32],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys")
    }
}

/// Keys for an exchange, and who it is if the proof is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramAccount {
    /// Who logs in with a right proof; look at its state only then. None if nobody can: no proof fits
    /// such keys.
    pub account: Option<Account>,
    /// The keys.
    pub keys: ScramKeys,
}

impl Store {
    /// The keys for a login name, as [`Store::login`] takes them. For a name that nobody has, or an
    /// account that has no keys, they are made up, and the same each time.
    ///
    /// # Errors
    /// If the store fails.
    pub fn scram_keys(&self, name: &str) -> Result<ScramAccount, StoreError> {
        self.read(|moment| {
            if let Some(named) = named(moment, &self.settings, name)?
                && named.hosted
                && let Some(row) = self.login_row(moment, &named.name)?
                && let Some(keys) = row.keys
            {
                return Ok(ScramAccount { account: Some(row.account), keys });
            }
            let secret: Vec<u8> = moment
                .prepare_cached("SELECT value FROM secrets WHERE name = 'unknown names'")?
                .query_row([], |row| row.get(0))?;
            let identity = identity(moment, &self.settings, name)?;
            Ok(ScramAccount { account: None, keys: ScramKeys::of_nobody(&secret, &identity) })
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
        store.scram_keys(name).unwrap().keys
    }

    fn account_of(store: &Store, name: &str) -> Option<String> {
        store.scram_keys(name).unwrap().account.map(|account| account.name.to_string())
    }

    /// Whether a client that knows `password` is let in, and the server with these keys by it.
    fn exchange(password: &[u8], keys: &ScramKeys, message: &[u8]) -> bool {
        let salted_password = hi(password, &keys.salt, keys.iterations);
        let client_key = hmac(&salted_password, &[b"Client Key"]);
        let signature = hmac(&keys.stored_key, &[message]);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
        let recovered: Vec<u8> = proof.iter().zip(signature).map(|(proof, sign)| proof ^ sign).collect();
        let server_key = hmac(&salted_password, &[b"Server Key"]);
        Sha256::digest(recovered)[..] == keys.stored_key && server_key == keys.server_key
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
        let signature = hmac(&keys.stored_key, &[message.as_bytes()]);
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(proof, sign)| proof ^ sign).collect();
        assert_eq!(Sha256::digest(client_key)[..], keys.stored_key);
    }

    #[test]
    fn a_password_that_is_set_has_keys_and_a_new_one_new_keys() {
        let example = Example::pobox();
        let store = &example.store;
        example.set_password("abc", "abc-try");
        let keys = keys_of(store, "abc");
        assert_eq!(account_of(store, "ABC@Pobox.example").as_deref(), Some("abc"));
        assert_eq!(keys_of(store, "abc@pobox.example"), keys);
        assert!(exchange(b"abc-try", &keys, b"message") && !exchange(b"abc-Try", &keys, b"message"));
        example.set_password("abc", "new");
        let new = keys_of(store, "abc");
        assert!(new.salt != keys.salt && exchange(b"new", &new, b"message"));
        let given =
            crate::NewAccount { password: Some(password("at once")), ..crate::example::new_account("def") };
        store.add_account(given, &WHO).unwrap();
        assert!(exchange(b"at once", &keys_of(store, "def"), b"message"));
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
            prop_assert_eq!(example.store.scram_keys(&name).unwrap().account, None);
        });
    }
}
