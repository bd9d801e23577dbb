//! Which system user each role is, and what it may touch: the table of the design, as code.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::{Gid, Group, Uid, User};

use crate::config::Config;
use crate::control::{Paths, Role};

/// The group of those that touch mailboxes.
pub const MAIL_GROUP: &str = "hikyaku-mail";

/// What a role may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Sockets that it was handed, and no file.
    NoFile,
    /// Sockets that it makes to other hosts, and no file.
    Outward,
    /// Files below its directories, and no network. (`programs`: the system's programs besides.)
    Files,
}

impl Role {
    /// The system user that the role runs as if the server is started as root.
    pub fn user(self) -> String {
        format!("hikyaku-{}", self.name())
    }

    /// The group that the role runs as.
    pub fn group(self, config: &Config) -> String {
        match self {
            // They share the mailboxes, and nothing else.
            Role::Local | Role::Maildrop => MAIL_GROUP.to_string(),
            // It reads what members of the group leave for it.
            Role::Submit => config.sendmail.spool_group.clone(),
            _ => self.user(),
        }
    }

    /// Whether the role may open files at all.
    pub fn reach(self) -> Reach {
        match self {
            Role::Smtp | Role::Pop3 | Role::Web => Reach::NoFile,
            Role::Remote => Reach::Outward,
            Role::Keys
            | Role::Directory
            | Role::Programs
            | Role::Local
            | Role::Maildrop
            | Role::Queue
            | Role::Submit => Reach::Files,
        }
    }

    /// The directories below which it may open files.
    pub fn directories(self, paths: &Paths) -> Vec<PathBuf> {
        match self {
            Role::Smtp | Role::Pop3 | Role::Web | Role::Remote => Vec::new(),
            Role::Keys => vec![paths.keys.clone()],
            Role::Directory => paths.database.parent().map(Path::to_path_buf).into_iter().collect(),
            Role::Programs => vec![paths.programs.clone()],
            Role::Local | Role::Maildrop => vec![paths.mail.clone()],
            Role::Queue => vec![paths.spool.clone()],
            Role::Submit => vec![paths.drop.clone()],
        }
    }
}

/// Ids of the system users, or none where all roles share the user that started the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identities {
    /// Every role runs as whoever started the server.
    Shared,
    /// Every role has a system user of its own.
    Own,
}

impl Identities {
    /// What this start of the server calls for.
    pub fn of(config: &Config) -> Identities {
        if Uid::effective().is_root() && !config.users.shared { Identities::Own } else { Identities::Shared }
    }

    /// User and group ids of a role, where it has its own.
    ///
    /// # Errors
    /// If the system user is missing.
    pub fn of_role(self, role: Role, config: &Config) -> anyhow::Result<Option<(Uid, Gid)>> {
        if self == Identities::Shared {
            return Ok(None);
        }
        let missing = |name: &str| {
            format!("the system user or group {name} is missing; `hikyaku init`, run as root, makes them all")
        };
        let (name, group) = (role.user(), role.group(config));
        let user = User::from_name(&name)?.with_context(|| missing(&name))?;
        let group = Group::from_name(&group)?.with_context(|| missing(&group))?;
        if user.uid.is_root() {
            bail!("the system user {} is root: give it an id of its own", role.user());
        }
        Ok(Some((user.uid, group.gid)))
    }
}

/// Makes the data of a new server: an empty file where the directory role will make its database.
/// A server without it does not start, so that a disk that is not mounted is noticed.
///
/// # Errors
/// Says what could not be made.
pub fn found(config: &Config, identities: Identities) -> anyhow::Result<()> {
    prepare_directories(config, identities)?;
    let database = config.database();
    let name = || format!("cannot make {}", database.display());
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    match options.open(&database) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error).with_context(name),
    }
    if let Some((uid, gid)) = identities.of_role(Role::Directory, config)? {
        nix::unistd::chown(&database, Some(uid), Some(gid)).with_context(name)?;
    }
    Ok(())
}

/// Makes the directories of the roles, each for its own user. Existing ones keep what is in them.
///
/// # Errors
/// Says which directory could not be made or given away.
pub fn prepare_directories(config: &Config, identities: Identities) -> anyhow::Result<()> {
    make(&config.data, 0o755, None)?;
    make(&config.run_dir(), 0o755, None)?;
    let paths = crate::control::Settings::of(config).paths;
    let owners = [Role::Keys, Role::Directory, Role::Programs, Role::Local, Role::Queue, Role::Submit];
    for role in owners.into_iter().filter(|role| role.is_wanted(config)) {
        let owner = identities.of_role(role, config)?;
        let mode = match role {
            // Set-group-id: what `local` makes, `maildrop` may change, whoever made it.
            Role::Local => 0o2770,
            // Whoever is in the group may leave files there, but neither list nor take away what others
            // left; they get the group, so that `submit` can read them.
            Role::Submit if identities == Identities::Own => 0o3730,
            _ => 0o700,
        };
        for directory in role.directories(&paths) {
            make(&directory, mode, owner)?;
        }
    }
    Ok(())
}

fn make(directory: &Path, mode: u32, owner: Option<(Uid, Gid)>) -> anyhow::Result<()> {
    let name = || format!("{}", directory.display());
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", name()))?;
    if let Some((uid, gid)) = owner {
        nix::unistd::chown(directory, Some(uid), Some(gid))
            .with_context(|| format!("cannot give {} to its role", name()))?;
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", name()))
}
