//! Where addresses lead, asked of `directory` and remembered for a short while.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::{AccountName, Address, Destination, Language, Refusal};
use link::Client;
use link::services::directory::{Directory, Request, Response};

use super::PATIENCE;

/// How long an answer is good for, if the directory does not say before that it changed.
const LIFETIME: Duration = Duration::from_secs(60);
/// How many answers are kept.
const ANSWERS_MAX: usize = 65_536;

/// The directory's answers. Clones share them.
#[derive(Clone)]
pub struct KnownAddresses {
    directory: Client<Directory>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    answers: HashMap<Address, (Destination, Instant)>,
    /// Rises when answers are dropped, so that one asked for before is not kept after.
    generation: u64,
}

impl KnownAddresses {
    /// Knows nothing yet.
    pub fn new() -> KnownAddresses {
        let known = Arc::new(Mutex::new(Known::default()));
        let forgetting = Arc::clone(&known);
        // Whatever is heard, a change or that the connection is new: what was known may be stale.
        let directory = Client::listening(PATIENCE, move |_| {
            let mut known = forgetting.lock().unwrap_or_else(PoisonError::into_inner);
            known.answers.clear();
            known.generation += 1;
        });
        KnownAddresses { directory, known }
    }

    /// Uses this socket to `directory` from now on; `broken` is called when it ends.
    ///
    /// # Errors
    /// If the socket cannot be watched.
    pub fn attach(&self, stream: UnixStream, broken: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.directory.attach(stream, broken)
    }

    /// Where this address leads.
    ///
    /// # Errors
    /// [`Refusal::DirectoryUnavailable`].
    pub async fn resolve(&self, address: &Address) -> Result<Destination, Refusal> {
        let generation = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((destination, asked)) = known.answers.get(address)
                && asked.elapsed() < LIFETIME
            {
                return Ok(destination.clone());
            }
            known.generation
        };
        let answer =
            self.directory.call_until_answered(Request::Resolve(address.clone()), Bytes::new()).await;
        let destination = match answer.map(|answer| answer.value) {
            Ok(Response::Destination(destination)) => destination,
            Ok(_) => return Err(Refusal::DirectoryUnavailable),
            Err(error) => {
                tracing::warn!(event = "directory_unavailable", %error);
                return Err(Refusal::DirectoryUnavailable);
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.generation == generation {
            if known.answers.len() >= ANSWERS_MAX {
                known.answers.clear();
            }
            known.answers.insert(address.clone(), (destination.clone(), Instant::now()));
        }
        Ok(destination)
    }

    /// The language of an account, for notices; English if it is not to be had.
    pub async fn language(&self, account: &AccountName) -> Language {
        let asked =
            self.directory.call_until_answered(Request::Language(account.clone()), Bytes::new()).await;
        match asked.map(|answer| answer.value) {
            Ok(Response::Language(language)) => language,
            _ => Language::En,
        }
    }
}
