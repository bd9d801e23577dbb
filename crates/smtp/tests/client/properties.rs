//! What holds whatever a server says, and however the network cuts it.

use proptest::prelude::*;
use smtp::client::Outcome;

use crate::driver::{Driver, settings, to};

fn reply() -> impl Strategy<Value = Vec<u8>> {
    let replies: Vec<&[u8]> = vec![
        b"220 mx\r\n",
        b"250 ok\r\n",
        b"250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n",
        b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
        b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n",
        b"250-mx\r\n550 no\r\n",
        b"354 go\r\n",
        b"421 bye\r\n",
        b"452 4.5.3 too many\r\n",
        b"550 5.1.1 who?\r\n",
        b"200",
        b"noise\r\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(replies).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

/// A session with a server that answers whatever it was asked with the next of these, each in two pieces.
fn talk(replies: &[Vec<u8>], cut: usize) -> Driver {
    let mut driver = Driver::new(settings());
    let mut messages = 0;
    for reply in replies {
        if driver.starting_tls {
            driver.tls_started();
        }
        if driver.session.is_ready() && messages < 3 {
            messages += 1;
            driver.send(to(&["b@there.example", "c@there.example"]));
        }
        if driver.closed {
            break;
        }
        let (before, after) = reply.split_at(cut.min(reply.len()));
        driver.session.receive(before, driver.now);
        driver.run();
        driver.session.receive(after, driver.now);
        driver.run();
    }
    driver.hangs_up();
    assert!(driver.closed);
    assert_eq!(driver.settled.len(), messages, "each transaction ends once");
    driver
}

proptest! {
    #[test]
    fn each_recipient_of_each_transaction_has_an_outcome(
        replies in proptest::collection::vec(reply(), 0..20),
        cut in 0usize..8,
    ) {
        let driver = talk(&replies, cut);
        for settled in &driver.settled {
            prop_assert_eq!(settled.outcomes.len(), 2);
            for outcome in &settled.outcomes {
                match outcome {
                    Outcome::Delivered { reply } => prop_assert_eq!(reply.class(), 2),
                    Outcome::Failed(reason) => {
                        prop_assert_eq!(reason.status.class(), 5);
                        prop_assert!(reason.reply().is_none_or(|reply| reply.class() == 5));
                    }
                    Outcome::Deferred { reason, .. } => prop_assert_eq!(reason.status.class(), 4),
                }
            }
        }
    }

    #[test]
    fn a_greeted_server_may_answer_anything(
        replies in proptest::collection::vec(reply(), 0..20),
    ) {
        let mut all = vec![b"220 mx\r\n".to_vec(), b"250-mx\r\n250 PIPELINING\r\n".to_vec()];
        all.extend(replies);
        talk(&all, 1000);
    }
}
