//! How long lookups and logins take with 100,000 accounts of 10 addresses each, or with as many accounts
//! as the argument says, on this machine.
//!
//! `cargo run --release -p hikyaku-directory --example speed [ACCOUNTS]`
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use directory::{Actor, NewAccount, NewPassword, Password, Settings, Store};
use envelope::{AccountName, Address, DomainKind, Language};

const ADDRESSES_EACH: u32 = 10;
const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let accounts: u32 = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("directory.db");
    let store = Store::open(&path, Settings::new("/var/mail/hikyaku"))?;
    let who = Actor::Server;
    store.add_domain("pobox.example".parse()?, DomainKind::Provider, &who)?;
    let password = Some(NewPassword::Password(Password::new("abc-try".into())?));
    let name = "abc".parse()?;
    let new =
        NewAccount { name, password, language: Language::Ja, operator: true, plan: None, uids: Vec::new() };
    store.add_account(new, &who)?;
    store.add_domain(
        "shop.example".parse()?,
        DomainKind::Virtual { owner: "abc".parse()?, prefix: None },
        &who,
    )?;
    // All at once: one by one, each would wait for the disk.
    let file = rusqlite::Connection::open(&path)?;
    file.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO accounts (name, state, language, operator, maildir, created)
         SELECT 'user' || i, 'active', 'ja', 0, printf('%02x/user%d.%d/Maildir', i % 256, i, i + 1), 0 FROM n",
        [accounts],
    )?;
    file.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
         INSERT INTO instructions (account, name, text, active, updated)
         SELECT id, '-list' || i, '&a@there.example' || char(10) || '&b@there.example' || char(10), 1, 0
         FROM accounts, n WHERE name LIKE 'user%' ORDER BY id, '-list' || i",
        [ADDRESSES_EACH],
    )?;
    drop(file);

    for (what, pattern) in [
        ("account", "user#@pobox.example"),
        ("extension", "user#-list-request@pobox.example"),
        ("sub-domain", "foo@user#.pobox.example"),
        ("virtual domain", "order#@shop.example"),
        ("unknown", "nobody#@pobox.example"),
        ("16 dashes", "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-#@pobox.example"),
    ] {
        let addresses: Vec<Address> = scattered(accounts)
            .map(|number| pattern.replace('#', &number.to_string()).parse())
            .collect::<Result<_, _>>()?;
        let mut next = addresses.iter();
        print(
            &format!("resolve, {what}"),
            measure(|| next.next().is_some_and(|to| store.resolve(to).is_ok())),
        );
    }
    let names: Vec<AccountName> =
        scattered(accounts).map(|number| format!("user{number}").parse()).collect::<Result<_, _>>()?;
    // As delivery asks: where it leads, under which names it looks, and what the owner may.
    for (what, pattern, files) in [
        ("own instructions", "list7@user#.pobox.example", &[".qmail-list7"][..]),
        ("none", "foo-bar@user#.pobox.example", &[".qmail-foo-bar", ".qmail-foo-default", ".qmail-default"]),
    ] {
        let addresses: Vec<Address> = scattered(accounts)
            .map(|number| pattern.replace('#', &number.to_string()).parse())
            .collect::<Result<_, _>>()?;
        let mut next = addresses.iter().zip(&names);
        let route = || {
            let Some((address, name)) = next.next() else { return false };
            let asked = store.snapshot(|snapshot| {
                snapshot.resolve(address)?;
                let mut found = None;
                for file in files {
                    found = snapshot.instructions(name, file)?;
                }
                if found.is_some() {
                    snapshot.has_instructions(name, ".qmail-list7-owner")?;
                    snapshot.effective_plan(name)?;
                }
                Ok(found)
            });
            asked.is_ok()
        };
        print(&format!("route, {what}"), measure(route));
    }
    let now = 1_800_000_000;
    let clients: Vec<IpAddr> = scattered(accounts).map(|number| IpAddr::V4(number.into())).collect();
    let mut next = clients.iter().zip(&names);
    let open = || next.next().is_some_and(|(client, name)| store.open_window(*client, name, now).is_ok());
    print("open_window", measure(open));
    let mut next = clients.iter();
    print("windows", measure(|| next.next().is_some_and(|client| store.windows(*client, now).is_ok())));
    let to: [Address; 1] = ["a@there.example".parse()?];
    let mut next = names.iter();
    let may_send = || next.next().is_some_and(|name| store.may_send(name, now).is_ok());
    print("may_send", measure(may_send));
    let mut next = names.iter();
    let count = || next.next().is_some_and(|name| store.count(name, &to, 1, now).is_ok());
    print("count", measure(count));
    let started = Instant::now();
    store.flush_usage();
    print("flush_usage, what is left", started.elapsed());
    for name in ["abc", "nobody"] {
        let challenge = || store.scram_challenge(name).is_ok();
        print(&format!("scram_challenge, {name}"), measure(challenge));
    }
    print("change_count", measure(|| store.change_count().is_ok()));
    let started = Instant::now();
    store.login("abc", "abc-try")?;
    print("login, by argon2", started.elapsed());
    // What operators look for among all accounts and all their instructions.
    for text in ["user", "777", "nobody at all"] {
        let started = Instant::now();
        let found = store.find_accounts(text, 20)?.len();
        print(&format!("find_accounts, {found} found"), started.elapsed());
        let started = Instant::now();
        let found = store.find_instructions(text, 20)?.len();
        print(&format!("find_instructions, {found} found"), started.elapsed());
    }
    let started = Instant::now();
    store.counts()?;
    print("counts", started.elapsed());
    let started = Instant::now();
    let open = store.open_windows(now)?.len();
    print(&format!("open_windows, {open} open"), started.elapsed());
    print("login, remembered", measure(|| store.login("abc@pobox.example", "abc-try").is_ok()));
    Ok(())
}

/// Numbers of accounts in no order, so that neighbours share no page.
fn scattered(accounts: u32) -> impl Iterator<Item = u32> {
    (0..ROUNDS).map(move |round| round.wrapping_mul(7_919) % accounts + 1)
}

fn measure(mut step: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    let right = (0..ROUNDS).filter(|_| step()).count();
    assert_eq!(right, ROUNDS as usize, "a step failed");
    started.elapsed() / ROUNDS
}

fn print(what: &str, each: Duration) {
    println!("{what:28} {:10.2} µs", each.as_secs_f64() * 1e6);
}
