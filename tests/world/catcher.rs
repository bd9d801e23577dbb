//! `hikyaku try` has a world outside of its own: mail for anybody lies in a directory, and none leaves.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};

use super::sink::Sink;
use super::{PATIENCE, World, letter};
use crate::house::{House, all_files, eventually, free_base};
use crate::wire::Wire;

#[test]
fn what_goes_outside_is_caught_and_a_more_exact_route_goes_before() {
    let world = World::new();
    let sink = Sink::start(world.host("peer.host", 2));
    let house = House::at_rest("127.0.0.1", "");
    let dir = house.dir.path().join("try");
    let base = free_base();
    let arguments = ["try", "--dir", dir.to_str().unwrap(), "--port-base", &base.to_string()];
    let server = house.spawn(&arguments, "log");
    let said = || fs::read_to_string(house.dir.path().join("output")).unwrap();
    eventually("it is ready", Duration::from_secs(60), || {
        said().lines().any(|line| line == "ready").then_some(())
    });
    let outside = dir.join("outside");
    assert!(said().contains(&format!("lies in {}", outside.canonicalize().unwrap().display())), "{}", said());

    let send = |to: &[&str], subject: &str| {
        let mut wire = Wire::connect(([127, 0, 0, 1], base + 587).into());
        wire.expect("220 ");
        wire.say("EHLO client.example", "250");
        wire.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0abc\0abc-try")), "235");
        let reply = wire.transact("abc@pobox.example", to, &letter(subject));
        assert!(reply.starts_with("250 "), "{reply}");
    };
    send(&["friend@there.example", "other@there.example"], "to the world");
    let caught = || -> Vec<_> {
        let files = all_files(&outside).into_iter();
        files.filter(|file| file.extension().is_some_and(|extension| extension == "eml")).collect()
    };
    let file = eventually("it is caught", PATIENCE, || caught().pop());
    let text = fs::read_to_string(file).unwrap();
    let (envelope, message) = text.split_once("Received: ").unwrap();
    assert_eq!(
        envelope,
        "X-Envelope-From: <abc@pobox.example>\nX-Envelope-To: <friend@there.example>\n\
         X-Envelope-To: <other@there.example>\n"
    );
    assert!(message.ends_with("Subject: to the world\n\nLine one.\n.Line two has a dot.\n"), "{message}");

    let config = dir.join("hikyaku.toml");
    let line = format!("[remote.routes]\n\"peer.example\" = \"127.0.0.2:{}\"", world.port);
    let text = fs::read_to_string(&config).unwrap().replace("[remote.routes]", &line);
    fs::write(&config, text).unwrap();
    kill(server.pid(), Signal::SIGHUP).unwrap();
    eventually("the more exact route is gone by", PATIENCE, || {
        let before = caught().len() + sink.count();
        send(&["friend@peer.example"], "by a more exact route");
        eventually("it has gone either way", PATIENCE, || {
            (caught().len() + sink.count() > before).then_some(())
        });
        (sink.count() > 0).then_some(())
    });
    sink.wait_for("by a more exact route");
}
