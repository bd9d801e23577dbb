//! `qmail-showctl`: how this server is configured, by the names of qmail's control files.

use std::ffi::OsString;
use std::fmt::{self, Write};
use std::net::SocketAddr;

use envelope::{DomainKind, HostedDomain};
use link::services::directory::Rule;
use sendmail::Face;

use super::{Complaint, configuration, print};
use crate::commands::desk::{Desk, ask};
use crate::config::{Config, Unmapped};

/// Tells it. Passwords are never shown.
pub fn run(arguments: &[OsString]) -> Result<(), Complaint> {
    if !arguments.is_empty() {
        return Err(Complaint::usage(Face::QmailShowctl, ""));
    }
    let (config, path) = configuration(Face::QmailShowctl)?;
    let mut facts = Facts(String::new());
    facts.tell("configuration", path.display(), "");
    facts.configuration(&config);
    match domains(&config) {
        Ok(domains) => facts.domains(&domains),
        Err(problem) => {
            facts.tell("rcpthosts, locals, virtualdomains", format_args!("not shown: {problem:#}"), "")
        }
    }
    print(facts.0.as_bytes()).map(drop)
}

fn domains(config: &Config) -> anyhow::Result<Vec<HostedDomain>> {
    let mut desk = Desk::open(config)?;
    Ok(ask!(desk, Rule::Domains => Domains))
}

/// Lines of a control file's name, what would stand in it, and the setting of ours.
struct Facts(String);

impl Facts {
    fn tell(&mut self, control: &str, value: impl fmt::Display, setting: &str) {
        let place = if setting.is_empty() { String::new() } else { format!("  ({setting})") };
        writeln!(self.0, "{control}: {value}{place}").expect("a String takes all that is written to it");
    }

    fn configuration(&mut self, config: &Config) {
        let Config { hostname, domain, listen, limits, queue, remote, delivery, sendmail, .. } = config;
        self.tell("queue", config.spool_dir().display(), "data");
        self.tell("me", hostname, "hostname");
        for control in ["bouncehost", "envnoathost", "helohost", "idhost", "localiphost", "smtpgreeting"] {
            self.tell(control, hostname, "hostname");
        }
        for control in ["defaultdomain", "defaulthost", "doublebouncehost", "plusdomain"] {
            self.tell(control, domain, "domain");
        }
        self.tell("bouncefrom", "MAILER-DAEMON", "");
        let double =
            if queue.double_bounces { "postmaster" } else { "nobody: double bounces are logged and dropped" };
        self.tell("doublebounceto", double, "[queue] double_bounces");
        self.tell("databytes", limits.message_size_max, "[limits] message_size_max");
        self.tell("timeoutsmtpd", limits.idle, "[limits] idle");
        self.tell("concurrencyincoming", limits.connections_max, "[limits] connections_max");
        self.tell("queuelifetime", queue.lifetime, "[queue] lifetime");
        self.tell("concurrencylocal", queue.local_concurrency, "[queue] local_concurrency");
        self.tell("concurrencyremote", remote.concurrency, "[remote] concurrency");
        for (key, value) in &remote.routes {
            self.tell("smtproutes", route(key, value), "[remote.routes]");
        }
        for (service, addresses) in [
            ("qmail-smtpd", &listen.smtp),
            ("qmail-smtpd, for customers", &listen.submission),
            ("qmail-smtpd, for customers by TLS", &listen.submissions),
            ("qmail-pop3d", &listen.pop3),
            ("qmail-pop3d by TLS", &listen.pop3s),
        ] {
            self.tell(service, at(addresses), "[listen]");
        }
        let programs = if delivery.programs { "run where the plan allows it" } else { "do not run" };
        self.tell("program lines of .qmail", programs, "[delivery] programs");
        let manner = if sendmail.strict {
            "the published options only"
        } else {
            "options of other sendmails are let pass"
        };
        self.tell("sendmail", manner, "[sendmail] strict");
        let honoured = if sendmail.qmailqueue { "honoured" } else { "not honoured" };
        self.tell("QMAILQUEUE", honoured, "[sendmail] qmailqueue");
        let unmapped = match sendmail.unmapped {
            Unmapped::Anonymous => "send as anonymous",
            Unmapped::Refuse => "may not send",
        };
        self.tell("users without an account", unmapped, "[sendmail] unmapped");
        self.tell(
            "badmailfrom, percenthack, morercpthosts, users/assign",
            "nothing here corresponds to these",
            "",
        );
    }

    fn domains(&mut self, domains: &[HostedDomain]) {
        const SETTING: &str = "hikyaku domain";
        for HostedDomain { name, kind } in domains {
            self.tell("rcpthosts", name, SETTING);
            match kind {
                DomainKind::Provider => self.tell("locals", name, SETTING),
                DomainKind::Virtual { owner, prefix: None } => {
                    self.tell("virtualdomains", format_args!("{name}:{owner}"), SETTING);
                }
                DomainKind::Virtual { owner, prefix: Some(prefix) } => {
                    self.tell("virtualdomains", format_args!("{name}:{owner}-{prefix}"), SETTING);
                }
                DomainKind::Alias { of } => {
                    self.tell("locals", format_args!("{name}, which is {of} by another name"), SETTING);
                }
                // rcpthosts and no more: mail goes on to its own servers.
                DomainKind::Relay => {}
            }
        }
    }
}

/// A route as in smtproutes; of its login only the name.
fn route(key: &str, value: &toml::Value) -> String {
    let toml::Value::Table(table) = value else {
        return format!("{key}:{}", value.as_str().unwrap_or_default());
    };
    let text = |name: &str| table.get(name).and_then(toml::Value::as_str);
    let mut route = format!("{key}:{}", text("host").unwrap_or_default());
    if let Some(port) = table.get("port").and_then(toml::Value::as_integer) {
        route.push_str(&format!(":{port}"));
    }
    if let Some(login) = text("login") {
        route.push_str(&format!(", as {login}, whose password is not shown"));
    }
    if let Some(tls) = text("tls") {
        route.push_str(&format!(", TLS: {tls}"));
    }
    route
}

fn at(addresses: &[SocketAddr]) -> String {
    match addresses {
        [] => "off".into(),
        addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_files_are_told_and_passwords_are_not() {
        let config = Config::parse(
            "hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\n\
             [limits]\nmessage_size_max = 1000\n\
             [queue]\nlifetime = 77\ndouble_bounces = false\n\
             [remote.routes]\n\"peer.example\" = \"127.0.0.1:2626\"\n\
             \"*\" = { host = \"smart.example\", port = 587, login = \"me\", password = \"geheim\", tls = \"verify\" }\n",
        )
        .unwrap();
        let mut facts = Facts(String::new());
        facts.configuration(&config);
        let domain = |name: &str, kind| HostedDomain { name: name.parse().unwrap(), kind };
        let virtual_ = |prefix: Option<&str>| DomainKind::Virtual {
            owner: "xyz".parse().unwrap(),
            prefix: prefix.map(|prefix| prefix.parse().unwrap()),
        };
        facts.domains(&[
            domain("pobox.example", DomainKind::Provider),
            domain("shop.example", virtual_(None)),
            domain("club.example", virtual_(Some("club"))),
            domain("backup.example", DomainKind::Relay),
        ]);
        let told = facts.0;
        for line in [
            "me: mail.pobox.example  (hostname)",
            "defaulthost: pobox.example  (domain)",
            "databytes: 1000  ([limits] message_size_max)",
            "timeoutsmtpd: 300  ([limits] idle)",
            "queuelifetime: 77  ([queue] lifetime)",
            "doublebounceto: nobody: double bounces are logged and dropped  ([queue] double_bounces)",
            "smtproutes: peer.example:127.0.0.1:2626  ([remote.routes])",
            "smtproutes: *:smart.example:587, as me, whose password is not shown, TLS: verify  ([remote.routes])",
            "qmail-pop3d: [::]:110  ([listen])",
            "rcpthosts: backup.example  (hikyaku domain)",
            "locals: pobox.example  (hikyaku domain)",
            "virtualdomains: shop.example:xyz  (hikyaku domain)",
            "virtualdomains: club.example:xyz-club  (hikyaku domain)",
        ] {
            assert!(told.lines().any(|told| told == line), "{line}: {told}");
        }
        assert!(!told.contains("geheim") && !told.contains("locals: backup"), "{told}");
    }
}
