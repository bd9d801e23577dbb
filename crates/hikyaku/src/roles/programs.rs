//! Role `programs`, user `hikyaku-programs`. Hears `local`, which brings commands out of instructions.
//! Starts programs, each through `commands/run_program.rs` behind walls of its own, and touches their
//! homes, where no mail lies. Only a server with `[delivery] programs = true` has it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use link::services::programs::{End, Programs, Ran, Run};
use link::{Parcel, serve};
use local::dot_qmail::VARIABLES;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tempfile::TempDir;
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Caller, Orders, Told, ended, local::content};
use crate::config::Delivery;
use crate::control::{Role, Start};

/// Programs at the same time.
const AT_ONCE: usize = 20;
/// Programs of one account at the same time.
const AT_ONCE_OF_ACCOUNT: usize = 2;
/// How long one waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(30);
/// How long one that took too long may take to end itself.
const END_WITHIN: Duration = Duration::from_secs(5);
/// How long what is left in its pipe may take, once all its processes are gone.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);
/// Octets of its output that are kept.
const OUTPUT_MAX: usize = 4096;
/// Where messages and temporary files lie, beside the homes: no account has such a name.
const TEMPORARY: &str = ".tmp";
/// What a program that is started by nobody in particular has.
const SURROUNDINGS: [(&str, &str); 2] = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8")];

/// How long this role may take over an answer.
pub(super) fn answers_within(delivery: &Delivery) -> Duration {
    TURN_WITHIN + Duration::from_secs(delivery.program_time_max) + END_WITHIN + Duration::from_secs(15)
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let house = Arc::new(House::new(start)?);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Answer(role @ Role::Local, stream) => {
                let house = Arc::clone(&house);
                let served = serve::<Programs>(
                    stream,
                    |_| {},
                    move |request, responder| {
                        let house = Arc::clone(&house);
                        tokio::spawn(async move { responder.send(house.run(request).await) });
                    },
                );
                tokio::spawn(async move { ended::<Programs>(Caller::Role(role), served.await) });
            }
            Told::Stop => {
                house.stop().await;
                return Ok(());
            }
            _ => {}
        }
    }
}

struct House {
    homes: PathBuf,
    delivery: Delivery,
    own_user: bool,
    turns: Arc<Semaphore>,
    /// Turns of each account that has programs running or waiting.
    turns_of: Mutex<HashMap<PathBuf, Arc<Semaphore>>>,
    stopping: watch::Sender<bool>,
    /// What becomes the program, of what [`Place`] and command: another in tests.
    starter: fn(&House, &Place, &OsStr) -> Command,
}

/// The leave to run, until it is dropped.
struct Turn<'a> {
    house: &'a House,
    home: &'a Path,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permits = None;
        let mut turns_of = self.house.turns_of.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or runs holds it, too.
        if turns_of.get(self.home).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            turns_of.remove(self.home);
        }
    }
}

/// Where a program runs.
struct Place {
    home: PathBuf,
    temporary: TempDir,
    /// The message, in a file without a name: a program may read it again from the beginning, as
    /// programs written for qmail do.
    message: File,
}

impl House {
    fn new(start: Start) -> anyhow::Result<House> {
        let homes = start.settings.paths.programs;
        let temporary = homes.join(TEMPORARY);
        // What a role that died left behind.
        let _ = std::fs::remove_dir_all(&temporary);
        DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .with_context(|| format!("cannot make {}", temporary.display()))?;
        Ok(House {
            homes,
            delivery: start.settings.delivery,
            own_user: start.own_user,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            turns_of: Mutex::default(),
            stopping: watch::Sender::new(false),
            starter: behind_walls,
        })
    }

    /// Ends what runs, and waits until it is gone.
    async fn stop(&self) {
        self.stopping.send_replace(true);
        let all = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let _ = timeout(END_WITHIN, self.turns.acquire_many(all)).await;
    }

    async fn run(self: Arc<House>, request: Parcel<Run>) -> Ran {
        let Parcel { value: run, raw, fds } = request;
        let account = run.account.clone();
        let ran = match self.try_to_run(run, raw, fds).await {
            Ok(ran) => ran,
            Err(why) => Ran { end: End::NotStarted(format!("{why:#}.")), output: Vec::new() },
        };
        match &ran.end {
            End::NotStarted(why) => warn!(event = "program_not_started", %account, why),
            end => info!(event = "program_ended", %account, ?end),
        }
        ran
    }

    async fn try_to_run(
        self: &Arc<House>,
        run: Run,
        raw: bytes::Bytes,
        fds: Vec<OwnedFd>,
    ) -> anyhow::Result<Ran> {
        let plain = run.home.components().all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(plain && run.home.components().count() == 1, "the home has no name of a home");
        let known = run.environment.iter().all(|(name, _)| VARIABLES.contains(&name.as_str()));
        anyhow::ensure!(known, "a variable has no name that programs are told");
        let content = content(run.file_size, raw, fds).context("the message came without its file")?;
        let _turn = self.turn(&run.home).await?;
        let (homes, home) = (self.homes.clone(), self.homes.join(&run.home));
        let place = tokio::task::spawn_blocking(move || Place::prepare(&homes, home, &content)).await??;
        let ran = self.run_at(&place, &run).await;
        // Removes what it left there.
        tokio::task::spawn_blocking(move || drop(place));
        ran
    }

    /// Waits for its turn: first among the account's own, so that one with many keeps nobody else waiting.
    async fn turn<'a>(&'a self, home: &'a Path) -> anyhow::Result<Turn<'a>> {
        let own = {
            let mut turns_of = self.turns_of.lock().unwrap_or_else(PoisonError::into_inner);
            let own = turns_of.entry(home.to_path_buf());
            Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE_OF_ACCOUNT))))
        };
        let mut turn = Turn { house: self, home, permits: None };
        let both = async {
            let first = own.acquire_owned().await?;
            anyhow::Ok((first, Arc::clone(&self.turns).acquire_owned().await?))
        };
        let permits = timeout(TURN_WITHIN, both).await.context("too many programs run at this moment")??;
        anyhow::ensure!(!*self.stopping.borrow(), "the server is stopping");
        turn.permits = Some(permits);
        Ok(turn)
    }

    async fn run_at(&self, place: &Place, run: &Run) -> anyhow::Result<Ran> {
        let (read, write) = std::io::pipe()?;
        let mut command = (self.starter)(self, place, OsStr::from_bytes(&run.command));
        command
            .env_clear()
            .envs(run.environment.iter().map(|(name, value)| (name, OsStr::from_bytes(value))))
            .envs(SURROUNDINGS)
            .env("TMPDIR", place.temporary.path())
            .env("HOME", &place.home)
            .stdin(place.message.try_clone()?)
            .stdout(write.try_clone()?)
            .stderr(write);
        // From the only thread that lives as long as the role: a program ends with the one that started it.
        let child = command.spawn().context("cannot start it")?;
        // With it goes our end of the pipe's writing side.
        drop(command);
        let mut output = tokio::spawn(read_output(pipe::Receiver::from_owned_fd(read.into())?));
        let end = self.wait(Running::of(child)).await;
        let output = match timeout(OUTPUT_WITHIN, &mut output).await {
            Ok(Ok(output)) => output,
            _ => {
                output.abort();
                Vec::new()
            }
        };
        Ok(Ran { end, output })
    }

    /// Waits for the end of a program, or ends it: when its time is over, or the server stops. Then
    /// whatever it started is ended, too.
    async fn wait(&self, running: Running) -> End {
        let mut stopping = self.stopping.subscribe();
        let mut timed_out = false;
        tokio::select! {
            () = running.ended() => {}
            () = sleep(Duration::from_secs(self.delivery.program_time_max)) => {
                timed_out = true;
                running.signal(Signal::TERM);
                let _ = timeout(END_WITHIN, running.ended()).await;
            }
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {}
        }
        let end = running.reap().await;
        if timed_out { End::TimedOut } else { end }
    }
}

/// A program that was started. Dropped, it is ended.
struct Running {
    child: Child,
    pid: Pid,
    /// Whether it has ended. It is not reaped by that, so that its number stays its own.
    ended: watch::Receiver<bool>,
    reaped: bool,
}

impl Running {
    fn of(child: Child) -> Running {
        let pid = Pid::from_child(&child);
        let (sender, ended) = watch::channel(false);
        // A thread for each, as there are few.
        tokio::task::spawn_blocking(move || {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), look), Err(rustix::io::Errno::INTR)) {}
            sender.send_replace(true);
        });
        Running { child, pid, ended, reaped: false }
    }

    async fn ended(&self) {
        let mut ended = self.ended.clone();
        drop(ended.wait_for(|ended| *ended).await);
    }

    /// To all its processes. As long as it is not reaped, its number is nobody else's.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
        // It may not have begun a group yet.
        let _ = kill_process(self.pid, signal);
    }

    /// Ends whatever of it is left, and says how it ended.
    async fn reap(mut self) -> End {
        self.signal(Signal::KILL);
        self.ended().await;
        self.reaped = true;
        match self.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => End::Exited(code),
                (None, signal) => End::Signalled(signal.unwrap_or_default()),
            },
            Err(error) => End::NotStarted(error.to_string()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Place {
    fn prepare(homes: &Path, home: PathBuf, content: &::local::Content) -> anyhow::Result<Place> {
        match DirBuilder::new().mode(0o700).create(&home) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).context("its home cannot be made");
            }
            _ => {}
        }
        let temporary = TempDir::new_in(homes.join(TEMPORARY)).context("no room for temporary files")?;
        // Where the program may open it again, as /dev/stdin.
        let mut message = tempfile::tempfile_in(temporary.path()).context("no room for the message")?;
        content.write_with_lf(&mut message).map_err(|error| match error {
            ::local::NotCopied::Read(error) | ::local::NotCopied::Write(error) => {
                anyhow::Error::new(error).context("the message cannot be copied")
            }
        })?;
        message.flush()?;
        message.rewind()?;
        Ok(Place { home, temporary, message })
    }
}

/// `hikyaku run-program`: this program, even if another lies in its place since.
fn behind_walls(house: &House, place: &Place, program: &OsStr) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("hikyaku").arg("run-program").current_dir("/");
    command.arg("--home").arg(&place.home).arg("--temporary").arg(place.temporary.path());
    command.arg("--memory-max").arg(house.delivery.program_memory_max.to_string());
    command.arg("--time-max").arg(house.delivery.program_time_max.to_string());
    if house.own_user {
        command.arg("--own-user");
    }
    command.arg("--").arg(program);
    command
}

/// The beginning of the output; the rest is read, so that nobody waits for room, and dropped.
async fn read_output(pipe: pipe::Receiver) -> Vec<u8> {
    let mut output = Vec::new();
    let mut piece = [0; OUTPUT_MAX];
    loop {
        if pipe.readable().await.is_err() {
            return output;
        }
        match pipe.try_read(&mut piece) {
            Ok(0) => return output,
            Ok(read) => {
                let wanted = read.min(OUTPUT_MAX - output.len());
                output.extend_from_slice(&piece[..wanted]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A house whose programs run without walls, in a process group of their own.
    fn house(time_max: u64) -> (TempDir, Arc<House>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(TEMPORARY)).unwrap();
        let house = House {
            homes: dir.path().to_path_buf(),
            delivery: Delivery { program_time_max: time_max, ..Delivery::default() },
            own_user: false,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            turns_of: Mutex::default(),
            stopping: watch::Sender::new(false),
            starter: |_, place, program| {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(program).process_group(0).current_dir(&place.home);
                command
            },
        };
        (dir, Arc::new(house))
    }

    fn request(command: &str) -> Parcel<Run> {
        let run = Run {
            account: "abc".parse().unwrap(),
            home: "abc.1".into(),
            command: command.into(),
            environment: vec![("SENDER".into(), b"$(touch x)'\"@x.example".to_vec())],
            file_size: None,
        };
        Parcel::with_raw(run, "Subject: x\r\n\r\nhi\r\n".into())
    }

    async fn run(house: &Arc<House>, command: &str) -> (End, String) {
        let ran = Arc::clone(house).run(request(command)).await;
        (ran.end, String::from_utf8_lossy(&ran.output).into_owned())
    }

    /// Waits until the process that wrote its number there is gone.
    async fn is_gone(house: &House, file: &str) {
        let pid = std::fs::read_to_string(house.homes.join("abc.1").join(file)).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..200 {
            if !alive() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{pid} lives on");
    }

    #[tokio::test]
    async fn a_program_reads_the_message_and_its_end_and_output_are_told() {
        let (dir, house) = house(60);
        let (end, output) = run(&house, "cat; cat >&2 </dev/stdin; pwd >here; exit 99").await;
        let message = "Subject: x\n\nhi\n";
        assert_eq!((end, output), (End::Exited(99), format!("{message}{message}")));
        assert!(dir.path().join("abc.1/here").exists());
        // It reads nothing.
        assert_eq!(run(&house, "exec <&-; exit 3").await.0, End::Exited(3));
        assert_eq!(run(&house, "kill -9 $$").await.0, End::Signalled(9));
        let (_, output) = run(&house, "echo \"$SENDER\" \"$TMPDIR\"; echo x >$TMPDIR/x; set").await;
        assert!(output.starts_with("$(touch x)'\"@x.example "), "{output}");
        assert!(!dir.path().join("abc.1/x").exists());
        assert!(!output.contains("CARGO"), "nothing of the role's own surroundings: {output}");
        // What was put aside is gone, in a moment.
        for _ in 0..100 {
            if std::fs::read_dir(dir.path().join(TEMPORARY)).unwrap().count() == 0 {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(std::fs::read_dir(dir.path().join(TEMPORARY)).unwrap().count(), 0);
        assert!(house.turns_of.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn endless_output_is_read_and_the_beginning_kept() {
        let (_dir, house) = house(60);
        let (end, output) = run(&house, "head -c 3000000 /dev/zero | tr '\\0' x; exit 7").await;
        assert_eq!((end, output.len()), (End::Exited(7), OUTPUT_MAX));
    }

    #[tokio::test]
    async fn one_that_sleeps_for_ever_is_ended_with_all_that_it_started() {
        let (_dir, house) = house(1);
        let begin = Instant::now();
        // It does not listen, and neither does its child.
        let (end, _) = run(&house, "trap '' TERM; sleep 1000 & echo $! >child; wait; sleep 1000").await;
        assert_eq!(end, End::TimedOut);
        assert!(begin.elapsed() >= Duration::from_secs(1) + END_WITHIN);
        is_gone(&house, "child").await;
        // Nor does what one leaves behind live on.
        let (end, _) = run(&house, "sleep 1000 & echo $! >child; exit 0").await;
        assert_eq!(end, End::Exited(0));
        is_gone(&house, "child").await;
    }

    #[tokio::test]
    async fn an_account_runs_two_at_once_and_the_others_wait() {
        let (_dir, house) = house(60);
        let begin = Instant::now();
        let runs: Vec<_> = (0..4)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { run(&house, "sleep 0.4").await.0 })
            })
            .collect();
        for ran in runs {
            assert_eq!(ran.await.unwrap(), End::Exited(0));
        }
        assert!(begin.elapsed() >= Duration::from_millis(800));
    }

    #[tokio::test]
    async fn when_the_server_stops_programs_end() {
        let (_dir, house) = house(60);
        let running = tokio::spawn({
            let house = Arc::clone(&house);
            async move { run(&house, "echo begun >begun; sleep 1000").await.0 }
        });
        while !house.homes.join("abc.1/begun").exists() {
            sleep(Duration::from_millis(10)).await;
        }
        let begin = Instant::now();
        house.stop().await;
        assert_eq!(running.await.unwrap(), End::Signalled(9));
        assert!(begin.elapsed() < END_WITHIN);
        assert!(matches!(run(&house, "true").await.0, End::NotStarted(why) if why.contains("stopping")));
    }

    #[tokio::test]
    async fn what_no_honest_caller_asks_is_refused() {
        let (_dir, house) = house(60);
        for home in ["..", "../x", "/etc", "a/b", ""] {
            let mut asked = request("true");
            asked.value.home = home.into();
            assert!(matches!(Arc::clone(&house).run(asked).await.end, End::NotStarted(_)), "{home}");
        }
        for name in ["LD_PRELOAD", "PATH", "ENV", ""] {
            let mut asked = request("true");
            asked.value.environment = vec![(name.into(), b"x".to_vec())];
            assert!(matches!(Arc::clone(&house).run(asked).await.end, End::NotStarted(_)), "{name}");
        }
        let mut nul = request("true");
        nul.value.command = b"true\0".to_vec();
        assert!(matches!(Arc::clone(&house).run(nul).await.end, End::NotStarted(_)));
    }
}
