//! Walls round a role, put up by itself before it hears anybody: no capability, no new privilege,
//! no core file, no file outside its directories (Landlock), no system call that its work does not
//! need (seccomp). Only what is started afterwards is confined, so this comes before any thread.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::libc;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::control::{Paths, Role};
use crate::privileges::Reach;

/// What the kernel could not do; said once in the log.
#[derive(Debug, Default)]
pub struct Gaps(pub Vec<String>);

/// Confines the process to the role's row of the table.
///
/// # Errors
/// If something fails that every supported kernel can do.
pub fn confine(role: Role, paths: &Paths) -> anyhow::Result<Gaps> {
    let mut gaps = Gaps::default();
    limit_resources()?;
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true).context("cannot give up new privileges")?;
    landlock(role, paths, &mut gaps)?;
    seccomp(role)?;
    Ok(gaps)
}

/// Confines this process further, before it becomes a customer's program: the system's programs to read
/// and run, its home and a directory for temporary files to write, and no way to other programs.
///
/// It cannot leave its process group, so that whoever started it can end all that it started.
///
/// # Errors
/// If something fails that every supported kernel can do.
pub fn confine_program(home: &Path, temporary: &Path) -> anyhow::Result<()> {
    // Ourselves as well: called by another name, we are the program's sendmail.
    let mut ruleset = own_program(system_programs(walls(Role::Programs)?)?)?;
    for directory in [home, temporary] {
        let below = PathFd::new(directory).with_context(|| format!("cannot open {}", directory.display()))?;
        ruleset = ruleset.add_rule(PathBeneath::new(below, AccessFs::from_all(LANDLOCK)))?;
    }
    ruleset.restrict_self()?;
    let leaving = [libc::SYS_setsid, libc::SYS_setpgid].map(|call| (call, Vec::new()));
    apply(refused_to_programs()?.into_iter().chain(leaving).flat_map(also_by_x32).collect())
}

fn limit_resources() -> anyhow::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // As many descriptors as the system gives: connections have limits of their own.
    let files = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })?;
    Ok(())
}

fn drop_capabilities() -> anyhow::Result<()> {
    use caps::{CapSet, has_cap};
    if has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP).unwrap_or(false) {
        for capability in caps::all() {
            // One that this kernel does not know cannot be dropped and need not be.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).with_context(|| format!("cannot drop capabilities ({set:?})"))?;
    }
    Ok(())
}

fn landlock(role: Role, paths: &Paths, gaps: &mut Gaps) -> anyhow::Result<()> {
    // Where the kernel knows Landlock but not this right, it refuses every rename from one directory
    // to another (before 5.19), and no mail could be delivered.
    let renames = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)
        .is_ok();
    if !renames && matches!(role, Role::Local | Role::Maildrop | Role::Submit) {
        gaps.0.push(
            "this kernel's Landlock cannot rename (5.19 can): mailboxes and the drop directory are guarded by their modes alone"
                .into(),
        );
        return Ok(());
    }
    let mut ruleset = walls(role)?;
    if role == Role::Programs {
        // What becomes a program begins as ourselves.
        ruleset = own_program(system_programs(ruleset)?)?;
    }
    for directory in role.directories(paths) {
        let below =
            PathFd::new(&directory).with_context(|| format!("cannot open {}", directory.display()))?;
        ruleset = ruleset.add_rule(PathBeneath::new(below, AccessFs::from_all(LANDLOCK)))?;
    }
    let scoped =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).is_ok();
    if role == Role::Programs && !scoped {
        gaps.0.push(
            "this kernel's Landlock knows no scopes (6.12 does): customers' programs can signal one another"
                .into(),
        );
    }
    let status = ruleset.restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        gaps.0
            .push("this kernel has no Landlock (5.13 has it): files are guarded by their modes alone".into());
    }
    Ok(())
}

/// The newest rights that are asked for, as far as the kernel knows them.
const LANDLOCK: ABI = ABI::V6;

fn walls(role: Role) -> anyhow::Result<RulesetCreated> {
    // No role binds a TCP socket, as listening ones are handed down; and one role connects.
    let network = match role.reach() {
        Reach::Outward => AccessNet::BindTcp.into(),
        Reach::NoFile | Reach::Files => AccessNet::from_all(LANDLOCK),
    };
    Ok(Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(network)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?)
}

/// Where a system has its programs and what they need to run.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
];
/// Devices that every program may expect.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Lets the system's programs be read and run, as far as there are such places.
fn system_programs(mut ruleset: RulesetCreated) -> anyhow::Result<RulesetCreated> {
    let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let use_device = AccessFs::ReadFile | AccessFs::WriteFile;
    let places = SYSTEM.iter().map(|path| (path, read)).chain(DEVICES.iter().map(|path| (path, use_device)));
    for (path, access) in places {
        if let Ok(place) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(place, access))?;
        }
    }
    Ok(ruleset)
}

/// Lets our own program be run, wherever it lies.
fn own_program(ruleset: RulesetCreated) -> anyhow::Result<RulesetCreated> {
    let own = PathFd::new("/proc/self/exe").context("cannot open our own program")?;
    Ok(ruleset.add_rule(PathBeneath::new(own, AccessFs::Execute | AccessFs::ReadFile))?)
}

/// Refused to every role: what would reach other processes and the kernel.
const NEVER: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setgroups,
    libc::SYS_memfd_create,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
];

/// Refused besides to every role but `programs`: what starts and ends programs, and what they use.
const NO_PROGRAM: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_prlimit64,
    // Sockets are handed down.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
];

/// Refused besides to roles that hear strangers: whatever would open or change a file.
const NO_FILE: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_getdents64,
    libc::SYS_renameat,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fchmodat2,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_utimensat,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_newfstatat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_statfs,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_fanotify_init,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
];

fn seccomp(role: Role) -> anyhow::Result<()> {
    if role == Role::Programs {
        return apply(refused_to_programs()?.into_iter().collect());
    }
    let no_file = match role.reach() {
        Reach::NoFile | Reach::Outward => NO_FILE,
        Reach::Files => &[],
    };
    let refused = NEVER.iter().chain(NO_PROGRAM).chain(no_file);
    let mut refused: BTreeMap<_, _> = refused.map(|call| (*call, Vec::new())).collect();
    if role.reach() == Reach::Outward {
        for call in [libc::SYS_connect, libc::SYS_bind] {
            refused.remove(&call);
        }
        let neither =
            |value: i32| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value as u64);
        let rule = SeccompRule::new(vec![neither(libc::AF_INET)?, neither(libc::AF_INET6)?])?;
        refused.insert(libc::SYS_socket, vec![rule]);
    }
    apply(refused)
}

/// A system call, and when it is refused: always, if there is no rule.
type Refused = (libc::c_long, Vec<SeccompRule>);

/// A program may have pairs of sockets, and limit itself. It connects nowhere: sockets of this machine
/// lead to its name service, and where all roles share a user to the operators' as well.
fn refused_to_programs() -> anyhow::Result<Vec<Refused>> {
    let unless = |argument, value: u64| -> anyhow::Result<Vec<SeccompRule>> {
        let other = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)?;
        Ok(vec![SeccompRule::new(vec![other])?])
    };
    let mut refused: Vec<Refused> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    refused.push((libc::SYS_socket, unless(0, libc::AF_UNIX as u64)?));
    refused.push((libc::SYS_connect, Vec::new()));
    refused.push((libc::SYS_prlimit64, unless(0, 0)?));
    Ok(refused)
}

/// The call under its second number, which kernels with x32 know: our own code never uses that, but a
/// program might.
fn also_by_x32((call, rules): Refused) -> impl Iterator<Item = Refused> {
    const X32: libc::c_long = 0x4000_0000;
    let second = cfg!(target_arch = "x86_64").then(|| (call | X32, rules.clone()));
    [(call, rules)].into_iter().chain(second)
}

fn apply(refused: BTreeMap<libc::c_long, Vec<SeccompRule>>) -> anyhow::Result<()> {
    let filter = SeccompFilter::new(
        refused,
        SeccompAction::Allow,
        // An error rather than death: a library that tries and does without goes on.
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program).context("cannot apply the system call filter")
}
