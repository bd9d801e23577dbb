//! Postfix's `smtp-sink`: it takes everything, and keeps it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::{PATIENCE, open_dir};
use crate::house::{all_files, eventually, field};
use crate::wire::Wire;

pub struct Sink {
    child: Child,
    kept: TempDir,
}

impl Sink {
    /// Starts it, and waits until it answers.
    pub fn start(at: SocketAddr) -> Sink {
        let kept = open_dir();
        fs::set_permissions(kept.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new("smtp-sink");
        if geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        // One file for each message.
        command.arg("-d").arg(kept.path().join("%M%S."));
        let child = command
            .args([at.to_string().as_str(), "1000"])
            .stdin(Stdio::null())
            .spawn()
            .expect("smtp-sink; `cargo xtask test` installs it");
        let sink = Sink { child, kept };
        eventually("smtp-sink answers", PATIENCE, || Wire::try_connect(at).ok()?.try_reply().ok());
        sink
    }

    /// How many messages it has begun to take.
    pub fn count(&self) -> usize {
        all_files(self.kept.path()).len()
    }

    /// What it has taken, each with its envelope in `X-` fields.
    pub fn messages(&self) -> Vec<String> {
        all_files(self.kept.path()).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    /// Waits until it has a message with this subject.
    pub fn wait_for(&self, subject: &str) -> String {
        eventually(&format!("smtp-sink has {subject}"), PATIENCE, || {
            let complete = |text: &String| text.contains("\n\n") && field(text, "Subject") == subject;
            self.messages().into_iter().find(complete)
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
