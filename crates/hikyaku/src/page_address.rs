//! Where members reach the page: what links in mail and at the command line begin with.

use std::net::SocketAddr;

use envelope::Domain;

use crate::config::{Listen, Web};

/// The page's address, which ends in a slash: `[web] url`, or else this host's name and the port that it is
/// served at.
pub fn page_address(hostname: &Domain, listen: &Listen, web: &Web) -> String {
    if let Some(url) = &web.url {
        return format!("{}/", url.trim_end_matches('/'));
    }
    let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
    let host = hostname.to_ascii();
    match (port(&listen.https), port(&listen.http)) {
        (Some(443) | None, None) | (Some(443), _) => format!("https://{host}/"),
        (Some(port), _) => format!("https://{host}:{port}/"),
        (None, Some(port)) => format!("http://{host}:{port}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn address(lines: &str) -> String {
        let text = format!("hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\n{lines}");
        let config = Config::parse(&text).unwrap();
        page_address(&config.hostname, &config.listen, &config.web)
    }

    #[test]
    fn the_page_is_where_it_is_said_to_be_or_where_it_is_served() {
        assert_eq!(
            address("[web]\nurl = \"https://me.pobox.example/mail\""),
            "https://me.pobox.example/mail/"
        );
        assert_eq!(address("[listen]\nhttps = [\"[::]:443\"]"), "https://mail.pobox.example/");
        assert_eq!(address("[listen]\nhttps = [\"[::]:8443\"]"), "https://mail.pobox.example:8443/");
        let behind_a_proxy = "[listen]\nhttps = []\nhttp = [\"127.0.0.1:8080\"]";
        assert_eq!(address(behind_a_proxy), "http://mail.pobox.example:8080/");
        assert_eq!(address("[listen]\nhttps = []\nhttp = []"), "https://mail.pobox.example/");
    }
}
