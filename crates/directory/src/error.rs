//! What can go wrong, in words for the person who must mend it.

use std::io;
use std::path::PathBuf;

use envelope::plan::NotAnAllowance;
use envelope::{AccountName, Domain, PlanName};
use rusqlite::ErrorCode;
use thiserror::Error;

use crate::absence::NotAnAbsence;
use crate::extension::Extension;
use crate::label::Label;

/// The store could not answer or could not write. Nothing was changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No room for the change.
    #[error("the disk that holds the directory is full; free some space and try again")]
    DiskFull(#[source] rusqlite::Error),
    /// The file, or the disk it is on, may not be written.
    #[error(
        "the directory may not be written; look at who owns its file, and whether its disk is mounted read-only"
    )]
    ReadOnly(#[source] rusqlite::Error),
    /// Another process has been writing for longer than [`Settings::busy_timeout`](crate::Settings::busy_timeout).
    #[error("another process keeps the directory locked; try again in a moment")]
    Busy(#[source] rusqlite::Error),
    /// SQLite finds the file damaged.
    #[error("the directory's file is damaged; stop the server and restore the file from a copy")]
    Damaged(#[source] rusqlite::Error),
    /// A row holds a value that this version does not know.
    #[error("the directory holds something that this version of hikyaku cannot read: {0}")]
    Unreadable(String),
    /// Anything else that SQLite reports.
    #[error("the directory's store failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        if let FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) = error {
            return StoreError::Unreadable(error.to_string());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull(error),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error),
            _ => StoreError::Sqlite(error),
        }
    }
}

/// The store could not be opened. A file that is not ours is left as it was.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be made, or its mode cannot be set.
    #[error("cannot open the directory's file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no SQLite database, or its head is damaged.
    #[error("{} is no directory of hikyaku: it is not an SQLite database, or its beginning is damaged", .0.display())]
    NotADatabase(PathBuf),
    /// The file is another program's SQLite database.
    #[error("{} is no directory of hikyaku, but another program's SQLite database", .0.display())]
    Foreign(PathBuf),
    /// A later version has changed the schema.
    #[error(
        "{} was written by a later version of hikyaku (its schema is {found}, this version knows {known}); \
         use that version, or restore a copy from before", path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The latest schema that this version knows.
        known: u32,
    },
    /// The store failed while it was being opened.
    #[error("cannot open {}: {source}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: StoreError,
    },
    /// The system gave no random octets for the key of the password memory.
    #[error("the system gives no random octets: {0}")]
    Random(String),
}

/// A change was refused, or failed; nothing was changed. The text is a sentence for a person.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The name is taken.
    #[error(
        "there is already an account {0}; choose another name, or change it by `hikyaku account passwd {0}`"
    )]
    AccountExists(AccountName),
    /// The server makes this account itself.
    #[error(
        "the account {0} is for programs of this machine whose user is no account's; the server makes it itself \
         where `[sendmail] unmapped = \"anonymous\"` says so; choose another name"
    )]
    Reserved(AccountName),
    /// Programs of this user send as another account.
    #[error(
        "programs of uid {uid} send as account {account} already; end that first by \
         `hikyaku account set {account} --no-uid {uid}`"
    )]
    LocalUserTaken {
        /// The user.
        uid: u32,
        /// As whom they send.
        account: AccountName,
    },
    /// Programs of root are the operator's.
    #[error(
        "programs of root (uid 0) send as the postmaster, who is the oldest operator; name another user, or say \
         otherwise in [sendmail.users] of hikyaku.toml"
    )]
    LocalUserIsRoot,
    /// Programs of this user do not send as this account.
    #[error(
        "programs of uid {uid} do not send as account {account} by the directory; `hikyaku account show {account}` \
         shows which do"
    )]
    NoSuchLocalUser {
        /// The account.
        account: AccountName,
        /// The user.
        uid: u32,
    },
    /// No account has this name.
    #[error("there is no account {0}; `hikyaku account list` shows those there are")]
    NoSuchAccount(AccountName),
    /// Domains would be left without an owner.
    #[error("account {account} owns {}; remove them first by `hikyaku domain remove`", list(domains))]
    OwnsDomains {
        /// Whose removal is refused.
        account: AccountName,
        /// What it owns.
        domains: Vec<Domain>,
    },
    /// The domain is hosted already.
    #[error("the domain {0} is hosted here already; `hikyaku domain list` shows how")]
    DomainExists(Domain),
    /// The domain is not hosted.
    #[error("the domain {0} is not hosted here; `hikyaku domain list` shows those that are")]
    NoSuchDomain(Domain),
    /// Aliases would be left without the domain that they mean.
    #[error(
        "the domain {domain} has {} as an alias; remove it first by `hikyaku domain remove`",
        list(aliases)
    )]
    HasAliases {
        /// The domain that was to go.
        domain: Domain,
        /// Its aliases.
        aliases: Vec<Domain>,
    },
    /// An alias can only be of a domain with addresses of its own here.
    #[error(
        "the domain {0} has no addresses of its own here; make it an alias of a provider or virtual domain, which \
         `hikyaku domain list` shows"
    )]
    NoTargetOfAlias(Domain),
    /// Only a provider domain has what was asked for.
    #[error("the domain {0} is no provider domain; `hikyaku domain list` shows those that are")]
    NoProviderDomain(Domain),
    /// Accounts would be left without an address.
    #[error(
        "{accounts} account(s) have their addresses under {domain}, and there is no other provider domain; \
         add another by `hikyaku domain add`, or remove the accounts first"
    )]
    AccountsUnderDomain {
        /// The domain that was to go.
        domain: Domain,
        /// How many accounts there are.
        accounts: u64,
    },
    /// Two would have a claim on one domain: an account `abc` owns `abc.` under each provider
    /// domain.
    #[error(
        "the domain {domain} is the sub-domain of account {account}, and cannot be hosted for anybody else; \
         choose another name for one of them"
    )]
    SubDomainTaken {
        /// The domain in question.
        domain: Domain,
        /// The account whose sub-domain it is, or would be.
        account: AccountName,
    },
    /// The new account's mailbox could not be made, so there is no account either.
    #[error("the account {account} was not made, as its mailbox could not be: {reason}")]
    Mailbox {
        /// The account.
        account: AccountName,
        /// Why.
        reason: String,
    },
    /// One of many that came in a file.
    #[error("line {line}: {why}")]
    Line {
        /// Its line, counted from 1.
        line: u32,
        /// What is wrong with it.
        why: Box<ChangeError>,
    },
    /// An allowance cannot be set so.
    #[error(transparent)]
    Allowance(#[from] NotAnAllowance),
    /// No plan has this name.
    #[error("there is no plan {0}; `hikyaku plan list` shows those there are")]
    NoSuchPlan(PlanName),
    /// The default plan was to be removed.
    #[error("the default plan cannot be removed; change it by `hikyaku plan set default`")]
    DefaultPlan,
    /// Accounts would be left without a plan.
    #[error(
        "{accounts} account(s) have the plan {plan}; give them another by `hikyaku account set NAME --plan PLAN` first"
    )]
    PlanInUse {
        /// The plan that was to go.
        plan: PlanName,
        /// How many accounts have it.
        accounts: u64,
    },
    /// An app password of the account has this label.
    #[error(
        "account {account} has an app password \"{label}\" already; choose another label, or revoke that one"
    )]
    AppPasswordExists {
        /// Whose it is.
        account: AccountName,
        /// The label.
        label: Label,
    },
    /// No app password of the account has this label.
    #[error(
        "account {account} has no app password \"{label}\"; `hikyaku account app-password list {account}` shows those there are"
    )]
    NoSuchAppPassword {
        /// Whose it would be.
        account: AccountName,
        /// The label.
        label: Label,
    },
    /// The account has as many app passwords as there may be.
    #[error("account {0} has 64 app passwords; revoke one that is not in use first")]
    TooManyAppPasswords(AccountName),
    /// An API token of the account has this label.
    #[error(
        "account {account} has an API token \"{label}\" already; choose another label, or revoke that one"
    )]
    ApiTokenExists {
        /// Whose it is.
        account: AccountName,
        /// The label.
        label: Label,
    },
    /// No API token of the account has this label.
    #[error("account {account} has no API token \"{label}\"; its owner's page shows those there are")]
    NoSuchApiToken {
        /// Whose it would be.
        account: AccountName,
        /// The label.
        label: Label,
    },
    /// The account has as many API tokens as there may be.
    #[error("account {0} has 64 API tokens; revoke one that is not in use first")]
    TooManyApiTokens(AccountName),
    /// The account has no second factor.
    #[error("account {0} has no second factor; its owner sets one up on the page, after signing in")]
    NoSecondFactor(AccountName),
    /// The session has ended.
    #[error("the session has ended; sign in again")]
    SessionEnded,
    /// The instructions are not as they must be.
    #[error("the instructions {extension} of {account} are not changed: {why}")]
    Instructions {
        /// Whose they are.
        account: AccountName,
        /// Of which address.
        extension: Extension,
        /// What is wrong with the text.
        why: String,
    },
    /// The address has no instructions of its own.
    #[error(
        "account {account} has no instructions {extension}; `hikyaku address list {account}` shows those there are"
    )]
    NoSuchInstructions {
        /// Whose they would be.
        account: AccountName,
        /// Of which address.
        extension: Extension,
    },
    /// The automatic reply is not as it must be.
    #[error("the automatic reply is not changed: {0}")]
    Absence(#[from] NotAnAbsence),
    /// The password could not be hashed.
    #[error("the password was not changed: {0}")]
    Hashing(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ChangeError {
    fn from(error: rusqlite::Error) -> ChangeError {
        ChangeError::Store(error.into())
    }
}

impl ChangeError {
    /// The same, of the one in this line of a file.
    pub(crate) fn in_line(self, line: u32) -> ChangeError {
        ChangeError::Line { line, why: Box::new(self) }
    }
}

fn list(domains: &[Domain]) -> String {
    let plural = if domains.len() == 1 { "domain" } else { "domains" };
    let names: Vec<&str> = domains.iter().map(Domain::as_str).collect();
    format!("the {plural} {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let abc: AccountName = "abc".parse().unwrap();
        assert_eq!(
            ChangeError::AccountExists(abc.clone()).to_string(),
            "there is already an account abc; choose another name, or change it by `hikyaku account passwd abc`"
        );
        let domains = vec!["a.example".parse().unwrap(), "b.example".parse().unwrap()];
        assert_eq!(
            ChangeError::OwnsDomains { account: abc, domains }.to_string(),
            "account abc owns the domains a.example, b.example; remove them first by `hikyaku domain remove`"
        );
    }
}
