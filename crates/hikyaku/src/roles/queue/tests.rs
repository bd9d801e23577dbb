//! The role with fellow roles that are made up: a directory of a few addresses, and a `local` that does
//! what a table says.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use envelope::event::{Delivery, Door, Event, ReportKind, What};
use envelope::{
    AccountName, Address, BodyType, Destination, Entitlement, Envelope, EnvelopeId, Filter, Language, Limit,
    LimitReached, LocalAddress, Mailbox, MessageWishes, Notify as When, Provenance, Recipient,
    RecipientWishes, Return, ReversePath, Sender, SendingLimit, TypedAddress, Walk,
};
use link::grant::{GrantKey, OperatorGrant, RelayGrant};
use link::services::directory::{self, Directory, NotCounted, Route};
use link::services::local::{self, Delivered, Done, Forward, Local, Outcome};
use link::services::queue::operators::{Act, Answer, Question};
use link::services::queue::{Arrival, NotAccepted, Response};
use link::services::remote::{self, Remote};
use link::{Parcel, Responder};
use queue::{Body, NewMessage, RecipientOutcome};

use super::*;
use crate::config::Config;

/// What was put into a mailbox, or would have been but for a copy that was there.
#[derive(Debug, Clone)]
struct Handed {
    to: String,
    account: AccountName,
    has_it: bool,
    reverse_path: String,
    text: String,
}

/// What the fellows know, and what they were asked.
#[derive(Default)]
struct Fellows {
    /// What the owner of an address has done; whoever is not here has no mailbox.
    done: HashMap<String, (AccountName, Done)>,
    handed: Vec<Handed>,
    counted: Vec<(AccountName, usize, u64)>,
    /// What was noted.
    events: Vec<Event>,
    /// Why nothing is counted.
    not_counted: Option<NotCounted>,
    /// Who is away.
    away: Vec<AccountName>,
    /// Whether such an account answers was asked of these.
    to_answer: Vec<directory::ToAnswer>,
    /// Why nothing is delivered to an address now.
    deferred: HashMap<String, String>,
}

type Shared = Arc<Mutex<Fellows>>;

struct House {
    queue: Queue,
    intake: Intake,
    scheduler: Arc<Scheduler>,
    /// Names as `smtp` gives them, which are not the queue's own.
    arriving: Ids,
    fellows: Shared,
    key: GrantKey,
    stop: watch::Sender<bool>,
    _spool: tempfile::TempDir,
}

fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn kept() -> Done {
    Done { in_mailbox: true, ..Done::default() }
}

fn forwarding(reverse_path: &str, to: &[&str], keeps: bool) -> Done {
    let to = to.iter().map(|to| address(to)).collect();
    let forward = Forward { reverse_path: ReversePath::Address(address(reverse_path)), to };
    Done { in_mailbox: keeps, forwards: vec![forward], ..Done::default() }
}

fn envelope(from: &str, to: &[&str]) -> Envelope {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
    let to = to.iter().map(|to| Recipient::of_forward(address(to))).collect();
    Envelope::new(from, to, BodyType::SevenBit, false).unwrap()
}

fn answer_directory(fellows: &Shared, request: directory::Request) -> directory::Response {
    let mut fellows = fellows.lock().unwrap();
    match request {
        directory::Request::Route(address) => {
            let local = fellows.done.get(&address.to_string()).map(|(account, _)| LocalAddress {
                mailbox: Mailbox { account: account.clone(), maildir: format!("/mail/{account}").into() },
                extension: None,
                quota: Limit::Unlimited,
            });
            let elsewhere = address.host.to_string().ends_with("elsewhere.example");
            let leads_to = match local {
                Some(local) => Destination::Local(local),
                None if elsewhere => Destination::Elsewhere,
                None => Destination::NoSuchMailbox,
            };
            let away =
                fellows.done.get(&address.to_string()).filter(|(account, _)| fellows.away.contains(account));
            let away = away.map(|_| directory::Away { from: 0, until: u64::MAX });
            directory::Response::Routed(Route { leads_to, orders: None, away })
        }
        directory::Request::Language(_) => directory::Response::Language(Language::En),
        directory::Request::Count { account, recipients, size } => match fellows.not_counted {
            Some(why) => directory::Response::NotCounted(why),
            None => {
                fellows.counted.push((account, recipients.len(), size));
                directory::Response::Counted
            }
        },
        directory::Request::AutoReply(whom) => {
            let (from, language) = (whom.at.clone(), Language::En);
            fellows.to_answer.push(*whom);
            let (subject, text) = (String::new(), "I am away.\n".into());
            let reply = directory::AutoReply { from, subject, text, language };
            directory::Response::AutoReply(Box::new(reply))
        }
        directory::Request::Note(events) => {
            fellows.events.extend(events);
            directory::Response::Done
        }
        other => panic!("nobody should ask {other:?}"),
    }
}

fn answer_local(fellows: &Shared, request: Parcel<local::Request>, responder: Responder<Local>) {
    let local::Request::Deliver(deliver) = request.value else { panic!("nobody should ask this") };
    let mut fellows = fellows.lock().unwrap();
    let delivered = deliver.recipients.into_iter().map(|recipient| {
        let to = recipient.address.to_string();
        if let Some(reason) = fellows.deferred.get(&to).cloned() {
            return Delivered { number: recipient.number, outcome: Outcome::Deferred { reason } };
        }
        let (account, mut done) = fellows.done[&to].clone();
        done.in_mailbox &= !recipient.has_it;
        fellows.handed.push(Handed {
            to,
            account,
            has_it: recipient.has_it,
            reverse_path: deliver.reverse_path.to_string(),
            text: String::from_utf8(request.raw.to_vec()).unwrap(),
        });
        Delivered { number: recipient.number, outcome: Outcome::Delivered(done) }
    });
    responder.send(local::Response::Delivered(delivered.collect()));
}

/// Takes everything; only the host of `knows@` writes reports.
fn answer_remote(request: remote::Request) -> remote::Response {
    let remote::Request::Deliver(deliver) = request else { panic!("nobody should ask this") };
    let taken = |recipient: &remote::Recipient| remote::Outcome::Delivered {
        peer: remote::Peer { host: "mx.elsewhere.example".into(), address: [192, 0, 2, 1].into() },
        reply: "250 taken".into(),
        under_tls: false,
        dsn: recipient.address.local_part.as_str() == "knows" && recipient.wishes.wants_success(),
    };
    remote::Response::Tried(deliver.recipients.iter().map(taken).collect())
}

impl House {
    async fn open(addresses: &[(&str, &str, Done)]) -> House {
        House::configured(addresses, "").await
    }

    async fn configured(addresses: &[(&str, &str, Done)], lines: &str) -> House {
        let spool = tempfile::tempdir().unwrap();
        let config = format!("hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\n{lines}");
        let settings = Settings::of(&Config::parse(&config).unwrap());
        let files = Files::open(spool.path()).unwrap();
        let limits =
            queue::Settings { segment_size: 8 << 20, free_space_min: 0, ..queue::Settings::default() };
        let (queue, _) = Queue::open(files, limits).unwrap();
        let fellows = Shared::default();
        for (address, owner, done) in addresses {
            fellows.lock().unwrap().done.insert((*address).into(), (account(owner), done.clone()));
        }

        let known = KnownAddresses::new();
        let (ours, theirs) = UnixStream::pair().unwrap();
        known.attach(ours, || {}).unwrap();
        let table = Arc::clone(&fellows);
        tokio::spawn(serve::<Directory>(
            theirs,
            |_| {},
            move |request, responder| {
                responder.send(answer_directory(&table, request.value));
            },
        ));
        let local = Client::new(PATIENCE);
        let (ours, theirs) = UnixStream::pair().unwrap();
        local.attach(ours, || {}).unwrap();
        let table = Arc::clone(&fellows);
        tokio::spawn(serve::<Local>(
            theirs,
            |_| {},
            move |request, responder| {
                answer_local(&table, request, responder);
            },
        ));

        let remote = Client::new(PATIENCE);
        let (ours, theirs) = UnixStream::pair().unwrap();
        remote.attach(ours, || {}).unwrap();
        tokio::spawn(serve::<Remote>(
            theirs,
            |_| {},
            |request, responder| {
                responder.send(answer_remote(request.value));
            },
        ));

        let ids = Ids(Arc::new(Mutex::new(QueueIds::new(1))));
        let (host, domain) = (settings.hostname.clone(), settings.domain.clone());
        let notices = Notices::new(known.clone(), ids.clone(), host, domain, UtcOffset::UTC);
        let notes = EventNotes::new(known.client(), 30);
        tokio::spawn(notes.clone().run());
        let key = GrantKey::new([7; 32]);
        let intake = Intake {
            queue: queue.clone(),
            addresses: known.clone(),
            notices: notices.clone(),
            notes: notes.clone(),
            grant_key: key.clone(),
            most: settings.limits.clone(),
        };
        let (stop, stopping) = watch::channel(false);
        let callees = Callees { addresses: known, local, remote, notes };
        let scheduler = Scheduler::new(queue.clone(), callees, settings, notices, ids);
        tokio::spawn(Arc::clone(&scheduler).run(stopping));
        let arriving = Ids(Arc::new(Mutex::new(QueueIds::new(2))));
        House { queue, intake, scheduler, arriving, fellows, key, stop, _spool: spool }
    }

    /// Takes in a message with no regard to who may send it.
    fn accept(&self, from: &str, to: &[&str]) {
        self.accept_of(None, envelope(from, to), unix_micros());
    }

    /// Takes in a message of an account, that came at `arrival`.
    fn accept_of(&self, account: Option<AccountName>, envelope: Envelope, arrival: u64) -> QueueId {
        let body = Body::Inline(vec![Bytes::from_static(b"Subject: x\r\n\r\nhi\r\n")]);
        let provenance = Provenance { account, lineage: None };
        let id = self.arriving.next();
        self.queue.accept(NewMessage { id, envelope, provenance, arrival, body }, |accepted| {
            let _ = accepted.unwrap();
        });
        id
    }

    /// What was handed to `local` until nothing is left in the queue.
    async fn all_handed(&self) -> Vec<Handed> {
        self.queue.flush().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.queue.stats().messages > 0 {
            assert!(Instant::now() < deadline, "{:?}", self.queue);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut handed = std::mem::take(&mut self.fellows.lock().unwrap().handed);
        handed.sort_by(|a, b| a.to.cmp(&b.to));
        handed
    }

    /// Hands a message in as `smtp` does, over a socket.
    async fn hand_in(&self, id: u64, to: &str, sender: Option<&str>) -> Response {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(answer_role(self.intake.clone(), theirs, Role::Smtp));
        let smtp: Client<Service> = Client::new(PATIENCE);
        smtp.attach(ours, || {}).unwrap();
        let sender = sender.map(|name| Sender { account: account(name), entitlement: Entitlement::Window });
        let arrival = Arrival {
            id: QueueId::from_u64(id),
            envelope: envelope("abc@pobox.example", &[to]),
            arrived: unix_micros(),
            relay: sender.map(|sender| RelayGrant::issue(&self.key, sender, crate::roles::unix_now())),
        };
        let body = Bytes::from_static(b"Subject: x\r\n\r\nhi\r\n");
        smtp.call(Parcel::with_raw(Request::Accept(arrival), body)).await.unwrap().value
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

const ABC: &str = "abc@pobox.example";
const XYZ: &str = "xyz@pobox.example";
const JOE: &str = "joe@pobox.example";

/// With the directory's grant, and only for the role that hears programs.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_its_own_waiting_mail_by_its_grant() {
    let house = House::open(&[(JOE, "joe", kept())]).await;
    house.fellows.lock().unwrap().deferred =
        [(JOE.to_owned(), "That mailbox is full. (#4.2.2)".to_owned())].into();
    let ask = async |role, of: RelayGrant| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(answer_role(house.intake.clone(), theirs, role));
        let client: Client<Service> = Client::new(PATIENCE);
        client.attach(ours, || {}).unwrap();
        let walk = envelope::Walk::default();
        client.call(Parcel::from(Request::Waiting { of, walk })).await.map(|answer| answer.value)
    };
    let grant = |key: &GrantKey, name: &str| {
        let sender = Sender { account: account(name), entitlement: Entitlement::LocalUser };
        RelayGrant::issue(key, sender, crate::roles::unix_now())
    };
    let of_abc = house.accept_of(Some(account("abc")), envelope(ABC, &[JOE]), unix_micros());
    house.accept_of(Some(account("xyz")), envelope(XYZ, &[JOE]), unix_micros());
    match ask(Role::Submit, grant(&house.key, "abc")).await {
        Ok(Response::Waiting { messages, more: None }) => {
            assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [of_abc]);
            assert_eq!(messages[0].recipients[0].0.to_string(), JOE);
        }
        other => panic!("{other:?}"),
    }
    assert!(ask(Role::Submit, grant(&GrantKey::new([9; 32]), "abc")).await.is_err());
    assert!(ask(Role::Smtp, grant(&house.key, "abc")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_somebody_asked_in_our_words_and_only_about_an_address_of_the_account() {
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept())]).await;
    let ask = async |as_web: bool, key: &GrantKey, address: &str, link: &str| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        match as_web {
            true => tokio::spawn(answer_web(Arc::clone(&house.scheduler), house.intake.clone(), theirs)),
            false => tokio::spawn(answer_role(house.intake.clone(), theirs, Role::Smtp)),
        };
        let client: Client<Service> = Client::new(PATIENCE);
        client.attach(ours, || {}).unwrap();
        let sender = Sender { account: account("abc"), entitlement: Entitlement::Authentication };
        let of = RelayGrant::issue(key, sender, crate::roles::unix_now());
        let (address, destination) = (address.to_owned(), self::address(XYZ));
        let (link, language) = (link.to_owned(), Language::Ja);
        let asked = Request::AskConsent { of, address, destination, link, language };
        client.call(Parcel::from(asked)).await.map(|answer| answer.value)
    };
    let (forged, link) = (GrantKey::new([9; 32]), "https://mail.pobox.example/consent?link=x");
    assert!(ask(false, &house.key, ABC, link).await.is_err());
    assert!(ask(true, &forged, ABC, link).await.is_err());
    for (address, link) in [
        (XYZ, link),
        ("a@elsewhere.example", link),
        ("Buy this now!", link),
        (ABC, "javascript:x"),
        (ABC, "https://x\r\ny"),
    ] {
        let refused = ask(true, &house.key, address, link).await;
        assert!(matches!(refused, Ok(Response::NotAccepted(NotAccepted::Forbidden))), "{refused:?}");
    }
    let reached = LimitReached { which: SendingLimit::MessagesPerDay, most: 1, until: None };
    let over = NotCounted::LimitReached { reached, tell_owner: false };
    house.fellows.lock().unwrap().not_counted = Some(over);
    let refused = ask(true, &house.key, ABC, link).await;
    assert!(matches!(refused, Ok(Response::NotAccepted(NotAccepted::LimitReached(_)))), "{refused:?}");
    house.fellows.lock().unwrap().not_counted = None;
    assert!(house.all_handed().await.is_empty());

    let asked = ask(true, &house.key, ABC, link).await;
    assert!(matches!(asked, Ok(Response::Accepted(_))), "{asked:?}");
    let handed = house.all_handed().await;
    let [mail] = &handed[..] else { panic!("{handed:?}") };
    assert_eq!((&*mail.to, &*mail.reverse_path), (XYZ, "<>"));
    assert!(mail.text.contains("\r\nFrom: Postmaster <postmaster@pobox.example>\r\n"), "{}", mail.text);
    let (_, body) = mail.text.split_once("\r\n\r\n").unwrap();
    let body = base64::prelude::BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap();
    assert_eq!(String::from_utf8(body).unwrap().matches(link).count(), 2);
    let counted = &house.fellows.lock().unwrap().counted;
    assert!(matches!(&counted[..], [(by, 1, _)] if *by == account("abc")), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_the_page_looks_and_acts_by_his_grant_and_the_page_may_do_nothing_else() {
    let house = House::open(&[(JOE, "joe", kept())]).await;
    house.fellows.lock().unwrap().deferred = [(JOE.to_owned(), "not now".to_owned())].into();
    let id = house.accept_of(None, envelope(ABC, &[JOE]), unix_micros());
    house.queue.flush().unwrap();
    let ask = async |as_web: bool, request: Request| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        match as_web {
            true => tokio::spawn(answer_web(Arc::clone(&house.scheduler), house.intake.clone(), theirs)),
            false => tokio::spawn(answer_role(house.intake.clone(), theirs, Role::Smtp)),
        };
        let client: Client<Service> = Client::new(PATIENCE);
        client.attach(ours, || {}).unwrap();
        client.call(Parcel::from(request)).await.map(|answer| answer.value)
    };
    let grant = |key: &GrantKey, may_act, now| OperatorGrant::issue(key, account("root"), may_act, now);
    let (now, forged) = (crate::roles::unix_now(), GrantKey::new([9; 32]));
    let hold = || Question::Act { act: Act::Hold, filter: Filter::default(), walk: Walk::default() };

    let stats = ask(true, Request::AsOperator(grant(&house.key, false, now), Question::Stats)).await;
    assert!(matches!(stats, Ok(Response::Operator(Answer::Stats(_)))), "{stats:?}");
    for refused in [
        Request::AsOperator(grant(&house.key, false, now), hold()),
        Request::AsOperator(grant(&house.key, false, now), Question::Resume("there.example".into())),
        Request::AsOperator(grant(&forged, true, now), Question::Stats),
        Request::AsOperator(grant(&house.key, true, now - 61), Question::Stats),
        Request::Operator(Question::Stats),
        Request::Discard(id),
    ] {
        assert!(ask(true, refused.clone()).await.is_err(), "{refused:?}");
    }
    assert!(ask(false, Request::AsOperator(grant(&house.key, true, now), Question::Stats)).await.is_err());

    let held = ask(true, Request::AsOperator(grant(&house.key, true, now), hold())).await;
    assert!(matches!(held, Ok(Response::Operator(_))), "{held:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let noted = house
            .fellows
            .lock()
            .unwrap()
            .events
            .iter()
            .any(|event| matches!(&event.what, What::Held { by } if by.to_string() == "account root"));
        if noted {
            break;
        }
        assert!(Instant::now() < deadline, "who held it was not noted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_reaches_its_address_and_its_failure_the_sender_it_bears() {
    let forwards = forwarding("list-owner@pobox.example", &[XYZ, "nobody@pobox.example"], true);
    let addresses =
        [(ABC, "abc", forwards), (XYZ, "xyz", kept()), ("list-owner@pobox.example", "joe", kept())];
    let house = House::open(&addresses).await;
    house.accept("", &[ABC]);
    let handed = house.all_handed().await;
    let [original, report, forwarded] = &handed[..] else { panic!("{handed:#?}") };
    assert_eq!((&*original.to, &*original.text), (ABC, "Subject: x\r\n\r\nhi\r\n"));
    assert_eq!((&*forwarded.to, &*forwarded.reverse_path), (XYZ, "<list-owner@pobox.example>"));
    assert_eq!(forwarded.text, "Delivered-To: abc@pobox.example\r\nSubject: x\r\n\r\nhi\r\n");
    assert_eq!((&*report.to, &*report.reverse_path), ("list-owner@pobox.example", "<>"));
    assert!(report.text.contains("<nobody@pobox.example>:"), "{}", report.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_forward_to_one_another_get_one_copy_each() {
    let addresses = [
        (ABC, "abc", forwarding(JOE, &[XYZ], true)),
        (XYZ, "xyz", forwarding(JOE, &[ABC, "foo@abc.pobox.example"], true)),
        ("foo@abc.pobox.example", "abc", forwarding(JOE, &[XYZ], true)),
    ];
    let house = House::open(&addresses).await;
    house.accept(JOE, &[ABC]);
    let handed = house.all_handed().await;
    let got: Vec<(&str, bool)> = handed.iter().map(|one| (&*one.to, one.has_it)).collect();
    assert_eq!(got, [(ABC, false), ("foo@abc.pobox.example", true), (XYZ, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_addresses_with_one_mailbox_the_one_that_keeps_a_copy_brings_it() {
    let addresses = [
        (ABC, "abc", forwarding(JOE, &["a@xyz.pobox.example", "b@xyz.pobox.example"], false)),
        ("a@xyz.pobox.example", "xyz", Done::default()),
        ("b@xyz.pobox.example", "xyz", kept()),
        ("c@xyz.pobox.example", "xyz", kept()),
    ];
    let house = House::open(&addresses).await;
    house.accept(JOE, &[ABC]);
    let got: Vec<(String, bool)> =
        house.all_handed().await.into_iter().map(|one| (one.to, one.has_it)).collect();
    let expected = ["a@xyz.pobox.example", ABC, "b@xyz.pobox.example"].map(|to| (to.to_owned(), false));
    assert_eq!(got, expected);
    // Whom the client itself named each get theirs.
    house.accept(JOE, &["b@xyz.pobox.example", "c@xyz.pobox.example"]);
    assert!(house.all_handed().await.iter().all(|one| !one.has_it && one.account == account("xyz")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_could_not_be_forwarded_to_is_reported_though_the_rest_is_delivered() {
    let undeliverable = vec![("no address".to_owned(), "it has no @".to_owned())];
    let addresses = [(ABC, "abc", Done { undeliverable, ..kept() }), (JOE, "joe", kept())];
    let house = House::open(&addresses).await;
    house.accept(JOE, &[ABC]);
    let handed = house.all_handed().await;
    assert_eq!((&*handed[0].to, &*handed[1].to), (ABC, JOE));
    assert!(handed[1].text.contains("\"no address\": it has no @"), "{}", handed[1].text);
    assert_eq!(house.queue.stats().failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_told_that_his_mailbox_fills_up() {
    let filling = Done { warn: Some(80), ..kept() };
    let house = House::open(&[("foo@abc.pobox.example", "abc", filling), (ABC, "abc", kept())]).await;
    house.accept(JOE, &["foo@abc.pobox.example"]);
    let handed = house.all_handed().await;
    assert_eq!((&*handed[0].to, &*handed[0].reverse_path), (ABC, "<>"));
    assert!(handed[0].text.contains("80 per cent full"), "{}", handed[0].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_mail_is_counted_once_and_strangers_is_not() {
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept())]).await;
    for _ in 0..2 {
        assert!(matches!(house.hand_in(77, XYZ, Some("abc")).await, Response::Accepted(_)));
    }
    assert!(matches!(house.hand_in(78, XYZ, None).await, Response::Accepted(_)));
    let not_ours = house.hand_in(79, "a@elsewhere.example", None).await;
    assert!(matches!(not_ours, Response::NotAccepted(NotAccepted::Forbidden)));
    assert_eq!(house.all_handed().await.len(), 2);
    assert_eq!(house.fellows.lock().unwrap().counted, [(account("abc"), 1, 18)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_sent_enough_is_refused_and_told() {
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept())]).await;
    let reached = LimitReached { which: SendingLimit::MessagesPerHour, most: 5, until: Some(1_795_474_800) };
    let enough = |tell_owner| Some(NotCounted::LimitReached { reached, tell_owner });
    for (number, not_counted, why) in [
        (1, enough(true), NotAccepted::LimitReached(reached)),
        (2, enough(false), NotAccepted::LimitReached(reached)),
        (3, Some(NotCounted::MayNotSend), NotAccepted::SenderDenied),
        (4, Some(NotCounted::TooLarge(10)), NotAccepted::TooLarge(10)),
    ] {
        house.fellows.lock().unwrap().not_counted = not_counted;
        let answer = house.hand_in(number, XYZ, Some("abc")).await;
        assert!(matches!(answer, Response::NotAccepted(said) if said == why), "{number}");
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while house.fellows.lock().unwrap().handed.is_empty() {
        assert!(Instant::now() < deadline, "the owner is not told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let handed = house.all_handed().await;
    assert_eq!((handed.len(), &*handed[0].to), (1, ABC));
    assert!(handed[0].text.contains("5 messages per hour"), "{}", handed[0].text);
}

/// An envelope whose sender wants reports at these times, of one recipient each.
fn wishing(from: &str, to: &[(&str, &str)]) -> Envelope {
    let addresses: Vec<&str> = to.iter().map(|(address, _)| *address).collect();
    let wishes = to.iter().map(|(_, notify)| RecipientWishes { notify: When::parse(notify), original: None });
    envelope(from, &addresses).with_wishes(MessageWishes::default(), wishes.collect())
}

/// What the reports to an address say of recipients.
fn reported<'a>(handed: &'a [Handed], to: &str) -> Vec<Vec<&'a str>> {
    let reports =
        handed.iter().filter(|one| one.to == to && one.text.contains("report-type=delivery-status"));
    let told = |line: &&str| line.starts_with("Final-Recipient: ") || line.starts_with("Action: ");
    reports.map(|one| one.text.lines().filter(told).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_hears_of_what_he_asked_for_and_of_nothing_else() {
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept()), (JOE, "joe", kept())]).await;
    let silent = [("nobody@pobox.example", "NEVER"), ("none@pobox.example", "SUCCESS"), (XYZ, "FAILURE")];
    let to = [
        &[(ABC, "SUCCESS"), ("knows@elsewhere.example", "SUCCESS"), ("a@elsewhere.example", "SUCCESS")][..],
        &silent,
    ]
    .concat();
    house.accept_of(None, wishing(JOE, &to), unix_micros());
    let handed = house.all_handed().await;
    let mut told = reported(&handed, JOE);
    told.sort_unstable();
    let relayed = ["Final-Recipient: rfc822; a@elsewhere.example", "Action: relayed"];
    let delivered = ["Final-Recipient: rfc822; abc@pobox.example", "Action: delivered"];
    assert_eq!(told, [relayed, delivered], "{handed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_the_whole_message_and_the_names_if_they_were_given() {
    let house = House::open(&[(JOE, "joe", kept())]).await;
    let wishes = MessageWishes { ret: Some(Return::Full), envelope_id: EnvelopeId::parse("QQ314159") };
    let original = Some(TypedAddress::of_mail("list@there.example"));
    let envelope = envelope(JOE, &["nobody@pobox.example"])
        .with_wishes(wishes, vec![RecipientWishes { notify: None, original }]);
    house.accept_of(None, envelope, unix_micros());
    let report = house.all_handed().await.remove(0).text;
    for words in [
        "\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nhi\r\n\r\n--",
        "\r\nOriginal-Envelope-Id: QQ314159\r\n",
        "\r\nOriginal-Recipient: rfc822; list@there.example\r\nFinal-Recipient: rfc822; nobody@pobox.example\r\n",
        "There is no such address.",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_on_to_one_other_passes_the_wish_on_and_one_to_several_does_not() {
    let addresses = [
        (ABC, "abc", forwarding(JOE, &[XYZ], false)),
        (
            "two@abc.pobox.example",
            "abc",
            forwarding(JOE, &["b@xyz.pobox.example", "c@elsewhere.example"], false),
        ),
        ("list@abc.pobox.example", "abc", forwarding("owner@pobox.example", &["c@xyz.pobox.example"], false)),
        (XYZ, "xyz", kept()),
        ("b@xyz.pobox.example", "xyz", kept()),
        ("c@xyz.pobox.example", "xyz", kept()),
        (JOE, "joe", kept()),
    ];
    let house = House::open(&addresses).await;
    for (to, action, about) in [
        (ABC, "Action: delivered", XYZ),
        ("two@abc.pobox.example", "Action: expanded", "two@abc.pobox.example"),
        ("list@abc.pobox.example", "Action: delivered", "list@abc.pobox.example"),
    ] {
        house.accept_of(None, wishing(JOE, &[(to, "SUCCESS,FAILURE")]), unix_micros());
        let about = format!("Final-Recipient: rfc822; {about}");
        assert_eq!(reported(&house.all_handed().await, JOE), [[about.as_str(), action]], "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_once_that_his_message_takes_long_and_a_stranger_if_he_asked() {
    const FIVE_HOURS: u64 = 5 * 3600 * 1_000_000;
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept()), (JOE, "joe", kept())]).await;
    let busy = |to: &str| (to.to_owned(), "That mailbox is full. (#4.2.2)".to_owned());
    house.fellows.lock().unwrap().deferred = [busy(XYZ), busy("b@xyz.pobox.example")].into();
    house.fellows.lock().unwrap().done.insert("b@xyz.pobox.example".into(), (account("xyz"), kept()));
    let long_ago = unix_micros() - FIVE_HOURS;
    let told = || reported(&house.fellows.lock().unwrap().handed, JOE).len();
    let reaches = async |count, deferred| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while told() < count || house.queue.stats().deferred < deferred {
            assert!(Instant::now() < deadline, "{:?}", house.fellows.lock().unwrap().handed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // A stranger's, a customer's that is new, and one of a customer who wants to know of nothing.
    house.accept_of(None, envelope(JOE, &[XYZ]), long_ago);
    house.accept_of(Some(account("joe")), envelope(JOE, &[XYZ]), unix_micros());
    house.accept_of(Some(account("joe")), wishing(JOE, &[(XYZ, "FAILURE")]), long_ago);
    house.accept_of(Some(account("joe")), envelope("", &[XYZ]), long_ago);
    house.accept_of(None, wishing(JOE, &[(XYZ, "DELAY")]), long_ago);
    reaches(1, 5).await;
    let customers =
        house.accept_of(Some(account("joe")), envelope(JOE, &[XYZ, ABC, "b@xyz.pobox.example"]), long_ago);
    reaches(2, 7).await;
    assert!(house.queue.delay_told(customers));
    // Another attempt tells nobody.
    let now = crate::roles::unix_now();
    let due =
        |number| (number, RecipientOutcome::Deferred { until: now, reply: String::new(), delay_told: false });
    house.queue.record(customers, vec![due(0), due(2)], Vec::new(), |recorded| recorded.unwrap());
    house.queue.release(customers, &[]);
    reaches(2, 11).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let handed = house.fellows.lock().unwrap().handed.clone();
    let told = reported(&handed, JOE);
    let of = |address: &str| format!("Final-Recipient: rfc822; {address}");
    assert_eq!(told[0], [&of(XYZ), "Action: delayed"]);
    assert_eq!(told[1], [&of(XYZ), "Action: delayed", &of("b@xyz.pobox.example"), "Action: delayed"]);
    assert_eq!(told.len(), 2, "{handed:#?}");
    let report = &handed.iter().rfind(|one| one.to == JOE).unwrap().text;
    for words in
        ["Status: 4.2.2", "Will-Retry-Until: ", "The mailbox is full.", "please do not send it again"]
    {
        assert!(report.contains(words), "{words}: {report}");
    }
}

const POSTMASTER: &str = "postmaster@pobox.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_fails_reaches_the_postmaster_and_ends_there() {
    // His own mail fails as well, where he has it forwarded to.
    let lost = Forward { reverse_path: ReversePath::Null, to: vec![address("nobody@pobox.example")] };
    let forwards = Done { forwards: vec![lost], ..kept() };
    let house = House::open(&[(POSTMASTER, "postmaster", forwards)]).await;
    house.accept("gone@pobox.example", &["nobody@pobox.example"]);
    let handed = house.all_handed().await;
    assert_eq!((handed.len(), &*handed[0].to), (1, POSTMASTER), "{handed:#?}");
    assert!(handed[0].text.contains("could not be delivered to the address below"), "{}", handed[0].text);
    assert!(handed[0].text.contains("Final-Recipient: rfc822; gone@pobox.example"), "{}", handed[0].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postmaster_who_wants_no_double_bounces_gets_none() {
    let house =
        House::configured(&[(POSTMASTER, "postmaster", kept())], "[queue]\ndouble_bounces = false\n").await;
    house.accept("gone@pobox.example", &["nobody@pobox.example"]);
    assert!(house.all_handed().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_hears_what_became_of_a_message_and_of_those_that_came_of_it() {
    let forwards = forwarding(JOE, &[XYZ, "nobody@pobox.example"], true);
    let house = House::open(&[(ABC, "abc", forwards), (XYZ, "xyz", kept()), (JOE, "joe", kept())]).await;
    house.accept(JOE, &[ABC]);
    house.all_handed().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while house.fellows.lock().unwrap().events.len() < 8 {
        assert!(Instant::now() < deadline, "{:#?}", house.fellows.lock().unwrap().events);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let events = house.fellows.lock().unwrap().events.clone();
    let find = |wanted: &dyn Fn(&What) -> bool| {
        let mut found = events.iter().filter(|event| wanted(&event.what));
        let event = found.next().unwrap_or_else(|| panic!("{events:#?}"));
        assert!(found.next().is_none(), "{events:#?}");
        event
    };
    let delivered = |account_name: &str| {
        let mailbox = Delivery::Mailbox(account(account_name));
        find(&|what| matches!(what, What::Delivered { to, .. } if *to == mailbox)).queue_id.unwrap()
    };
    let original = delivered("abc");
    let forward = find(&|what| matches!(what, What::Forwarded { .. }));
    let What::Forwarded { recipient, id, to } = &forward.what else { panic!() };
    assert_eq!((forward.queue_id, recipient.to_string(), to.len()), (Some(original), ABC.to_string(), 2));
    assert_eq!(delivered("xyz"), *id);
    let failed = find(&|what| matches!(what, What::Failed { .. }));
    assert_eq!(failed.queue_id, Some(*id));
    let door = Door::Forward { of: original };
    let accepted = find(&|what| matches!(what, What::Accepted(accepted) if accepted.door == door));
    assert_eq!(accepted.queue_id, Some(*id));
    let reported = find(&|what| matches!(what, What::Reported { kind: ReportKind::Failure, .. }));
    let What::Reported { id: report, to, .. } = &reported.what else { panic!() };
    assert_eq!((reported.queue_id, to.to_string()), (Some(*id), JOE.to_string()));
    let door = Door::Report { of: *id };
    let accepted = find(&|what| matches!(what, What::Accepted(accepted) if accepted.door == door));
    assert_eq!(accepted.queue_id, Some(*report));
    assert_eq!((delivered("joe"), events.len()), (*report, 8));
}

/// Waits for an event of this kind, and gives the message that it names.
async fn named_by(house: &House, find: impl Fn(&What) -> Option<QueueId>) -> QueueId {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(id) = house.fellows.lock().unwrap().events.iter().find_map(|event| find(&event.what)) {
            return id;
        }
        assert!(Instant::now() < deadline, "{:#?}", house.fellows.lock().unwrap().events);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_answers_while_its_owner_is_away_and_its_answer_is_not_answered() {
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept())]).await;
    house.fellows.lock().unwrap().away = vec![account("abc"), account("xyz")];
    let of = house.accept_of(Some(account("xyz")), envelope(XYZ, &[ABC]), unix_micros());
    let reply = named_by(&house, |what| match what {
        What::AutoReplied { id, .. } => Some(*id),
        _ => None,
    })
    .await;
    let mailbox = Delivery::Mailbox(account("xyz"));
    named_by(&house, |what| matches!(what, What::Delivered { to, .. } if *to == mailbox).then_some(reply))
        .await;
    let handed = house.all_handed().await;
    let [original, answer] = &handed[..] else { panic!("{handed:#?}") };
    assert_eq!((&*original.to, &*answer.to, &*answer.reverse_path), (ABC, XYZ, "<>"));
    assert!(answer.text.contains("Auto-Submitted: auto-replied\r\n"), "{}", answer.text);
    assert!(answer.text.ends_with("\r\n\r\nI am away.\r\n"), "{}", answer.text);
    let fellows = house.fellows.lock().unwrap();
    let asked: Vec<String> = fellows.to_answer.iter().map(|whom| whom.sender.to_string()).collect();
    assert_eq!(asked, [XYZ]);
    let made = |event: &&Event| event.queue_id == Some(reply) && event.what.relative() == Some(of);
    let made = fellows.events.iter().find(made).unwrap();
    let What::Accepted(accepted) = &made.what else { panic!("{made:?}") };
    assert_eq!((accepted.door, &accepted.account), (Door::AutoReply { of }, &Some(account("abc"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_away_has_nothing_asked_and_nobody_answers_without_a_sender_or_himself() {
    let house = House::open(&[(ABC, "abc", kept()), (XYZ, "xyz", kept())]).await;
    house.fellows.lock().unwrap().away = vec![account("abc")];
    house.accept("u@elsewhere.example", &[XYZ]);
    house.accept("", &[ABC]);
    house.accept("mailer-daemon@elsewhere.example", &[ABC]);
    house.accept_of(Some(account("abc")), envelope(ABC, &[ABC]), unix_micros());
    assert_eq!(house.all_handed().await.len(), 4);
    house.accept("u@elsewhere.example", &[ABC]);
    named_by(&house, |what| match what {
        What::AutoReplied { id, .. } => Some(*id),
        _ => None,
    })
    .await;
    assert_eq!(house.fellows.lock().unwrap().to_answer.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_in_the_mailbox_is_not_answered() {
    let forwards = forwarding(JOE, &[XYZ], false);
    let house = House::open(&[(ABC, "abc", forwards), (XYZ, "xyz", kept())]).await;
    house.fellows.lock().unwrap().away = vec![account("abc")];
    house.accept("u@elsewhere.example", &[ABC]);
    assert_eq!(house.all_handed().await.len(), 2);
    assert!(house.fellows.lock().unwrap().to_answer.is_empty());
}
