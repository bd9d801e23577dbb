//! The Received field: what we saw of the client, on top of every message (RFC 5321 §4.4).

use std::fmt;
use std::net::IpAddr;

use envelope::{Address, Domain, Host, QueueId};
use time::OffsetDateTime;

use crate::date::Date;
use crate::outside_text::{host_name, with_ascii_host};

/// One passage of a message through this server. [`Display`](fmt::Display) writes the whole field,
/// folded, with its CRLF:
///
/// ```text
/// Received: from mx.sender.example (mail.sender.example [192.0.2.1])
///     by mx.pobox.example with ESMTPS id 0abcdefghjkmn
///     for <abc@pobox.example> tls TLS_AES_128_GCM_SHA256; Tue, 24 Nov 2026 07:05:36 +0900
/// ```
///
/// Nothing that a client said of itself can end the field or a comment in it.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// What the client called itself in HELO or EHLO; its address stands there if it did not.
    pub helo: Option<&'a str>,
    /// The client's name according to DNS, if it is known.
    pub peer_name: Option<&'a str>,
    /// The client's address.
    pub peer_address: IpAddr,
    /// The user id of a client that is a program of this machine (`sendmail -bs`).
    pub user: Option<u32>,
    /// Our own name.
    pub host: &'a Domain,
    /// How the message came.
    pub with: Protocol,
    /// The TLS cipher suite by its IANA name (RFC 8314 §4.3).
    pub cipher: Option<&'a str>,
    /// The message's name.
    pub id: QueueId,
    /// The recipient if there is exactly one: with more, each would learn of the others
    /// (RFC 5321 §7.6).
    pub recipient: Option<&'a Address>,
    /// When, in the zone to be written.
    pub at: OffsetDateTime,
}

/// The name of the protocol in a Received field (RFC 3848, RFC 6531 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// The client said EHLO.
    pub esmtp: bool,
    /// The client asked for SMTPUTF8.
    pub smtputf8: bool,
    /// The session is encrypted.
    pub tls: bool,
    /// The client showed who it is by AUTH.
    pub authenticated: bool,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "SMTP" has no forms with S and A: who uses TLS or AUTH has said EHLO.
        f.write_str(match self {
            Protocol { smtputf8: true, .. } => "UTF8SMTP",
            Protocol { esmtp: false, tls: false, authenticated: false, .. } => "SMTP",
            _ => "ESMTP",
        })?;
        if self.tls {
            f.write_str("S")?;
        }
        if self.authenticated {
            f.write_str("A")?;
        }
        Ok(())
    }
}

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = Host::Literal(self.peer_address);
        f.write_str("Received: from ")?;
        match self.helo {
            Some(name) if !name.is_empty() => f.write_str(&host_name(name))?,
            _ => literal.fmt(f)?,
        }
        f.write_str(" (")?;
        if let Some(name) = self.peer_name {
            write!(f, "{} ", host_name(name))?;
        }
        write!(f, "{literal})")?;
        if let Some(uid) = self.user {
            write!(f, " (sendmail-bs, user id {uid})")?;
        }
        write!(f, "\r\n\tby {} with {} id {}", self.host.to_ascii(), self.with, self.id)?;
        if self.recipient.is_some() || self.cipher.is_some() {
            f.write_str("\r\n\t")?;
        }
        if let Some(address) = self.recipient {
            if self.with.smtputf8 {
                write!(f, "for <{address}>")?;
            } else {
                write!(f, "for <{}>", with_ascii_host(address))?;
            }
        }
        if let Some(cipher) = self.cipher {
            let gap = if self.recipient.is_some() { " " } else { "" };
            write!(f, "{gap}tls {}", host_name(cipher))?;
        }
        write!(f, "; {}\r\n", Date(self.at))
    }
}

/// The passage of a message that a program of this machine handed in. [`Display`](fmt::Display) writes
/// the whole field, folded, with its CRLF:
///
/// ```text
/// Received: by mail.pobox.example (sendmail, user id 1001)
///     id 0abcdefghjkmn; Tue, 24 Nov 2026 07:05:36 +0900
/// ```
///
/// Nothing in it is the program's word.
#[derive(Debug, Clone)]
pub struct LocalReceived<'a> {
    /// Our own name.
    pub host: &'a Domain,
    /// The command of ours that the program called.
    pub command: &'static str,
    /// The program's user id, as the kernel says it.
    pub uid: u32,
    /// The message's name.
    pub id: QueueId,
    /// When, in the zone to be written.
    pub at: OffsetDateTime,
}

impl fmt::Display for LocalReceived<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalReceived { host, command, uid, id, at } = self;
        write!(
            f,
            "Received: by {} ({command}, user id {uid})\r\n\tid {id}; {}\r\n",
            host.to_ascii(),
            Date(*at)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    fn sample(host: &Domain) -> Received<'_> {
        Received {
            helo: Some("sender.example"),
            peer_name: Some("mail.sender.example"),
            peer_address: "192.0.2.1".parse().unwrap(),
            user: None,
            host,
            with: Protocol { esmtp: true, smtputf8: false, tls: false, authenticated: false },
            cipher: None,
            id: QueueId::from_u64(0),
            recipient: None,
            at: datetime!(2026-11-24 07:05:36 +9),
        }
    }

    fn host() -> Domain {
        Domain::parse("mx.pobox.example").unwrap()
    }

    #[test]
    fn the_field_says_who_came_and_how() {
        assert_eq!(
            sample(&host()).to_string(),
            "Received: from sender.example (mail.sender.example [192.0.2.1])\r\n\
             \tby mx.pobox.example with ESMTP id 0000000000000; Tue, 24 Nov 2026 07:05:36 +0900\r\n"
        );
    }

    #[test]
    fn a_client_without_names_is_known_by_its_address() {
        let peer_address = "2001:db8::1".parse().unwrap();
        let written = Received { helo: None, peer_name: None, peer_address, ..sample(&host()) }.to_string();
        assert!(
            written.starts_with("Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"),
            "{written}"
        );
    }

    #[test]
    fn a_program_of_this_machine_is_known_by_its_user_id() {
        let host = host();
        let program = Received {
            peer_name: Some("localhost"),
            peer_address: IpAddr::from([127, 0, 0, 1]),
            user: Some(1001),
            ..sample(&host)
        };
        let first = "Received: from sender.example (localhost [127.0.0.1]) (sendmail-bs, user id 1001)\r\n";
        assert!(program.to_string().starts_with(first), "{program}");
    }

    #[test]
    fn the_only_recipient_and_the_cipher_are_named() {
        let to: Address = "a@例え.テスト".parse().unwrap();
        let cipher = Some("TLS_AES_128_GCM_SHA256");
        let written = Received { recipient: Some(&to), cipher, ..sample(&host()) }.to_string();
        let expected = "\r\n\tfor <a@xn--r8jz45g.xn--zckzah> tls TLS_AES_128_GCM_SHA256; ";
        assert!(written.contains(expected), "{written}");
    }

    #[test]
    fn an_international_recipient_stays_as_it_is_under_smtputf8() {
        let to: Address = "太郎@例え.テスト".parse().unwrap();
        let host = host();
        let mut received = Received { recipient: Some(&to), ..sample(&host) };
        received.with.smtputf8 = true;
        let written = received.to_string();
        assert!(
            written.contains("with UTF8SMTP id") && written.contains("for <太郎@例え.テスト>"),
            "{written}"
        );
    }

    #[test]
    fn the_protocol_has_its_registered_name() {
        for (esmtp, smtputf8, tls, authenticated, name) in [
            (false, false, false, false, "SMTP"),
            (true, false, false, false, "ESMTP"),
            (true, false, true, false, "ESMTPS"),
            (false, false, true, false, "ESMTPS"),
            (true, false, false, true, "ESMTPA"),
            (true, false, true, true, "ESMTPSA"),
            (true, true, false, false, "UTF8SMTP"),
            (true, true, true, true, "UTF8SMTPSA"),
        ] {
            assert_eq!(Protocol { esmtp, smtputf8, tls, authenticated }.to_string(), name);
        }
    }

    #[test]
    fn a_local_program_is_known_by_its_user_id() {
        let (host, at) = (Domain::parse("mail.例え.テスト").unwrap(), datetime!(2026-11-24 07:05:36 +9));
        let local =
            LocalReceived { host: &host, command: "sendmail", uid: 1001, id: QueueId::from_u64(0), at };
        assert_eq!(
            local.to_string(),
            "Received: by mail.xn--r8jz45g.xn--zckzah (sendmail, user id 1001)\r\n\
             \tid 0000000000000; Tue, 24 Nov 2026 07:05:36 +0900\r\n"
        );
    }

    proptest! {
        #[test]
        fn no_client_can_inject_a_line(helo in any::<String>(), name in any::<String>()) {
            let written =
                Received { helo: Some(&helo), peer_name: Some(&name), ..sample(&host()) }.to_string();
            let lines: Vec<&str> = written.split("\r\n").collect();
            prop_assert_eq!(lines.len(), 3);
            prop_assert!(lines[1].starts_with("\tby ") && lines[2].is_empty());
            prop_assert!(lines.iter().all(|l| !l.contains(['\r', '\n']) && l.len() < 998));
            prop_assert_eq!(written.matches('(').count(), 1);
            prop_assert_eq!(written.matches(';').count(), 1);
        }
    }
}
