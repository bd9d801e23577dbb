//! `hikyaku check`: what is wrong, and how to mend it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use envelope::AccountName;
use link::services::directory::{Directory, Rule};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;

use super::desk::{self, Desk};
use super::output::{self, say};
use crate::config::Config;
use crate::control::{Role, Settings};
use crate::local_users::LocalUsers;
use crate::privileges::{Identities, Reach};

#[derive(Args)]
pub struct Check {
    /// Print JSON, one finding a line.
    #[arg(long)]
    json: bool,
}

/// What one look found.
#[derive(Serialize)]
struct Finding {
    what: String,
    verdict: Verdict,
    /// What to do, where there is something to do.
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Good,
    /// The server works, but somebody will stumble over it.
    Doubtful,
    Wrong,
}

/// Does it. Exits with 1 if something is wrong.
pub fn run(path: &Path, arguments: &Check) -> anyhow::Result<ExitCode> {
    let config = Config::read(path)?;
    let mut findings = vec![good(format!("configuration {}", path.display()))];
    let running = desk::connect::<Directory>(&config, Role::Directory);
    findings.push(match &running {
        Ok(Some(_)) => good("the server is running".into()),
        Ok(None) => doubtful("the server is not running".into(), "start it: hikyaku serve"),
        Err(problem) => doubtful(format!("{problem:#}"), "run this as root or as the server's user"),
    });
    let is_running = matches!(running, Ok(Some(_)));
    drop(running);
    secrets(path, &config, &mut findings);
    users(&config, &mut findings);
    local_users(&config, &mut findings);
    directories(&config, &mut findings);
    ports(&config, is_running, &mut findings);
    certificate(&config, &mut findings);
    host_name(&config, &mut findings);

    for finding in &findings {
        if arguments.json {
            output::json(finding)?;
            continue;
        }
        let mark = match finding.verdict {
            Verdict::Good => "good    ",
            Verdict::Doubtful => "doubtful",
            Verdict::Wrong => "WRONG   ",
        };
        say!("{mark}  {}", finding.what);
        if let Some(remedy) = &finding.remedy {
            say!("          {remedy}");
        }
    }
    let wrong = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn good(what: String) -> Finding {
    Finding { what, verdict: Verdict::Good, remedy: None }
}

fn doubtful(what: String, remedy: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Doubtful, remedy: Some(remedy.into()) }
}

fn wrong(what: String, remedy: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Wrong, remedy: Some(remedy.into()) }
}

fn users(config: &Config, findings: &mut Vec<Finding>) {
    let identities = Identities::of(config);
    if identities == Identities::Shared {
        findings.push(doubtful(
            "all roles share one user".into(),
            "started as root, without [users] shared = true, each role has a system user of its own",
        ));
        return;
    }
    for role in Role::ALL.into_iter().filter(|role| role.is_wanted(config)) {
        if let Err(problem) = identities.of_role(role, config) {
            findings.push(wrong(format!("{problem:#}"), "hikyaku init, or useradd --system"));
            return;
        }
    }
    findings.push(good("each role has its system user".into()));
}

/// Others may read the configuration: `sendmail` has all that it needs from a file of its own.
fn secrets(path: &Path, config: &Config, findings: &mut Vec<Finding>) {
    let has_password = |route: &toml::Value| route.get("password").is_some();
    let open = std::fs::metadata(path).is_ok_and(|data| data.mode() & 0o004 != 0);
    if open && config.remote.routes.values().any(has_password) {
        findings.push(wrong(
            format!("everybody can read {}, and passwords of [remote.routes] stand in it", path.display()),
            format!("chmod o-rwx {}", path.display()),
        ));
    }
}

/// Users whose programs send, and the accounts as which they do.
fn local_users(config: &Config, findings: &mut Vec<Finding>) {
    let users = &config.sendmail.users;
    if users.is_empty() {
        return;
    }
    let before = findings.len();
    for problem in LocalUsers::of(users).problems {
        findings.push(wrong(format!("[sendmail.users]: {problem}"), "until then the line does not count"));
    }
    let accounts: BTreeSet<&AccountName> = users.values().collect();
    let mut desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(problem) => {
            let unasked =
                format!("[sendmail.users]: whether the accounts are there is not known: {problem:#}");
            findings.push(doubtful(unasked, "run this as root or as the server's user"));
            return;
        }
    };
    for account in accounts {
        if let Err(problem) = desk.answer(Rule::Account(account.clone())) {
            findings.push(wrong(
                format!("[sendmail.users]: {problem:#}"),
                "until it is made, programs of such users are refused",
            ));
        }
    }
    if findings.len() == before {
        findings.push(good("users and accounts of [sendmail.users] are there".into()));
    }
}

fn directories(config: &Config, findings: &mut Vec<Finding>) {
    let paths = Settings::of(config).paths;
    let identities = Identities::of(config);
    for role in Role::ALL.into_iter().filter(|role| role.reach() == Reach::Files && role.is_wanted(config)) {
        let owner = identities.of_role(role, config).ok().flatten();
        for directory in role.directories(&paths) {
            let name = directory.display();
            match std::fs::metadata(&directory) {
                Err(_) => findings.push(doubtful(format!("{name} is not there"), "hikyaku serve makes it")),
                Ok(data) if !data.is_dir() => {
                    findings.push(wrong(format!("{name} is no directory"), "move it away"));
                }
                Ok(data) => {
                    let belongs = owner
                        .is_none_or(|(uid, gid)| data.uid() == uid.as_raw() || data.gid() == gid.as_raw());
                    findings.push(if belongs {
                        good(format!("{name} belongs to {}", role.name()))
                    } else {
                        wrong(
                            format!("{name} does not belong to {}", role.user()),
                            "hikyaku serve, started as root, mends it",
                        )
                    });
                }
            }
        }
    }
    match rustix::fs::statvfs(&config.data) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let said = format!("{} MiB free for the queue", free >> 20);
            findings.push(if free > config.queue.reserve.saturating_mul(2) {
                good(said)
            } else {
                wrong(said, "below [queue] reserve new mail is refused: make room")
            });
        }
        Err(error) => {
            findings.push(doubtful(format!("{}: {error}", config.data.display()), "hikyaku init makes it"))
        }
    }
}

fn ports(config: &Config, running: bool, findings: &mut Vec<Finding>) {
    let listen = &config.listen;
    for (service, addresses, greets) in [
        ("SMTP", &listen.smtp, true),
        ("submission", &listen.submission, true),
        ("submissions", &listen.submissions, false),
        ("POP3", &listen.pop3, true),
        ("POP3S", &listen.pop3s, false),
        ("HTTPS", &listen.https, false),
    ] {
        if addresses.is_empty() {
            findings
                .push(doubtful(format!("{service} is switched off"), "[listen] has an empty list for it"));
        }
        for address in addresses {
            findings.push(if running {
                answers(service, *address, greets)
            } else {
                match TcpListener::bind(address) {
                    Ok(_) => good(format!("{service} can have {address}")),
                    Err(error) => wrong(
                        format!("{service} cannot have {address}: {error}"),
                        "end what listens there, start as root, or choose another in [listen]",
                    ),
                }
            });
        }
    }
}

fn answers(service: &str, address: SocketAddr, greets: bool) -> Finding {
    let timeout = Duration::from_secs(5);
    let reachable = if address.ip().is_unspecified() {
        SocketAddr::new(
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16]) },
            address.port(),
        )
    } else {
        address
    };
    let greeting = TcpStream::connect_timeout(&reachable, timeout).and_then(|stream| {
        stream.set_read_timeout(Some(timeout))?;
        let mut line = String::new();
        if greets {
            BufReader::new(stream).read_line(&mut line)?;
        }
        Ok(line)
    });
    match greeting {
        Ok(line) if !greets || line.starts_with("220 ") || line.starts_with("+OK") => {
            good(format!("{service} answers at {address}"))
        }
        Ok(line) => {
            wrong(format!("{service} at {address} greets with {:?}", line.trim_end()), "see the server's log")
        }
        Err(error) => {
            wrong(format!("{service} does not answer at {address}: {error}"), "see the server's log")
        }
    }
}

fn certificate(config: &Config, findings: &mut Vec<Finding>) {
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
        findings.push(doubtful(
            "no certificate is configured; one made here is shown".into(),
            "mail programs will ask about it: set [tls] certificate and key",
        ));
        return;
    };
    let read = CertificateDer::pem_file_iter(certificate)
        .map(|all| all.flatten().count())
        .map_err(|error| format!("{}: {error}", certificate.display()))
        .and_then(|count| match PrivateKeyDer::from_pem_file(key) {
            Ok(_) if count > 0 => Ok(()),
            Ok(_) => Err(format!("{} holds no certificate", certificate.display())),
            Err(error) => Err(format!("{}: {error}", key.display())),
        });
    findings.push(match read {
        Ok(()) => good(format!("certificate {}", certificate.display())),
        Err(problem) => wrong(problem, "both files are PEM, the server's own certificate first"),
    });
}

fn host_name(config: &Config, findings: &mut Vec<Finding>) {
    let name = config.hostname.to_ascii();
    findings.push(match (name.as_str(), 25).to_socket_addrs() {
        Ok(addresses) => {
            let addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            good(format!("{name} is {}", addresses.join(", ")))
        }
        Err(_) => doubtful(
            format!("{name} has no address in DNS"),
            "others look it up: publish an A or AAAA record, and MX records of your domains that name it",
        ),
    });
}
