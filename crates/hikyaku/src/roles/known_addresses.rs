//! What `directory` knows of addresses, of clients and of this machine's users, remembered for a short while.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::{AccountName, Address, Destination, Language, Refusal};
use link::Client;
use link::grant::RelayGrant;
use link::services::directory::{Directory, Event, LocalUser, LoginRefused, Request, Response, Route};

use self::answers::Answers;
use super::PATIENCE;

mod answers;

/// How many clients without a relay window are remembered.
const WINDOWLESS_MAX: usize = 65_536;

/// How many users of this machine are remembered.
const LOCAL_USERS_MAX: usize = 16_384;
/// For how long: a grant lives longer, but not for ever.
const LOCAL_USER_KEPT: Duration = Duration::from_secs(600);

/// The directory's answers. Clones share them.
#[derive(Clone)]
pub struct KnownAddresses {
    directory: Client<Directory>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    destinations: Answers<Destination>,
    routes: Answers<Arc<Route>>,
    /// Clients without a relay window, which are most.
    windowless: HashSet<IpAddr>,
    /// Rises when one of these is forgotten, so that an answer asked for before is not kept after.
    forgot_windowless: u64,
    /// Users of this machine whose programs may send, and since when that is known.
    local_users: HashMap<u32, (LocalUser, Instant)>,
    /// Rises when these are forgotten.
    forgot_local_users: u64,
}

impl Known {
    fn hear(&mut self, event: Option<Event>) {
        self.forgot_windowless += 1;
        match event {
            Some(Event::WindowOpened(client)) => {
                self.windowless.remove(&client);
            }
            // A change, or a connection that is new: what was known may be stale.
            Some(Event::Changed) | None => {
                self.destinations.forget();
                self.routes.forget();
                self.windowless.clear();
                self.local_users.clear();
                self.forgot_local_users += 1;
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

    /// The way to the directory, for what is not about addresses.
    pub fn client(&self) -> Client<Directory> {
        self.directory.clone()
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

    /// Where this address leads.
    ///
    /// # Errors
    /// [`Refusal::DirectoryUnavailable`].
    pub async fn resolve(&self, address: &Address) -> Result<Destination, Refusal> {
        let forgotten = {
            let known = lock(&self.known);
            if let Some(destination) = known.destinations.get(address) {
                return Ok(destination.clone());
            }
            known.destinations.forgotten()
        };
        let Response::Destination(destination) = self.ask(Request::Resolve(address.clone())).await? else {
            return Err(Refusal::DirectoryUnavailable);
        };
        lock(&self.known).destinations.keep(address.clone(), destination.clone(), 0, forgotten);
        Ok(destination)
    }

    /// Where this address leads and what its owner wants done with its mail, if that is known without
    /// asking.
    pub fn known_route(&self, address: &Address) -> Option<Arc<Route>> {
        lock(&self.known).routes.get(address).cloned()
    }

    /// Where this address leads, and what its owner wants done with its mail.
    ///
    /// # Errors
    /// [`Refusal::DirectoryUnavailable`].
    pub async fn route(&self, address: &Address) -> Result<Arc<Route>, Refusal> {
        let forgotten = {
            let known = lock(&self.known);
            if let Some(route) = known.routes.get(address) {
                return Ok(Arc::clone(route));
            }
            known.routes.forgotten()
        };
        let Response::Routed(route) = self.ask(Request::Route(address.clone())).await? else {
            return Err(Refusal::DirectoryUnavailable);
        };
        let octets = route.orders.as_ref().map_or(0, |orders| orders.text.len());
        let route = Arc::new(route);
        lock(&self.known).routes.keep(address.clone(), Arc::clone(&route), octets, forgotten);
        Ok(route)
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
            if known.windowless.len() >= WINDOWLESS_MAX {
                known.windowless.clear();
            }
            known.windowless.insert(client);
        }
        Ok(grants)
    }

    /// As whom the programs of a user of this machine send. How much they may is not asked here.
    ///
    /// # Errors
    /// Why they may not send, or [`LoginRefused::Unavailable`].
    pub async fn local_user(&self, uid: u32) -> Result<LocalUser, LoginRefused> {
        let forgot = {
            let known = lock(&self.known);
            match known.local_users.get(&uid) {
                Some((user, since)) if since.elapsed() < LOCAL_USER_KEPT => return Ok(user.clone()),
                _ => known.forgot_local_users,
            }
        };
        let user = match self.ask(Request::LocalUser(uid)).await {
            Ok(Response::LocalUser(user)) => *user,
            Ok(Response::LoginRefused(refused)) => return Err(refused),
            _ => return Err(LoginRefused::Unavailable),
        };
        let mut known = lock(&self.known);
        if known.forgot_local_users == forgot {
            if known.local_users.len() >= LOCAL_USERS_MAX {
                known.local_users.clear();
            }
            known.local_users.insert(uid, (user.clone(), Instant::now()));
        }
        Ok(user)
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
        let route = Arc::new(Route { leads_to: Destination::NoSuchMailbox, orders: None, away: None });
        known.destinations.keep(address.clone(), Destination::NoSuchMailbox, 0, 0);
        known.routes.keep(address.clone(), route, 0, 0);
        known.windowless.extend([client, "192.0.2.2".parse().unwrap()]);
        known.hear(Some(Event::WindowOpened(client)));
        assert_eq!(known.destinations.get(&address), Some(&Destination::NoSuchMailbox));
        assert!(known.routes.get(&address).is_some());
        assert!(!known.windowless.contains(&client) && known.windowless.len() == 1);
        // What was asked before the window opened must not be kept, but addresses may.
        assert_eq!((known.destinations.forgotten(), known.forgot_windowless), (0, 1));
        known.hear(Some(Event::Changed));
        assert!(known.destinations.get(&address).is_none() && known.routes.get(&address).is_none());
        assert_eq!((known.windowless.len(), known.forgot_windowless), (0, 2));
    }

    #[test]
    fn users_of_this_machine_are_asked_about_anew_after_a_change() {
        let sender = envelope::Sender {
            account: "abc".parse().unwrap(),
            entitlement: envelope::Entitlement::LocalUser,
        };
        let user = LocalUser {
            grant: RelayGrant::issue(&link::grant::GrantKey::new([7; 32]), sender, 1000),
            address: "abc@pobox.example".parse().unwrap(),
            author: envelope::ScriptAuthor::Own,
        };
        let mut known = Known::default();
        known.local_users.insert(1001, (user, Instant::now()));
        known.hear(Some(Event::WindowOpened("192.0.2.1".parse().unwrap())));
        assert_eq!((known.local_users.len(), known.forgot_local_users), (1, 0));
        known.hear(Some(Event::Changed));
        assert_eq!((known.local_users.len(), known.forgot_local_users), (0, 1));
    }
}
