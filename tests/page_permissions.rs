//! Every route of the page and the API, by every kind of visitor.
//!
//! What a route is for is said twice, in the product and here, and both must agree. Whoever adds a route writes its line
//! into [`TABLE`]; without it, a test fails.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::TokenScope;
use link::Client;
use link::services::directory::visits::Token;
use time::UtcOffset;
use web::Who;

use crate::house::House;
use crate::http::{Answer, ask};
use crate::keys::Keys;

/// What each route is for: `anybody`; a `member`, or one who has to set up his second factor too (`enrolling`, and
/// `second-factor`, which an operator sets up by a one-time link only), or who is `not-operator`; an
/// `operator`; a `mail-program` that asks for its settings, whoever it is; a token that may `read`, `write` or `operate`.
const TABLE: &str = "
    GET     /                                                    member
    GET     /.well-known/autoconfig/mail/config-v1.1.xml         mail-program
    GET     /absence                                             member
    POST    /absence                                             member
    GET     /account                                             member
    GET     /account/app-passwords                               member
    POST    /account/app-passwords                               member
    GET     /account/app-passwords/new                           member
    POST    /account/app-passwords/new                           member
    GET     /account/password                                    member
    POST    /account/password                                    member
    GET     /account/sessions                                    member
    POST    /account/sessions                                    member
    GET     /account/settings.json                               member
    GET     /account/settings.tar                                member
    GET     /account/tokens                                      member
    POST    /account/tokens                                      member
    GET     /account/tokens/new                                  member
    POST    /account/tokens/new                                  member
    GET     /account/trail                                       member
    GET     /account/windows                                     member
    POST    /account/windows                                     member
    GET     /addresses                                           member
    POST    /addresses/ask                                       member
    GET     /addresses/delete                                    member
    POST    /addresses/delete                                    member
    GET     /addresses/edit                                      member
    POST    /addresses/edit                                      member
    GET     /addresses/new                                       member
    POST    /addresses/switch                                    member
    GET     /addresses/text                                      member
    GET     /api                                                 anybody
    GET     /assets/{name}                                       anybody
    GET     /Autodiscover/Autodiscover.xml                       mail-program
    POST    /Autodiscover/Autodiscover.xml                       mail-program
    GET     /autodiscover/autodiscover.xml                       mail-program
    POST    /autodiscover/autodiscover.xml                       mail-program
    GET     /consent                                             anybody
    POST    /consent                                             anybody
    GET     /consent/thanks                                      anybody
    POST    /language                                            anybody
    GET     /mail                                                member
    GET     /mail/config-v1.1.xml                                mail-program
    GET     /mail/{id}                                           member
    GET     /operator                                            operator
    GET     /operator/accounts                                   operator
    GET     /operator/accounts/{name}                            operator
    GET     /operator/accounts/{name}/app-password               operator
    POST    /operator/accounts/{name}/app-password               operator
    GET     /operator/accounts/{name}/link                       operator
    POST    /operator/accounts/{name}/link                       operator
    GET     /operator/accounts/{name}/remove                     operator
    POST    /operator/accounts/{name}/remove                     operator
    GET     /operator/accounts/{name}/second-factor              operator
    POST    /operator/accounts/{name}/second-factor              operator
    GET     /operator/accounts/{name}/settings                   operator
    POST    /operator/accounts/{name}/settings                   operator
    GET     /operator/accounts/{name}/state                      operator
    POST    /operator/accounts/{name}/state                      operator
    GET     /operator/accounts/{name}/view                       operator
    POST    /operator/accounts/{name}/windows                    operator
    GET     /operator/audit                                      operator
    GET     /operator/domains                                    operator
    GET     /operator/domains/{name}                             operator
    GET     /operator/domains/{name}/catch-all                   operator
    POST    /operator/domains/{name}/catch-all                   operator
    GET     /operator/domains/{name}/remove                      operator
    POST    /operator/domains/{name}/remove                      operator
    GET     /operator/health                                     operator
    GET     /operator/mail                                       operator
    GET     /operator/mail/{id}                                  operator
    GET     /operator/new-account                                operator
    POST    /operator/new-account                                operator
    GET     /operator/new-domain                                 operator
    POST    /operator/new-domain                                 operator
    GET     /operator/new-plan                                   operator
    POST    /operator/new-plan                                   operator
    GET     /operator/plans                                      operator
    GET     /operator/plans/{name}                               operator
    POST    /operator/plans/{name}                               operator
    GET     /operator/plans/{name}/remove                        operator
    POST    /operator/plans/{name}/remove                        operator
    GET     /operator/queue                                      operator
    GET     /operator/queue/act                                  operator
    POST    /operator/queue/act                                  operator
    GET     /operator/queue/acted                                operator
    GET     /operator/queue/destinations                         operator
    GET     /operator/queue/messages                             operator
    GET     /operator/queue/messages/{id}                        operator
    GET     /operator/queue/messages/{id}/eml                    operator
    GET     /operator/queue/messages/{id}/text                   operator
    GET     /operator/queue/now.json                             operator
    GET     /operator/queue/resume                               operator
    POST    /operator/queue/resume                               operator
    GET     /operator/search                                     operator
    GET     /operator/traffic                                    operator
    GET     /prove                                               member
    POST    /prove                                               member
    GET     /second-factor                                       second-factor
    POST    /second-factor                                       second-factor
    GET     /second-factor/codes                                 enrolling
    POST    /second-factor/codes                                 member
    GET     /second-factor/remove                                enrolling
    POST    /second-factor/remove                                not-operator
    GET     /sheet                                               member
    GET     /sheet/hikyaku.mobileconfig                          member
    GET     /sign-in                                             anybody
    POST    /sign-in                                             anybody
    GET     /sign-in/code                                        anybody
    POST    /sign-in/code                                        anybody
    POST    /sign-out                                            anybody
    GET     /welcome                                             anybody
    POST    /welcome                                             anybody

    GET     /api/v1/openapi.json                                 anybody
    GET     /api/v1/absence                                      read
    PUT     /api/v1/absence                                      write
    GET     /api/v1/account                                      read
    GET     /api/v1/addresses                                    read
    GET     /api/v1/addresses/{address}                          read
    PUT     /api/v1/addresses/{address}                          write
    PATCH   /api/v1/addresses/{address}                          write
    DELETE  /api/v1/addresses/{address}                          write
    POST    /api/v1/addresses/{address}/consent                  write
    GET     /api/v1/addresses/{address}/results                  read
    GET     /api/v1/app-passwords                                read
    DELETE  /api/v1/app-passwords/{label}                        write
    PUT     /api/v1/language                                     write
    GET     /api/v1/logins                                       read
    GET     /api/v1/mail                                         read
    GET     /api/v1/mail/{id}                                    read
    GET     /api/v1/trail                                        read
    DELETE  /api/v1/windows                                      write
    GET     /api/v1/operator/accounts                            operate
    POST    /api/v1/operator/accounts                            operate
    GET     /api/v1/operator/accounts/{name}                     operate
    PATCH   /api/v1/operator/accounts/{name}                     operate
    DELETE  /api/v1/operator/accounts/{name}                     operate
    GET     /api/v1/operator/accounts/{name}/addresses           operate
    PUT     /api/v1/operator/accounts/{name}/password            operate
    PUT     /api/v1/operator/accounts/{name}/state               operate
    DELETE  /api/v1/operator/accounts/{name}/windows             operate
    GET     /api/v1/operator/audit                               operate
    GET     /api/v1/operator/counts                              operate
    GET     /api/v1/operator/dns                                 operate
    GET     /api/v1/operator/domains                             operate
    POST    /api/v1/operator/domains                             operate
    GET     /api/v1/operator/domains/{name}                      operate
    DELETE  /api/v1/operator/domains/{name}                      operate
    PUT     /api/v1/operator/domains/{name}/catch-all            operate
    DELETE  /api/v1/operator/domains/{name}/catch-all            operate
    GET     /api/v1/operator/domains/{name}/dns                  operate
    GET     /api/v1/operator/mail                                operate
    GET     /api/v1/operator/mail/{id}                           operate
    GET     /api/v1/operator/plans                               operate
    PUT     /api/v1/operator/plans/{name}                        operate
    DELETE  /api/v1/operator/plans/{name}                        operate
    GET     /api/v1/operator/queue                               operate
    POST    /api/v1/operator/queue/acts                          operate
    GET     /api/v1/operator/queue/counts                        operate
    GET     /api/v1/operator/queue/destinations                  operate
    POST    /api/v1/operator/queue/destinations/{name}/resume    operate
    GET     /api/v1/operator/queue/messages                      operate
    GET     /api/v1/operator/queue/messages/{id}                 operate
    GET     /api/v1/operator/search                              operate
    GET     /api/v1/operator/traffic                             operate
    GET     /api/v1/operator/windows                             operate
";

/// Routes by which a member reaches something by its name in a query or a form, not in the path; `{}` stands for it.
const NAMED: [(&str, &str, &str); 7] = [
    ("GET", "/addresses/edit?address={}", ""),
    ("GET", "/addresses/delete?address={}", ""),
    ("GET", "/addresses/text?address={}", ""),
    ("POST", "/addresses/ask", "address={}&destination=a@peer.example"),
    ("POST", "/addresses/edit", "address={}&version=1&keep=on"),
    ("POST", "/addresses/switch", "address={}&version=1&active=on"),
    ("POST", "/addresses/delete", "address={}&version=1"),
];

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Nobody,
    Member,
    Suspended,
    OperatorWithoutSecondFactor,
    Operator,
    Enrolling,
    Read,
    Write,
    MemberWhoMayOperate,
    Operate,
    Expired,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is served, whatever is then wrong with it.
    In,
    SignIn,
    Forbidden,
    Enrol,
}

/// One line of the table.
struct Line {
    method: &'static str,
    path: &'static str,
    what_for: &'static str,
}

fn table() -> Vec<Line> {
    let lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [method, path, what_for] = words[..] else { panic!("{line}") };
            Line { method, path, what_for }
        })
        .collect()
}

impl Line {
    fn is_of_api(&self) -> bool {
        self.path.starts_with("/api/v1/")
    }

    /// What becomes of this role here.
    fn expected(&self, role: Role) -> Outcome {
        use Outcome::{Enrol, Forbidden, In, SignIn};
        if matches!(self.what_for, "anybody" | "mail-program") {
            return In;
        }
        if self.is_of_api() {
            return match (role, self.what_for) {
                (Role::Read, "read") | (Role::Write, "read" | "write") => In,
                (Role::MemberWhoMayOperate, "read" | "write") | (Role::Operate, _) => In,
                (Role::Read | Role::Write | Role::MemberWhoMayOperate, _) => Forbidden,
                // No cookie counts here.
                _ => SignIn,
            };
        }
        match (role, self.what_for) {
            (Role::Operator, "not-operator") => Forbidden,
            (Role::Operator, _) => In,
            (Role::OperatorWithoutSecondFactor, "second-factor" | "not-operator") => Forbidden,
            (Role::Member | Role::OperatorWithoutSecondFactor, "operator") => Forbidden,
            (Role::Member | Role::OperatorWithoutSecondFactor, _) => In,
            (Role::Enrolling, "enrolling" | "second-factor") => In,
            (Role::Enrolling, _) => Enrol,
            // No token counts here.
            _ => SignIn,
        }
    }

    /// The path, with names of nothing filled in.
    fn filled_in(&self) -> String {
        let path = self.path.replace("{address}", "nothing@pobox.example").replace("{id}", "0000000000000");
        path.replace("{name}", "nothing.example").replace("{label}", "nothing")
    }
}

fn outcome(answer: &Answer) -> Outcome {
    match (answer.status, answer.field("location")) {
        (401, _) => Outcome::SignIn,
        (303, to) if to.starts_with("/sign-in?then=") => Outcome::SignIn,
        (303, "/second-factor") => Outcome::Enrol,
        // The form is shown again: it was no password, or not the code.
        (403, _) if answer.body.contains("type=\"password\"") || answer.body.contains("name=\"code\"") => {
            Outcome::In
        }
        (403, _) => Outcome::Forbidden,
        _ => Outcome::In,
    }
}

/// A visitor: by what he is known.
#[derive(Clone)]
enum By {
    Nothing,
    Cookie(Token),
    Bearer(Token),
}

impl By {
    fn lines(&self) -> Vec<String> {
        match self {
            By::Nothing => vec![format!("Cookie: __Host-guest={}", guest().reveal())],
            By::Cookie(token) => vec![format!("Cookie: __Host-session={}", token.reveal())],
            By::Bearer(token) => {
                vec![format!("Authorization: Bearer {}", token.reveal()), By::Nothing.lines().remove(0)]
            }
        }
    }

    /// What our own page's forms carry for him.
    fn csrf(&self) -> String {
        let bound_to = match self {
            By::Cookie(token) => token.clone(),
            By::Nothing | By::Bearer(_) => guest(),
        };
        URL_SAFE_NO_PAD.encode(bound_to.derived("csrf"))
    }

    fn ask(&self, house: &House, method: &str, path: &str, form: &str) -> Answer {
        let body = match method {
            "POST" if !path.starts_with("/api/v1/") => format!("csrf={}&{form}", self.csrf()),
            _ => form.to_owned(),
        };
        self.send(house, method, path, &[], &body)
    }

    fn send(&self, house: &House, method: &str, path: &str, more: &[&str], body: &str) -> Answer {
        let own = self.lines();
        let mut lines: Vec<&str> = own.iter().map(String::as_str).collect();
        lines.extend(more);
        ask(house.http(), method, path, &lines, body)
    }

    /// Speaks JSON.
    fn json(&self, house: &House, method: &str, path: &str, more: &[&str], body: &str) -> Answer {
        self.send(house, method, path, &[&["Content-Type: application/json"], more].concat(), body)
    }
}

fn guest() -> Token {
    Token::new([3; 32])
}

fn routes() -> Vec<web::Route> {
    let site = web::Site {
        hostname: "mail.pobox.example".parse().unwrap(),
        domain: "pobox.example".parse().unwrap(),
        url: "https://mail.pobox.example/".into(),
        trusted_proxies: Vec::new(),
        pop_window_minutes: 30,
        submission: None,
        submissions: None,
        smtp: None,
        pop3: None,
        pop3s: None,
        trace_days: 30,
        message_size_max: 1 << 25,
        zone: UtcOffset::UTC,
        certificate: None,
    };
    let house = web::House::new(Client::new(Duration::ZERO), Client::new(Duration::ZERO), site);
    web::routes(&std::sync::Arc::new(house)).table().to_vec()
}

#[test]
fn every_route_is_in_the_table_and_for_whom_the_table_says() {
    let served: BTreeMap<(String, &str), Who> =
        routes().into_iter().map(|route| ((route.method.to_string(), route.path), route.who)).collect();
    let listed: BTreeMap<(String, &str), &str> =
        table().iter().map(|line| ((line.method.to_owned(), line.path), line.what_for)).collect();
    for (route, who) in &served {
        let what_for =
            listed.get(route).unwrap_or_else(|| panic!("{route:?} is not in the table of this test"));
        let expected = match *what_for {
            "anybody" => Who::Anybody,
            "member" | "enrolling" | "second-factor" | "not-operator" => Who::Member,
            "operator" => Who::Operator,
            "mail-program" => Who::MailProgram,
            "read" | "write" => Who::Token,
            "operate" => Who::OperatorToken,
            other => panic!("{other}"),
        };
        assert_eq!(*who, expected, "{route:?}");
        assert_eq!(*what_for == "read", *who == Who::Token && route.0 == "GET", "{route:?}");
    }
    for route in listed.keys() {
        assert!(served.contains_key(route), "{route:?} is in the table of this test, but is not served");
    }
}

#[test]
fn every_route_serves_whom_it_is_for_and_nobody_else() {
    let house = House::new();
    for operator in ["first", "second", "third"] {
        house.ran(&["account", "add", operator, "--operator"], "a long password\n");
    }
    for member in ["mia", "sue"] {
        house.add_account(member);
    }
    let keys = Keys::of(&house);
    let day = 86_400;
    let suspended = keys.session("sue");
    house.rule("account suspend sue");
    let roles = [
        (Role::Nobody, By::Nothing),
        (Role::Member, By::Cookie(keys.session("mia"))),
        (Role::Suspended, By::Cookie(suspended)),
        (Role::OperatorWithoutSecondFactor, By::Cookie(keys.session("second"))),
        (Role::Operator, By::Cookie(keys.operating("first"))),
        (Role::Enrolling, By::Cookie(keys.invited("third"))),
        (Role::Read, By::Bearer(keys.token("mia", TokenScope::Read, day))),
        (Role::Write, By::Bearer(keys.token("mia", TokenScope::Write, day))),
        (Role::MemberWhoMayOperate, By::Bearer(keys.token("mia", TokenScope::Operate, day))),
        (Role::Operate, By::Bearer(keys.token("first", TokenScope::Operate, day))),
        (Role::Expired, By::Bearer(keys.token("first", TokenScope::Operate, 0))),
    ];
    let mut lines = table();
    // That comes last: it ends sessions.
    lines.sort_by_key(|line| line.path == "/sign-out");
    let mut wrong = Vec::new();
    for line in &lines {
        for (role, by) in &roles {
            let answer = by.ask(&house, line.method, &line.filled_in(), "");
            let expected = line.expected(*role);
            let outcome = match outcome(&answer) {
                // He has one; this is only where the page goes on.
                Outcome::Enrol if *role != Role::Enrolling => Outcome::In,
                outcome => outcome,
            };
            if outcome != expected || answer.status >= 500 {
                let (status, to) = (answer.status, answer.field("location"));
                wrong.push(format!(
                    "{} {} by {role:?}: {status} {to}, not {expected:?}",
                    line.method, line.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_form_is_taken_without_its_proof_or_from_another_site() {
    let house = House::new();
    let keys = Keys::of(&house);
    let operator = By::Cookie(keys.operating("abc"));
    let another = By::Cookie(keys.session("xyz"));
    let changes = keys.changes();
    let is_form = |line: &&Line| line.method != "GET" && !line.is_of_api() && line.what_for != "mail-program";
    for line in table().iter().filter(is_form) {
        assert_eq!(line.method, "POST", "browsers send nothing else");
        for body in [String::new(), "csrf=".into(), format!("csrf={}", another.csrf()), "csrf=%00".into()] {
            let answer = operator.send(&house, "POST", &line.filled_in(), &[], &body);
            assert_eq!(answer.status, 403, "{} {body}", line.path);
        }
        for site in [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Origin: https://evil.example",
            "Origin: null",
        ] {
            let body = format!("csrf={}", operator.csrf());
            let answer = operator.send(&house, "POST", &line.filled_in(), &[site], &body);
            assert_eq!(answer.status, 403, "{} {site}", line.path);
        }
    }
    assert_eq!(keys.changes(), changes);
    assert_eq!(operator.ask(&house, "GET", "/", "").status, 200, "the session goes on");
}

#[test]
fn looking_changes_nothing() {
    let house = House::new();
    house.send("abc@pobox.example", "looked at");
    house.wait_for_messages("abc", 1);
    let keys = Keys::of(&house);
    let day = 86_400;
    let all = [
        By::Cookie(keys.operating("abc")),
        By::Cookie(keys.session("xyz")),
        By::Bearer(keys.token("xyz", TokenScope::Write, day)),
        By::Bearer(keys.token("abc", TokenScope::Operate, day)),
    ];
    let state = || {
        (
            keys.changes(),
            house.queued(),
            house.rule("address list --all --json"),
            house.rule("account list --json"),
        )
    };
    let before = state();
    for line in table().iter().filter(|line| line.method == "GET") {
        for by in &all {
            for method in ["GET", "HEAD"] {
                by.ask(&house, method, &line.filled_in(), "");
            }
        }
    }
    assert_eq!(state(), before);
    for by in &all {
        let path = if matches!(by, By::Cookie(_)) { "/" } else { "/api/v1/account" };
        assert_eq!(by.ask(&house, "GET", path, "").status, 200, "it is still good");
    }
}

/// What B is answered, without what differs because he asked by another name.
fn told(answer: &Answer, name: &str) -> (u16, String, String) {
    let plain = |text: &str| text.replace(name, "NAME").replace(&name.replace('@', "%40"), "NAME");
    (answer.status, plain(answer.field("location")), plain(&answer.body))
}

#[test]
fn one_member_reaches_nothing_of_anothers() {
    let house = House::new();
    for member in ["mia", "ben"] {
        house.add_account(member);
    }
    let keys = Keys::of(&house);
    let mia = By::Bearer(keys.token("mia", TokenScope::Write, 86_400));
    let ben = By::Bearer(keys.token("ben", TokenScope::Write, 86_400));
    let ben_at_the_page = By::Cookie(keys.session("ben"));

    let hers = "shop@mia.pobox.example";
    let order = "{\"keep\": true, \"destinations\": [], \"label\": \"my shop\"}";
    let path = format!("/api/v1/addresses/{hers}");
    assert_eq!(mia.json(&house, "PUT", &path, &["If-None-Match: *"], order).status, 201);
    house.send(hers, "for mia only");
    house.wait_for_messages("mia", 1);
    let mail = crate::house::eventually("her mail is on record", Duration::from_secs(20), || {
        let mail = mia.ask(&house, "GET", "/api/v1/mail", "").json();
        mail["messages"].as_array().filter(|all| !all.is_empty()).cloned()
    });
    let id = mail[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(mia.ask(&house, "GET", &format!("/api/v1/mail/{id}"), "").status, 200);
    let sheet = mia.ask(&house, "GET", &path, "");
    assert_eq!(sheet.json()["label"], "my shop");
    let tag = format!("If-Match: {}", sheet.field("etag"));

    let (nobodys, no_id) = ("shop@nobody.pobox.example", "0000000000001");
    // In the path.
    for line in table().iter().filter(|line| matches!(line.what_for, "member" | "read" | "write")) {
        let (placeholder, anothers, nothings) = match line.path {
            path if path.contains("{address}") => ("{address}", hers, nobodys),
            path if path.contains("{id}") => ("{id}", &*id, no_id),
            path if path.contains("{label}") => continue,
            path => {
                assert!(!path.contains('{'), "{path}: say here what of it is whose");
                continue;
            }
        };
        let by = if line.is_of_api() { &ben } else { &ben_at_the_page };
        let body =
            if line.path.ends_with("/consent") { "{\"destination\": \"a@peer.example\"}" } else { order };
        let asked = |name: &str| {
            let path = line.path.replace(placeholder, name);
            told(&by.json(&house, line.method, &path, &[&tag], body), name)
        };
        assert_eq!(asked(anothers), asked(nothings), "{} {}", line.method, line.path);
        assert_eq!(asked(anothers).0, 404, "{} {}", line.method, line.path);
    }
    // In a query or a form.
    for (method, path, form) in NAMED {
        let asked = |name: &str| {
            let (path, form) = (path.replace("{}", &name.replace('@', "%40")), form.replace("{}", name));
            told(&ben_at_the_page.ask(&house, method, &path, &form), name)
        };
        assert_eq!(asked(hers), asked(nobodys), "{method} {path}");
        assert!(asked(hers).0 >= 400, "{method} {path}: {}", asked(hers).0);
    }
    // Lists have nothing of hers.
    for path in [
        "/api/v1/addresses?search=shop",
        "/api/v1/mail?with=pobox.example",
        "/api/v1/trail",
        "/api/v1/account",
    ] {
        let answer = ben.ask(&house, "GET", path, "");
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("mia"), "{path}: {}", answer.body);
    }
    // And what is hers is as it was.
    let after = mia.ask(&house, "GET", &path, "");
    assert_eq!(
        (after.body, after.header.iter().find(|(name, _)| name == "etag").cloned()),
        (sheet.body, sheet.header.iter().find(|(name, _)| name == "etag").cloned())
    );
}
