//! A small provider to test with: `pobox.example`, its customers abc and xyz, and xyz's virtual
//! domain `shop.example`.

use envelope::{AccountName, Domain, DomainKind, Language};
use tempfile::TempDir;

use crate::{Actor, NewAccount, Password, Settings, Store};

pub(crate) const WHO: Actor = Actor::LocalUser(1000);

pub(crate) struct Example {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

impl Example {
    /// A store with nothing in it.
    pub(crate) fn empty() -> Example {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("directory.db"), settings()).unwrap();
        Example { store, folder }
    }

    /// The provider, and its customers without passwords.
    pub(crate) fn pobox() -> Example {
        let example = Example::empty();
        example.add_domain("pobox.example", DomainKind::Provider);
        example.add_account("abc");
        example.add_account("xyz");
        example.add_domain("shop.example", virtual_of("xyz"));
        example
    }

    pub(crate) fn add_account(&self, text: &str) {
        self.store.add_account(new_account(text), &WHO).unwrap();
    }

    pub(crate) fn add_domain(&self, text: &str, kind: DomainKind) {
        self.store.add_domain(domain(text), kind, &WHO).unwrap();
    }

    pub(crate) fn set_password(&self, account: &str, text: &str) {
        self.store.set_password(&name(account), &password(text), &WHO).unwrap();
    }

    /// The same file opened once more, as another process would.
    pub(crate) fn opened_again(&self) -> Store {
        Store::open(&self.folder.path().join("directory.db"), settings()).unwrap()
    }
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new("/var/mail/hikyaku");
    settings.own_addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    settings.busy_timeout = std::time::Duration::from_millis(500);
    settings
}

pub(crate) fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.into()).unwrap()
}

pub(crate) fn virtual_of(owner: &str) -> DomainKind {
    DomainKind::Virtual { owner: name(owner), prefix: None }
}

pub(crate) fn new_account(text: &str) -> NewAccount {
    NewAccount {
        name: name(text),
        password: None,
        language: Language::Ja,
        operator: false,
        plan: None,
        uids: Vec::new(),
    }
}
