//! What came of an attempt, in the words of a report (RFC 3464 §2.3).

use std::fmt;

use message::Status;
use smtp::client::{Breakage, Cause, Reason, Reply, Step};

use crate::mx::{MailHost, Unroutable};

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This host has taken the message for him.
    Delivered {
        /// Which.
        host: MailHost,
        /// What it said.
        reply: Reply,
        /// Whether it went there under TLS.
        under_tls: bool,
        /// Whether the host writes the reports that the sender wishes (RFC 3461 §5.2.2).
        dsn: bool,
    },
    /// He will never get it.
    Failed(Diagnosis),
    /// Not now: try again later.
    Deferred(Diagnosis),
}

/// Why not, for the log, the operator, and the report to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The status code (RFC 3463), of class 5 if it failed and 4 if it was deferred.
    pub status: Status,
    /// Who said no, or did not answer.
    pub host: Option<MailHost>,
    /// Its words, if it had any.
    pub reply: Option<Reply>,
    /// In sentences, as qmail's where it has some.
    pub text: String,
    /// Whether the host may have the message all the same: the next attempt may make a duplicate.
    pub possibly_delivered: bool,
}

impl Diagnosis {
    /// Of what a server said or did.
    pub(crate) fn of_session(host: &MailHost, reason: Reason) -> Diagnosis {
        let at = host.address.ip();
        let mut text = match &reason.cause {
            Cause::Refused { step, .. } => match step {
                Step::Greeting => format!("Connected to {at} but greeting failed."),
                Step::Ehlo | Step::Helo => format!("Connected to {at} but my name was rejected."),
                Step::Auth => format!("Connected to {at} but my login was rejected."),
                Step::Mail => format!("Connected to {at} but sender was rejected."),
                Step::Rcpt(_) => format!("{at} does not like recipient."),
                Step::Data => format!("{at} failed on DATA command."),
                Step::Body | Step::Message => format!("{at} failed after I sent the message."),
                Step::StartTls | Step::Rset | Step::Quit | Step::Idle => {
                    format!("Connected to {at} but it did not go on.")
                }
            },
            Cause::Broken { breakage: Breakage::Closed, step: Step::Message } => {
                format!("Connected to {at} but connection died. Possible duplicate!")
            }
            Cause::Broken { breakage: Breakage::Closed, .. } => {
                format!("Connected to {at} but connection died.")
            }
            Cause::Broken { breakage, step: Step::Message } => {
                format!("Connected to {at} but {breakage}. Possible duplicate!")
            }
            cause => format!("Connected to {at} but {cause}."),
        };
        if let Some(reply) = reason.reply() {
            text.push_str(&format!("\nRemote host said: {reply}"));
        }
        Diagnosis {
            status: reason.status,
            host: Some(host.clone()),
            reply: reason.reply().cloned(),
            possibly_delivered: reason.is_possibly_delivered(),
            text,
        }
    }

    /// Of a host that cannot be reached, or with which there can be no TLS.
    pub(crate) fn of_host(host: &MailHost, status: Status, text: String) -> Diagnosis {
        Diagnosis { status, host: Some(host.clone()), reply: None, text, possibly_delivered: false }
    }

    /// Of ourselves.
    pub(crate) fn of_us(status: Status, text: String) -> Diagnosis {
        Diagnosis { status, host: None, reply: None, text, possibly_delivered: false }
    }
}

impl From<Unroutable> for Outcome {
    fn from(unroutable: Unroutable) -> Outcome {
        let diagnosis = Diagnosis::of_us(unroutable.status(), unroutable.to_string());
        if diagnosis.status.class() == 5 { Outcome::Failed(diagnosis) } else { Outcome::Deferred(diagnosis) }
    }
}

impl fmt::Display for Diagnosis {
    /// The sentences, and the status as qmail puts it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (#{})", self.text, self.status)
    }
}
