//! How long lookups and logins take with 100,000 accounts, on this machine.
//!
//! `cargo run --release -p hikyaku-directory --example speed`
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant};

use directory::{Actor, NewAccount, Password, Settings, Store};
use envelope::{Address, DomainKind, Language};

const ACCOUNTS: u32 = 100_000;
const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("directory.db");
    let store = Store::open(&path, Settings::new("/var/mail/hikyaku"))?;
    let who = Actor::Server;
    store.add_domain("pobox.example".parse()?, DomainKind::Provider, &who)?;
    let password = Some(Password::new("abc-try".into())?);
    let new = NewAccount { name: "abc".parse()?, password, language: Language::Ja, operator: true };
    store.add_account(new, &who)?;
    store.add_domain("shop.example".parse()?, DomainKind::Virtual { owner: "abc".parse()? }, &who)?;
    // All at once: one by one, each would wait for the disk.
    rusqlite::Connection::open(&path)?.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO accounts (name, state, language, operator, maildir, created)
         SELECT 'user' || i, 'active', 'ja', 0, printf('%02x/user%d.%d/Maildir', i % 256, i, i + 1), 0 FROM n",
        [ACCOUNTS],
    )?;

    for (what, pattern) in [
        ("account", "user#@pobox.example"),
        ("extension", "user#-list-request@pobox.example"),
        ("sub-domain", "foo@user#.pobox.example"),
        ("virtual domain", "order#@shop.example"),
        ("unknown", "nobody#@pobox.example"),
        ("16 dashes", "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-#@pobox.example"),
    ] {
        let addresses: Vec<Address> = scattered()
            .map(|number| pattern.replace('#', &number.to_string()).parse())
            .collect::<Result<_, _>>()?;
        let mut next = addresses.iter();
        print(
            &format!("resolve, {what}"),
            measure(|| next.next().is_some_and(|to| store.resolve(to).is_ok())),
        );
    }
    print("change_count", measure(|| store.change_count().is_ok()));
    let started = Instant::now();
    store.login("abc", "abc-try")?;
    print("login, by argon2", started.elapsed());
    print("login, remembered", measure(|| store.login("abc@pobox.example", "abc-try").is_ok()));
    Ok(())
}

/// Numbers of accounts in no order, so that neighbours share no page.
fn scattered() -> impl Iterator<Item = u32> {
    (0..ROUNDS).map(|round| round.wrapping_mul(7_919) % ACCOUNTS + 1)
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
