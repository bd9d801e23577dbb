//! Mail that programs left in the drop directory while the server was away.
//!
//! A file is first made ours: it gets a [`QueueId`] for its name, in a folder where nobody else can write.
//! From then on it is the same message however often it is handed over, and the queue keeps it once. It goes
//! when the queue has it, or when its owner was told that it will not be sent; what cannot be said yet leaves
//! it for another round. Only a crash between the acceptance and that can send a message twice, and nothing
//! loses one.
//!
//! What the operator may still mend waits as long as mail waits in the queue: a user who may not send, a file
//! that another version of the server left, or that is not as `sendmail` leaves them.

mod directory;
mod file;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envelope::event::Words;
use envelope::{AccountName, QueueId};
use link::grant::RelayGrant;
use link::services::queue::{Request, Response};
use sendmail::refusal::sysexits;
use sendmail::{DropFileError, Manner, Refusal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, warn};

use self::directory::{DropDirectory, Left, Opened};
use self::file::Part;
use super::arriving::Arriving;
use super::caller::Caller;
use super::{House, noted};
use crate::control::Settings;
use crate::roles::unix_now;

/// How often a look is taken.
const ROUND: Duration = Duration::from_secs(30);
/// A file that has waited for so many seconds is tried in each so-manieth round only.
const PATIENT_AFTER: u64 = 600;
const PATIENT_ROUNDS: u64 = 20;
/// So many files are made ours at once.
const BATCH: usize = 1000;
/// So many are handed over at once: they share the queue's syncs.
const AT_ONCE: usize = 16;
/// So many files of one user are tried in a round.
const TRIED_MAX: usize = 5000;
/// The most lines of the log, in a round, about files that wait.
const COMPLAINTS_MAX: usize = 20;

/// Picks mail up until the server stops.
pub async fn pick_up(house: Arc<House>, mut stopping: watch::Receiver<bool>) {
    for number in 0u64.. {
        let settings = house.settings.load_full();
        let mut round = Round {
            house: Arc::clone(&house),
            all: number.is_multiple_of(PATIENT_ROUNDS),
            stopping: stopping.clone(),
            tried: HashMap::new(),
            enough: HashSet::new(),
            trouble: false,
            waiting: 0,
            untold: HashMap::new(),
            settings,
        };
        if let Err(error) = round.go().await {
            let path = round.settings.paths.drop.display();
            error!(event = "drop_directory_unreadable", %path, %error);
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// One look.
struct Round {
    house: Arc<House>,
    settings: Arc<Settings>,
    /// Whether those are tried too that have waited for long.
    all: bool,
    stopping: watch::Receiver<bool>,
    /// How many files of a user were tried.
    tried: HashMap<u32, usize>,
    /// Users of whom no more is tried: they sent as much as they may, or may not send at all.
    enough: HashSet<u32>,
    /// Nothing can be handed over for now.
    trouble: bool,
    /// How many were found to wait.
    waiting: usize,
    /// What accounts are still to be told.
    untold: HashMap<AccountName, Untold>,
}

/// What will not be sent, of one account. It stays until its owner was told.
struct Untold {
    of: RelayGrant,
    /// When the first one was left.
    left: u64,
    /// Why that will not be sent, and what to do about it.
    sentences: [String; 2],
    files: Vec<QueueId>,
}

/// What becomes of a file.
enum Fate {
    /// It is needed no longer.
    Done,
    /// It is tried again, because of this.
    Waits { uid: u32, why: Refusal },
    /// It is not as `sendmail` leaves files: it waits for the operator.
    Unfit { uid: u32, why: &'static str },
    /// It will not be sent, and its owner is to be told why.
    Refused { caller: Box<Caller>, when: u64, why: Refusal },
}

impl Round {
    async fn go(&mut self) -> io::Result<()> {
        let path = self.settings.paths.drop.clone();
        let directory = Arc::new(blocking(move || DropDirectory::open(&path)).await?);
        let handed_over = self.hand_over_all(&directory).await;
        self.tell_owners(&directory).await;
        if self.waiting > COMPLAINTS_MAX {
            warn!(event = "dropped_file_waits", others = self.waiting - COMPLAINTS_MAX);
        }
        blocking(move || directory.sync()).await?;
        handed_over
    }

    async fn hand_over_all(&mut self, directory: &Arc<DropDirectory>) -> io::Result<()> {
        let before = {
            let directory = Arc::clone(directory);
            blocking(move || directory.taken()).await?
        };
        let (all, old) = (self.all, unix_now().saturating_sub(PATIENT_AFTER));
        let due: Vec<QueueId> = before.into_iter().filter(|id| all || id.unix_seconds() > old).collect();
        for some in due.chunks(BATCH) {
            self.hand_over(directory, some.to_vec()).await?;
        }
        while !self.is_over() {
            let (taking, house, all) = (Arc::clone(directory), Arc::clone(&self.house), self.all);
            let taken = blocking(move || taking.take(BATCH, || house.next_id(), all)).await?;
            if taken.is_empty() {
                break;
            }
            self.hand_over(directory, taken).await?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.trouble || *self.stopping.borrow()
    }

    async fn hand_over(&mut self, directory: &Arc<DropDirectory>, ids: Vec<QueueId>) -> io::Result<()> {
        if self.is_over() {
            return Ok(());
        }
        let owners = {
            let directory = Arc::clone(directory);
            blocking(move || Ok(directory.owners(&ids))).await?
        };
        let mut at_work = JoinSet::new();
        for (id, uid) in owners {
            if self.enough.contains(&uid) || self.tried.get(&uid).is_some_and(|tried| *tried >= TRIED_MAX) {
                continue;
            }
            if at_work.len() >= AT_ONCE
                && let Some(Ok((id, fate))) = at_work.join_next().await
            {
                self.learn(id, fate);
            }
            if self.is_over() {
                break;
            }
            *self.tried.entry(uid).or_default() += 1;
            let (house, settings, directory) =
                (Arc::clone(&self.house), Arc::clone(&self.settings), Arc::clone(directory));
            at_work.spawn(async move { (id, settle(&house, &settings, &directory, id, uid).await) });
        }
        while let Some(joined) = at_work.join_next().await {
            if let Ok((id, fate)) = joined {
                self.learn(id, fate);
            }
        }
        Ok(())
    }

    /// What is still to be done, and what there is no use in trying in this round.
    fn learn(&mut self, id: QueueId, fate: Fate) {
        match fate {
            Fate::Done => {}
            Fate::Refused { caller, when, why } => {
                let untold = self.untold.entry(caller.account().clone()).or_insert_with(|| Untold {
                    of: caller.user.grant.clone(),
                    left: when,
                    sentences: [&why.to_string(), why.remedy()].map(|text| Words::new(text).to_string()),
                    files: Vec::new(),
                });
                untold.files.push(id);
            }
            Fate::Unfit { uid, why } => {
                if self.may_complain() {
                    error!(event = "dropped_file_waits", queue_id = %id, uid, why);
                }
            }
            Fate::Waits { uid, why } => {
                if self.may_complain() {
                    let reason = Words::new(&why.to_string());
                    warn!(event = "dropped_file_waits", queue_id = %id, uid, %reason);
                }
                match why {
                    Refusal::LimitReached { .. }
                    | Refusal::UnknownUser(_)
                    | Refusal::NotAllowed(_)
                    | Refusal::Suspended { .. } => {
                        self.enough.insert(uid);
                    }
                    Refusal::StorageFull | Refusal::ServerAway(_) => self.trouble = true,
                    _ => {}
                }
            }
        }
    }

    fn may_complain(&mut self) -> bool {
        self.waiting += 1;
        self.waiting <= COMPLAINTS_MAX
    }

    /// Tells each owner once, however many files of his are refused, and removes them.
    async fn tell_owners(&mut self, directory: &Arc<DropDirectory>) {
        for (account, Untold { of, left, sentences, files }) in self.untold.drain() {
            let others = files.len() as u64 - 1;
            let question = Request::NotSent { of, left, sentences, others };
            let answer = self.house.queue.call_until_answered(question, Bytes::new()).await;
            if !matches!(answer.map(|answer| answer.value), Ok(Response::Accepted(_))) {
                warn!(event = "owner_not_told", %account, files = files.len());
                continue;
            }
            for id in &files {
                warn!(event = "dropped_file_removed", queue_id = %id, %account, why = "it was refused for good");
            }
            remove(directory, files).await;
        }
    }
}

/// Does with a file what can be done, and removes it if it is needed no longer.
async fn settle(
    house: &House,
    settings: &Settings,
    directory: &Arc<DropDirectory>,
    id: QueueId,
    uid: u32,
) -> Fate {
    let opening = Arc::clone(directory);
    let opened = blocking(move || opening.open_taken(id)).await;
    let expired = unix_now().saturating_sub(id.unix_seconds()) > settings.queue.lifetime;
    let (uid, why) = match opened {
        Ok(Opened::Left(left)) => match judge(house, settings, id, (left, expired)).await {
            Verdict::Sent => {
                remove(directory, vec![id]).await;
                return Fate::Done;
            }
            Verdict::Keep(fate) => return fate,
            Verdict::Remove { uid, why } => (uid, why),
        },
        Ok(Opened::Unfit { uid, why }) if !expired => return Fate::Unfit { uid, why },
        Ok(Opened::Unfit { uid, why } | Opened::Odd { uid, why }) => (uid, why.into()),
        Err(error) => {
            error!(event = "dropped_file_waits", queue_id = %id, uid, %error);
            return Fate::Done;
        }
    };
    let why = Words::new(&why);
    warn!(event = "dropped_file_removed", queue_id = %id, uid, %why);
    remove(directory, vec![id]).await;
    Fate::Done
}

/// What was found of a file that is as `sendmail` leaves them.
enum Verdict {
    /// The queue has it.
    Sent,
    /// It stays for now.
    Keep(Fate),
    /// It is no mail, or there is nobody to be told of it: only the log is.
    Remove { uid: u32, why: String },
}

async fn judge(house: &House, settings: &Settings, id: QueueId, (left, expired): (Left, bool)) -> Verdict {
    let (uid, when) = (left.uid, left.when);
    let caller = match Caller::of(house, uid).await {
        Ok(caller) => caller,
        // The operator may still name his account, or let it send again.
        Err(why) if !expired || passes(&why) => return Verdict::Keep(Fate::Waits { uid, why }),
        Err(refusal) => {
            house.notes.note(noted::refused(uid, None, &refusal));
            return Verdict::Remove { uid, why: format!("nobody could be told that it expired: {refusal}") };
        }
    };
    let why = match hand_in(house, settings, &caller, id, left).await {
        Ok(()) => return Verdict::Sent,
        Err(Hitch::Foreign(why)) => return Verdict::Remove { uid, why },
        Err(Hitch::NotUnderstood(why)) if !expired => return Verdict::Keep(Fate::Waits { uid, why }),
        Err(Hitch::Refused(why))
            if passes(&why) || (why.exit_code(Manner::Helpful) == sysexits::TEMPFAIL && !expired) =>
        {
            return Verdict::Keep(Fate::Waits { uid, why });
        }
        Err(Hitch::Refused(why) | Hitch::NotUnderstood(why)) => why,
    };
    house.notes.note(noted::refused(uid, Some(&caller), &why));
    Verdict::Keep(Fate::Refused { caller: Box::new(caller), when, why })
}

/// Whether it is the server's own trouble: for that nobody's mail is given up.
fn passes(why: &Refusal) -> bool {
    matches!(why, Refusal::ServerAway(_) | Refusal::StorageFull)
}

/// Why a message could not be handed in.
pub enum Hitch {
    /// It was refused.
    Refused(Refusal),
    /// It is whole, but not in the form that this version of the server reads: another may.
    NotUnderstood(Refusal),
    /// It is no message of anybody's.
    Foreign(String),
}

impl Hitch {
    /// As it is said to a program that waits for the answer.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Hitch::Refused(refusal) | Hitch::NotUnderstood(refusal) => refusal,
            Hitch::Foreign(what) => Refusal::Unreadable(what),
        }
    }
}

impl From<Refusal> for Hitch {
    fn from(refusal: Refusal) -> Hitch {
        Hitch::Refused(refusal)
    }
}

/// Hands the message in a file to the queue.
async fn hand_in(
    house: &House,
    settings: &Settings,
    caller: &Caller,
    id: QueueId,
    left: Left,
) -> Result<(), Hitch> {
    let arriving = read(house, settings, caller, id, (left.file, left.size)).await?;
    Ok(arriving.finish().await.map(|_| ())?)
}

/// Reads the message in a file of so many octets, to its end.
///
/// # Errors
/// Why it is not taken.
pub async fn read<'a>(
    house: &'a House,
    settings: &'a Settings,
    caller: &'a Caller,
    id: QueueId,
    (file, size): (File, u64),
) -> Result<Arriving<'a>, Hitch> {
    let mut parts = file::read(file, size, settings.limits.message_size_max);
    let Part::Job(job) = next(&mut parts).await? else { return Err(unreadable().into()) };
    let mut arriving = Arriving::new(house, settings, caller, *job, id)?;
    loop {
        match next(&mut parts).await? {
            Part::Octets(octets) => arriving.feed(&octets).await?,
            Part::End => return Ok(arriving),
            Part::Job(_) => return Err(unreadable().into()),
        }
    }
}

async fn next(parts: &mut file::Parts) -> Result<Part, Hitch> {
    let problem = match parts.recv().await {
        Some(Ok(part)) => return Ok(part),
        Some(Err(problem)) => problem,
        None => return Err(unreadable().into()),
    };
    let told = || Refusal::Unreadable(format!("the file in the drop directory: {problem}"));
    Err(match &problem {
        DropFileError::TooLarge(most) => Refusal::TooLarge(*most).into(),
        DropFileError::Reading(error) => {
            error!(event = "drop_directory_unreadable", %error);
            unreadable().into()
        }
        DropFileError::Foreign => Hitch::Foreign(problem.to_string()),
        DropFileError::Version(_) | DropFileError::Job => Hitch::NotUnderstood(told()),
        DropFileError::Torn => told().into(),
    })
}

/// The disk failed, or we did: not a matter of the file.
fn unreadable() -> Refusal {
    Refusal::ServerAway("it cannot read the drop directory".into())
}

async fn remove(directory: &Arc<DropDirectory>, ids: Vec<QueueId>) {
    let directory = Arc::clone(directory);
    // What is not removed for whatever reason is the same message in the next round.
    let _ = blocking(move || {
        ids.into_iter().for_each(|id| directory.remove(id));
        Ok(())
    })
    .await;
}

/// What may wait for the disk, away from the thread on which callers wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
