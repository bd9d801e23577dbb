//! Accounts: a customer of the provider, with one mailbox.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of an account: its POP3 login, the local-part of its standard address, and the label
/// of its sub-domain; so it is a host name label (RFC 1123 §2.1) in lower case, 1 to 32 octets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(Box<str>);

/// The text is no account name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an account name has 1 to 32 letters, digits or hyphens, and begins and ends with a letter or digit")]
pub struct NotAnAccountName;

impl AccountName {
    /// Parses a name, folding its case.
    ///
    /// # Errors
    /// If it is no label of 1 to 32 octets.
    pub fn parse(text: &str) -> Result<AccountName, NotAnAccountName> {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let octets = text.as_bytes();
        let inner = octets.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        if octets.len() > 32 || !inner || !edge(octets.first()) || !edge(octets.last()) {
            return Err(NotAnAccountName);
        }
        Ok(AccountName(text.to_ascii_lowercase().into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AccountName {
    type Err = NotAnAccountName;
    fn from_str(text: &str) -> Result<Self, NotAnAccountName> {
        AccountName::parse(text)
    }
}

impl TryFrom<String> for AccountName {
    type Error = NotAnAccountName;
    fn try_from(text: String) -> Result<Self, NotAnAccountName> {
        AccountName::parse(&text)
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> String {
        name.0.into()
    }
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// Everything.
    Active,
    /// Nothing: no login, no sending. Its mail is kept and goes on arriving.
    Suspended,
    /// Receive and read, not send.
    ReceiveOnly,
}

impl AccountState {
    /// The state's name in the store and in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountState::Active => "active",
            AccountState::Suspended => "suspended",
            AccountState::ReceiveOnly => "receive-only",
        }
    }
}

impl fmt::Display for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The language in which an account is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Japanese.
    Ja,
    /// English.
    En,
}

impl Language {
    /// The language tag (RFC 5646).
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Ja => "ja",
            Language::En => "en",
        }
    }
}

/// Where an account's mail lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Whose it is.
    pub account: AccountName,
    /// The Maildir, an absolute path.
    pub maildir: PathBuf,
}

/// An account as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// What it may do.
    pub state: AccountState,
    /// The language it is written to in.
    pub language: Language,
    /// Whether it may rule the server, and is sent the postmaster's mail.
    pub operator: bool,
    /// The Maildir, an absolute path.
    pub maildir: PathBuf,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}
