//! What a caller wants done with a message.

use envelope::Address;
use serde::{Deserialize, Serialize};

use crate::face::{Face, Manner};

/// What a caller wants done with the message that comes along.
///
/// Texts are as the caller gave them: old scripts write Shift_JIS. All is checked where the message is
/// composed; nothing in here is believed of who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// As what the program was called.
    pub face: Face,
    /// How it takes and says things.
    pub manner: Manner,
    /// The envelope's sender, if it was named (`-f`): an address, a short one, or nothing.
    pub sender: Option<Vec<u8>>,
    /// The caller's full name, for a From field that is made here (`-F`).
    pub full_name: Option<Vec<u8>>,
    /// Recipients that were named as arguments.
    pub arguments: Vec<Vec<u8>>,
    /// Whether the header names recipients as well.
    pub from_header: FromHeader,
    /// What is to be done with the header.
    pub treatment: Treatment,
    /// What the caller's environment says.
    pub names: Names,
    /// Options of other sendmails that change nothing here: for the log.
    pub let_pass: Vec<String>,
}

/// Whether recipients are taken from the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHeader {
    /// They are not (`qmail-inject -a`, `sendmail` without `-t`).
    Never,
    /// They are if no argument names one (`qmail-inject -A`).
    IfNoArguments,
    /// They are, besides those of the arguments (`-t`, `qmail-inject -H`).
    Also,
    /// They are, and arguments are not recipients (`qmail-inject -h`).
    Only,
}

/// What is to be done with the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Treatment {
    /// Complete it as qmail-inject does.
    Complete,
    /// Leave it as it is (`qmail-queue`), but for what the account's rule has of its authors.
    AsIs,
    /// Put this line on top (`forward`: `DTLINE`), and leave the rest as it is.
    Forward {
        /// The line, with or without its line end; empty for none.
        delivered_to: Vec<u8>,
    },
}

/// What the caller's environment says of him: the variables of qmail-inject, where they are set. They
/// count only as far as they name one of the caller's own addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The local-part of the From field: the first of `QMAILUSER`, `MAILUSER`, `USER`, `LOGNAME`.
    pub user: Option<Vec<u8>>,
    /// Its host: the first of `QMAILHOST`, `MAILHOST`.
    pub host: Option<Vec<u8>>,
    /// The full name: the first of `QMAILNAME`, `MAILNAME`, `NAME`.
    pub name: Option<Vec<u8>>,
    /// The local-part of the envelope's sender: `QMAILSUSER`.
    pub sender_user: Option<Vec<u8>>,
    /// Its host: `QMAILSHOST`.
    pub sender_host: Option<Vec<u8>>,
    /// `QMAILDEFAULTHOST`: what an address without a host gets.
    pub default_host: Option<Vec<u8>>,
    /// `QMAILDEFAULTDOMAIN`: what a host without a dot gets.
    pub default_domain: Option<Vec<u8>>,
    /// `QMAILPLUSDOMAIN`: what stands for the `+` at the end of a host.
    pub plus_domain: Option<Vec<u8>>,
    /// `QMAILIDHOST`: the host of a Message-ID that is made here.
    pub id_host: Option<Vec<u8>>,
    /// The letters of `QMAILINJECT`.
    pub letters: Letters,
    /// The addresses in the file that `QMAILMFTFILE` names: mailing lists, of which a
    /// Mail-Followup-To field is made.
    pub lists: Vec<Address>,
}

/// The letters of `QMAILINJECT`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    /// `c`: a From field that is made here has its name in a comment.
    pub comment_name: bool,
    /// `s`: a Return-Path field is not the envelope's sender.
    pub ignore_return_path: bool,
    /// `f`: a From field is dropped and made anew.
    pub drop_from: bool,
    /// `i`: a Message-ID field is dropped and made anew.
    pub drop_message_id: bool,
    /// `r`: a reverse-path for each recipient.
    pub verp: bool,
    /// `m`: a reverse-path for each message.
    pub message_verp: bool,
}
