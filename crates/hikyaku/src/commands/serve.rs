//! `hikyaku serve`: the server, in the foreground.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::control::Role;
use crate::{logging, supervisor};

/// Runs until SIGTERM or Ctrl-C.
pub fn run(path: PathBuf) -> anyhow::Result<ExitCode> {
    let config = Config::read(&path)?;
    // SIGHUP reads the file again, wherever the process stands by then.
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    logging::start(&config.log);
    logging::detach()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Nobody in this process waits for readiness, and only signals stop it.
    let (ready, _) = oneshot::channel();
    let (_never, stop) = oneshot::channel();
    let outcome = runtime.block_on(supervisor::run(path, config, &Role::ALL, ready, stop));
    logging::finish();
    outcome.map(|()| ExitCode::SUCCESS)
}
