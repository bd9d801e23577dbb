//! Where the command line's questions and changes go: to the running server, or, if none runs, to
//! the two roles that are needed, started for this one command. So there is one way to change
//! things, under the users and walls of the roles, and root itself parses and writes nothing.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use link::Service;
use link::blocking::BlockingClient;
use link::services::directory::{Answer, Directory, Request, Response, Rule, Trace};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::control::Role;
use crate::{logging, supervisor};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to a role of the running server; `None` if no server runs.
///
/// # Errors
/// If one runs but this user may not speak to it.
pub fn connect<S: Service>(config: &Config, role: Role) -> anyhow::Result<Option<BlockingClient<S>>> {
    connect_for(config, role, TIMEOUT)
}

fn connect_for<S: Service>(
    config: &Config,
    role: Role,
    timeout: Duration,
) -> anyhow::Result<Option<BlockingClient<S>>> {
    let path = supervisor::operators_socket(config, role);
    match UnixStream::connect(&path) {
        Ok(stream) => Ok(Some(BlockingClient::new(stream, timeout)?)),
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
    directory: BlockingClient<Directory>,
    /// Stops when this is dropped, after the connection to it.
    _roles: Option<Roles>,
}

impl Desk {
    /// Opens the directory of this configuration, through the server if it runs.
    ///
    /// # Errors
    /// If neither way is open to this user.
    pub fn open(config: &Config) -> anyhow::Result<Desk> {
        Desk::open_for(config, TIMEOUT)
    }

    /// The same, for changes that take long: each may take up to `timeout`.
    ///
    /// # Errors
    /// As [`Desk::open`].
    pub fn open_for(config: &Config, timeout: Duration) -> anyhow::Result<Desk> {
        if let Some(directory) = connect_for(config, Role::Directory, timeout)? {
            return Ok(Desk { directory, _roles: None });
        }
        let roles = Roles::start(config)?;
        let directory = connect_for(config, Role::Directory, timeout)?;
        Ok(Desk { directory: directory.context("the directory role does not answer")?, _roles: Some(roles) })
    }

    /// Changes something.
    ///
    /// # Errors
    /// The refusal, in a sentence that says what to do.
    pub fn change(&mut self, rule: Rule) -> anyhow::Result<()> {
        self.rule(rule).map(drop)
    }

    /// Asks or changes something that has an answer; see [`ask!`].
    ///
    /// # Errors
    /// As [`Desk::change`].
    pub fn answer(&mut self, rule: Rule) -> anyhow::Result<Answer> {
        match self.rule(rule)? {
            Response::Answer(answer) => Ok(answer),
            _ => bail!(SOMETHING_ELSE),
        }
    }

    /// Asks the record of events.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn trace(&mut self, trace: Trace) -> anyhow::Result<Response> {
        self.ask(Request::Trace(trace))
    }

    fn rule(&mut self, rule: Rule) -> anyhow::Result<Response> {
        self.ask(Request::Rule(rule))
    }

    fn ask(&mut self, request: Request) -> anyhow::Result<Response> {
        match self.directory.call(request)?.value {
            Response::Refused(sentence) => bail!(sentence),
            Response::Unavailable => bail!("the directory does not answer; the log says why"),
            response => Ok(response),
        }
    }
}

/// Both ends are the same binary; so this is a fault of ours.
pub const SOMETHING_ELSE: &str = "the directory answered something else";

/// What a rule answers: `ask!(desk, Rule::Domains => Domains)`. For functions that return
/// [`anyhow::Result`].
macro_rules! ask {
    ($desk:expr, $rule:expr => $answer:ident) => {
        match $desk.answer($rule)? {
            ::link::services::directory::Answer::$answer(answer) => answer,
            _ => ::anyhow::bail!($crate::commands::desk::SOMETHING_ELSE),
        }
    };
}
pub(super) use ask;

/// The roles that a change needs, for as long as one command runs.
struct Roles {
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Roles {
    fn start(config: &Config) -> anyhow::Result<Roles> {
        let mut config = config.clone();
        // What they do is this command's to say; what goes wrong is theirs.
        config.log.level = Some("warn".into());
        logging::start(&config.log);
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let roles = &[Role::Directory, Role::Local];
            // SIGHUP is nothing to a command: there is no file to read again.
            runtime.block_on(supervisor::run(PathBuf::new(), config, roles, ready, stopped))
        });
        let mut roles = Roles { stop: Some(stop), server: Some(server) };
        if is_ready.blocking_recv().is_ok() {
            return Ok(roles);
        }
        Err(roles.end().err().unwrap_or_else(|| anyhow!("the roles ended before they were ready")))
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(stop) = self.stop.take() {
            // Whoever took the other end has ended by itself.
            let _ = stop.send(());
        }
        match self.server.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => bail!("the roles ended by a fault of ours"),
            None => Ok(()),
        }
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        if let Err(problem) = self.end() {
            tracing::warn!(problem = format!("{problem:#}"));
        }
    }
}
