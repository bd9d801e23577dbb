//! Every line the server can say. Help pages quote them, and postmasters' scripts match them: keep
//! them stable.
//!
//! Where qmail has a text, it is qmail's. There are two kinds:
//!
//! - **Texts that carry their status code as `(#5.7.1)`** are written exactly so to every client.
//!   They were promised to customers and stand in their programs. RFC 2034 §4 would have the code
//!   in front once ENHANCEDSTATUSCODES is announced; a client that looks there finds none and goes
//!   by the reply code, which is right in each case.
//! - **All other texts** have the status code in front after EHLO, as RFC 2034 §4 asks, and none
//!   before it or after HELO. The greeting, the answers to HELO and EHLO, and 3xx have none at all.

use envelope::{LimitReached, QueueId, Refusal};

use crate::action::NotAccepted;
use crate::command::CommandError;
use crate::credentials::AuthenticationFailure;
use crate::draft::Fault;
use crate::reply::Reply;
use crate::sasl::{self, ExchangeError};
use crate::settings::Settings;

/// At the start of a connection.
pub fn greeting(settings: &Settings) -> Reply {
    Reply::verbatim(220, format!("{} ESMTP", settings.greeting))
}

/// In place of the greeting, when the server has as many connections as it may.
pub fn too_many_connections() -> Reply {
    Reply::verbatim(421, "sorry, too many connections to this server, try again later (#4.3.2)")
}

/// In place of the greeting, when the client's address has as many connections as it may.
pub fn too_many_connections_from_address() -> Reply {
    Reply::verbatim(421, "sorry, too many connections from your address, try again later (#4.7.0)")
}

/// In place of the greeting, to a program of this machine whose user is no customer's.
pub fn unknown_user(uid: u32) -> Reply {
    Reply::verbatim(554, format!("sorry, user id {uid} belongs to no customer; ask the operator (#5.7.1)"))
}

/// In place of the greeting, to a program of a customer who may not send.
pub fn user_may_not_send(uid: u32) -> Reply {
    Reply::verbatim(
        554,
        format!("sorry, the account of user id {uid} may not send mail; ask the operator (#5.7.1)"),
    )
}

/// In place of the greeting, when it cannot be found out who a program of this machine is.
pub fn no_directory() -> Reply {
    Reply::verbatim(421, "sorry, I cannot look up who you are now, try again later (#4.3.0)")
}

/// To HELO.
pub fn helo(settings: &Settings) -> Reply {
    Reply::verbatim(250, settings.greeting.clone())
}

/// To EHLO: the name and the extensions, a line each.
pub fn ehlo(settings: &Settings, extensions: &str) -> Reply {
    Reply::verbatim(250, format!("{}\n{extensions}", settings.greeting))
}

/// To MAIL.
pub fn sender_ok() -> Reply {
    Reply::with_status(250, (2, 1, 0), "ok")
}

/// To RCPT.
pub fn recipient_ok() -> Reply {
    Reply::with_status(250, (2, 1, 5), "ok")
}

/// To NOOP.
pub fn noop() -> Reply {
    Reply::with_status(250, (2, 0, 0), "ok")
}

/// To RSET.
pub fn flushed() -> Reply {
    Reply::with_status(250, (2, 0, 0), "flushed")
}

/// To VRFY: RFC 5321 §3.5.3.
pub fn vrfy() -> Reply {
    Reply::with_status(252, (2, 5, 2), "send some mail, i'll try my best")
}

/// To HELP.
pub fn help() -> Reply {
    Reply::with_status(
        214,
        (2, 0, 0),
        "this is Hikyaku, a mail system; it speaks SMTP as RFC 5321 has it\n\
         HELO EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT",
    )
}

/// To QUIT.
pub fn bye(settings: &Settings) -> Reply {
    Reply::with_status(221, (2, 0, 0), settings.greeting.clone())
}

/// To STARTTLS.
pub fn start_tls() -> Reply {
    Reply::with_status(220, (2, 0, 0), "ready to start TLS")
}

/// In an exchange of AUTH: RFC 4954 §4.
pub fn challenge(challenge: &str) -> Reply {
    Reply::verbatim(334, sasl::encoded(challenge))
}

/// To a client that showed who it is.
pub fn authenticated() -> Reply {
    Reply::with_status(235, (2, 7, 0), "ok, go ahead")
}

/// To a client that did not show who it is.
pub fn not_authenticated(failure: AuthenticationFailure) -> Reply {
    match failure {
        AuthenticationFailure::Credentials => {
            Reply::with_status(535, (5, 7, 8), "sorry, that name or password is wrong")
        }
        // RFC 5248 registers 525 with this status code.
        AuthenticationFailure::Suspended => {
            Reply::with_status(525, (5, 7, 13), "sorry, this account is suspended")
        }
        AuthenticationFailure::ReceiveOnly => {
            Reply::with_status(535, (5, 7, 1), "sorry, this account may receive mail and not send")
        }
        AuthenticationFailure::TooManyFailures => Reply::with_status(
            454,
            (4, 7, 0),
            "sorry, too many wrong passwords for that name, try again later",
        ),
        AuthenticationFailure::TryLater => {
            Reply::with_status(454, (4, 7, 0), "sorry, I cannot look up that name now, try again later")
        }
    }
}

/// To something in an exchange of AUTH that cannot be used: RFC 4954 §4, §6.
pub fn exchange_failed(error: ExchangeError) -> Reply {
    match error {
        ExchangeError::Cancelled => Reply::with_status(501, (5, 7, 0), "cancelled"),
        ExchangeError::Base64 => Reply::with_status(501, (5, 5, 2), "sorry, that is not base64"),
        ExchangeError::Malformed => {
            Reply::with_status(501, (5, 5, 2), "sorry, that is not what this mechanism asks for")
        }
        ExchangeError::ChannelBinding => {
            Reply::with_status(501, (5, 5, 4), "sorry, channel binding is not offered")
        }
        ExchangeError::Refused => not_authenticated(AuthenticationFailure::Credentials),
    }
}

/// To an endless line in an exchange of AUTH: RFC 4954 §6.
pub fn exchange_line_too_long() -> Reply {
    Reply::with_status(500, (5, 5, 6), "sorry, that line is too long")
}

/// To AUTH with a mechanism that is not offered.
pub fn mechanism_unknown() -> Reply {
    Reply::with_status(504, (5, 5, 4), "sorry, that is not among the mechanisms I offer")
}

/// To AUTH where somebody may be listening: RFC 4954 §6.
pub fn encryption_required() -> Reply {
    Reply::with_status(538, (5, 7, 11), "sorry, no passwords in clear text: STARTTLS first")
}

/// To a second AUTH: RFC 4954 §4.
pub fn authenticated_already() -> Reply {
    Reply::verbatim(503, "you said who you are already (#5.5.1)")
}

/// To AUTH after MAIL: RFC 4954 §4.
pub fn amid_transaction() -> Reply {
    Reply::verbatim(503, "AUTH comes before MAIL: RSET first (#5.5.1)")
}

/// To a client that fails to show who it is too often.
pub fn too_many_login_failures() -> Reply {
    Reply::with_status(421, (4, 7, 0), "too many failures to authenticate, I hang up")
}

/// To DATA.
pub fn go_ahead() -> Reply {
    Reply::verbatim(354, "go ahead")
}

/// To a BDAT that is not the last.
pub fn chunk_ok(size: u64) -> Reply {
    Reply::with_status(250, (2, 0, 0), format!("{size} octets received"))
}

/// When a message is ours.
pub fn accepted(id: QueueId) -> Reply {
    Reply::with_status(250, (2, 0, 0), format!("ok {} qp {id}", id.unix_seconds()))
}

/// When the queue did not take a message.
pub fn not_accepted(why: NotAccepted) -> Reply {
    match why {
        NotAccepted::StorageFull => {
            Reply::verbatim(452, "sorry, insufficient system storage, try again later (#4.3.1)")
        }
        NotAccepted::TryLater => {
            Reply::verbatim(451, "sorry, I could not write your message to disk (#4.3.0)")
        }
        NotAccepted::SenderDenied => refused(Refusal::SenderDenied),
        NotAccepted::TooLarge => too_large(),
        NotAccepted::LimitReached(reached) => limit_reached(reached),
    }
}

/// When a sender, a recipient or an author is refused.
pub fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::RelayDenied => {
            Reply::verbatim(553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)")
        }
        Refusal::NoSuchMailbox => Reply::verbatim(550, "sorry, no mailbox here by that name (#5.1.1)"),
        // As the provider published it. The null reverse-path is not refused so: receipts have it
        // (RFC 8098 §3), and their From field is looked at like any other.
        Refusal::SenderDenied => {
            Reply::verbatim(552, "sorry, your domain isn't in my list of allowed senderhosts (#5.7.1)")
        }
        Refusal::MailboxFull { for_good: false } => {
            Reply::verbatim(452, "sorry, that mailbox is full, try again later (#4.2.2)")
        }
        Refusal::MailboxFull { for_good: true } => {
            Reply::verbatim(552, "sorry, that mailbox has been full for some days (#5.2.2)")
        }
        Refusal::LimitReached(reached) => limit_reached(reached),
        Refusal::DirectoryUnavailable => {
            Reply::verbatim(451, "sorry, I cannot look up that address now (#4.3.0)")
        }
    }
}

/// When a customer has sent as much as he may: at MAIL, at RCPT, or when his message is complete. That is
/// policy, not a failure of ours, and so is 450 rather than 451 after the data too (RFC 5321 §4.3.2).
fn limit_reached(reached: LimitReached) -> Reply {
    match reached.until {
        Some(_) => Reply::verbatim(450, format!("sorry, {reached}, try again later (#4.7.1)")),
        None => Reply::verbatim(550, format!("sorry, {reached} by this one message (#5.7.1)")),
    }
}

/// When mail data are not to be had.
pub fn faulty(fault: Fault) -> Reply {
    match fault {
        Fault::BareCr => Reply::verbatim(
            554,
            "sorry, your message has a CR that is not followed by LF; lines of mail end in CR LF (#5.6.0)",
        ),
        Fault::BareLf => Reply::verbatim(
            554,
            "sorry, your message has a LF that does not follow a CR; lines of mail end in CR LF (#5.6.0)",
        ),
        Fault::Nul => {
            Reply::verbatim(550, "sorry, your message has a NUL in it, which mail may not have (#5.6.0)")
        }
        Fault::TooLarge => too_large(),
        Fault::HeaderTooLarge => Reply::verbatim(
            552,
            "sorry, the header of your message is too large, or no empty line ends it (#5.3.4)",
        ),
        Fault::FromTwice => Reply::verbatim(
            554,
            "sorry, your message has more than one From field, and may have one (#5.6.0)",
        ),
        Fault::FromUnreadable => Reply::verbatim(
            554,
            "sorry, I cannot read an address in your From field; the form is: name <local-part@domain> (#5.6.0)",
        ),
        Fault::SenderUnreadable => Reply::verbatim(
            554,
            "sorry, I cannot read the address in your Sender field; the form is: name <local-part@domain> (#5.6.0)",
        ),
        Fault::ResentUnreadable => Reply::verbatim(
            554,
            "sorry, I cannot read an address in your Resent-From or Resent-Sender field; the form is: name <local-part@domain> (#5.6.0)",
        ),
        Fault::Author(refusal) => refused(refusal),
        Fault::TooManyHops => Reply::verbatim(554, "too many hops, this message is looping (#5.4.6)"),
    }
}

/// When a message is larger than the limit, or is said to be at MAIL.
pub fn too_large() -> Reply {
    Reply::verbatim(552, "sorry, that message size exceeds my databytes limit (#5.3.4)")
}

/// To one RCPT too many.
pub fn too_many_recipients() -> Reply {
    Reply::verbatim(452, "sorry, too many recipients; send the rest in another message (#4.5.3)")
}

/// To RCPT, DATA or BDAT without MAIL.
pub fn mail_first() -> Reply {
    Reply::verbatim(503, "MAIL first (#5.5.1)")
}

/// To DATA or BDAT without a recipient.
pub fn rcpt_first() -> Reply {
    Reply::verbatim(503, "RCPT first (#5.5.1)")
}

/// To a second MAIL: RFC 5321 §4.1.4.
pub fn mail_already() -> Reply {
    Reply::verbatim(503, "one message at a time: you said MAIL already (#5.5.1)")
}

/// To MAIL, RCPT or DATA after BDAT: RFC 3030 §2.
pub fn amid_chunks() -> Reply {
    Reply::verbatim(503, "your message is not complete: BDAT LAST or RSET first (#5.5.1)")
}

/// To MAIL from a client that should have said who it is: RFC 4954 §6.
pub fn authentication_required() -> Reply {
    Reply::with_status(530, (5, 7, 0), "sorry, you must say who you are first: authentication required")
}

/// To an address that needs SMTPUTF8 in a transaction without: RFC 6531 §3.5.
pub fn needs_smtputf8() -> Reply {
    Reply::with_status(553, (5, 6, 7), "sorry, an address that is not ASCII needs SMTPUTF8 at MAIL")
}

/// To STARTTLS under TLS.
pub fn tls_already() -> Reply {
    Reply::verbatim(503, "TLS is active already (#5.5.1)")
}

/// To a command that is known and not offered.
pub fn unimplemented() -> Reply {
    Reply::verbatim(502, "unimplemented (#5.5.1)")
}

/// To a line that is no command.
pub fn not_understood(error: &CommandError) -> Reply {
    match error {
        CommandError::Unrecognised => Reply::with_status(500, (5, 5, 2), "sorry, I don't know that command"),
        CommandError::Unimplemented => unimplemented(),
        CommandError::ControlCharacter => {
            Reply::with_status(501, (5, 5, 2), "sorry, a command has no NUL or other control character")
        }
        CommandError::NotUtf8 => {
            Reply::with_status(501, (5, 5, 2), "sorry, a command is text in ASCII or UTF-8")
        }
        CommandError::NotAscii => Reply::with_status(501, (5, 5, 2), "sorry, that command must be ASCII"),
        CommandError::Syntax(usage) => {
            Reply::with_status(501, (5, 5, 4), format!("sorry, the form is: {usage}"))
        }
        CommandError::ReversePath(why) => Reply::with_status(501, (5, 1, 7), format!("sorry, {why}")),
        CommandError::ForwardPath(why) => Reply::with_status(501, (5, 1, 3), format!("sorry, {why}")),
        CommandError::UnknownParameter => {
            Reply::with_status(555, (5, 5, 4), "sorry, I don't know that parameter")
        }
        CommandError::ParameterValue => {
            Reply::with_status(501, (5, 5, 4), "sorry, that parameter has a wrong value or is said twice")
        }
        CommandError::NeedsSmtpUtf8 => needs_smtputf8(),
        CommandError::ChunkSize => Reply::with_status(
            421,
            (4, 5, 4),
            "BDAT without a size I can read: what follows might be data or commands, so I hang up",
        ),
    }
}

/// To an endless command line: RFC 5321 §4.5.3.1.4.
pub fn line_too_long() -> Reply {
    Reply::with_status(500, (5, 5, 2), "sorry, that line is too long")
}

/// To a client that makes nothing but errors.
pub fn too_many_errors() -> Reply {
    Reply::with_status(421, (4, 7, 0), "too many errors, I hang up")
}

/// To input that stood behind STARTTLS: RFC 3207 §6.
pub fn input_after_start_tls() -> Reply {
    Reply::with_status(421, (4, 7, 0), "nothing may follow STARTTLS before TLS is active, I hang up")
}

/// To a client that is silent.
pub fn timeout() -> Reply {
    Reply::verbatim(421, "timeout (#4.4.2)")
}

/// To a client that is silent in its mail data, or takes too long over them.
pub fn data_timeout() -> Reply {
    Reply::verbatim(451, "timeout (#4.4.2)")
}

/// When the server stops.
pub fn shutting_down() -> Reply {
    Reply::with_status(421, (4, 3, 2), "the service is stopping, please come again")
}
