//! What `directory` knows of addresses and of clients, remembered for a short while.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::{AccountName, Address, Destination, Language, Refusal};
use link::Client;
use link::grant::RelayGrant;
use link::services::directory::{Directory, Event, Request, Response};

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
    /// Clients without a relay window, which are most.
    windowless: HashSet<IpAddr>,
    /// Rise when something is forgotten, so that an answer asked for before is not kept after.
    forgot_answers: u64,
    forgot_windowless: u64,
}

impl Known {
    /// Where this address leads, if an answer is young enough.
    fn answer(&self, address: &Address) -> Option<&Destination> {
        let (destination, asked) = self.answers.get(address)?;
        (asked.elapsed() < LIFETIME).then_some(destination)
    }

    fn hear(&mut self, event: Option<Event>) {
        self.forgot_windowless += 1;
        match event {
            Some(Event::WindowOpened(client)) => {
                self.windowless.remove(&client);
            }
            // A change, or a connection that is new: what was known may be stale.
            Some(Event::Changed) | None => {
                self.forgot_answers += 1;
                self.answers.clear();
                self.windowless.clear();
            }
        }
    }
}

impl KnownAddresses {
    /// Knows nothing yet.
    pub fn new() -> KnownAddresses {
        let known = Arc::new(Mutex::new(Known::default()));
        let hearing = Arc::clone(&known);
        let directory = Client::listening(PATIENCE, move |event| lock(&hearing).hear(event));
        KnownAddresses { directory, known }
    }

    /// Uses this socket to `directory` from now on; `broken` is called when it ends.
    ///
    /// # Errors
    /// If the socket cannot be watched.
    pub fn attach(&self, stream: UnixStream, broken: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.directory.attach(stream, broken)
    }

    /// Asks the directory something that is not remembered.
    ///
    /// # Errors
    /// [`Refusal::DirectoryUnavailable`].
    pub async fn ask(&self, request: Request) -> Result<Response, Refusal> {
        match self.directory.call_until_answered(request, Bytes::new()).await {
            Ok(answer) => Ok(answer.value),
            Err(error) => {
                tracing::warn!(event = "directory_unavailable", %error);
                Err(Refusal::DirectoryUnavailable)
            }
        }
    }

    /// Whether this address is none of ours, if that is known without asking.
    pub fn is_elsewhere(&self, address: &Address) -> Option<bool> {
        lock(&self.known).answer(address).map(|destination| *destination == Destination::Elsewhere)
    }

    /// Where this address leads.
    ///
    /// # Errors
    /// [`Refusal::DirectoryUnavailable`].
    pub async fn resolve(&self, address: &Address) -> Result<Destination, Refusal> {
        let forgot = {
            let known = lock(&self.known);
            if let Some(destination) = known.answer(address) {
                return Ok(destination.clone());
            }
            known.forgot_answers
        };
        let Response::Destination(destination) = self.ask(Request::Resolve(address.clone())).await? else {
            return Err(Refusal::DirectoryUnavailable);
        };
        let mut known = lock(&self.known);
        if known.forgot_answers == forgot {
            if known.answers.len() >= ANSWERS_MAX {
                known.answers.clear();
            }
            known.answers.insert(address.clone(), (destination.clone(), Instant::now()));
        }
        Ok(destination)
    }

    /// Who may send from this client by a relay window, now; whose was renewed last stands first.
    ///
    /// # Errors
    /// [`Refusal::DirectoryUnavailable`].
    pub async fn windows(&self, client: IpAddr) -> Result<Vec<RelayGrant>, Refusal> {
        let forgot = {
            let known = lock(&self.known);
            if known.windowless.contains(&client) {
                return Ok(Vec::new());
            }
            known.forgot_windowless
        };
        let Response::Windows(grants) = self.ask(Request::Windows(client)).await? else {
            return Err(Refusal::DirectoryUnavailable);
        };
        // Open ones are asked for each time, as they close by themselves.
        let mut known = lock(&self.known);
        if grants.is_empty() && known.forgot_windowless == forgot {
            if known.windowless.len() >= ANSWERS_MAX {
                known.windowless.clear();
            }
            known.windowless.insert(client);
        }
        Ok(grants)
    }

    /// The language of an account, for notices; English if it is not to be had.
    pub async fn language(&self, account: &AccountName) -> Language {
        match self.ask(Request::Language(account.clone())).await {
            Ok(Response::Language(language)) => language,
            _ => Language::En,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_opens_makes_no_address_forgotten_and_a_change_makes_all() {
        let address: Address = "abc@pobox.example".parse().unwrap();
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let mut known = Known::default();
        known.answers.insert(address.clone(), (Destination::NoSuchMailbox, Instant::now()));
        known.windowless.extend([client, "192.0.2.2".parse().unwrap()]);
        known.hear(Some(Event::WindowOpened(client)));
        assert_eq!(known.answer(&address), Some(&Destination::NoSuchMailbox));
        assert!(!known.windowless.contains(&client) && known.windowless.len() == 1);
        // What was asked before the window opened must not be kept, but addresses may.
        assert_eq!((known.forgot_answers, known.forgot_windowless), (0, 1));
        known.hear(Some(Event::Changed));
        assert_eq!((known.answer(&address), known.windowless.len()), (None, 0));
        assert_eq!((known.forgot_answers, known.forgot_windowless), (1, 2));
    }
}
