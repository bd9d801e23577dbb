//! What operators ask and change, and what they are answered.

use std::fmt;
use std::net::IpAddr;

use envelope::{
    Account, AccountName, AccountState, Address, Domain, HostedDomain, Language, NamedPlan, Overrides, Plan,
    PlanName,
};
use serde::{Deserialize, Serialize};

use super::visits::Absence;
use super::visits::{Session, Token};
use crate::services::local::Usage;

/// What an operator asks or changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Rule {
    /// Host a domain.
    AddDomain(HostedDomain),
    /// All domains.
    Domains,
    /// One domain, and what belongs to it.
    Domain(Domain),
    /// No longer host a domain.
    RemoveDomain(Domain),
    /// Have an account receive what is for nobody under a provider domain, or refuse it again.
    SetCatchAll(Domain, Option<AccountName>),
    /// Make an account.
    AddAccount(NewAccount),
    /// Make many accounts, all or none. Each comes with its line in the file that it is from.
    ImportAccounts(Many<(u32, NewAccount)>),
    /// One account.
    Account(AccountName),
    /// One account, and all that is known of it.
    AccountFacts(AccountName),
    /// Accounts in the order of their names, from the first after `after`, at most `limit`.
    Accounts {
        /// The last name already seen.
        after: Option<AccountName>,
        /// How many.
        limit: u32,
    },
    /// Remove an account. Its mail stays where it is.
    RemoveAccount(AccountName),
    /// Give an account a new password.
    SetPassword(AccountName, Secret),
    /// Suspend or resume.
    SetState(AccountName, AccountState),
    /// Change an account: all of it, or nothing.
    ChangeAccount(AccountName, AccountChanges),
    /// Make an app password of this label.
    AddAppPassword(AccountName, String),
    /// An account's app passwords.
    AppPasswords(AccountName),
    /// Revoke the app password of this label.
    RemoveAppPassword(AccountName, String),
    /// Close an account's relay windows.
    CloseWindows(AccountName),
    /// Make a plan or change it: allowances by their names, and their values.
    SetPlan(PlanName, Vec<(String, String)>),
    /// All plans.
    Plans,
    /// Remove a plan.
    RemovePlan(PlanName),
    /// Say what is to be done with an address's mail.
    SetAddress(AddressChange),
    /// One address, and what is done with its mail.
    Address(Address),
    /// Instructions in the order of accounts and of their names, from the first after `after`: about
    /// `limit`, and one at least if there are any more.
    Addresses {
        /// Whose; none, everybody's.
        account: Option<AccountName>,
        /// How their extensions begin; if `account` is said.
        prefix: String,
        /// The last already seen: whose, and its file.
        after: Option<(AccountName, String)>,
        /// How many.
        limit: u32,
    },
    /// Forget the instructions of an address.
    RemoveAddress(Address),
    /// Obey the instructions of an address, or not, without forgetting them.
    SetAddressActive(Address, bool),
    /// Write many instructions of an account, all or none, by the names of their files.
    ImportAddresses(AccountName, Many<(String, Text)>),
    /// What is wrong with this text, if this account (none: one with the default plan) were to write it?
    CheckInstructions(Option<AccountName>, Text),
    /// A one-time link by which an account's owner sets his password; it ends the links before it.
    Invite(AccountName),
    /// Whether an account has a second factor.
    SecondFactor(AccountName),
    /// Take an account's second factor away, for who lost it.
    RemoveSecondFactor(AccountName),
    /// The sessions of the page that an account has.
    Sessions(AccountName),
    /// End them.
    EndSessions(AccountName),
    /// The last changes, of one account or of all; the newest first, at most `limit`.
    AuditTrail {
        /// Whose.
        account: Option<AccountName>,
        /// How many.
        limit: u32,
    },
    /// What an account answers while its owner is away.
    Absence(AccountName),
    /// Set it.
    SetAbsence(AccountName, Absence),
}

/// What a rule answers, where there is more to say than that it is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// All domains.
    Domains(Vec<HostedDomain>),
    /// One domain.
    Domain(DomainFacts),
    /// One account.
    Account(Account),
    /// Some accounts.
    Accounts(Vec<Account>),
    /// One account.
    AccountFacts(Box<AccountFacts>),
    /// So many were imported.
    Imported(u64),
    /// A new app password: the only time that it is seen.
    NewAppPassword(Secret),
    /// An account's app passwords, in the order in which they were made.
    AppPasswords(Vec<AppPassword>),
    /// A plan as it is now.
    Plan(Plan),
    /// All plans, in the order of their names.
    Plans(Vec<NamedPlan>),
    /// The instructions are written.
    AddressSet {
        /// There were none before.
        new: bool,
    },
    /// One address.
    Address(Box<AddressFacts>),
    /// Some instructions.
    Addresses(Vec<AddressEntry>),
    /// Some changes.
    AuditTrail(Vec<AuditEntry>),
    /// A one-time link's token: the only time that it is seen.
    Invitation(Token),
    /// Whether there is a second factor.
    SecondFactor(bool),
    /// Sessions, that last used first.
    Sessions(Vec<Session>),
    /// What an account answers while its owner is away.
    Absence(Absence),
}

/// A password, or a hash of one, on its way to be stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Delivery instructions as somebody wrote them, perhaps not even UTF-8. Only their length is logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(pub Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} octets)", self.0.len())
    }
}

/// A long list. Only its length is logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct Many<T>(pub Vec<T>);

impl<T> fmt::Debug for Many<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Many({})", self.0.len())
    }
}

/// An account to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// Its password; none means that nobody can log in yet.
    pub password: Option<NewPassword>,
    /// The language it is written to in.
    pub language: Language,
    /// Whether it may rule the server.
    pub operator: bool,
    /// Its plan; none means the default plan.
    pub plan: Option<PlanName>,
    /// User ids of this machine whose programs send as it.
    pub uids: Vec<u32>,
}

/// The password of a new account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum NewPassword {
    /// As its owner types it.
    Password(Secret),
    /// Another system's hash of it, as crypt(3) or PHC writes them.
    Hash(Secret),
}

/// What is to be changed of an account; what is not said stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AccountChanges {
    /// Its plan.
    pub plan: Option<PlanName>,
    /// The language it is written to in.
    pub language: Option<Language>,
    /// Allowances by their names, and their values; none, that the plan's counts again.
    pub allowances: Vec<(String, Option<String>)>,
    /// User ids of this machine whose programs send as it from now on.
    pub uids_added: Vec<u32>,
    /// User ids of this machine whose programs send as it no longer.
    pub uids_removed: Vec<u32>,
}

/// A domain, and what belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainFacts {
    /// The domain.
    pub domain: HostedDomain,
    /// Who receives what is for nobody.
    pub catch_all: Option<AccountName>,
    /// The domains that are aliases of it.
    pub aliases: Vec<Domain>,
}

/// An account, and all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountFacts {
    /// The account.
    pub account: Account,
    /// The name of its plan.
    pub plan: PlanName,
    /// What it may after all.
    pub allowances: Plan,
    /// What of it the account has otherwise than its plan says.
    pub own: Overrides,
    /// What it has sent.
    pub sent: Sent,
    /// Its open relay windows.
    pub windows: Vec<Window>,
    /// How many app passwords it has.
    pub app_passwords: u64,
    /// The domains that it owns.
    pub domains: Vec<Domain>,
    /// User ids of this machine whose programs send as it, by the directory.
    pub uids: Vec<u32>,
    /// How full its mailbox is, if it has a quota and that is known.
    pub mailbox: Option<Usage>,
}

/// What an account has sent in the current hour and day.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Messages in this hour.
    pub messages_this_hour: u64,
    /// Recipients in this hour.
    pub recipients_this_hour: u64,
    /// Messages in this day.
    pub messages_this_day: u64,
    /// Recipients in this day.
    pub recipients_this_day: u64,
    /// Of them, who had not been written to before.
    pub new_recipients_this_day: u64,
}

/// An open relay window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Window {
    /// From which address.
    pub client: IpAddr,
    /// The login that opened it, in seconds since 1970.
    pub opened: u64,
    /// The last login, in seconds since 1970.
    pub renewed: u64,
    /// From this second on it is closed.
    pub expires: u64,
}

/// An app password as the directory knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppPassword {
    /// What its owner calls it.
    pub label: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The last login by it, in seconds since 1970, to the minute.
    pub last_used: Option<u64>,
}

/// What is to be done with an address's mail; what is not said stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddressChange {
    /// Any address of ours.
    pub address: Address,
    /// Instructions, in the language of `.qmail`.
    pub text: Option<Text>,
    /// What its owner calls it.
    pub label: Option<String>,
}

/// One address, and what is done with its mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddressFacts {
    /// Whose it is.
    pub account: AccountName,
    /// How qmail would name the file of its own instructions.
    pub file: String,
    /// Its own instructions.
    pub own: Option<AddressEntry>,
    /// The instructions that count for it, perhaps those of a default. None: it goes into the mailbox.
    pub in_force: Option<InForce>,
}

/// Instructions that count for an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InForce {
    /// How qmail would name their file.
    pub file: String,
    /// In the language of `.qmail`.
    pub text: String,
}

/// The instructions of one address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddressEntry {
    /// Whose.
    pub account: AccountName,
    /// The address; with `default` before the `@` for all that have none of their own.
    pub address: String,
    /// How qmail would name their file.
    pub file: String,
    /// In the language of `.qmail`.
    pub text: String,
    /// Whether they are obeyed.
    pub active: bool,
    /// What its owner calls them.
    pub label: Option<String>,
    /// When they were last changed, in seconds since 1970.
    pub updated: u64,
}

/// One change that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Who.
    pub who: String,
    /// What, as a short sentence.
    pub what: String,
}
