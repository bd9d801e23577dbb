//! Role `programs`, user `hikyaku-programs`. Hears `local`, which brings commands out of instructions; calls
//! `submit` (here is what a program wants sent). Starts programs, each through `commands/run_program.rs`
//! behind walls of its own, and touches their homes, where no mail lies. Only a server with
//! `[delivery] programs = true` has it.
//!
//! A program that calls `sendmail` or `forward` leaves its mail in a directory of its own (`left.rs`). It
//! goes when the program has succeeded, and the program has succeeded when it went: so mail is not lost,
//! and none is sent by a delivery that is tried again.

mod left;

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

use ::sendmail::refusal::sysexits;
use ::sendmail::{Face, Manner, Refusal};
use anyhow::Context;
use arc_swap::ArcSwap;
use link::services::programs::{End, Programs, Ran, Run};
use link::services::submit::{Request, Response, Submit};
use link::{Client, Parcel, serve};
use local::dot_qmail::{ProgramOutcome, VARIABLES};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tempfile::TempDir;
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Caller, Orders, PATIENCE, Told, ended, local::content};
use crate::commands::links::Links;
use crate::config::Delivery;
use crate::control::{Role, Settings, Start};
use crate::sendmail_note::{HANDOVER, Places, SendmailNote};

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
/// Where the programs lie, beside the homes as well, by which a program hands mail in.
const OWN_PROGRAMS: &str = ".bin";
/// These.
const FACES: [Face; 4] = [Face::Sendmail, Face::QmailInject, Face::QmailQueue, Face::Forward];
/// Where the system's programs lie.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// How long `submit` may take over what a program left.
const SENT_WITHIN: Duration = Duration::from_secs(60);

/// How long this role may take over an answer.
pub(super) fn answers_within(delivery: &Delivery) -> Duration {
    let run = Duration::from_secs(delivery.program_time_max) + END_WITHIN;
    TURN_WITHIN + run + PATIENCE + SENT_WITHIN + Duration::from_secs(15)
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
            Told::Call(called @ Role::Submit, stream) => house.submit.attach(stream, orders.mend(called))?,
            Told::Reload(settings) => house.note.store(Arc::new(note(&settings))),
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
    submit: Client<Submit>,
    /// What `sendmail` is told.
    note: ArcSwap<SendmailNote>,
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
    /// The same, as nobody can have changed it.
    content: ::local::Content,
    /// Where it finds what `sendmail` must know, and leaves mail.
    places: Places,
}

fn note(settings: &Settings) -> SendmailNote {
    SendmailNote::of(&settings.sendmail, &settings.limits)
}

impl House {
    fn new(start: Start) -> anyhow::Result<House> {
        let homes = start.settings.paths.programs.clone();
        let temporary = homes.join(TEMPORARY);
        // What a role that died left behind.
        let _ = std::fs::remove_dir_all(&temporary);
        DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .with_context(|| format!("cannot make {}", temporary.display()))?;
        let own_programs = homes.join(OWN_PROGRAMS);
        let _ = std::fs::remove_dir_all(&own_programs);
        Links::wanted(&own_programs, &FACES, &std::env::current_exe()?)?.make()?;
        Ok(House {
            homes,
            submit: Client::new(PATIENCE).answers_within(SENT_WITHIN),
            note: ArcSwap::from_pointee(note(&start.settings)),
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
        let home = run.home.clone();
        let _turn = self.turn(&home).await?;
        let (homes, home) = (self.homes.clone(), self.homes.join(&home));
        let note = self.note.load_full();
        let place =
            tokio::task::spawn_blocking(move || Place::prepare(&homes, home, content, &note)).await??;
        let mut ran = self.run_at(&place, &run).await;
        let place = match &mut ran {
            Ok(ran) if has_succeeded(&ran.end) => {
                let (place, sent) = self.send_left(place, run).await?;
                if let Err(refusal) = sent {
                    ran.end = not_sent(&refusal);
                }
                place
            }
            _ => place,
        };
        // Removes what it left there.
        tokio::task::spawn_blocking(move || drop(place));
        ran
    }

    /// Has sent what a program left that succeeded.
    async fn send_left(&self, place: Place, run: Run) -> anyhow::Result<(Place, Result<(), Refusal>)> {
        let message_max = self.note.load().message_size_max;
        let account = run.account.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let left = left::collect(&place, &run, message_max);
            (place, left)
        });
        let (place, left) = looked.await?;
        let sent = match left {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => {
                let (files, fds): (Vec<_>, Vec<OwnedFd>) = left.into_iter().unzip();
                let messages = files.len();
                let request = Request::TakeLeft { account: account.clone(), files };
                match self.submit.call(Parcel::with_fds(request, fds)).await.map(|answer| answer.value) {
                    Ok(Response::Accepted(id)) => {
                        info!(event = "program_sent", %account, messages, queue_id = %id);
                        Ok(())
                    }
                    Ok(Response::Refused(refusal)) => Err(refusal),
                    Ok(_) => Err(Refusal::Fault("the mail server answers something else".into())),
                    // It may have gone, or not: as after any crash the program runs again.
                    Err(error) => Err(Refusal::ServerAway(error.to_string())),
                }
            }
            Err(refusal) => Err(refusal),
        };
        Ok((place, sent))
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
            .env("PATH", format!("{}:{PATH}", self.homes.join(OWN_PROGRAMS).display()))
            .env("LANG", "C.UTF-8")
            .envs(place.places.handover.iter().map(|directory| (HANDOVER, directory)))
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
    fn prepare(
        homes: &Path,
        home: PathBuf,
        content: ::local::Content,
        note: &SendmailNote,
    ) -> anyhow::Result<Place> {
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
        let places = Places::of_handover(left::make(temporary.path()).context("no room for its mail")?);
        note.leave(&places)?;
        Ok(Place { home, temporary, message, content, places })
    }
}

fn has_succeeded(end: &End) -> bool {
    let delivered = |code| {
        matches!(ProgramOutcome::of_exit(code), ProgramOutcome::Delivered | ProgramOutcome::DeliveredAndDone)
    };
    matches!(end, End::Exited(code) if delivered(*code))
}

fn not_sent(refusal: &Refusal) -> End {
    // A fault is ours, and the mail is not.
    let code = refusal.exit_code(Manner::Helpful);
    let for_good = !matches!(code, sysexits::TEMPFAIL | sysexits::SOFTWARE);
    End::NotSent { why: format!("{refusal}; {}", refusal.remedy()), for_good }
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
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use envelope::QueueId;
    use link::Responder;

    /// A house whose programs run without walls, in a process group of their own.
    fn house(time_max: u64) -> (TempDir, Arc<House>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(TEMPORARY)).unwrap();
        let house = House {
            homes: dir.path().to_path_buf(),
            delivery: Delivery { program_time_max: time_max, ..Delivery::default() },
            submit: Client::new(Duration::from_millis(100)),
            note: ArcSwap::from_pointee(SendmailNote::default()),
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

    /// A role `submit` that answers so. Gives what was in the files that came.
    fn submit(house: &House, answer: Response) -> Arc<Mutex<Vec<String>>> {
        let came = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&came);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let take = move |request: Parcel<Request>, responder: Responder<Submit>| {
            let Request::TakeLeft { account, files } = request.value else { panic!("nothing else is asked") };
            assert_eq!((account.as_str(), files.len()), ("abc", request.fds.len()));
            for fd in request.fds {
                let mut text = String::new();
                File::from(fd).read_to_string(&mut text).unwrap();
                noted.lock().unwrap().push(text);
            }
            responder.send(answer.clone());
        };
        tokio::spawn(serve::<Submit>(theirs, |_| {}, take));
        house.submit.attach(ours, || {}).unwrap();
        came
    }

    const LEAVE_TWO: &str = "cd $HIKYAKU_DROP; for n in 1 2; do echo $n >0000000000000000000000000000000$n; \
        echo half >.new-$n; done; exit";

    #[tokio::test]
    async fn what_a_program_leaves_goes_if_it_succeeds_and_it_succeeds_if_that_goes() {
        let (_dir, house) = house(60);
        let (end, _) = run(&house, LEAVE_TWO).await;
        assert!(matches!(end, End::NotSent { for_good: false, .. }), "nobody takes it: {end:?}");
        let came = submit(&house, Response::Accepted(QueueId::from_u64(1)));
        for failure in [1, 100, 111] {
            assert_eq!(run(&house, &format!("{LEAVE_TWO} {failure}")).await.0, End::Exited(failure));
        }
        assert_eq!(run(&house, "true").await.0, End::Exited(0));
        assert!(came.lock().unwrap().is_empty());
        for success in [0, 99] {
            assert_eq!(run(&house, &format!("{LEAVE_TWO} {success}")).await.0, End::Exited(success));
            let came = std::mem::take(&mut *came.lock().unwrap());
            assert_eq!(came, ["1\n", "2\n"], "in this order, and nothing unfinished");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_the_end_of_a_program_that_left_mail() {
        let (_dir, house) = house(60);
        for (refusal, for_good) in [
            (Refusal::StorageFull, false),
            (Refusal::Fault("x".into()), false),
            (Refusal::Nul, true),
            (Refusal::NoSuchMailbox(Vec::new()), true),
        ] {
            submit(&house, Response::Refused(refusal.clone()));
            let why = format!("{refusal}; {}", refusal.remedy());
            assert_eq!(run(&house, LEAVE_TWO).await.0, End::NotSent { why, for_good });
        }
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
