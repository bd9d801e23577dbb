//! The directory: which domains are ours, who our customers are, and where an address leads.
//!
//! One [`Store`] over one SQLite file answers the whole system. It may be open in several processes
//! at once: each change is one transaction, readers never wait for it, and
//! [`Store::change_count`] tells everybody who keeps answers when to drop them.
//!
//! | file | what it holds |
//! |---|---|
//! | `store.rs` | the store: opening it, the one writer, the count of changes |
//! | `connection.rs` | how SQLite is opened, and the pool of readers |
//! | `migrations.rs` | the schema, step by step |
//! | `domains.rs`, `accounts.rs` | what is kept, and the rules for changing it |
//! | `plans.rs` | what an account may do, and how much of it |
//! | `local_users.rs` | whose the programs are that run under a user id of this machine |
//! | `anonymous.rs` | the account of those that are nobody's |
//! | `instructions.rs`, `extension.rs` | delivery instructions, and of which address they are |
//! | `resolve.rs` | where an address leads: the one function for RCPT and for delivery |
//! | `snapshot.rs` | several questions about one moment |
//! | `login.rs` | who may in |
//! | `password.rs`, `hashing.rs`, `verified.rs` | the rules for passwords, argon2id, and what of it is remembered |
//! | `password_hash.rs`, `md5_crypt.rs`, `upgrade.rs` | hashes of older systems, and how they become ours |
//! | `scram.rs` | the keys of SCRAM-SHA-256 |
//! | `app_passwords.rs`, `uses.rs` | passwords of single programs, and when they were last used |
//! | `failures.rs` | who guesses passwords waits longer each time |
//! | `label.rs` | what customers call their things |
//! | `windows.rs` | relay windows: who has just checked mail and may send |
//! | `limits.rs`, `sent.rs`, `correspondents.rs` | how much an account may send, has sent, and to whom |
//! | `usage.rs` | the second file, of what changes all day and may be lost |
//! | `audit.rs` | who changed what, and when |
//! | `events.rs` | what became of each message: files of their own, one a day |
//! | `error.rs` | what can go wrong, in words for the person who must mend it |
#![forbid(unsafe_code)]

mod accounts;
mod anonymous;
mod app_passwords;
mod audit;
mod connection;
mod correspondents;
mod domains;
mod error;
mod events;
#[cfg(test)]
mod example;
mod extension;
mod failures;
mod hashing;
mod instructions;
mod label;
mod limits;
mod local_users;
mod login;
mod md5_crypt;
mod migrations;
mod password;
mod password_hash;
mod plans;
mod resolve;
mod rows;
mod scram;
mod sent;
mod snapshot;
mod store;
mod upgrade;
mod usage;
mod uses;
mod verified;
mod windows;

pub use accounts::{AccountChanges, NewAccount, NewPassword};
pub use anonymous::anonymous;
pub use app_passwords::{AppPassword, NewAppPassword};
pub use audit::{Actor, AuditEntry};
pub use domains::DomainDetails;
pub use error::{ChangeError, OpenError, StoreError};
pub use events::{EVENTS_MAX, Events, EventsError, FAMILY_MAX};
pub use extension::{Extension, NotAnExtension};
pub use instructions::{AddressedInstructions, INSTRUCTIONS_MAX, Instructions};
pub use label::{Label, NotALabel};
pub use limits::{SendingRefused, SentSoFar};
pub use login::{Login, LoginRefused};
pub use password::{NotAPassword, Password};
pub use password_hash::{NotAPasswordHash, PasswordHash};
pub use scram::{ScramChallenge, ScramLogin};
pub use snapshot::Snapshot;
pub use store::{Settings, Store};
pub use windows::{NotAWindowLength, Window, WindowLength};
