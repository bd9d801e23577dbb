//! The server is down: mail waits in the drop directory, or the caller hears of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::{Arrived, Site, letter, of_subject};
use crate::house::{eventually, field};

/// Where a file of the drop directory has its version: one of another version waits.
const VERSION_AT: usize = 7;
const ABC: &str = "abc@pobox.example";

/// Where all roles share one user, nobody else may leave mail in the drop directory: here that user is abc.
fn down(lines: &str) -> Site {
    let mut site = Site::of_this_user(lines);
    // Once, so that all is made.
    site.house.start();
    site.house.stop();
    site
}

/// What callers left, and what of it the server has made its own and not yet settled.
fn dropped(site: &Site) -> Vec<PathBuf> {
    let folders = ["data/drop", "data/drop/taken"].map(|folder| site.place(folder));
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_ours(path)).collect()
}

/// Whether it is a file under a name as callers and server give them: other things are nobody's mail.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap().as_encoded_bytes();
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file()) && name.iter().all(u8::is_ascii_alphanumeric)
}

fn wait_until_picked_up(site: &Site) {
    let none = || dropped(site).is_empty().then_some(());
    eventually("the drop directory is empty", Duration::from_secs(45), none);
}

#[test]
fn mail_waits_while_the_server_is_down_and_goes_when_it_is_up() {
    let mut site = down("");
    for number in 1..=3 {
        site.sendmail(&["-t"], letter(&format!("dropped {number}"))).good();
    }
    assert_eq!(dropped(&site).len(), 3);
    for file in dropped(&site) {
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o007,
            0,
            "others read it: {}",
            file.display()
        );
    }
    site.house.start();
    let messages = site.arrived("abc", 3);
    for number in 1..=3 {
        let message = of_subject(&messages, &format!("dropped {number}"));
        message.is_sound(ABC);
        assert_eq!(message.body, b"Line one.\n.\nThe end.\n");
    }
    wait_until_picked_up(&site);
}

#[test]
fn a_large_message_waits_as_well() {
    let mut site = down("");
    let body = "A line of a large message.\n".repeat(200_000);
    site.sendmail(
        &["-t"],
        format!("From: abc@pobox.example\nTo: abc@pobox.example\nSubject: large\n\n{body}"),
    )
    .good();
    site.house.start();
    assert!(site.one("abc").body == body.as_bytes(), "it is whole");
}

#[test]
fn what_waited_is_judged_as_if_it_came_now() {
    let mut site = down("");
    let forged = "From: xyz@pobox.example\nTo: xyz@pobox.example\nSubject: forged\n\nhello\n";
    site.sendmail(&["-t"], forged).good();
    site.sendmail(&["nosuch@pobox.example", "xyz@pobox.example"], "Subject: to nobody\n\nhello\n").good();
    site.house.start();
    wait_until_picked_up(&site);
    // The customer hears of both, in one mail; nobody else of either.
    let messages = site.arrived("abc", 1);
    assert!(messages.iter().all(|message| message.field("Return-Path") == "<>"), "{messages:#?}");
    let texts: Vec<String> = messages.iter().map(Arrived::decoded).collect();
    let told = |text: &str| texts.iter().any(|notice| notice.contains(text));
    assert!(told("nosuch@pobox.example") || told("xyz@pobox.example"), "{texts:#?}");
    assert!(told("1 more"), "{texts:#?}");
    assert!(site.house.messages("xyz").is_empty());
}

#[test]
fn without_the_drop_directory_the_caller_hears_that_the_server_is_away() {
    let mut site = down("[sendmail]\nspool = false");
    let ran = site.sendmail(&["-t"], letter("is not sent"));
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.errors.contains("does not answer") && ran.errors.contains("try again later"), "{ran:?}");
    let smtp = site.sendmail(&["-bs"], "QUIT\r\n");
    assert!(smtp.code == Some(75) && smtp.output.starts_with("421 "), "{smtp:?}");
    let list = site.sendmail(&["-bp"], "");
    assert!(list.code == Some(75) && !list.errors.is_empty(), "{list:?}");
    site.house.start();
    site.nothing_was_sent();
}

/// Whoever may write there may be anybody.
#[test]
fn what_lies_in_the_drop_directory_is_hostile_until_it_is_read() {
    let mut site = down("");
    let drop = site.place("data/drop");
    let secret = site.place("secret");
    fs::write(&secret, "secret\n").unwrap();
    site.sendmail(&["-t"], letter("is good")).good();
    let good = fs::read(dropped(&site).remove(0)).unwrap();

    let name = |number: usize| drop.join(format!("{number:032x}"));
    // With the mode that `sendmail` gives its files.
    let leave = |number: usize, octets: &[u8]| {
        fs::write(name(number), octets).unwrap();
        fs::set_permissions(name(number), fs::Permissions::from_mode(0o640)).unwrap();
    };
    leave(1, b"");
    leave(2, b"To: abc@pobox.example\n\nno drop file\n");
    leave(3, &good[..good.len() - 1]);
    leave(4, &[good.as_slice(), b"more"].concat());
    // Any octet that is not as it was.
    for place in (0..good.len()).filter(|place| *place != VERSION_AT) {
        let mut torn = good.clone();
        torn[place] ^= 0x20;
        leave(100 + place, &torn);
    }
    symlink(&secret, name(5)).unwrap();
    symlink("/dev/zero", name(6)).unwrap();
    symlink("/nonexistent", name(7)).unwrap();
    fs::hard_link(&secret, name(8)).unwrap();
    mkfifo(&name(9), Mode::from_bits_truncate(0o666)).unwrap();
    fs::create_dir(name(10)).unwrap();
    leave(11, b"");
    fs::File::options().write(true).open(name(11)).unwrap().set_len(2 << 30).unwrap();
    fs::write(drop.join(".new-half"), "half a file").unwrap();
    fs::write(drop.join("..%2f..%2fetc"), "what a name").unwrap();
    fs::write(drop.join("日本語 \u{202e}\n"), "what a name").unwrap();

    site.house.start();
    wait_until_picked_up(&site);
    site.house.wait_for_an_empty_queue();
    let messages = site.house.messages("abc");
    let sent: Vec<&String> = messages.iter().filter(|text| field(text, "Return-Path") != "<>").collect();
    assert!(sent.len() == 1 && field(sent[0], "Subject") == "is good", "{sent:#?}");
    assert_eq!(messages.len(), 2, "one notice, however many files there were: {messages:#?}");
    // Whoever left what cannot be sent hears of it, and of nothing else that lies on the machine.
    assert!(messages.iter().all(|text| !text.contains("secret")), "{messages:#?}");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret\n");
    assert!(site.house.messages("xyz").is_empty());
    assert!(site.house.events("role_died").is_empty());
    // The role goes on with its work.
    site.sendmail(&["-t"], letter("later")).good();
    eventually("mail passes", Duration::from_secs(20), || {
        site.house.messages("abc").iter().any(|text| text.contains("\nSubject: later\n")).then_some(())
    });
}

/// No room where the mail would wait.
#[test]
fn a_drop_directory_without_room_is_no_success() {
    if !geteuid().is_root() {
        eprintln!("only root can make a small disk");
        return;
    }
    let site = down("");
    let drop = site.place("data/drop");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "none"])
        .arg(&drop)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("this machine mounts nothing");
        return;
    }
    let large = format!("{}{}", letter("large"), "x".repeat(70).repeat(3000));
    let full = site.sendmail(&["-t"], &large);
    let left = fs::read_dir(&drop).unwrap().count();
    let small = site.sendmail(&["-t"], letter("small"));
    let waits = dropped(&site).len();
    assert!(Command::new("umount").arg(&drop).status().unwrap().success());
    assert_eq!((full.code, left), (Some(75), 0), "{full:?}");
    assert!(full.errors.contains("try again later"), "{full:?}");
    assert_eq!((small.code, waits), (Some(0), 1), "{small:?}");
}

#[test]
fn a_caller_that_may_not_write_there_is_told() {
    if !geteuid().is_root() {
        eprintln!("this takes another user");
        return;
    }
    let mut site = Site::new();
    site.house.stop();
    let ran = site.sendmail(&["-t"], letter("is not sent"));
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.errors.contains("try again later"), "{ran:?}");
    site.house.start();
    site.nothing_was_sent();
}
