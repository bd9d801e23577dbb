//! Visitors against a desk in memory: what they are let do, and what is counted against them.

use std::time::{SystemTime, UNIX_EPOCH};

use link::services::directory::visits::{FRESH_FOR, Operate, Own, Scope, Token};
use link::services::directory::{Answer, Rule, Secret};
use tokio::runtime::Runtime;

use super::*;
use crate::roles::directory::example::{WHO, desk, name};

/// A desk at which abc has the password `abc-try`, and the operator `root` has none yet.
struct House {
    desk: Arc<Desk>,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl House {
    fn open() -> House {
        let (folder, desk) = desk(false);
        let password = directory::Password::new("abc-try".into()).unwrap();
        desk.store.set_password(&name("abc"), &password, &WHO).unwrap();
        let (password, language, plan, uids) = (None, envelope::Language::Ja, None, Vec::new());
        let root =
            directory::NewAccount { name: name("root"), password, language, operator: true, plan, uids };
        desk.store.add_account(root, &WHO).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        House { desk: Arc::new(desk), runtime, _folder: folder }
    }

    fn enter(&self, entry: Entry) -> Result<Visit, Denied> {
        self.desk.let_in_to_page(entry, &from("192.0.2.1"))
    }

    fn sign_in(&self, name: &str, password: &str) -> Result<Visit, Denied> {
        self.enter(Entry::SignIn { name: name.into(), password: Secret(password.into()) })
    }

    /// The session of somebody who gets in by his password.
    fn session(&self, name: &str, password: &str) -> Key {
        signed_in(self.sign_in(name, password)).0
    }

    fn ask(&self, key: &Key, ask: Ask) -> Result<Visit, Denied> {
        let response = self.desk.answered(key.clone(), from("192.0.2.1"), ask, self.runtime.handle());
        match response {
            Response::Visit(visit) => match *visit {
                Visit::Denied(denied) => Err(denied),
                visit => Ok(visit),
            },
            Response::Done => Ok(Visit::Done),
            other => panic!("{other:?}"),
        }
    }

    fn own(&self, key: &Key, own: Own) -> Result<Visit, Denied> {
        self.ask(key, Ask::Own(own))
    }

    fn standing(&self, key: &Key) -> Result<Standing, Denied> {
        self.ask(key, Ask::Standing).map(|visit| match visit {
            Visit::Standing(standing) => *standing,
            other => panic!("{other:?}"),
        })
    }

    /// Takes up a link for an account, with the password `a-new-one`.
    fn take_up(&self, account: &str) -> Result<Visit, Denied> {
        let invitation = self.desk.invite(&name(account), &WHO).unwrap();
        self.enter(Entry::TakeUp { invitation, password: Secret("a-new-one".into()) })
    }

    /// Sets up a second factor in this session: its recovery codes.
    fn enrol(&self, key: &Key) -> Vec<String> {
        let session = match key {
            Key::Session(token) => self.desk.store.session(&token.digest(), now()).unwrap().unwrap(),
            Key::Api(_) => panic!("no session"),
        };
        assert!(matches!(self.own(key, Own::BeginSecondFactor), Ok(Visit::SecondFactorBegun { .. })));
        let secret = self.desk.store.begin_second_factor(&session.account.name, session.number).unwrap();
        match self.own(key, Own::SetSecondFactor(secret.shown_at(now()))) {
            Ok(Visit::RecoveryCodes(codes)) => codes.into_iter().map(|code| code.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// The session of `root`, who has come by his link and set up his second factor; and his recovery codes.
    fn operator(&self) -> (Key, Vec<String>) {
        let key = signed_in(self.take_up("root")).0;
        let codes = self.enrol(&key);
        (key, codes)
    }
}

fn from(client: &str) -> Origin {
    Origin { client: client.parse().unwrap(), agent: "browser".into() }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed_in(outcome: Result<Visit, Denied>) -> (Key, Standing) {
    match outcome {
        Ok(Visit::SignedIn(token, standing)) => (Key::Session(token), *standing),
        other => panic!("not signed in: {other:?}"),
    }
}

fn denied<T: std::fmt::Debug>(outcome: Result<T, Denied>) -> Denied {
    outcome.unwrap_err()
}

fn half(outcome: Result<Visit, Denied>) -> Token {
    match outcome {
        Ok(Visit::CodeWanted(half)) => half,
        other => panic!("no code wanted: {other:?}"),
    }
}

const WRONG: Denied = Denied::Login(LoginRefused::Credentials);

#[test]
fn a_right_password_lets_in_and_the_key_is_that_accounts() {
    let house = House::open();
    let (key, standing) = signed_in(house.sign_in("ABC@pobox.example", "abc-try"));
    assert_eq!(
        (standing.account.as_str(), standing.address.to_string()),
        ("abc", "abc@pobox.example".into())
    );
    assert_eq!(standing.sub_domain.as_ref().map(envelope::Domain::as_str), Some("abc.pobox.example"));
    assert!(!standing.operator && !standing.operates && !standing.second_factor && !standing.must_enrol);
    assert!(standing.scope.is_none() && standing.fresh_until.abs_diff(now() + FRESH_FOR) <= 2);
    assert_eq!(house.standing(&key).unwrap().account, name("abc"));
    let other = Key::Session(Token::new([7; 32]));
    assert_eq!(denied(house.standing(&other)), Denied::SignIn);
    house.ask(&key, Ask::SignOut).unwrap();
    assert_eq!(denied(house.standing(&key)), Denied::SignIn);
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_answered_and_counted_alike() {
    let house = House::open();
    for name in ["abc", "nobody", "xyz"] {
        (0..4).for_each(|_| assert_eq!(denied(house.sign_in(name, "abc-tri")), WRONG, "{name}"));
        let too_many = Denied::Login(LoginRefused::TooManyFailures);
        assert_eq!(denied(house.sign_in(name, "abc-try")), too_many, "{name}");
    }
    // Neither by a mail program from there; and the owner from elsewhere is not kept out.
    assert!(
        !house.desk.store.login_delay("abc", from("192.0.2.1").client, std::time::Instant::now()).is_zero()
    );
    let entry = Entry::SignIn { name: "abc".into(), password: Secret("abc-try".into()) };
    signed_in(house.desk.let_in_to_page(entry, &from("198.51.100.1")));
}

#[test]
fn an_app_password_does_not_open_the_page() {
    let house = House::open();
    let made = house.desk.store.add_app_password(&name("abc"), &"phone".parse().unwrap(), &WHO).unwrap();
    assert_eq!(denied(house.sign_in("abc", made.as_str())), WRONG);
}

#[test]
fn a_suspended_account_hears_so_by_its_password_only_and_a_receive_only_one_gets_in() {
    let house = House::open();
    let set = |state| house.desk.store.set_state(&name("abc"), state, &WHO).unwrap();
    let key = house.session("abc", "abc-try");
    set(envelope::AccountState::Suspended);
    assert_eq!(denied(house.standing(&key)), Denied::SignIn);
    assert_eq!(denied(house.sign_in("abc", "abc-try")), Denied::Login(LoginRefused::Suspended));
    assert_eq!(denied(house.sign_in("abc", "abc-tri")), WRONG);
    set(envelope::AccountState::ReceiveOnly);
    house.session("abc", "abc-try");
}

#[test]
fn a_second_factor_is_asked_for_and_a_right_password_forgives_no_wrong_code() {
    let house = House::open();
    let codes = house.enrol(&house.session("abc", "abc-try"));
    let show = |half: Token, code: &str| house.enter(Entry::Code { half, code: code.into() });
    let (key, standing) = signed_in(show(half(house.sign_in("abc", "abc-try")), &codes[0]));
    assert!(standing.second_factor && house.standing(&key).is_ok());
    assert_eq!(denied(show(half(house.sign_in("abc", "abc-try")), &codes[0])), Denied::WrongCode);
    for _ in 0..3 {
        assert_eq!(denied(show(half(house.sign_in("abc", "abc-try")), "000000")), Denied::WrongCode);
    }
    let too_many = Denied::Login(LoginRefused::TooManyFailures);
    assert_eq!(denied(house.sign_in("abc", "abc-try")), too_many);
    assert_eq!(denied(show(Token::new([7; 32]), &codes[1])), Denied::SignIn);
}

#[test]
fn a_new_proof_makes_dangerous_acts_go() {
    let house = House::open();
    let key = house.session("abc", "abc-try");
    let prove = |password: &str, code: Option<&str>| {
        house.ask(&key, Ask::Prove { password: Secret(password.into()), code: code.map(Into::into) })
    };
    let session = house.desk.store.sessions(&name("abc"), now()).unwrap()[0].number;
    let stale = || house.desk.store.prove(&name("abc"), session, None, 0, now()).unwrap();
    stale();
    let add = || house.own(&key, Own::AddAppPassword("phone".into()));
    assert_eq!(denied(add()), Denied::Prove);
    assert_eq!(denied(prove("abc-tri", None)), WRONG);
    prove("abc-try", None).unwrap();
    assert!(matches!(add(), Ok(Visit::NewSecret(_))));
    assert_eq!(denied(add()), Denied::LabelTaken);
    let codes = house.enrol(&key);
    assert_eq!(denied(prove("abc-try", None)), Denied::WrongCode);
    assert_eq!(denied(prove("abc-try", Some("000000"))), Denied::WrongCode);
    prove("abc-try", Some(&codes[3])).unwrap();
    house.own(&key, Own::RemoveSecondFactor).unwrap();
    assert!(!house.standing(&key).unwrap().second_factor);
}

#[test]
fn an_operator_rules_only_after_his_second_factor_and_sets_it_up_only_by_a_link() {
    let house = House::open();
    let find = || Ask::Operate(Operate::Rule(Rule::Domains));
    let (key, standing) = signed_in(house.take_up("root"));
    assert!(standing.must_enrol && standing.operator && !standing.operates);
    assert_eq!(denied(house.own(&key, Own::Logins)), Denied::Enrol);
    assert_eq!(denied(house.ask(&key, find())), Denied::Enrol);
    // His password alone makes him a mere member, who cannot make himself more.
    let plain = house.session("root", "a-new-one");
    assert!(house.own(&plain, Own::Logins).is_ok());
    assert_eq!(denied(house.ask(&plain, find())), Denied::NotOperating);
    assert_eq!(denied(house.own(&plain, Own::BeginSecondFactor)), Denied::NotOperating);
    assert_eq!(denied(house.own(&plain, Own::SetSecondFactor("000000".into()))), Denied::NotOperating);
    house.enrol(&key);
    let standing = house.standing(&key).unwrap();
    assert!(standing.operates && !standing.must_enrol && standing.second_factor);
    let response = house.desk.answered(key.clone(), from("192.0.2.1"), find(), house.runtime.handle());
    assert!(matches!(response, Response::Answer(Answer::Domains(_))));
    assert_eq!(denied(house.own(&key, Own::RemoveSecondFactor)), Denied::Forbidden);
    assert_eq!(denied(house.ask(&plain, find())), Denied::NotOperating);
}

#[test]
fn a_link_is_looked_at_and_taken_up_once_with_a_password_that_is_one() {
    let house = House::open();
    let invitation = house.desk.invite(&name("abc"), &WHO).unwrap();
    let look = || house.enter(Entry::Look(invitation.clone()));
    let take_up = |password: &str| {
        let (invitation, password) = (invitation.clone(), Secret(password.into()));
        house.enter(Entry::TakeUp { invitation, password })
    };
    assert!(matches!(look(), Ok(Visit::Invitation { account, operator: false }) if account == name("abc")));
    for wrong in ["", "seven-7", "with\nline end", &"x".repeat(513)] {
        assert_eq!(denied(take_up(wrong)), Denied::NotAPassword);
    }
    let (_, standing) = signed_in(take_up("秘密の言葉です！"));
    assert!(!standing.must_enrol);
    assert_eq!((denied(look()), denied(take_up("another-one"))), (Denied::LinkInvalid, Denied::LinkInvalid));
}

#[test]
fn ones_own_password_is_changed_by_the_old_one_and_other_sessions_end() {
    let house = House::open();
    let (mine, other) = (house.session("abc", "abc-try"), house.session("abc", "abc-try"));
    let set = |old: &str, new: &str| {
        house.own(&mine, Own::SetPassword { old: Secret(old.into()), new: Secret(new.into()) })
    };
    assert_eq!(denied(set("abc-tri", "a-new-one")), WRONG);
    assert_eq!(denied(set("abc-try", "short")), Denied::NotAPassword);
    set("abc-try", "a-new-one").unwrap();
    assert!(house.standing(&mine).is_ok());
    assert_eq!(denied(house.standing(&other)), Denied::SignIn);
    assert_eq!(denied(house.sign_in("abc", "abc-try")), WRONG);
    let third = house.session("abc", "a-new-one");
    house.own(&mine, Own::EndOtherSessions).unwrap();
    assert_eq!(denied(house.standing(&third)), Denied::SignIn);
    let Ok(Visit::Sessions(all)) = house.own(&mine, Own::Sessions) else { panic!("no list") };
    assert!(all.len() == 1 && all[0].this && all[0].agent == "browser");
    assert_eq!(denied(house.own(&mine, Own::EndSession(all[0].number + 1))), Denied::NotFound);
}

#[test]
fn a_token_may_what_its_scope_says_and_no_way_in() {
    let house = House::open();
    let key = house.session("abc", "abc-try");
    let add = |key: &Key, label: &str, scope, expires| {
        house.own(key, Own::AddToken { label: label.into(), scope, expires })
    };
    let token = |made| match made {
        Ok(Visit::NewToken(token)) => Key::Api(token),
        other => panic!("{other:?}"),
    };
    let read = token(add(&key, "read", Scope::Read, now() + 100));
    let write = token(add(&key, "write", Scope::Write, now() + 100));
    assert_eq!(house.standing(&read).unwrap().scope, Some(Scope::Read));
    assert_eq!(denied(add(&key, "rule", Scope::Operate, now() + 100)), Denied::Forbidden);
    for expires in [0, now(), now() + 400 * 86_400, u64::MAX] {
        assert_eq!(denied(add(&key, "x", Scope::Read, expires)), Denied::NotSensible("expires".into()));
    }
    let language = || Own::SetLanguage(envelope::Language::En);
    assert_eq!(denied(house.own(&read, language())), Denied::Forbidden);
    house.own(&write, language()).unwrap();
    assert_eq!(house.standing(&read).unwrap().language, envelope::Language::En);
    for way_in in [
        Own::Tokens,
        Own::Sessions,
        Own::EndOtherSessions,
        Own::BeginSecondFactor,
        Own::AddAppPassword("phone".into()),
        Own::SetPassword { old: Secret("abc-try".into()), new: Secret("a-new-one".into()) },
    ] {
        assert_eq!(denied(house.own(&write, way_in)), Denied::Forbidden);
    }
    house.own(&key, Own::RemoveToken("read".into())).unwrap();
    assert_eq!(denied(house.standing(&read)), Denied::SignIn);
    // An operator's rules, but makes nobody's way in.
    let (operator, _) = house.operator();
    let rule = token(add(&operator, "rule", Scope::Operate, now() + 100));
    assert!(house.standing(&rule).unwrap().operates);
    for way_in in [Operate::Invite(name("abc")), Operate::Rule(Rule::Invite(name("abc")))] {
        assert_eq!(denied(house.ask(&rule, Ask::Operate(way_in))), Denied::Forbidden);
    }
}

#[test]
fn an_operator_sees_a_members_page_and_changes_nothing_there() {
    let house = House::open();
    let member = house.session("abc", "abc-try");
    let (operator, _) = house.operator();
    let see = |own| house.ask(&operator, Ask::Operate(Operate::As(name("abc"), own)));
    let Ok(Visit::Sessions(all)) = see(Own::Sessions) else { panic!("no list") };
    assert!(all.len() == 1 && !all[0].this);
    let Ok(Visit::Logins(logins)) = see(Own::Logins) else { panic!("no list") };
    assert_eq!((logins.len(), logins[0].service.as_str()), (1, "web"));
    assert_eq!(denied(see(Own::EndOtherSessions)), Denied::Forbidden);
    assert_eq!(denied(see(Own::SetLanguage(envelope::Language::En))), Denied::Forbidden);
    // Nor does a member see another's.
    let as_other = Ask::Operate(Operate::As(name("xyz"), Own::Sessions));
    assert_eq!(denied(house.ask(&member, as_other)), Denied::Forbidden);
}

#[test]
fn an_operator_helps_who_has_lost_his_second_factor() {
    let house = House::open();
    let member = house.session("abc", "abc-try");
    house.enrol(&member);
    let (operator, _) = house.operator();
    let operate = |operate| house.ask(&operator, Ask::Operate(operate));
    operate(Operate::RemoveSecondFactor(name("abc"))).unwrap();
    assert_eq!(denied(operate(Operate::RemoveSecondFactor(name("abc")))), Denied::NotFound);
    let Ok(Visit::NewToken(invitation)) = operate(Operate::Invite(name("abc"))) else { panic!("no link") };
    signed_in(house.enter(Entry::TakeUp { invitation, password: Secret("a-new-one".into()) }));
    assert_eq!(denied(operate(Operate::Invite(name("nobody")))), Denied::NotFound);
    let Ok(Visit::Trail(trail)) = operate(Operate::As(name("abc"), Own::Trail { limit: 3 })) else {
        panic!("no trail")
    };
    let trail: Vec<_> = trail.iter().map(|entry| (entry.who.as_str(), entry.what.as_str())).collect();
    assert_eq!(
        trail,
        [
            ("account abc", "password of abc set by its one-time link"),
            ("account root", "one-time link for abc made"),
            ("account root", "second factor of abc removed"),
        ]
    );
}

#[test]
fn who_guesses_waits() {
    let house = House::open();
    let began = std::time::Instant::now();
    let entry = Entry::SignIn { name: "abc".into(), password: Secret("abc-tri".into()) };
    let response = house.runtime.block_on(Arc::clone(&house.desk).enter(entry, from("192.0.2.1")));
    assert!(matches!(response, Response::Visit(visit) if matches!(*visit, Visit::Denied(WRONG))));
    assert!(began.elapsed() >= FAILURE_PAUSE);
}
