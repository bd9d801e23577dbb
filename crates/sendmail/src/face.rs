//! The names by which the program is called, and the manners that go with them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A command that other programs know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Face {
    /// `sendmail`: takes a message, speaks SMTP (`-bs`), lists the queue (`-bp`).
    Sendmail,
    /// `mailq`: as `sendmail -bp`.
    Mailq,
    /// `newaliases`: there is nothing to do here, and it says so.
    Newaliases,
    /// `qmail-inject`: completes a message and hands it in.
    QmailInject,
    /// `qmail-queue`: hands in a message with its envelope, as they are.
    QmailQueue,
    /// `qmail-local`: says what delivery instructions would do.
    QmailLocal,
    /// `forward`: sends a message that is being delivered on to other addresses.
    Forward,
    /// `maildirmake`: makes a Maildir.
    Maildirmake,
    /// `qmail-qread`: lists waiting messages.
    QmailQread,
    /// `qmail-qstat`: counts waiting messages.
    QmailQstat,
    /// `qmail-showctl`: tells the configuration.
    QmailShowctl,
}

impl Face {
    /// All of them.
    pub const ALL: [Face; 11] = [
        Face::Sendmail,
        Face::Mailq,
        Face::Newaliases,
        Face::QmailInject,
        Face::QmailQueue,
        Face::QmailLocal,
        Face::Forward,
        Face::Maildirmake,
        Face::QmailQread,
        Face::QmailQstat,
        Face::QmailShowctl,
    ];

    /// The command of this name, without its directory.
    pub fn of_name(name: &str) -> Option<Face> {
        Face::ALL.into_iter().find(|face| face.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Face::Sendmail => "sendmail",
            Face::Mailq => "mailq",
            Face::Newaliases => "newaliases",
            Face::QmailInject => "qmail-inject",
            Face::QmailQueue => "qmail-queue",
            Face::QmailLocal => "qmail-local",
            Face::Forward => "forward",
            Face::Maildirmake => "maildirmake",
            Face::QmailQread => "qmail-qread",
            Face::QmailQstat => "qmail-qstat",
            Face::QmailShowctl => "qmail-showctl",
        }
    }
}

impl fmt::Display for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a command takes its options, and with which exit codes it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// Options of other sendmails are let pass, lists are split; exit codes of `sysexits.h`.
    Helpful,
    /// The options that the provider published and no other; exit codes of qmail: 0, 100, 111.
    Strict,
    /// As qmail's own commands do; its exit codes.
    Qmail,
}
