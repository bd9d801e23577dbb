//! Visits: who comes by the page or the API, what he may there, and what he does with his own account.
//!
//! `web` hears strangers, so its word counts for nothing: each request brings the visitor's key, and the
//! directory itself says whose it is and what it allows. Nothing here names the account that is asked for:
//! it is the key's. So one member's key reaches nothing of another's, whatever `web` makes of a request.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use envelope::event::{Party, Summary, Words};
use envelope::{AccountName, Address, Domain, Language, QueueId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::rules::{AccountFacts, AppPassword, AuditEntry, Rule, Secret};
use super::{LoginRefused, Trace};
use crate::grant::{OperatorGrant, RelayGrant};

/// What opens something: 32 random octets. Who has it may, so it is never logged, and the directory keeps
/// only its digest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token([u8; 32]);

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("that is no token: it has 43 letters, digits, hyphens and underscores")]
pub struct NotAToken;

impl Token {
    /// A token of these octets, which must be random.
    pub fn new(octets: [u8; 32]) -> Token {
        Token(octets)
    }

    /// By what the directory knows it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Octets that only who has the token can tell, for one purpose: a form's proof that the page sent it.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update([0]).chain_update(self.0).finalize().into()
    }

    /// As it stands in cookies and links: 43 characters of base64url (RFC 4648 §5).
    pub fn reveal(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl FromStr for Token {
    type Err = NotAToken;
    fn from_str(text: &str) -> Result<Token, NotAToken> {
        let octets = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAToken)?;
        octets.try_into().map(Token).map_err(|_| NotAToken)
    }
}

/// From where somebody comes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Origin {
    /// His address, as the proxy says it where one is trusted.
    pub client: IpAddr,
    /// His browser, in its own words; cut to 200 characters.
    pub agent: String,
}

/// What somebody brings who has no session yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Entry {
    /// A name and a password. Answered [`Visit::SignedIn`] or [`Visit::CodeWanted`].
    SignIn {
        /// `abc` or `abc@pobox.example`.
        name: String,
        /// As it was typed.
        password: Secret,
    },
    /// The second factor, after [`Visit::CodeWanted`]: six digits, or a recovery code.
    Code {
        /// What [`Visit::CodeWanted`] gave.
        half: Token,
        /// As it was typed.
        code: String,
    },
    /// Whose is this one-time link, and what is it for? Answered [`Visit::Invitation`].
    Look(Token),
    /// Takes a one-time link up: sets the password and signs in. Of an operator it is answered
    /// [`Visit::SignedIn`] with a session in which the second factor is set up next; of anybody who has a second
    /// factor, [`Visit::CodeWanted`]: a link does not go round it.
    TakeUp {
        /// The link's.
        invitation: Token,
        /// The new password.
        password: Secret,
    },
    /// What does the owner of a destination confirm by this link? Answered [`Visit::Destination`].
    LookAtDestination(Token),
    /// The owner of a destination wants the mail, or does not. Answered [`Visit::Done`].
    Destination {
        /// The link's.
        link: Token,
        /// Whether he wants it.
        wanted: bool,
    },
}

/// By what somebody is known who comes again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Key {
    /// A browser's session.
    Session(Token),
    /// A token for the API.
    Api(Token),
}

/// What an API token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// To look at one's own things.
    Read,
    /// To change one's own addresses, app passwords, reply and language too; neither password, second factor nor tokens.
    Write,
    /// What operators may, for an operator's token: made in a session with second factor only.
    Operate,
}

impl Scope {
    /// Its name in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Operate => "operate",
        }
    }
}

/// Who somebody is, and what he may just now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Standing {
    /// Whose key it is.
    pub account: AccountName,
    /// The account's standard address.
    pub address: Address,
    /// The domain of which the account has all addresses, if its plan gives it one.
    pub sub_domain: Option<Domain>,
    /// In which language he is written to.
    pub language: Language,
    /// He is an operator, and has proved it by a second factor (or the token's scope).
    pub operates: bool,
    /// The account is an operator's, whether or not he has proved it.
    pub operator: bool,
    /// Whether the account has a second factor.
    pub second_factor: bool,
    /// He came by a one-time link as an operator, and must set up the second factor before all else.
    pub must_enrol: bool,
    /// Until when dangerous acts need no new proof, in seconds since 1970.
    pub fresh_until: u64,
    /// What a token allows; none: a session, which may all that its account may.
    pub scope: Option<Scope>,
}

/// What somebody asks who has a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    /// Who am I? Answered [`Visit::Standing`].
    Standing,
    /// Ends the session.
    SignOut,
    /// Proves anew who he is, so that dangerous acts go for [`FRESH_FOR`]. Answered [`Visit::Standing`].
    Prove {
        /// The password.
        password: Secret,
        /// The second factor's code, if he has one.
        code: Option<String>,
    },
    /// What he asks or does of his own account.
    Own(Own),
    /// What an operator asks or does.
    Operate(Operate),
}

/// How long a session counts as fresh after a proof, in seconds.
pub const FRESH_FOR: u64 = 600;

/// What a member asks of his own account, and does with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Own {
    /// All that is known of it. [`Visit::Facts`]
    Facts,
    /// The last logins, the newest first. [`Visit::Logins`]
    Logins,
    /// His addresses with instructions of their own, the standard one first. [`Visit::Addresses`]
    Addresses {
        /// What their address, label or a destination has in it; empty: all.
        search: String,
        /// The file of the last already seen.
        after: Option<String>,
        /// How many.
        limit: u32,
    },
    /// One address, as the form shows it; one without instructions of its own too. [`Visit::Address`]
    Address(Address),
    /// Writes what is done with an address's mail. [`Visit::AddressSaved`]
    SaveAddress(Box<AddressOrder>),
    /// Obeys an address's instructions, or not, without forgetting them. [`Visit::Address`]
    SwitchAddress {
        /// Which.
        address: Address,
        /// What the visitor saw.
        version: Version,
        /// Whether they are obeyed.
        active: bool,
    },
    /// Forgets an address's instructions.
    RemoveAddress {
        /// Which.
        address: Address,
        /// What the visitor saw.
        version: Version,
    },
    /// Asks the owner of an outside destination again. [`Visit::AddressSaved`]
    AskDestination {
        /// Of which address.
        address: Address,
        /// Which destination.
        destination: Address,
    },
    /// What became of the last messages to each destination of an address. [`Visit::Results`]
    Results(Address),
    /// What came to his addresses and left from them. [`Visit::Mail`]
    Mail(MailSearch),
    /// The life of one of his messages. [`Visit::Life`]
    Life(QueueId),
    /// His answer while he is away. [`Visit::Absence`]
    Absence,
    /// Sets it. [`Visit::Absence`]
    SetAbsence(Absence),
    /// Sets his language.
    SetLanguage(Language),
    /// Sets his password; other sessions end, app passwords stay. Needs the old one, not freshness.
    SetPassword {
        /// The one he has.
        old: Secret,
        /// The one he will have.
        new: Secret,
    },
    /// His app passwords. [`Visit::AppPasswords`]
    AppPasswords,
    /// Makes one of this label. [`Visit::NewSecret`]
    AddAppPassword(String),
    /// Revokes the one of this label.
    RemoveAppPassword(String),
    /// Begins to set up a second factor (RFC 6238). [`Visit::SecondFactorBegun`]
    BeginSecondFactor,
    /// Sets it up, if the code is right. [`Visit::RecoveryCodes`]
    SetSecondFactor(String),
    /// New recovery codes; the old ones are void. Dangerous. [`Visit::RecoveryCodes`]
    NewRecoveryCodes,
    /// Does without a second factor. Dangerous, and not for operators.
    RemoveSecondFactor,
    /// His sessions. [`Visit::Sessions`]
    Sessions,
    /// Ends one of them.
    EndSession(u64),
    /// Ends all but this.
    EndOtherSessions,
    /// His API tokens. [`Visit::Tokens`]
    Tokens,
    /// Makes one. Dangerous. [`Visit::NewToken`]
    AddToken {
        /// What he calls it.
        label: String,
        /// What it allows.
        scope: Scope,
        /// When it ends, in seconds since 1970.
        expires: u64,
    },
    /// Revokes the one of this label.
    RemoveToken(String),
    /// Closes his relay windows.
    CloseWindows,
    /// Changes of his account, the newest first. [`Visit::Trail`]
    Trail {
        /// How many.
        limit: u32,
    },
}

/// What an operator asks or does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Operate {
    /// A rule, as by the command line. [`super::Response::Answer`], `Done` or `Refused`.
    Rule(Rule),
    /// What a member sees who asks this of his own account; what changes anything is refused.
    As(AccountName, Own),
    /// Accounts, domains and addresses that have this text in them. [`Visit::Found`]
    Find(String),
    /// What became of messages. [`super::Response::Life`] and [`super::Response::Mail`].
    Trace(Trace),
    /// Traffic of the last hours, by the hour. [`Visit::Traffic`]
    Traffic {
        /// How many, at most 24 × 31.
        hours: u32,
    },
    /// Open relay windows, the newest first, at most so many. [`Visit::Windows`]
    Windows(u32),
    /// How many accounts, domains and addresses there are. [`Visit::Counts`]
    Counts,
    /// A one-time link for an account, to set its password by; it ends the links before it. Dangerous.
    /// [`Visit::NewToken`]
    Invite(AccountName),
    /// Takes an account's second factor away, for who lost it. Dangerous.
    RemoveSecondFactor(AccountName),
    /// Leave to question the queue, for a minute. To act there it must be fresh. [`Visit::QueueGrant`]
    QueueGrant {
        /// Whether acts are meant, not only questions.
        act: bool,
    },
}

/// What an address's instructions were when somebody saw them; so two who edit at once lose nothing. An
/// address without instructions has a version too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version(pub u64);

/// What is to be done with an address's mail, as the form says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddressOrder {
    /// Which.
    pub address: Address,
    /// What the visitor saw.
    pub version: Version,
    /// Whether a copy goes into the mailbox.
    pub keep: bool,
    /// Where else it goes, as typed; empty ones are left out. Off: kept in the text, not obeyed. One whose owner
    /// was asked or declined is on as long as the member wants it.
    pub destinations: Vec<(String, bool)>,
    /// What he calls it; none: nothing.
    pub label: Option<String>,
    /// Whether the instructions are obeyed.
    pub active: bool,
}

/// One address as the form shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSheet {
    /// The address; with `default` before the `@` for all that have none of their own.
    pub address: String,
    /// How qmail would name the file.
    pub file: String,
    /// What it was when this was seen.
    pub version: Version,
    /// Whether it has instructions of its own. Without, it goes where `keep` and `destinations` say by default.
    pub exists: bool,
    /// Whether they are obeyed.
    pub active: bool,
    /// What he calls it.
    pub label: Option<String>,
    /// Whether a copy goes into the mailbox. Not said of the copy that it gets, lest the mail be lost, until the
    /// owner of its only destination has agreed.
    pub keep: bool,
    /// Where else it goes.
    pub destinations: Vec<Destination>,
    /// Lines that the form cannot express, which stay as they are.
    pub other_lines: Vec<String>,
    /// All of it, in the language of `.qmail`; empty if it has none of its own.
    pub text: String,
    /// When it was last changed, in seconds since 1970.
    pub updated: u64,
    /// The most destinations that it may have.
    pub forward_limit: u32,
}

/// One destination of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Where to.
    pub address: Address,
    /// How it stands with it.
    pub state: DestinationState,
}

/// How it stands with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationState {
    /// It gets the mail.
    On,
    /// Switched off by the member.
    Off,
    /// Its owner was asked and has not answered.
    Asked,
    /// Its owner does not want it.
    Declined,
}

/// Whose consent is to be asked by mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Consent {
    /// Who is asked.
    pub destination: Address,
    /// What opens the link.
    pub link: Token,
}

/// What became of messages to one destination of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationResults {
    /// Which.
    pub destination: Address,
    /// Messages that it took, in the days of the record.
    pub delivered: u32,
    /// Messages that it refused for good.
    pub failed: u32,
    /// Messages that it put off and that still wait.
    pub waiting: u32,
    /// The last that it took, in microseconds since 1970.
    pub last_delivered: Option<u64>,
    /// The last that it refused or put off.
    pub last_trouble: Option<Trouble>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// For good; else it is tried again.
    pub permanent: bool,
    /// Who said so, a host's name; none: nobody was reached, or it is a matter of our own.
    pub host: Option<String>,
    /// The reply, or our words.
    pub reply: Words,
}

/// What came to one's addresses and left from them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailSearch {
    /// Of which other party (an address or a domain); none: of all.
    pub with: Option<Party>,
    /// Which ways.
    pub way: Way,
    /// The last so many days.
    pub days: u32,
    /// How many of the latest are known already.
    pub skip: u32,
    /// How many are wanted.
    pub limit: u32,
}

/// Which way mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// To the member.
    In,
    /// From the member.
    Out,
    /// Both.
    Both,
}

/// A message in one line, and which way it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailLine {
    /// The message.
    pub summary: Summary,
    /// `In` or `Out`.
    pub way: Way,
}

/// An answer while one is away (RFC 3834).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Whether it is given at all.
    pub active: bool,
    /// From when on, in seconds since 1970; none: from now.
    pub from: Option<u64>,
    /// Until when; none: until it is switched off.
    pub until: Option<u64>,
    /// The answer's subject; empty: ours.
    pub subject: String,
    /// The answer, lines by LF.
    pub text: String,
}

impl fmt::Debug for Absence {
    /// The text is its owner's, and not for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Absence")
            .field("active", &self.active)
            .field("from", &self.from)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// One login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLogin {
    /// When, in seconds since 1970.
    pub at: u64,
    /// By which service: `pop3`, `smtp`, `web`.
    pub service: String,
    /// From where.
    pub client: IpAddr,
    /// The app password that was used, if one was.
    pub app_password: Option<String>,
}

/// One session of a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number, which opens nothing.
    pub number: u64,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// When it was last used.
    pub used: u64,
    /// From where it was last used.
    pub client: IpAddr,
    /// The browser, in its own words.
    pub agent: String,
    /// It is the one that asks.
    pub this: bool,
}

/// One API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// What its owner calls it.
    pub label: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// When it was last used, to the minute.
    pub last_used: Option<u64>,
}

/// Something that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// An account.
    Account(AccountName),
    /// A domain.
    Domain(Domain),
    /// An address with instructions of its own, and why: it, its label or a destination has the text in it.
    Address {
        /// Whose.
        account: AccountName,
        /// Which.
        address: String,
    },
    /// Where an address leads that was searched for as a whole.
    LeadsTo {
        /// Which.
        address: Address,
        /// The account whose it is.
        account: AccountName,
    },
}

/// One hour of traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// When it began, in seconds since 1970.
    pub at: u64,
    /// Messages from other hosts.
    pub received: u64,
    /// Messages from customers.
    pub submitted: u64,
    /// Refusals in SMTP.
    pub refused: u64,
    /// Recipients whose copy arrived, here or elsewhere.
    pub delivered: u64,
    /// Recipients that failed for good.
    pub failed: u64,
    /// Attempts that were put off.
    pub deferred: u64,
    /// Recipients by how long it took from acceptance to arrival: within 1 s, 10 s, 1 min, 10 min, 1 h, 1 day, longer.
    pub took: [u64; 7],
}

/// The traffic of some hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Each hour, the oldest first, without gaps.
    pub hours: Vec<Hour>,
    /// Who sent most in these hours: account, messages, recipients; at most 20.
    pub senders: Vec<(AccountName, u64, u64)>,
    /// Why SMTP refused, and how often: at most 20, the most frequent first.
    pub refusals: Vec<(String, u64)>,
}

/// An open relay window, and whose it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenWindow {
    /// Whose.
    pub account: AccountName,
    /// The window.
    pub window: super::Window,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts.
    pub accounts: u64,
    /// Of these, suspended.
    pub suspended: u64,
    /// Of these, that may only receive.
    pub receive_only: u64,
    /// Domains.
    pub domains: u64,
    /// Addresses with instructions of their own.
    pub addresses: u64,
    /// Relay windows that are open.
    pub windows: u64,
    /// Sessions that are open.
    pub sessions: u64,
}

/// What a visitor is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Visit {
    /// As asked.
    Done,
    /// Not as asked.
    Denied(Denied),
    /// He is in: his session's token, for the cookie.
    SignedIn(Token, Box<Standing>),
    /// The password is right: the second factor is asked for, with this in hand.
    CodeWanted(Token),
    /// A one-time link's account, and whether it is an operator's.
    Invitation {
        /// Whose.
        account: AccountName,
        /// Whether the second factor is set up next.
        operator: bool,
    },
    /// What a destination's owner is asked.
    Destination {
        /// His address.
        destination: Address,
        /// Of which address mail would come.
        address: String,
        /// The language of who asked.
        language: Language,
    },
    /// Who he is.
    Standing(Box<Standing>),
    /// His account.
    Facts(Box<AccountFacts>),
    /// Logins.
    Logins(Vec<LastLogin>),
    /// Addresses, and whether there are more after them.
    Addresses {
        /// Some.
        sheets: Vec<AddressSheet>,
        /// Whether there are more.
        more: bool,
    },
    /// One address.
    Address(Box<AddressSheet>),
    /// It is saved as it stands here; these are to be asked by mail, by this grant (`queue`'s `AskConsent`).
    AddressSaved {
        /// The address as it is now.
        sheet: Box<AddressSheet>,
        /// Whom to ask.
        consents: Vec<Consent>,
        /// In whose name; none where nobody is asked.
        grant: Option<RelayGrant>,
    },
    /// What became of mail to each destination.
    Results(Vec<DestinationResults>),
    /// His mail, the latest first, and whether there is more.
    Mail(Vec<MailLine>, bool),
    /// The life of one message.
    Life(Vec<envelope::event::Event>),
    /// His answer.
    Absence(Absence),
    /// His app passwords.
    AppPasswords(Vec<AppPassword>),
    /// A new app password: the only time that it is seen.
    NewSecret(Secret),
    /// The secret for an authenticator, in Base32 (RFC 4648 §6), and as an `otpauth:` address.
    SecondFactorBegun {
        /// For typing.
        secret: Secret,
        /// For a QR code.
        uri: Secret,
    },
    /// Recovery codes: the only time that they are seen.
    RecoveryCodes(Vec<Secret>),
    /// His sessions, that last used first.
    Sessions(Vec<Session>),
    /// His API tokens.
    Tokens(Vec<ApiToken>),
    /// A new token: the only time that it is seen.
    NewToken(Token),
    /// Changes.
    Trail(Vec<AuditEntry>),
    /// What was found.
    Found(Vec<Found>),
    /// Traffic.
    Traffic(Box<Traffic>),
    /// Open relay windows.
    Windows(Vec<OpenWindow>),
    /// How much there is.
    Counts(Counts),
    /// Leave to question the queue.
    QueueGrant(OperatorGrant),
}

/// Why a visitor does not get what he asks. Each becomes a sentence in his language, in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denied {
    /// He must sign in: the key is unknown, has ended, or was never there.
    SignIn,
    /// Wrong name or password, too many failures, suspended.
    Login(LoginRefused),
    /// The code of the second factor is wrong.
    WrongCode,
    /// An operator signs in without a second factor: it is set up by a one-time link.
    NotOperating,
    /// He may not: no operator, or the token's scope is too small.
    Forbidden,
    /// First he must prove anew who he is.
    Prove,
    /// First the second factor must be set up.
    Enrol,
    /// The link was used, has ended, or was never made.
    LinkInvalid,
    /// There is no such thing, or it is not his.
    NotFound,
    /// Somebody changed it meanwhile: so it stands now.
    Changed(Box<AddressSheet>),
    /// This is no address that mail can be forwarded to.
    NotADestination(String),
    /// The same destination stands there twice.
    TwiceTheSame(Address),
    /// More destinations than the plan allows.
    TooManyDestinations {
        /// How many are allowed.
        limit: u32,
    },
    /// It forwards to itself and nowhere else.
    Circle,
    /// Neither mailbox nor destination: its mail would go nowhere.
    Nowhere,
    /// The label is too long or has control characters.
    NotALabel,
    /// One of this name is there already.
    LabelTaken,
    /// As many as one may have.
    TooMany {
        /// How many.
        limit: u32,
    },
    /// The password is too short or too long, or has characters that it cannot have.
    NotAPassword,
    /// Dates, text or another field do not make sense: the field's name.
    NotSensible(String),
    /// A sentence of the directory.
    Refused(String),
    /// The store does not answer: try again later.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_reads_back_and_is_not_shown() {
        let token = Token::new([7; 32]);
        assert_eq!(token.reveal().len(), 43);
        assert_eq!(token.reveal().parse(), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "Token");
        assert_ne!(token.derived("csrf"), token.derived("other"));
        assert_ne!(token.derived("csrf"), token.digest());
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_an_error(text in "\\PC{0,60}|[A-Za-z0-9_-]{43}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.reveal(), text);
            }
        }
    }
}
