//! Role `local` (the MDA), user `hikyaku-local`. Hears `queue`, which brings messages, and
//! `directory`, which wants a mailbox for a new account or asks how full one is. Calls `programs`.
//! Touches mailboxes and what lies beside them, and no network.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use envelope::{AccountName, Address, Host, Limit, LocalAddress};
use link::services::local::{
    Deliver, Delivered, Done, Forward, Local, LocalRecipient, Outcome, OwnerAddress, Request, Response, Usage,
};
use link::services::programs::{End, Programs, Run};
use link::{Client, Parcel, Responder, serve};
use local::dot_qmail::OwnerFound;
use local::{Assignment, Content, Errand, Job, Pool, Program, ProgramEnd, Step, Terms, append_to_mbox};
use mailbox::{Maildir, Room};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{Caller, Orders, PATIENCE, Told, ended, programs, unix_now};
use crate::config::Delivery;
use crate::control::{Role, Start};

/// How long a file may be locked by somebody else, and then be written.
const FILE_WITHIN: Duration = Duration::from_secs(45);
/// A margin for slow disks.
const MARGIN: Duration = Duration::from_secs(30);

/// How long this role may take over one message: longer than the others, where its recipients have
/// programs run.
pub(super) fn answers_within(delivery: &Delivery) -> Duration {
    steps_begin_within(delivery) + programs::answers_within(delivery).max(FILE_WITHIN) + MARGIN
}

/// After so long no further instruction of an address begins, however many it has.
fn steps_begin_within(delivery: &Delivery) -> Duration {
    Duration::from_secs(delivery.program_time_max)
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let house = Arc::new(House::new(start)?);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Answer(role, stream) => {
                let house = Arc::clone(&house);
                let served = serve::<Local>(
                    stream,
                    |_| {},
                    move |request, responder| answer(&house, role, request, responder),
                );
                tokio::spawn(async move { ended::<Local>(Caller::Role(role), served.await) });
            }
            Told::Call(called @ Role::Programs, stream) => {
                house.programs.attach(stream, orders.mend(called))?;
            }
            // The queue has stopped by now, and nothing is in hand.
            Told::Stop => return Ok(()),
            _ => {}
        }
    }
}

struct House {
    pool: Pool,
    programs: Client<Programs>,
    program_homes: PathBuf,
    host: Host,
    delivery: Delivery,
}

impl House {
    fn new(start: Start) -> anyhow::Result<House> {
        let settings = start.settings;
        let terms = Terms {
            host: settings.hostname.clone(),
            full_grace: Duration::from_secs(settings.delivery.full_grace),
        };
        Ok(House {
            pool: Pool::start(settings.queue.local_concurrency, &terms)?,
            programs: Client::new(PATIENCE).answers_within(programs::answers_within(&settings.delivery)),
            program_homes: settings.paths.programs,
            host: Host::Domain(settings.hostname),
            delivery: settings.delivery,
        })
    }
}

fn answer(house: &Arc<House>, caller: Role, request: Parcel<Request>, responder: Responder<Local>) {
    let Parcel { value, raw, fds } = request;
    match (caller, value) {
        (Role::Queue, Request::Deliver(deliver)) => {
            let Some(content) = content(deliver.file_size, raw, fds) else {
                return error!(queue_id = %deliver.id, "a message came without its file");
            };
            accept(house, deliver, &content, responder);
        }
        (Role::Directory, Request::Create(mailbox)) => {
            tokio::task::spawn_blocking(move || {
                responder.send(match Maildir::create(&mailbox.maildir) {
                    Ok(_) => Response::Created,
                    Err(problem) => {
                        error!(event = "mailbox_not_made", account = %mailbox.account, %problem);
                        Response::NotCreated(problem.to_string())
                    }
                });
            });
        }
        (Role::Directory, Request::Usage(address)) => {
            tokio::task::spawn_blocking(move || responder.send(Response::Usage(usage(&address))));
        }
        // Dropping the responder tells the caller that it has no answer.
        (caller, _) => warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not"),
    }
}

/// The mail data that came with a call; `None` if its file did not.
pub(super) fn content(file_size: Option<u64>, raw: Bytes, fds: Vec<OwnedFd>) -> Option<Content> {
    match file_size {
        None => Some(Content::Memory(raw)),
        Some(size) => {
            let fd = fds.into_iter().next()?;
            Some(Content::File(Arc::new(File::from(fd)), size))
        }
    }
}

fn usage(address: &LocalAddress) -> Option<Usage> {
    let Limit::AtMost(quota) = address.quota else { return None };
    let maildir = Maildir::at(&address.mailbox.maildir);
    match Room::of(&maildir, quota, SystemTime::now()).usage() {
        Ok(usage) => Some(Usage { octets: usage.octets, full_since: usage.full_since.map(seconds) }),
        Err(problem) => {
            warn!(event = "mailbox_error", account = %address.mailbox.account, %problem);
            None
        }
    }
}

/// Outcomes of one message's deliveries as they come in; the last one answers.
#[derive(Clone)]
struct Gathering(Arc<Mutex<Option<Answers>>>);

struct Answers {
    responder: Responder<Local>,
    outcomes: Vec<Delivered>,
    expected: usize,
}

impl Gathering {
    fn add(&self, number: u32, outcome: Outcome) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(so_far) = answers.as_mut() else { return };
        so_far.outcomes.push(Delivered { number, outcome });
        if so_far.outcomes.len() == so_far.expected
            && let Some(complete) = answers.take()
        {
            complete.responder.send(Response::Delivered(complete.outcomes));
        }
    }
}

fn accept(house: &Arc<House>, mut deliver: Deliver, content: &Content, responder: Responder<Local>) {
    let recipients = std::mem::take(&mut deliver.recipients);
    let expected = recipients.len();
    if expected == 0 {
        return responder.send(Response::Delivered(Vec::new()));
    }
    let outcomes = Vec::with_capacity(expected);
    let gathering = Gathering(Arc::new(Mutex::new(Some(Answers { responder, outcomes, expected }))));
    let message = Arc::new(Message { envelope: deliver, content: content.clone() });
    for LocalRecipient { number, address, local, orders, has_it } in recipients {
        let gathering = gathering.clone();
        match orders {
            Some(orders) => {
                let assignment = house.assignment(&message, address, local, orders, has_it);
                let (house, message) = (Arc::clone(house), Arc::clone(&message));
                tokio::spawn(async move {
                    let outcome = obey(&house, &message, number, assignment).await;
                    gathering.add(number, outcome.map_or_else(said, Outcome::Delivered));
                });
            }
            None if has_it => gathering.add(number, delivered(None)),
            None => {
                let job = message.job(number, address, Maildir::at(local.mailbox.maildir), local.quota);
                house.pool.submit(job, move |outcome| gathering.add(number, said(outcome)));
            }
        }
    }
}

/// What all recipients of a message have in common.
struct Message {
    /// Without its recipients.
    envelope: Deliver,
    content: Content,
}

impl Message {
    fn job(&self, number: u32, delivered_to: Address, maildir: Maildir, quota: Limit) -> Job {
        let Deliver { id, arrived, reverse_path, repeat, .. } = &self.envelope;
        Job {
            id: *id,
            arrived: *arrived,
            reverse_path: reverse_path.clone(),
            recipient_number: number,
            delivered_to,
            maildir,
            quota,
            content: self.content.clone(),
            repeat: *repeat,
        }
    }
}

impl House {
    fn assignment(
        &self,
        message: &Message,
        recipient: Address,
        local: LocalAddress,
        orders: link::services::local::Orders,
        has_it: bool,
    ) -> Assignment {
        Assignment {
            text: orders.text,
            default_part: orders.default_part,
            owner: match orders.owner {
                OwnerAddress::None => OwnerFound::None,
                OwnerAddress::Owner => OwnerFound::Owner,
                OwnerAddress::OwnerAndDefault => OwnerFound::OwnerAndDefault,
            },
            programs: orders.programs,
            programs_here: self.delivery.programs,
            files: orders.files,
            reverse_path: message.envelope.reverse_path.clone(),
            recipient,
            program_home: self.program_homes.join(home_name(&local.mailbox.maildir)),
            local,
            has_it,
            host: self.host.clone(),
            now: unix_now(),
        }
    }

    async fn deliver(&self, job: Job) -> local::Outcome {
        let (sender, outcome) = oneshot::channel();
        self.pool.submit(job, move |outcome| drop(sender.send(outcome)));
        outcome.await.unwrap_or_else(|_| failed_for_now())
    }

    async fn run_program(
        &self,
        message: &Message,
        account: AccountName,
        home: PathBuf,
        program: Program,
    ) -> (ProgramEnd, Vec<u8>) {
        let not_started = |why: String| (ProgramEnd::NotStarted(why), Vec::new());
        let mut run = Run {
            account,
            home,
            command: program.command.into_encoded_bytes(),
            environment: program
                .environment
                .into_iter()
                .map(|(name, value)| (name.to_string(), value))
                .collect(),
            file_size: None,
        };
        let parcel = match &message.content {
            Content::Memory(octets) => Parcel::with_raw(run, octets.clone()),
            Content::File(file, size) => match file.try_clone() {
                Ok(file) => {
                    run.file_size = Some(*size);
                    Parcel::with_fds(run, vec![file.into()])
                }
                Err(error) => return not_started(format!("{error}.")),
            },
        };
        let ran = match self.programs.call(parcel).await {
            Ok(answer) => answer.value,
            // It may have run, or not: as after any crash it runs again.
            Err(error) => return not_started(format!("{error}.")),
        };
        let end = match ran.end {
            End::Exited(code) => ProgramEnd::Exited(code),
            End::Signalled(_) => ProgramEnd::Signalled,
            End::TimedOut => ProgramEnd::TimedOut,
            End::NotStarted(why) => ProgramEnd::NotStarted(why),
            End::NotSent { why, for_good } => ProgramEnd::NotSent { why, for_good },
        };
        (end, ran.output)
    }
}

/// Does what an address's owner wants done with a message.
async fn obey(
    house: &House,
    message: &Arc<Message>,
    number: u32,
    assignment: Assignment,
) -> Result<Done, local::Outcome> {
    let begun = Instant::now();
    let Assignment { local, recipient, now, .. } = assignment.clone();
    let LocalAddress { mailbox, quota, .. } = local;
    let home = mailbox.maildir.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut errand = match &message.content {
        Content::Memory(_) => Errand::begin(assignment, &message.content)?,
        Content::File(..) => {
            let message = Arc::clone(message);
            blocking(move || Errand::begin(assignment, &message.content)).await?
        }
    };
    loop {
        let step = errand.next_step()?;
        if begun.elapsed() > steps_begin_within(&house.delivery) && !matches!(step, Step::Done(_)) {
            let reason = "The instructions take too long. (#4.3.0)".into();
            return Err(local::Outcome::Deferred { reason });
        }
        match step {
            Step::Mailbox => {
                let job = message.job(number, recipient.clone(), Maildir::at(&mailbox.maildir), quota);
                match house.deliver(job).await {
                    local::Outcome::Delivered { warn, .. } => errand.in_mailbox(warn),
                    undone => return Err(undone),
                }
            }
            // Its messages are told apart by their names, too: delivered again, they replace themselves.
            // The quota is that of the mailbox, and does not count it.
            Step::Maildir(path) => {
                let home = home.clone();
                let opened =
                    blocking(move || Maildir::beneath(&home, &path).map_err(|error| (&error).into()));
                let job = message.job(number, recipient.clone(), opened.await?, Limit::Unlimited);
                match house.deliver(job).await {
                    local::Outcome::Delivered { .. } => {}
                    undone => return Err(undone),
                }
            }
            Step::Mbox(path) => {
                let (home, message, recipient) = (home.clone(), Arc::clone(message), recipient.clone());
                blocking(move || {
                    let reverse_path = &message.envelope.reverse_path;
                    append_to_mbox(&home, &path, reverse_path, &recipient, &message.content, now)
                })
                .await?;
            }
            Step::Program(program) => {
                let home = home_name(&mailbox.maildir).into();
                let (end, output) = house.run_program(message, mailbox.account.clone(), home, program).await;
                errand.ran(end, &output)?;
            }
            Step::Done(done) => return Ok(done_with(done)),
        }
    }
}

/// The name of an account's home, from where its mailbox lies: it tells an account from another that had
/// its name before.
fn home_name(maildir: &Path) -> &OsStr {
    maildir.parent().and_then(Path::file_name).unwrap_or_default()
}

/// On a thread that may wait for a disk or a lock.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, local::Outcome> + Send + 'static,
) -> Result<T, local::Outcome> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(failed_for_now()))
}

fn failed_for_now() -> local::Outcome {
    local::Outcome::Deferred { reason: "Temporary error on delivery. (#4.3.0)".into() }
}

fn done_with(done: local::Done) -> Done {
    let local::Done { in_mailbox, in_file, by_program, forwards, undeliverable, warn } = done;
    let forwards = forwards.into_iter().map(|(reverse_path, to)| Forward { reverse_path, to }).collect();
    Done { in_mailbox, in_file, by_program, forwards, undeliverable, warn }
}

fn delivered(warn: Option<u8>) -> Outcome {
    Outcome::Delivered(Done { in_mailbox: true, warn, ..Done::default() })
}

fn said(outcome: local::Outcome) -> Outcome {
    match outcome {
        local::Outcome::Delivered { warn, .. } => delivered(warn),
        local::Outcome::Failed(failure) => {
            Outcome::Failed { status: failure.status.into(), reason: failure.reason }
        }
        local::Outcome::Deferred { reason } => Outcome::Deferred { reason },
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
