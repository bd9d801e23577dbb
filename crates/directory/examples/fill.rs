//! Fills a directory with accounts `user0`, `user1`, … that have no password and no mailbox, and with
//! instructions for addresses `list0@`, `list1@`, … under each: for measurements.
//!
//! `cargo run --release -p hikyaku-directory --example fill -- DATABASE ACCOUNTS ADDRESSES_EACH`
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use directory::{Actor, Extension, NewAccount, Settings, Store};
use envelope::Language;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, accounts, addresses_each] = &arguments[..] else {
        return Err("three arguments: DATABASE ACCOUNTS ADDRESSES_EACH".into());
    };
    let (accounts, addresses_each): (u32, u32) = (accounts.parse()?, addresses_each.parse()?);
    let store = Store::open(Path::new(database), Settings::new("/nonexistent"))?;
    let extensions = (0..addresses_each)
        .map(|number| Extension::parse(Some(&format!("list{number}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let texts = extensions.iter().map(|extension| (extension, "&a@there.example\n&b@there.example\n"));
    for number in 0..accounts {
        let name: envelope::AccountName = format!("user{number}").parse()?;
        let new = NewAccount {
            name: name.clone(),
            password: None,
            language: Language::Ja,
            operator: false,
            plan: None,
            uids: Vec::new(),
        };
        store.add_account(new, &Actor::Server)?;
        store.import_instructions(&name, texts.clone(), |_, _| Ok(()), &Actor::Server)?;
    }
    Ok(())
}
