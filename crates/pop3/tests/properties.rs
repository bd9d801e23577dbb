//! Whatever a client sends and however it arrives, the session holds.

mod driver;

use driver::{Shell, size};
use pop3::{Channel, Settings};
use proptest::prelude::*;

/// Lines that reach every command, among others that reach none.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let verb = prop::sample::select(vec![
        "CAPA", "LANG", "QUIT", "USER", "PASS", "AUTH", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE",
        "RSET", "NOOP", "UTF8", "STLS", "xyzzy", "",
    ]);
    let argument = prop_oneof![
        3 => Just(String::new()),
        4 => (0..5u8).prop_map(|n| format!(" {n}")),
        1 => prop::sample::select(vec![
            " abc", " secret", " PLAIN", " PLAIN AGFiYwBzZWNyZXQ=", " ja", " *", " 1 1", " 99999999999999999999",
        ]).prop_map(str::to_owned),
    ];
    let end = prop::sample::select(vec!["\r\n", "\n"]);
    prop_oneof![
        12 => (verb, argument, end).prop_map(|(verb, argument, end)| format!("{verb}{argument}{end}").into_bytes()),
        1 => Just(b"USER abc\r\nPASS secret\r\n".to_vec()),
        1 => Just([&[b'x'; 2000][..], b"\n"].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ]
}

fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), prop::collection::vec(line(), 0..40)).prop_map(|(login, lines)| {
        let login: &[u8] = if login { b"USER abc\r\nPASS secret\r\n" } else { b"" };
        [login, &lines.concat()].concat()
    })
}

/// All that the server says, what was removed, and whether it closed.
fn outcome(mut shell: Shell, octets: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<usize>, bool) {
    let mut said = shell.run();
    let mut rest = octets;
    for cut in cuts.iter().cycle() {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        said.extend(shell.send(piece));
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (said, shell.removed, shell.closed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_responses_do_not_depend_on_how_octets_arrive(
        octets in dialogue(),
        cuts in prop::collection::vec(1..60usize, 1..10),
    ) {
        // Under TLS, since what follows STLS in plaintext does depend on it.
        let whole = outcome(Shell::new(), &octets, &[octets.len().max(1)]);
        let pieces = outcome(Shell::new(), &octets, &cuts);
        prop_assert_eq!(whole.0.escape_ascii().to_string(), pieces.0.escape_ascii().to_string());
        prop_assert_eq!((whole.1, whole.2), (pieces.1, pieces.2));
    }

    #[test]
    fn any_octets_are_answered_on_any_channel(
        octets in prop_oneof![dialogue(), prop::collection::vec(any::<u8>(), 0..3000)],
        channel in prop::sample::select(vec![Channel::Tls, Channel::Trusted, Channel::Cleartext]),
        cuts in prop::collection::vec(1..60usize, 1..10),
    ) {
        let (said, ..) = outcome(Shell::with(Settings::new("mail.example"), channel), &octets, &cuts);
        prop_assert!(said.starts_with(b"+OK ") && said.ends_with(b"\r\n"));
    }

    #[test]
    fn a_size_is_what_retr_sends_without_dots_and_end(
        message in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'.'), any::<u8>()], 0..300),
    ) {
        let expected = message.clone();
        let mut shell = Shell::new();
        shell.messages = vec![message];
        shell.log_in();
        let said = shell.send(b"LIST 1\r\nRETR 1\r\n");
        let opening = format!("+OK 1 {0}\r\n+OK {0} octets\r\n", size(&expected));
        prop_assert!(said.starts_with(opening.as_bytes()));
    }
}
