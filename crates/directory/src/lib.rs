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
//! | `editing.rs` | what is read, judged and written in one transaction |
//! | `consents.rs` | whether those who instructions lead to want it |
//! | `absence.rs`, `answered.rs` | what it answers while its owner is away, and whom it has answered |
//! | `find.rs` | a text among all accounts and instructions, and how many there are |
//! | `resolve.rs` | where an address leads: the one function for RCPT and for delivery |
//! | `snapshot.rs` | several questions about one moment |
//! | `login.rs` | who may in |
//! | `password.rs`, `hashing.rs`, `verified.rs` | the rules for passwords, argon2id, and what of it is remembered |
//! | `password_hash.rs`, `md5_crypt.rs`, `upgrade.rs` | hashes of older systems, and how they become ours |
//! | `scram.rs` | the keys of SCRAM-SHA-256 |
//! | `app_passwords.rs`, `uses.rs` | passwords of single programs, and when they were last used |
//! | `sessions.rs`, `session_uses.rs` | who has signed in to the page, and when he was last there |
//! | `half_sessions.rs`, `second_factor.rs`, `totp.rs` | the second factor, and who is asked for it |
//! | `invitations.rs` | one-time links to set a password by |
//! | `api_tokens.rs` | tokens of programs that use the API |
//! | `last_logins.rs` | who was in of late |
//! | `readable.rs` | secrets that people copy by hand |
//! | `failures.rs` | who guesses passwords waits longer each time |
//! | `label.rs` | what customers call their things |
//! | `windows.rs` | relay windows: who has just checked mail and may send |
//! | `limits.rs`, `sent.rs`, `correspondents.rs` | how much an account may send, has sent, and to whom |
//! | `usage.rs` | the second file, of what changes all day and may be lost |
//! | `audit.rs` | who changed what, and when |
//! | `events.rs` | what became of each message: files of their own, one a day |
//! | `error.rs` | what can go wrong, in words for the person who must mend it |
#![forbid(unsafe_code)]

mod absence;
mod accounts;
mod anonymous;
mod answered;
mod api_tokens;
mod app_passwords;
mod audit;
mod connection;
mod consents;
mod correspondents;
mod domains;
mod editing;
mod error;
mod events;
#[cfg(test)]
mod example;
mod extension;
mod failures;
mod find;
mod half_sessions;
mod hashing;
mod instructions;
mod invitations;
mod label;
mod last_logins;
mod limits;
mod local_users;
mod login;
mod md5_crypt;
mod migrations;
mod password;
mod password_hash;
mod plans;
mod readable;
mod resolve;
mod rows;
mod scram;
mod second_factor;
mod sent;
mod session_uses;
mod sessions;
mod snapshot;
mod store;
mod totp;
mod upgrade;
mod usage;
mod uses;
mod verified;
mod windows;

pub use absence::{
    ABSENCE_SUBJECT_MAX, ABSENCE_TEXT_MAX, ANSWER_AGAIN_AFTER, Absence, NotAnAbsence, NotAnswered,
};
pub use accounts::{AccountChanges, NewAccount, NewPassword};
pub use anonymous::anonymous;
pub use api_tokens::{ApiToken, OpenToken, TokenScope};
pub use app_passwords::{AppPassword, NewAppPassword};
pub use audit::{Actor, AuditEntry};
pub use consents::{
    ASKED_AGAIN_AFTER, ASKED_PER_DAY_MAX, AskedEnough, Consent, ConsentState, LINK_LIFETIME, LinkedConsent,
};
pub use domains::DomainDetails;
pub use editing::Editing;
pub use error::{ChangeError, OpenError, StoreError};
pub use events::{
    EVENTS_MAX, Events, EventsError, FAMILY_MAX, ForwardResults, ForwardTrouble, LOOKS_MAX, Member, OwnMail,
    OwnMailSearch, TRAFFIC_HOURS_MAX, Traffic, TrafficHour,
};
pub use extension::{Extension, NotAnExtension};
pub use find::StoreCounts;
pub use half_sessions::SecondStep;
pub use instructions::{AddressedInstructions, INSTRUCTIONS_MAX, Instructions, Sought};
pub use invitations::TakenUp;
pub use label::{Label, NotALabel};
pub use last_logins::{LastLogin, LoginService};
pub use limits::{SendingRefused, SentSoFar};
pub use login::{Login, LoginRefused};
pub use password::{NotAPassword, Password};
pub use password_hash::{NotAPasswordHash, PasswordHash};
pub use scram::{ScramChallenge, ScramLogin};
pub use second_factor::RecoveryCode;
pub use sessions::{Browser, ListedSession, NewSession, OpenSession, SessionLengths};
pub use snapshot::Snapshot;
pub use store::{Settings, Store};
pub use totp::TotpSecret;
pub use windows::{NotAWindowLength, Window, WindowLength};
