//! The operator's routes, as qmail's `control/smtproutes`: a table whose keys say for which domains,
//! and whose values say where to.
//!
//! ```toml
//! "peer.example" = "127.0.0.1:2626"          # this domain
//! ".example" = "mail.example"                # all domains below, at port 25
//! "open.example" = ""                        # by MX as usual, whatever else is said here
//! "bank.example" = { host = "", tls = "verify" }
//! "*" = { host = "smart.example", port = 587, login = "me", password = "…", tls = "verify" }
//! ```
//!
//! The most exact key counts: the domain itself, then the longest suffix, then `*`.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use envelope::{Domain, Host};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use smtp::client::Login;

/// Which way mail for each domain goes. By default all by MX.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    hosts: HashMap<Host, Route>,
    /// By the domain that stands behind the dot.
    below: HashMap<Box<str>, Route>,
    all: Option<Route>,
}

/// One way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub next_hop: NextHop,
    /// The port there, if it is not the usual one.
    pub port: Option<u16>,
    /// With what to log in there.
    pub login: Option<Login>,
    /// What is asked of TLS, if it is not the usual.
    pub tls: Option<TlsPolicy>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// To the hosts that the DNS names for the domain.
    Mx,
    /// To the addresses of this host; its MX records are not asked for.
    Host(Domain),
    /// To this address.
    Address(IpAddr),
}

/// What is asked of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsPolicy {
    /// TLS where it is offered and works, with any certificate (RFC 7435); else clear text.
    #[default]
    Opportunistic,
    /// TLS with any certificate, or nothing.
    Require,
    /// TLS with a valid certificate for the host's name, or nothing.
    Verify,
}

impl Routes {
    /// The way of mail for this host; `None` if the operator said nothing of it.
    pub fn find(&self, host: &Host) -> Option<&Route> {
        if let Some(route) = self.hosts.get(host) {
            return Some(route);
        }
        let mut rest = host.domain().filter(|_| !self.below.is_empty()).map(Domain::as_str);
        while let Some((_, parent)) = rest.and_then(|name| name.split_once('.')) {
            if let Some(route) = self.below.get(parent) {
                return Some(route);
            }
            rest = Some(parent);
        }
        self.all.as_ref()
    }

    fn add(&mut self, key: &str, route: Route) -> Result<(), String> {
        if key == "*" {
            self.all = Some(route);
        } else if let Some(parent) = key.strip_prefix('.') {
            let parent =
                Domain::parse(parent).map_err(|error| format!("{key:?} names no domains: {error}"))?;
            self.below.insert(parent.as_str().into(), route);
        } else {
            let host = Host::parse(key).map_err(|error| {
                format!("{key:?} names no domain: {error}; write a domain, `.` and a domain for all below it, or `*`")
            })?;
            self.hosts.insert(host, route);
        }
        Ok(())
    }
}

impl Route {
    /// Reads `host`, `host:port`, `address`, `address:port`, `[IPv6 address]:port`, or nothing.
    ///
    /// # Errors
    /// In a sentence, if it is none of them.
    pub fn parse(text: &str) -> Result<Route, String> {
        let route = |next_hop, port| Route { next_hop, port, login: None, tls: None };
        if text.is_empty() {
            return Ok(route(NextHop::Mx, None));
        }
        if let Ok(address) = text.parse() {
            return Ok(route(NextHop::Address(address), None));
        }
        // A colon within brackets is part of an address.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = port.map(|port| match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("{text:?}: {port:?} is no port; write host:port with a number up to 65535")),
        });
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let next_hop = match bare.parse() {
            Ok(address) => NextHop::Address(address),
            Err(_) => NextHop::Host(
                Domain::parse(host).map_err(|error| format!("{text:?} is no host or host:port: {error}"))?,
            ),
        };
        Ok(route(next_hop, port.transpose()?))
    }
}

/// A value as a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    host: String,
    port: Option<u16>,
    login: Option<String>,
    password: Option<String>,
    tls: Option<TlsPolicy>,
}

impl TryFrom<Table> for Route {
    type Error = String;

    fn try_from(table: Table) -> Result<Route, String> {
        let route = Route::parse(&table.host)?;
        let login = match (table.login, table.password) {
            (Some(name), Some(password)) if !name.is_empty() => {
                Some(Login { name, password: password.into() })
            }
            (None, None) => None,
            _ => return Err("`login` and `password` go together: give both or neither".to_owned()),
        };
        if login.is_some() && route.next_hop == NextHop::Mx {
            return Err("a login is for one server: give its name in `host`".to_owned());
        }
        if table.port == Some(0) || (table.port.is_some() && route.port.is_some()) {
            return Err("give one port, from 1 to 65535".to_owned());
        }
        // A password is shown to nobody but the host that it is for, unless the operator says otherwise.
        let tls = table.tls.or(login.is_some().then_some(TlsPolicy::Verify));
        Ok(Route { port: table.port.or(route.port), login, tls, ..route })
    }
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Route, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Route;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"host\", \"host:port\", \"\" for MX, or { host = …, port = …, login = …, password = …, tls = … }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Route, E> {
                Route::parse(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Route, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Route::try_from(table).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Routes, D::Error> {
        struct Lines;

        impl<'de> Visitor<'de> for Lines {
            type Value = Routes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of routes, as \"peer.example\" = \"host:port\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Routes, A::Error> {
                let mut routes = Routes::default();
                while let Some((key, route)) = map.next_entry::<String, Route>()? {
                    routes.add(&key, route).map_err(de::Error::custom)?;
                }
                Ok(routes)
            }
        }

        deserializer.deserialize_map(Lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn routes(text: &str) -> Result<Routes, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn leads(routes: &Routes, host: &str) -> String {
        match routes.find(&Host::parse(host).unwrap()) {
            None => "nowhere".to_owned(),
            Some(route) => match &route.next_hop {
                NextHop::Mx => "mx".to_owned(),
                NextHop::Host(host) => format!("{host} {:?}", route.port),
                NextHop::Address(address) => format!("{address} {:?}", route.port),
            },
        }
    }

    #[test]
    fn the_most_exact_route_counts() {
        let table = routes(
            "\"peer.example\" = \"127.0.0.1:2626\"\n\".example\" = \"a.example\"\n\".b.example\" = \"b.example:26\"\n\
             \"open.b.example\" = \"\"\n\"[192.0.2.1]\" = \"[2001:db8::1]:2525\"\n\"例え.テスト\" = \"::1\"\n",
        )
        .unwrap();
        for (host, way) in [
            ("peer.example", "127.0.0.1 Some(2626)"),
            ("PEER.example", "127.0.0.1 Some(2626)"),
            ("x.example", "a.example None"),
            ("x.y.peer.example", "a.example None"),
            ("x.b.example", "b.example Some(26)"),
            ("b.example", "a.example None"),
            ("open.b.example", "mx"),
            ("[192.0.2.1]", "2001:db8::1 Some(2525)"),
            ("xn--r8jz45g.xn--zckzah", "::1 None"),
            ("example", "nowhere"),
            ("notexample", "nowhere"),
            ("[192.0.2.2]", "nowhere"),
        ] {
            assert_eq!(leads(&table, host), way, "{host}");
        }
        let table = routes("\"*\" = \"smart.example\"\n\"x.example\" = \"\"").unwrap();
        assert_eq!(leads(&table, "y.example"), "smart.example None");
        assert_eq!(leads(&table, "[192.0.2.2]"), "smart.example None");
        assert_eq!(leads(&table, "x.example"), "mx");
    }

    #[test]
    fn a_table_has_a_login_and_a_policy() {
        let table = "\"*\" = { host = \"smart.example\", port = 587, login = \"me\", password = \"pw\", tls = \"verify\" }";
        let table = routes(table).unwrap();
        let route = table.find(&Host::parse("x.example").unwrap()).unwrap();
        assert_eq!((route.port, route.tls), (Some(587), Some(TlsPolicy::Verify)));
        assert_eq!(route.login.as_ref().map(|login| login.name.as_str()), Some("me"));
        assert!(!format!("{table:?}").contains("pw"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("\"x.example\" = 25", "host:port"),
            ("\"x.example\" = \"y.example:0\"", "port"),
            ("\"x.example\" = \"y.example:smtp\"", "port"),
            ("\"x.example\" = \"a b\"", "no host"),
            ("\"x example\" = \"y.example\"", "no domain"),
            ("\"*\" = { host = \"y.example\", login = \"me\" }", "go together"),
            ("\"*\" = { host = \"\", login = \"me\", password = \"pw\" }", "one server"),
            ("\"*\" = { host = \"y.example:25\", port = 26 }", "one port"),
            ("\"*\" = { host = \"y.example\", tsl = \"verify\" }", "tsl"),
            ("\"*\" = { host = \"y.example\", tls = \"always\" }", "opportunistic"),
        ] {
            let error = routes(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_route_or_an_error(text in "[\\[\\]:.a-z0-9]{0,30}|\\PC{0,30}") {
            let _ = Route::parse(&text);
            let _ = Routes::default().add(&text, Route::parse("").unwrap());
        }
    }
}
