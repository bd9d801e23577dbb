//! The service extensions that a server lists in its answer to EHLO (RFC 5321 §4.1.1.1).

use super::reply::Reply;

/// What the server can do. By default nothing, as after HELO.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: the largest message in octets, if the server says so.
    pub size_max: Option<u64>,
    /// RFC 1870: whether MAIL may have a SIZE parameter.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 4954 with the mechanism PLAIN (RFC 4616).
    pub auth_plain: bool,
    /// RFC 4954 with the mechanism LOGIN.
    pub auth_login: bool,
    /// RFC 9422: the most recipients of one transaction.
    pub recipients_max: Option<usize>,
    /// RFC 9422: the most transactions of one connection.
    pub messages_max: Option<usize>,
}

impl Extensions {
    /// Reads the answer to EHLO. Lines that say nothing to us are passed over.
    pub fn read(answer: &Reply) -> Extensions {
        let mut extensions = Extensions::default();
        // The first line has the server's name.
        for line in answer.text().split('\n').skip(1) {
            extensions.line(line);
        }
        extensions
    }

    fn line(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => {
                self.size = true;
                // Zero means that there is no fixed limit (RFC 1870 §4).
                self.size_max = words.next().and_then(|size| size.parse().ok()).filter(|&size| size > 0);
            }
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "AUTH" => words.for_each(|mechanism| self.mechanism(mechanism)),
            "LIMITS" => words.for_each(|limit| self.limit(limit)),
            // As servers wrote it before there was a standard.
            keyword => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.mechanism(first);
                    words.for_each(|mechanism| self.mechanism(mechanism));
                }
            }
        }
    }

    fn mechanism(&mut self, mechanism: &str) {
        self.auth_plain |= mechanism.eq_ignore_ascii_case("PLAIN");
        self.auth_login |= mechanism.eq_ignore_ascii_case("LOGIN");
    }

    fn limit(&mut self, limit: &str) {
        let Some((name, number)) = limit.split_once('=') else { return };
        let number = number.parse().ok().filter(|&number: &usize| number > 0);
        if name.eq_ignore_ascii_case("RCPTMAX") {
            self.recipients_max = number;
        } else if name.eq_ignore_ascii_case("MAILMAX") {
            self.messages_max = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::ReplyReader;
    use super::*;
    use proptest::prelude::*;

    fn extensions(lines: &str) -> Extensions {
        let mut extensions = Extensions::default();
        lines.split('\n').for_each(|line| extensions.line(line));
        extensions
    }

    #[test]
    fn what_a_server_lists_is_known() {
        let answer = "250-mx.there.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8bitmime\r\n\
                      250-STARTTLS\r\n250-DSN\r\n250-LIMITS RCPTMAX=20 MAILMAX=5\r\n250 AUTH CRAM-MD5 plain\r\n";
        let reply = ReplyReader::default().read(&mut answer.as_bytes()).unwrap().unwrap();
        let expected = Extensions {
            pipelining: true,
            size: true,
            size_max: Some(1000),
            eight_bit_mime: true,
            starttls: true,
            dsn: true,
            auth_plain: true,
            recipients_max: Some(20),
            messages_max: Some(5),
            ..Extensions::default()
        };
        assert_eq!(Extensions::read(&reply), expected);
    }

    #[test]
    fn the_servers_name_is_no_extension() {
        let reply = ReplyReader::default().read(&mut &b"250 PIPELINING\r\n"[..]).unwrap().unwrap();
        assert_eq!(Extensions::read(&reply), Extensions::default());
    }

    #[test]
    fn odd_forms_in_use_are_understood() {
        assert!(extensions("AUTH=LOGIN PLAIN").auth_plain);
        assert!(extensions("AUTH=LOGIN PLAIN").auth_login);
        assert_eq!(extensions("SIZE").size_max, None);
        assert_eq!(extensions("SIZE 0").size_max, None);
        assert_eq!(extensions("SIZE 99999999999999999999999").size_max, None);
        assert_eq!(extensions("LIMITS RCPTMAX=0 RCPTMAX").recipients_max, None);
    }

    proptest! {
        #[test]
        fn any_lines_are_a_list(lines in "(\\PC{0,40}\n){0,5}") {
            let _ = extensions(&lines);
        }
    }
}
