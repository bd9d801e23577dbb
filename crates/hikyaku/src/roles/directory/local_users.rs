//! As whom programs of this machine send. The roles that hear them know their user ids from the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use directory::{StoreError, anonymous};
use envelope::{AccountName, AccountState, Address, Entitlement, Host, LocalPart, Mailbox, ScriptAuthor};
use link::services::directory::{Event, LocalUser, LoginRefused, Response};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{Desk, unreadable};
use crate::config::Unmapped;
use crate::control::Settings;

/// What the configuration says of them.
#[derive(Default)]
pub(super) struct LocalPrograms {
    said: ArcSwap<Said>,
    /// Held by who makes the anonymous account: others wait for it.
    making: Mutex<()>,
}

#[derive(Default)]
struct Said {
    /// Their accounts by user ids, whatever the directory says.
    users: BTreeMap<u32, AccountName>,
    /// As whom those send that are nobody's.
    unmapped: Unmapped,
}

impl LocalPrograms {
    pub(super) fn new(settings: &Settings) -> LocalPrograms {
        let programs = LocalPrograms::default();
        programs.reload(settings);
        programs
    }

    pub(super) fn reload(&self, settings: &Settings) {
        let (users, unmapped) = (settings.local_users.clone(), settings.sendmail.unmapped);
        self.said.store(Arc::new(Said { users, unmapped }));
    }
}

impl Desk {
    /// As whom a program sends that runs under this user id: by the configuration, else by the directory,
    /// else as the anonymous account. None: it is not there yet.
    pub(super) fn local_user(&self, uid: u32) -> Result<Option<Response>, StoreError> {
        let said = self.local_programs.said.load();
        self.store.snapshot(|snapshot| {
            let configured = said.users.get(&uid);
            let owner = match configured {
                Some(account) => Some(account.clone()),
                None => snapshot.account_of_local_user(uid)?,
            };
            let Some(name) = owner.or_else(|| (said.unmapped == Unmapped::Anonymous).then(anonymous)) else {
                return Ok(Some(Response::LoginRefused(LoginRefused::UnknownUser)));
            };
            let (Some(account), Some(plan)) = (snapshot.account(&name)?, snapshot.effective_plan(&name)?)
            else {
                if configured.is_none() {
                    return Ok(None);
                }
                warn!(event = "local_user_unknown", uid, account = %name, "in [sendmail.users]: no such account");
                return Ok(Some(Response::LoginRefused(LoginRefused::UnknownUser)));
            };
            Ok(Some(self.sends_as(name, account.state, plan.script_author)))
        })
    }

    /// As whom a program sends that this account's delivery instructions run.
    pub(super) fn program_of(&self, name: AccountName) -> Result<Response, StoreError> {
        self.store.snapshot(|snapshot| {
            Ok(match (snapshot.account(&name)?, snapshot.effective_plan(&name)?) {
                (Some(account), Some(plan)) if self.programs && plan.programs => {
                    self.sends_as(name, account.state, plan.script_author)
                }
                _ => Response::LoginRefused(LoginRefused::NoPrograms),
            })
        })
    }

    fn sends_as(&self, name: AccountName, state: AccountState, author: ScriptAuthor) -> Response {
        match state {
            AccountState::Active => Response::LocalUser(Box::new(LocalUser {
                address: self.standard_address(&name),
                grant: self.relay(name, Entitlement::LocalUser),
                author,
            })),
            AccountState::ReceiveOnly => Response::LoginRefused(LoginRefused::ReceiveOnly),
            AccountState::Suspended => Response::LoginRefused(LoginRefused::Suspended),
        }
    }

    /// The same once the anonymous account is made, of which it was found that it is not there.
    pub(super) async fn as_anonymous(self: Arc<Self>, uid: u32) -> Response {
        Arc::clone(&self).make_anonymous().await;
        match self.local_user(uid) {
            Ok(answer) => answer.unwrap_or(Response::Unavailable),
            Err(error) => unreadable(&error),
        }
    }

    /// Makes the anonymous account, if it may come to be asked for: so operators see it, and can say how
    /// much it may send, before it sends.
    pub(super) async fn prepare_anonymous(self: Arc<Self>) {
        if self.local_programs.said.load().unmapped == Unmapped::Anonymous {
            self.make_anonymous().await;
        }
    }

    async fn make_anonymous(self: Arc<Self>) {
        let desk = Arc::clone(&self);
        let _making = self.local_programs.making.lock().await;
        let runtime = Handle::current();
        let made = tokio::task::spawn_blocking(move || {
            let local_part = LocalPart::new("postmaster").expect("it is a dot-string of letters");
            let postmaster = Address::new(local_part, Host::Domain(desk.domain.clone()));
            desk.store.make_anonymous(&postmaster, |account| {
                let mailbox = Mailbox { account: account.name.clone(), maildir: account.maildir.clone() };
                runtime.block_on(desk.make_mailbox(mailbox))
            })
        });
        match made.await {
            Ok(Ok(true)) => {
                info!(event = "anonymous_made", "the account for programs of users that are no account's");
                self.callers.send(&Event::Changed);
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(event = "anonymous_not_made", %error),
            Err(error) => warn!(event = "anonymous_not_made", %error),
        }
    }

    /// The address by which reports reach an account. That of the anonymous one names the host, so that
    /// strangers see which machine's program wrote.
    fn standard_address(&self, account: &AccountName) -> Address {
        let domain = if *account == anonymous() { &self.host } else { &self.domain };
        let local_part = LocalPart::new(account.as_str()).expect("a label is a dot-string");
        Address::new(local_part, Host::Domain(domain.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use directory::{AccountChanges, NewAccount};
    use envelope::{Destination, Language, Overrides};
    use link::services::local::{Local, Response as Answer};
    use link::{Responder, serve};

    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    /// Account, address and author, or the refusal.
    fn told(answer: Option<Response>) -> (String, Option<ScriptAuthor>) {
        match answer {
            Some(Response::LocalUser(user)) => {
                let sender = user.grant.sender();
                assert_eq!(sender.entitlement, Entitlement::LocalUser);
                (format!("{} {}", sender.account, user.address), Some(user.author))
            }
            Some(Response::LoginRefused(refused)) => (format!("{refused:?}"), None),
            other => (format!("{other:?}"), None),
        }
    }

    fn ask(desk: &Desk, uid: u32) -> (String, Option<ScriptAuthor>) {
        told(desk.local_user(uid).unwrap())
    }

    fn say(desk: &Desk, users: &[(u32, &str)], unmapped: Unmapped) {
        let users = users.iter().map(|(uid, account)| (*uid, name(account))).collect();
        desk.local_programs.said.store(Arc::new(Said { users, unmapped }));
    }

    fn map(desk: &Desk, account: &str, uid: u32) {
        let changes = AccountChanges { uids_added: vec![uid], ..AccountChanges::default() };
        desk.store.change_account(&name(account), &changes, &WHO).unwrap();
    }

    #[test]
    fn the_configuration_counts_before_the_directory_and_the_plan_says_as_whom() {
        let (_folder, desk) = desk(false);
        map(&desk, "abc", 1001);
        say(&desk, &[], Unmapped::Refuse);
        let abc = ("abc abc@pobox.example".to_owned(), Some(ScriptAuthor::Own));
        assert_eq!(ask(&desk, 1001), abc);
        assert_eq!(ask(&desk, 1002).0, "UnknownUser");
        let keep = Overrides { script_author: Some(ScriptAuthor::Keep), ..Overrides::default() };
        desk.store.set_overrides(&name("xyz"), &keep, &WHO).unwrap();
        say(&desk, &[(1001, "xyz"), (1003, "gone")], Unmapped::Refuse);
        assert_eq!(ask(&desk, 1001), ("xyz xyz@pobox.example".into(), Some(ScriptAuthor::Keep)));
        // Not as the anonymous either: that is not what is written there.
        say(&desk, &[(1003, "gone")], Unmapped::Anonymous);
        assert_eq!((ask(&desk, 1001), ask(&desk, 1003).0.as_str()), (abc, "UnknownUser"));
    }

    #[test]
    fn programs_of_who_may_not_send_may_not_either() {
        let (_folder, desk) = desk(false);
        map(&desk, "abc", 1001);
        for (state, refused) in
            [(AccountState::Suspended, "Suspended"), (AccountState::ReceiveOnly, "ReceiveOnly")]
        {
            desk.store.set_state(&name("abc"), state, &WHO).unwrap();
            assert_eq!(ask(&desk, 1001).0, refused);
        }
    }

    #[test]
    fn a_program_in_instructions_sends_as_the_account_whose_plan_has_programs() {
        let programs = Overrides { programs: Some(true), ..Overrides::default() };
        for (runs_programs, its_plan, sends_as) in
            [(true, true, "abc abc@pobox.example"), (true, false, "NoPrograms"), (false, true, "NoPrograms")]
        {
            let (_folder, desk) = desk(runs_programs);
            if its_plan {
                desk.store.set_overrides(&name("abc"), &programs, &WHO).unwrap();
            }
            let asked = |account: &str| told(Some(desk.program_of(name(account)).unwrap())).0;
            assert_eq!((asked("abc").as_str(), asked("gone").as_str()), (sends_as, "NoPrograms"));
            desk.store.set_state(&name("abc"), AccountState::Suspended, &WHO).unwrap();
            assert_eq!(asked("abc") == "Suspended", sends_as.starts_with("abc"));
        }
    }

    #[test]
    fn programs_of_root_send_as_the_postmaster_if_there_is_one() {
        let (_folder, desk) = desk(false);
        say(&desk, &[], Unmapped::Refuse);
        assert_eq!(ask(&desk, 0).0, "UnknownUser");
        let new = NewAccount {
            name: name("ops"),
            password: None,
            language: Language::En,
            operator: true,
            plan: None,
            uids: Vec::new(),
        };
        desk.store.add_account(new, &WHO).unwrap();
        assert_eq!(ask(&desk, 0).0, "ops ops@pobox.example");
        let leads_to = |address: &str| match desk.route(&address.parse().unwrap()).unwrap().leads_to {
            Destination::Local(local) => local.mailbox.account.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(leads_to("root@mail.pobox.example"), "ops");
        assert_eq!(leads_to("root@pobox.example"), "ops");
        say(&desk, &[(0, "abc")], Unmapped::Refuse);
        assert_eq!(ask(&desk, 0).0, "abc abc@pobox.example");
    }

    #[test]
    fn who_is_nobodys_sends_as_the_anonymous_account_whose_mail_reaches_the_postmaster() {
        let (_folder, desk) = desk(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let desk = Arc::new(desk);
        runtime.block_on(async {
            assert!(desk.local_user(1001).unwrap().is_none());
            let (ours, theirs) = UnixStream::pair().unwrap();
            let made = |_, responder: Responder<Local>| responder.send(Answer::Created);
            tokio::spawn(serve::<Local>(theirs, |_| {}, made));
            desk.local.attach(ours, || {}).unwrap();
            let (one, other) =
                tokio::join!(Arc::clone(&desk).as_anonymous(1001), Arc::clone(&desk).as_anonymous(1002));
            let expected = ("anonymous anonymous@mail.pobox.example".to_owned(), Some(ScriptAuthor::ReplyTo));
            assert_eq!((told(Some(one)), told(Some(other))), (expected.clone(), expected.clone()));
            assert_eq!(ask(&desk, 1003), expected);
        });
        let orders = |address: &str| desk.route(&address.parse().unwrap()).unwrap().orders.unwrap().text;
        for address in ["anonymous@mail.pobox.example", "Anonymous@pobox.example"] {
            assert_eq!(orders(address), "&postmaster@pobox.example\n");
        }
        desk.store.set_state(&anonymous(), AccountState::Suspended, &WHO).unwrap();
        assert_eq!(ask(&desk, 1001).0, "Suspended");
    }

    #[test]
    fn an_anonymous_account_without_a_mailbox_is_not_made_and_nobody_sends_as_it() {
        let (_folder, desk) = desk(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let desk = Arc::new(desk);
        runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let full = |_, responder: Responder<Local>| responder.send(Answer::NotCreated("no room".into()));
            tokio::spawn(serve::<Local>(theirs, |_| {}, full));
            desk.local.attach(ours, || {}).unwrap();
            let answer = Arc::clone(&desk).as_anonymous(1001).await;
            assert!(matches!(answer, Response::Unavailable), "{answer:?}");
        });
        assert_eq!(desk.store.account(&anonymous()).unwrap(), None);
    }
}
