//! The service extensions, as the answer to EHLO lists them.

use std::fmt::Write;

use crate::settings::Settings;

/// The list, a line each. STARTTLS is not offered under TLS (RFC 3207 §4.2).
pub fn list(settings: &Settings, under_tls: bool) -> String {
    let mut lines = String::with_capacity(192);
    lines.push_str("PIPELINING\n"); // RFC 2920
    let _ = writeln!(lines, "SIZE {}", settings.message_size_max); // RFC 1870
    lines.push_str("8BITMIME\n"); // RFC 6152
    lines.push_str("SMTPUTF8\n"); // RFC 6531
    lines.push_str("ENHANCEDSTATUSCODES\n"); // RFC 2034
    lines.push_str("CHUNKING\n"); // RFC 3030
    lines.push_str("DSN\n"); // RFC 3461
    if settings.offers_starttls && !under_tls {
        lines.push_str("STARTTLS\n"); // RFC 3207
    }
    let mechanisms = settings.offered_mechanisms(under_tls);
    if !mechanisms.is_empty() {
        lines.push_str("AUTH"); // RFC 4954
        for mechanism in mechanisms {
            let _ = write!(lines, " {mechanism}");
        }
        lines.push('\n');
    }
    let _ = writeln!(lines, "LIMITS RCPTMAX={}", settings.recipients_max); // RFC 9422
    lines.push_str("HELP");
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::Mechanism;

    #[test]
    fn starttls_is_offered_only_in_clear_text_and_where_there_is_tls() {
        let mut settings = Settings::new("mx.pobox.example".parse().unwrap());
        assert!(!list(&settings, false).contains("STARTTLS"));
        settings.offers_starttls = true;
        assert!(list(&settings, false).contains("\nSTARTTLS\n"));
        assert!(!list(&settings, true).contains("STARTTLS"));
    }

    #[test]
    fn auth_is_offered_only_where_nobody_can_listen() {
        let mut settings = Settings::new("mx.pobox.example".parse().unwrap());
        assert!(!list(&settings, true).contains("AUTH"));
        settings.mechanisms = Mechanism::ALL.to_vec();
        assert!(list(&settings, true).contains("\nAUTH SCRAM-SHA-256 PLAIN LOGIN\n"));
        assert!(!list(&settings, false).contains("AUTH"));
        settings.plaintext_auth = true;
        settings.mechanisms = vec![Mechanism::Login];
        assert!(list(&settings, false).contains("\nAUTH LOGIN\n"));
    }

    #[test]
    fn limits_are_announced() {
        let settings = Settings::new("mx.pobox.example".parse().unwrap());
        assert_eq!(
            list(&settings, true),
            "PIPELINING\nSIZE 52428800\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING\nDSN\n\
             LIMITS RCPTMAX=1000\nHELP"
        );
    }
}
