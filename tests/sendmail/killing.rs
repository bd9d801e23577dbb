//! `kill -9` of the caller or of a role: exit 0 means that it arrives, and nothing arrives by halves.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::{Site, letter};
use crate::house::eventually;

#[test]
fn a_caller_that_dies_half_way_has_sent_nothing() {
    let site = Site::new();
    for half in ["", "To: abc@pobox.example\nSubj", "To: abc@pobox.example\nSubject: half\n\nhalf a li"] {
        let mut child = site.face("sendmail", &["-t"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(half.as_bytes()).unwrap();
        input.flush().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    site.nothing_was_sent();
}

/// Whenever it is killed while it hands a large message over: all of it arrives, or nothing.
#[test]
fn a_caller_that_is_killed_while_it_hands_over_sends_all_or_nothing() {
    let site = Site::new();
    let line = "A line of a large message.\n";
    let body = line.repeat(8 << 20 >> 5);
    let begin = Instant::now();
    let text = format!("{}{body}", letter("the first"));
    site.sendmail(&["-t"], &text).good();
    let whole = begin.elapsed();
    const TURNS: u32 = 12;
    for turn in 0..TURNS {
        let mut child = site.face("sendmail", &["-t"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let begin = Instant::now();
        std::thread::scope(|threads| {
            let text = format!("{}{body}", letter(&format!("turn {turn}")));
            // It may be gone before it has read all.
            threads.spawn(move || drop(input.write_all(text.as_bytes())));
            std::thread::sleep((whole * turn / (TURNS - 1)).saturating_sub(begin.elapsed()));
            let _ = child.kill();
        });
        child.wait().unwrap();
    }
    site.house.wait_for_an_empty_queue();
    let messages = site.house.messages("abc");
    println!("{} of {TURNS} got through before they were killed", messages.len() - 1);
    for message in messages {
        assert!(
            message.ends_with(&format!("\n\nLine one.\n.\nThe end.\n{body}")),
            "{} octets of it",
            message.len()
        );
    }
}

/// Two hundred calls while the roles die behind their back, one after the other.
#[test]
fn exit_0_means_that_it_arrives_whichever_role_dies() {
    for spool in [true, false] {
        let mut site = Site::of_this_user(&format!("[sendmail]\nspool = {spool}"));
        site.house.start();
        let site = &site;
        const CALLS: usize = 200;
        let exits: Mutex<BTreeMap<String, i32>> = Mutex::default();
        let next = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= CALLS {
                            return;
                        }
                        let subject = format!("call {number}");
                        let ran = site.sendmail(&["-t"], letter(&subject));
                        let code = ran.code.expect("an exit");
                        assert!(code == 0 || code == 75, "{ran:?}");
                        exits.lock().unwrap().insert(subject, code);
                    }
                });
            }
            for (turn, role) in
                ["submit", "queue", "directory", "submit", "queue", "local"].into_iter().enumerate()
            {
                let goal = (turn + 1) * CALLS / 7;
                eventually("the calls go on", Duration::from_secs(60), || {
                    (exits.lock().unwrap().len() >= goal).then_some(())
                });
                let before = site.house.roles().get(role).copied();
                kill(before.expect("the role runs"), Signal::SIGKILL).unwrap();
                eventually("the role is back", Duration::from_secs(20), || {
                    site.house.roles().get(role).is_some_and(|pid| Some(*pid) != before).then_some(())
                });
            }
        });
        let exits = exits.into_inner().unwrap();
        let taken: Vec<&String> =
            exits.iter().filter(|(_, code)| **code == 0).map(|(subject, _)| subject).collect();
        let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
        eventually("all that was taken has arrived", Duration::from_secs(60), || {
            arrived.clear();
            for message in site.house.messages("abc") {
                *arrived.entry(crate::house::field(&message, "Subject")).or_default() += 1;
            }
            taken.iter().all(|subject| arrived.contains_key(*subject)).then_some(())
        });
        site.house.wait_for_an_empty_queue();
        let twice = arrived.values().filter(|times| **times > 1).count();
        let unheard = arrived.keys().filter(|subject| exits[*subject] != 0).count();
        println!(
            "spool {spool}: {} of {CALLS} exits were 0; {twice} arrived twice, {unheard} though the exit was 75",
            taken.len()
        );
        // Only what was on its way when its role died can be in doubt: four callers, six deaths.
        assert!(twice <= 24 && unheard <= 24, "{twice} twice, {unheard} unheard");
        assert!(arrived.values().all(|times| *times <= 2), "{arrived:?}");
        if spool {
            assert_eq!(taken.len(), CALLS, "with the drop directory none is put off");
        }
    }
}
