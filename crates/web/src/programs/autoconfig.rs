//! Thunderbird and its kin: `config-v1.1.xml`, as Mozilla's "Autoconfiguration" page describes it.

use askama::Template;
use axum::response::Response;

use super::servers::{Security, Servers, account_of};
use crate::form;
use crate::house::Site;
use crate::routes::{Routes, Who};
use crate::visitor::Visitor;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::MailProgram, "/.well-known/autoconfig/mail/config-v1.1.xml", config).get(
        Who::MailProgram,
        "/mail/config-v1.1.xml",
        config,
    )
}

#[derive(Template)]
#[template(path = "programs/autoconfig.xml")]
struct Config {
    domain: String,
    url: String,
    /// The name to log in by, or what programs put it together from.
    login: String,
    servers: Servers,
}

impl Config {
    fn of(site: &Site, address: &str) -> Config {
        Config {
            domain: site.domain.to_ascii(),
            url: site.url.clone(),
            login: account_of(address, &site.domain)
                .map_or_else(|| "%EMAILADDRESS%".to_owned(), |account| account.to_string()),
            servers: Servers::of(site),
        }
    }

    fn socket(&self, security: &Security) -> &'static str {
        match security {
            Security::Tls => "SSL",
            Security::Upgraded => "STARTTLS",
        }
    }
}

async fn config(visitor: Visitor) -> Response {
    let query = visitor.path.split_once('?').map_or("", |(_, query)| query);
    let address = form::field(query.as_bytes(), "emailaddress").unwrap_or_default();
    super::xml(&Config::of(&visitor.house.site(), &address), "text/xml; charset=utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, site};
    use crate::programs::tests::parsed;

    #[test]
    fn a_program_is_told_servers_and_name() {
        let found = parsed(&Config::of(&site(), "foo@abc.pobox.example").render().unwrap());
        for told in ["hostname='mail.pobox.example'", "port='995'", "port='465'", "socketType='SSL'"] {
            assert!(found.iter().any(|line| line == told), "{told} in {found:?}");
        }
        assert_eq!(found.iter().filter(|line| *line == "username='abc'").count(), 4, "{found:?}");
    }

    #[test]
    fn who_has_no_address_of_ours_is_told_no_less() {
        let plain = parsed(&Config::of(&site(), "").render().unwrap());
        assert_eq!(plain, parsed(&Config::of(&site(), HOSTILE).render().unwrap()));
        assert!(plain.contains(&"username='%EMAILADDRESS%'".to_owned()));
    }
}
