//! Ways in to the page and the API, made in the directory itself: so a test that is not about signing in need not.

use std::time::{SystemTime, UNIX_EPOCH};

use directory::{Actor, Browser, NewSession, Store, TakenUp, TokenScope};
use envelope::AccountName;
use link::services::directory::visits::Token;

use crate::house::House;
use crate::page::code_of;

/// The directory of a server that runs.
pub struct Keys {
    store: Store,
}

impl Keys {
    /// Of this server.
    pub fn of(house: &House) -> Keys {
        let data = house.dir.path().join("data");
        let settings = directory::Settings::new(data.join("mail"));
        Keys { store: Store::open(&data.join("directory/directory.sqlite"), settings).unwrap() }
    }

    /// A session of somebody who has shown his password just now.
    pub fn session(&self, account: &str) -> Token {
        let token = token();
        self.store.begin_session(&name(account), &new(&token), now()).unwrap();
        token
    }

    /// A session of somebody who has come by a one-time link just now: an operator has to set up his second factor.
    pub fn invited(&self, account: &str) -> Token {
        let (invitation, token) = (token(), token());
        self.store.invite(&name(account), &invitation.digest(), now(), &Actor::Server).unwrap();
        let password = directory::Password::new("a long password".into()).unwrap();
        let taken = self.store.take_up(&invitation.digest(), &password, &new(&token), now()).unwrap();
        assert!(matches!(taken, TakenUp::In(_)), "{taken:?}");
        token
    }

    /// A session of an operator who has set up his second factor just now.
    pub fn operating(&self, account: &str) -> Token {
        let token = self.invited(account);
        let session = self.store.session(&token.digest(), now()).unwrap().unwrap();
        let secret = self.store.begin_second_factor(&name(account), session.number).unwrap();
        let code = code_of(&secret.base32(), 0);
        let set = self.store.set_second_factor(&name(account), session.number, &code, now() + 3600, now());
        assert!(set.unwrap().is_some());
        token
    }

    /// A token for the API, good for so many seconds.
    pub fn token(&self, account: &str, scope: TokenScope, seconds: u64) -> Token {
        let token = token();
        let label = format!("{}-{}", scope.as_str(), &token.reveal()[..8]).parse().unwrap();
        let expires = now() + seconds;
        let who = Actor::Account(name(account));
        self.store.add_api_token(&name(account), &label, scope, &token.digest(), expires, &who).unwrap();
        token
    }

    /// How many changes the directory tells of.
    pub fn changes(&self) -> usize {
        self.store.audit_trail(10_000).unwrap().len()
    }
}

fn token() -> Token {
    Token::new(rand::random())
}

fn new(token: &Token) -> NewSession {
    let browser = Browser { client: [127, 0, 0, 1].into(), agent: "the tests".into() };
    NewSession { digest: token.digest(), browser, fresh_until: now() + 3600 }
}

fn name(account: &str) -> AccountName {
    account.parse().unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
