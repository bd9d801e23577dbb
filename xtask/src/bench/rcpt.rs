//! RCPT, at a directory of ten accounts and at one of 100,000 with 1,000,000 addresses: what a large house costs.
//!
//! Each recipient is known, and asked about once: no answer that some role remembers helps.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::hikyaku;
use super::mailboxes::DOMAIN;
use super::server::Server;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
const SESSIONS: u32 = 10;
/// So many RCPTs are in one write, and in one transaction.
const BATCH: u32 = 100;
/// Addresses that have instructions, of each account.
const ADDRESSES_EACH: u32 = 10;
/// Of so many addresses those that are asked about are taken.
const ADDRESSES: u32 = 1_000_000;

/// How large a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
}

impl Size {
    pub const ALL: [Size; 2] = [Size::Large, Size::Small];

    fn accounts(self) -> u32 {
        match self {
            Size::Small => 10,
            Size::Large => ADDRESSES / ADDRESSES_EACH,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Size::Small => "10 accounts",
            Size::Large => super::OURS,
        }
    }
}

/// A server with a directory of this size.
///
/// # Errors
/// If the directory cannot be filled.
pub fn prepare(program: &Path, workspace: &Path, directory: &Path, size: Size) -> anyhow::Result<Server> {
    let server = hikyaku::configure(program, directory, size.name())?;
    let accounts = size.accounts();
    println!("a directory of {accounts} accounts and {} addresses …", accounts * ADDRESSES_EACH);
    // In memory, as each account is a transaction of its own, which a disk would be many minutes for.
    let memory = tempfile::tempdir_in("/dev/shm").context("no room in memory to fill a directory")?;
    let filled = memory.path().join("directory.sqlite");
    let outcome = crate::cargo()
        .current_dir(workspace)
        .args(["run", "--release", "--quiet", "--package", "hikyaku-directory", "--example", "fill", "--"])
        .arg(&filled)
        .args([accounts.to_string(), ADDRESSES_EACH.to_string()])
        .status()
        .context("cannot run cargo")?;
    if !outcome.success() {
        bail!("the directory was not filled");
    }
    // In place of the one that `init` made. The server adds its domain when it starts.
    let place = directory.join("data/directory");
    for file in fs::read_dir(&place)? {
        fs::remove_file(file?.path())?;
    }
    fs::copy(&filled, place.join("directory.sqlite"))?;
    Ok(server)
}

/// Starts the server, asks about `count` addresses, and ends it. Gives RCPTs per second.
///
/// # Errors
/// If the server does not know an address, breaks a connection or falls silent.
pub fn take(server: &Server, size: Size, count: u32) -> anyhow::Result<f64> {
    let _running = server.start()?;
    let share = count / SESSIONS;
    // Processes and files are made use of once before anything is measured, by addresses of its own.
    ask(server.address, size, count, share.min(10 * BATCH))?;
    let begin = Instant::now();
    let asked = ask(server.address, size, 0, share)?;
    Ok(f64::from(asked) / begin.elapsed().as_secs_f64())
}

/// Asks about `share` addresses in each session, from the `first` on. Gives how many in all.
fn ask(server: SocketAddr, size: Size, first: u32, share: u32) -> anyhow::Result<u32> {
    thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|session| scope.spawn(move || converse(server, size, first + session * share, share)))
            .collect();
        let mut asked = 0;
        for session in sessions {
            let Ok(outcome) = session.join() else { bail!("a session panicked") };
            asked += outcome?;
        }
        Ok(asked)
    })
}

fn converse(server: SocketAddr, size: Size, first: u32, share: u32) -> anyhow::Result<u32> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::with_capacity(64 << 10, stream.try_clone()?);
    let mut stream = stream;
    let mut line = String::new();
    let mut expect = |code: &str| -> anyhow::Result<()> {
        line.clear();
        replies.read_line(&mut line)?;
        if line.starts_with(code) { Ok(()) } else { bail!("expected {code}, the server said {line:?}") }
    };
    expect("220")?;
    stream.write_all(b"HELO bench.example\r\n")?;
    expect("250")?;
    let mut asked = 0;
    while asked < share {
        let mut batch = String::from("MAIL FROM:<sender@elsewhere.example>\r\n");
        for number in first + asked..first + asked + BATCH {
            batch.push_str(&format!("RCPT TO:<{}>\r\n", address(size, number)));
        }
        batch.push_str("RSET\r\n");
        stream.write_all(batch.as_bytes())?;
        (0..BATCH + 2).try_for_each(|_| expect("250"))?;
        asked += BATCH;
    }
    Ok(asked)
}

/// The address of this number.
fn address(size: Size, number: u32) -> String {
    let (account, list) = place(size, number);
    format!("list{list}@user{account}.{DOMAIN}")
}

/// An account, and one of its addresses: no two numbers below [`ADDRESSES`] have the same, and neighbours are
/// far apart in the directory.
fn place(size: Size, number: u32) -> (u32, u32) {
    // A step that has no divisor in common with the number of addresses comes to each of them.
    let scattered = u64::from(number) * 618_033 % u64::from(ADDRESSES);
    let scattered = u32::try_from(scattered).expect("it is below ADDRESSES");
    (scattered % size.accounts(), scattered / size.accounts())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_asked_about_twice_and_each_is_of_an_account_that_is_there() {
        for size in Size::ALL {
            let mut asked = vec![false; ADDRESSES as usize];
            for number in 0..ADDRESSES {
                let (account, list) = place(size, number);
                assert!(account < size.accounts());
                let place = &mut asked[(list * size.accounts() + account) as usize];
                assert!(!std::mem::replace(place, true), "{number} is somebody else's address");
            }
        }
        assert_eq!(address(Size::Small, 1), "list61803@user3.bench.example");
    }
}
