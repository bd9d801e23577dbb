//! The client's side of AUTH (RFC 4954), for a smart host that wants to know who we are.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::extensions::Extensions;
use crate::credentials::Credentials;

/// A name and a password for a server; no log can have the password.
pub type Login = Credentials;

/// An exchange of AUTH under way.
#[derive(Debug)]
pub(super) enum Exchange {
    /// PLAIN with its initial response: one answer is awaited.
    Plain,
    /// LOGIN: the server will ask for the name.
    LoginName,
    /// LOGIN: the server will ask for the password.
    LoginPassword,
    /// LOGIN: nothing more is to be sent.
    LoginDone,
}

/// Begins with the best mechanism that the server offers, and gives the line to send; `None` if it
/// offers none that we have.
pub(super) fn begin(login: &Login, extensions: &Extensions) -> Option<(Exchange, Zeroizing<String>)> {
    if extensions.auth_plain {
        let response = Zeroizing::new(format!("\0{}\0{}", login.name, login.password.as_str()));
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(response.as_bytes()));
        return Some((Exchange::Plain, Zeroizing::new(format!("AUTH PLAIN {}\r\n", encoded.as_str()))));
    }
    extensions.auth_login.then(|| (Exchange::LoginName, Zeroizing::new("AUTH LOGIN\r\n".to_owned())))
}

impl Exchange {
    /// Answers a 334; `None` if the server asks for more than the mechanism has.
    pub(super) fn answer(&mut self, login: &Login) -> Option<Zeroizing<String>> {
        let (plain, next) = match self {
            Exchange::Plain | Exchange::LoginDone => return None,
            Exchange::LoginName => (login.name.as_str(), Exchange::LoginPassword),
            Exchange::LoginPassword => (login.password.as_str(), Exchange::LoginDone),
        };
        *self = next;
        let mut line = Zeroizing::new(BASE64_STANDARD.encode(plain));
        line.push_str("\r\n");
        Some(line)
    }
}
