//! What `sendmail` must know before it speaks to the server, or while there is none: a small file that
//! everybody may read, beside the sockets. The configuration itself may hold passwords.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{self, Config, Limits, Sendmail};

/// Names the directory in which programs of delivery instructions leave mail, in their environment.
pub const HANDOVER: &str = "HIKYAKU_DROP";

/// The name of the file in the directory of the sockets.
const NAME: &str = "sendmail.toml";
/// Its name in a directory that [`HANDOVER`] names: mail there begins with no dot.
const HIDDEN_NAME: &str = ".sendmail.toml";
/// The name of the socket of the role `submit` there.
const SUBMIT: &str = "submit";
/// The name of the socket there at which the role `smtp` hears this machine's programs.
const SMTP: &str = "smtp";

/// What the server says to `sendmail` by a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendmailNote {
    /// Just the options that the provider published.
    pub strict: bool,
    /// Keep mail while the server is down.
    pub spool: bool,
    /// Honour `QMAILQUEUE`.
    pub qmailqueue: bool,
    /// The most octets of a message.
    pub message_size_max: u64,
}

/// Where `sendmail` finds things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The socket of the role `submit`.
    pub submit: PathBuf,
    /// The socket for SMTP.
    pub smtp: PathBuf,
    /// The drop directory.
    pub drop: PathBuf,
    /// Where to leave mail for who runs this program, if delivery instructions do: it reaches no server.
    pub handover: Option<PathBuf>,
    note: PathBuf,
}

impl SendmailNote {
    /// What this configuration calls for.
    pub fn of(sendmail: &Sendmail, limits: &Limits) -> SendmailNote {
        SendmailNote {
            strict: sendmail.strict,
            spool: sendmail.spool,
            qmailqueue: sendmail.qmailqueue,
            message_size_max: limits.message_size_max,
        }
    }

    /// Leaves it for everybody to read.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn leave(&self, places: &Places) -> anyhow::Result<()> {
        let text = toml::to_string(self).context("the note for sendmail is no TOML")?;
        let name = || format!("cannot write {}", places.note.display());
        let new = places.note.with_extension("new");
        std::fs::write(&new, text).with_context(name)?;
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .with_context(name)?;
        std::fs::rename(&new, &places.note).with_context(name)
    }

    /// Reads it. Where no server has ever run, the defaults count.
    pub fn read(places: &Places) -> SendmailNote {
        let read = std::fs::read_to_string(&places.note).ok();
        read.and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
    }
}

impl Default for SendmailNote {
    fn default() -> Self {
        SendmailNote::of(&Sendmail::default(), &Limits::default())
    }
}

impl Places {
    /// Those of a server with this configuration.
    pub fn of(config: &Config) -> Places {
        Places::below(&config.data)
    }

    /// Those of a program that delivery instructions run, which leaves its mail in this directory.
    pub fn of_handover(directory: PathBuf) -> Places {
        let note = directory.join(HIDDEN_NAME);
        Places { handover: Some(directory), note, ..Places::below(&config::default_data()) }
    }

    /// As `sendmail` finds them: by the directory that `$HIKYAKU_DROP` names; else by the configuration that
    /// `$HIKYAKU_CONFIG` names, else the usual one, as far as this user may read it; of it, only `data`
    /// counts.
    pub fn find() -> Places {
        if let Some(directory) = std::env::var_os(HANDOVER).filter(|directory| !directory.is_empty()) {
            return Places::of_handover(directory.into());
        }
        #[derive(Deserialize)]
        struct Data {
            data: Option<PathBuf>,
        }
        let named = std::env::var_os("HIKYAKU_CONFIG").map(PathBuf::from);
        let path = named.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH));
        let text = std::fs::read_to_string(path).ok();
        let data = text.and_then(|text| toml::from_str::<Data>(&text).ok()?.data);
        Places::below(&data.unwrap_or_else(config::default_data))
    }

    fn below(data: &Path) -> Places {
        let run = data.join("run");
        Places {
            submit: run.join(SUBMIT),
            smtp: run.join(SMTP),
            drop: data.join("drop"),
            handover: None,
            note: run.join(NAME),
        }
    }
}
