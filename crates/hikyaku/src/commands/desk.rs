//! Where the command line's questions and changes go: to the running server, or, if none runs,
//! to the files themselves. One set of rules serves both (`rules.rs`).

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use directory::Actor;
use envelope::Mailbox;
use link::Service;
use link::blocking::BlockingClient;
use link::services::directory::{Directory, Request, Response, Rule};
use nix::unistd::Uid;

use crate::config::Config;
use crate::control::{Role, Settings};
use crate::privileges::{self, Identities};
use crate::rules::{self, Ruled};
use crate::supervisor;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to a role of the running server; `None` if no server runs.
///
/// # Errors
/// If one runs but this user may not speak to it.
pub fn connect<S: Service>(config: &Config, role: Role) -> anyhow::Result<Option<BlockingClient<S>>> {
    let path = supervisor::operators_socket(config, role);
    match UnixStream::connect(&path) {
        Ok(stream) => Ok(Some(BlockingClient::new(stream, TIMEOUT)?)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| {
            format!("cannot reach the server at {}: run this as root or as the server's user", path.display())
        }),
    }
}

/// Rules the directory.
pub struct Desk {
    at: At,
    database: PathBuf,
}

enum At {
    Server(Box<BlockingClient<Directory>>),
    Files { store: Box<directory::Store>, identities: Identities },
}

impl Desk {
    /// Opens the directory of this configuration, through the server if it runs.
    ///
    /// # Errors
    /// If neither way is open to this user.
    pub fn open(config: &Config) -> anyhow::Result<Desk> {
        let at = match connect(config, Role::Directory)? {
            Some(client) => At::Server(Box::new(client)),
            None => {
                // As in the roles: their group shares mailboxes, and nobody else sees them.
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o007));
                let identities = Identities::of(config);
                privileges::prepare_directories(config, identities)?;
                let store = rules::open_store(&Settings::of(config))?;
                At::Files { store: Box::new(store), identities }
            }
        };
        Ok(Desk { at, database: config.database() })
    }

    /// Asks or changes something.
    ///
    /// # Errors
    /// The refusal, in a sentence that says what to do.
    pub fn rule(&mut self, rule: Rule) -> anyhow::Result<Response> {
        let response = match &mut self.at {
            At::Server(client) => client.call(Request::Rule(rule))?.value,
            At::Files { store, identities } => {
                match rules::rule(store, rule, &Actor::LocalUser(Uid::current().as_raw())) {
                    Ruled::Answer(response) => response,
                    Ruled::Made(account) => {
                        let mailbox =
                            Mailbox { account: account.name.clone(), maildir: account.maildir.clone() };
                        rules::create_mailbox(&mailbox).with_context(|| {
                            format!("the account {} was made, but not its mailbox", account.name)
                        })?;
                        give_mailbox(&mailbox, *identities)?;
                        Response::Account(account)
                    }
                }
            }
        };
        match response {
            Response::Refused(sentence) => bail!(sentence),
            Response::Unavailable => bail!("the directory does not answer; the server's log says why"),
            response => Ok(response),
        }
    }
}

impl Drop for Desk {
    /// What root wrote into the directory's files belongs to the role.
    fn drop(&mut self) {
        if let At::Files { identities, .. } = &self.at
            && let Ok(Some((uid, gid))) = identities.of_role(Role::Directory)
        {
            for suffix in ["", "-wal", "-shm"] {
                let mut file = self.database.clone().into_os_string();
                file.push(suffix);
                // The two at the side are not always there.
                let _ = nix::unistd::chown(file.as_os_str(), Some(uid), Some(gid));
            }
        }
    }
}

fn give_mailbox(mailbox: &Mailbox, identities: Identities) -> anyhow::Result<()> {
    let Some((uid, gid)) = identities.of_role(Role::Local)? else { return Ok(()) };
    let maildir = &mailbox.maildir;
    let mut all = vec![maildir.clone(), maildir.join("new"), maildir.join("cur"), maildir.join("tmp")];
    // The directories between the root and the Maildir were made with it.
    all.extend(maildir.ancestors().skip(1).take(3).map(Into::into));
    for directory in all {
        nix::unistd::chown(&directory, Some(uid), Some(gid))
            .with_context(|| format!("cannot give {} to the local role", directory.display()))?;
    }
    Ok(())
}
