//! What a client says, and what it hears.

mod driver;

use driver::Shell;
use pop3::{Channel, LoginFailure, NotRemoved, NotTransmitted, Settings, Unavailable};

const TLS_FIRST: &str = "-ERR [AUTH] no password without TLS: use STLS, or port 995\r\n";
/// `\0abc\0secret`
const PLAIN: &str = "AGFiYwBzZWNyZXQ=";

/// Each line in its own session after a login.
#[track_caller]
fn in_transaction(dialogue: &[(&str, &str)]) {
    for (line, response) in dialogue {
        assert_eq!(Shell::logged_in().say(line), *response, "{line}");
    }
}

#[test]
fn a_session_from_greeting_to_goodbye() {
    let mut shell = Shell::new();
    assert_eq!(shell.say(""), "+OK mail.example Hikyaku POP3 server ready\r\n");
    assert_eq!(shell.say("USER abc\r\n"), "+OK send PASS\r\n");
    assert_eq!(shell.say("PASS secret\r\n"), "+OK 3 messages (58 octets)\r\n");
    assert_eq!(shell.say("STAT\r\n"), "+OK 3 58\r\n");
    assert_eq!(shell.say("LIST\r\n"), "+OK 3 messages (58 octets)\r\n1 11\r\n2 21\r\n3 26\r\n.\r\n");
    assert_eq!(shell.say("RETR 2\r\n"), "+OK 21 octets\r\nSubject: 2\r\n\r\nhi\r\n..\r\n.\r\n");
    assert_eq!(shell.say("DELE 2\r\n"), "+OK message 2 marked as deleted\r\n");
    assert_eq!(shell.say("QUIT\r\n"), "+OK goodbye\r\n");
    assert_eq!((shell.removed, shell.closed), (vec![1], true));
}

#[test]
fn every_command_of_a_transaction_has_its_response() {
    in_transaction(&[
        ("STAT\r\n", "+OK 3 58\r\n"),
        ("stat\n", "+OK 3 58\r\n"),
        ("LIST 3\r\n", "+OK 3 26\r\n"),
        ("LIST 0\r\n", "-ERR messages are counted from 1\r\n"),
        ("LIST 4\r\n", "-ERR not that many messages\r\n"),
        ("LIST x\r\n", "-ERR syntax error\r\n"),
        ("UIDL\r\n", "+OK unique-id listing follows\r\n1 u0\r\n2 u1\r\n3 u2\r\n.\r\n"),
        ("UIDL 2\r\n", "+OK 2 u1\r\n"),
        ("UIDL 4\r\n", "-ERR not that many messages\r\n"),
        ("RETR 1\r\n", "+OK 11 octets\r\nA: 1\r\n\r\nx\r\n.\r\n"),
        ("RETR 0\r\n", "-ERR messages are counted from 1\r\n"),
        ("RETR 18446744073709551616\r\n", "-ERR not that many messages\r\n"),
        ("RETR\r\n", "-ERR syntax error\r\n"),
        ("TOP 3 2\r\n", "+OK top of message follows\r\nB: 3\r\n\r\none\r\ntwo\r\n.\r\n"),
        ("TOP 3 0\r\n", "+OK top of message follows\r\nB: 3\r\n\r\n.\r\n"),
        ("TOP 4 0\r\n", "-ERR not that many messages\r\n"),
        ("TOP 1\r\n", "-ERR syntax error\r\n"),
        ("DELE 1\r\n", "+OK message 1 marked as deleted\r\n"),
        ("DELE 4\r\n", "-ERR not that many messages\r\n"),
        ("RSET\r\n", "+OK 3 messages (58 octets)\r\n"),
        ("NOOP\r\n", "+OK nothing done\r\n"),
        ("QUIT\r\n", "+OK goodbye\r\n"),
        ("XTND XMIT\r\n", "-ERR unimplemented\r\n"),
        ("USER abc\r\n", "-ERR already logged in\r\n"),
        ("PASS secret\r\n", "-ERR already logged in\r\n"),
        ("AUTH PLAIN\r\n", "-ERR already logged in\r\n"),
        ("STLS\r\n", "-ERR already logged in\r\n"),
        ("UTF8\r\n", "-ERR already logged in\r\n"),
    ]);
}

#[test]
fn deleted_messages_are_neither_counted_nor_listed_nor_sent() {
    let mut shell = Shell::logged_in();
    shell.say("DELE 2\r\n");
    for (line, response) in [
        ("STAT\r\n", "+OK 2 37\r\n"),
        ("LIST\r\n", "+OK 2 messages (37 octets)\r\n1 11\r\n3 26\r\n.\r\n"),
        ("UIDL\r\n", "+OK unique-id listing follows\r\n1 u0\r\n3 u2\r\n.\r\n"),
        ("LIST 2\r\n", "-ERR already deleted\r\n"),
        ("UIDL 2\r\n", "-ERR already deleted\r\n"),
        ("RETR 2\r\n", "-ERR already deleted\r\n"),
        ("TOP 2 0\r\n", "-ERR already deleted\r\n"),
        ("DELE 2\r\n", "-ERR already deleted\r\n"),
        ("RETR 3\r\n", "+OK 26 octets\r\nB: 3\r\n\r\none\r\ntwo\r\n..three\r\n.\r\n"),
        ("RSET\r\n", "+OK 3 messages (58 octets)\r\n"),
        ("LIST 2\r\n", "+OK 2 21\r\n"),
        ("QUIT\r\n", "+OK goodbye\r\n"),
    ] {
        assert_eq!(shell.say(line), response, "{line}");
    }
    assert!(shell.removed.is_empty());
}

#[test]
fn an_empty_maildrop_needs_no_names() {
    let mut shell = Shell::new();
    shell.messages.clear();
    shell.log_in();
    assert_eq!(
        shell.say("STAT\r\nLIST\r\nUIDL\r\nLIST 1\r\n"),
        "+OK 0 0\r\n+OK 0 messages (0 octets)\r\n.\r\n+OK unique-id listing follows\r\n.\r\n-ERR not that many messages\r\n"
    );
    assert_eq!(shell.uids_asked, 0);
}

#[test]
fn nothing_but_a_login_is_obeyed_before_the_login() {
    for line in ["STAT", "LIST", "LIST 1", "UIDL", "RETR 1", "TOP 1 1", "DELE 1", "RSET", "NOOP"] {
        let mut shell = Shell::new();
        shell.run();
        assert_eq!(shell.say(&format!("{line}\r\n")), "-ERR authorization first\r\n", "{line}");
    }
}

#[test]
fn each_failure_of_a_login_has_its_code() {
    for (failure, response) in [
        (LoginFailure::Credentials, "-ERR [AUTH] authorization failed\r\n"),
        (LoginFailure::Suspended, "-ERR [AUTH] this account is suspended: please ask your provider\r\n"),
        (
            LoginFailure::InUse,
            "-ERR [IN-USE] your mailbox is open in another session: try again in a moment\r\n",
        ),
        (LoginFailure::Unavailable, "-ERR [SYS/TEMP] temporary trouble on this server: try again later\r\n"),
        (
            LoginFailure::Maildrop,
            "-ERR [SYS/PERM] your mailbox cannot be opened: please ask your provider\r\n",
        ),
    ] {
        let mut shell = Shell::new();
        shell.login = Some(failure);
        shell.run();
        assert_eq!(shell.say("USER abc\r\nPASS secret\r\n"), format!("+OK send PASS\r\n{response}"));
        assert_eq!(shell.say("PASS secret\r\n"), "-ERR USER first\r\n");
        shell.login = None;
        shell.log_in();
    }
}

#[test]
fn the_third_failed_login_ends_the_session() {
    let mut shell = Shell::new();
    shell.run();
    let failed = "-ERR [AUTH] authorization failed\r\n";
    assert_eq!(shell.say("USER abc\r\nPASS wrong\r\n"), format!("+OK send PASS\r\n{failed}"));
    // `root\0abc\0secret`: somebody else's identity counts too, though nobody was asked.
    assert_eq!(
        shell.say("AUTH PLAIN cm9vdABhYmMAc2VjcmV0\r\n"),
        "-ERR [AUTH] nobody may act as another user\r\n"
    );
    assert!(!shell.closed);
    assert_eq!(shell.say("AUTH PLAIN AGFiYwB3cm9uZw==\r\nUSER abc\r\n"), failed);
    assert!(shell.closed);
    assert_eq!(shell.logins.len(), 2);
}

#[test]
fn a_busy_maildrop_does_not_count_as_a_failed_login() {
    let mut shell = Shell::new();
    shell.login = Some(LoginFailure::InUse);
    for _ in 0..10 {
        shell.say("USER abc\r\nPASS secret\r\n");
    }
    assert!(!shell.closed);
    shell.login = None;
    shell.log_in();
}

#[test]
fn a_password_is_the_whole_rest_of_the_line() {
    let mut shell = Shell::new();
    shell.say("USER abc@shop.example\r\nPASS  two  words \r\nUSER 飛脚\r\nPASS 合言葉\r\n");
    let expected = [("abc@shop.example", " two  words "), ("飛脚", "合言葉")];
    assert_eq!(shell.logins, expected.map(|(name, password)| (name.to_owned(), password.to_owned())));
}

#[test]
fn auth_plain_takes_its_response_at_once_or_when_asked() {
    for line in [format!("AUTH PLAIN {PLAIN}\r\n"), format!("auth plain\r\n{PLAIN}\r\n")] {
        let mut shell = Shell::new();
        let said = shell.say(&line);
        assert!(said.ends_with("+OK 3 messages (58 octets)\r\n"), "{said}");
    }
    for (lines, responses) in [
        ("AUTH\r\n", "+OK SASL mechanisms follow\r\nPLAIN\r\n.\r\n"),
        ("AUTH PLAIN\r\n", "+ \r\n"),
        ("AUTH PLAIN\r\n*\r\n", "+ \r\n-ERR authentication cancelled\r\n"),
        ("AUTH PLAIN\r\nQUIT\r\n", "+ \r\n-ERR malformed authentication response\r\n"),
        ("AUTH PLAIN =\r\n", "-ERR malformed authentication response\r\n"),
        ("AUTH PLAIN AGFi!\r\n", "-ERR malformed authentication response\r\n"),
        ("AUTH CRAM-MD5\r\n", "-ERR no such authentication mechanism\r\n"),
        ("AUTH PLAIN a b\r\n", "-ERR syntax error\r\n"),
    ] {
        let mut shell = Shell::new();
        shell.run();
        assert_eq!(shell.say(lines), responses, "{lines}");
        assert!(shell.logins.is_empty());
    }
}

#[test]
fn an_overlong_response_ends_the_exchange() {
    let mut shell = Shell::new();
    shell.run();
    let long = "A".repeat(1025);
    assert_eq!(shell.say(&format!("AUTH PLAIN\r\n{long}\r\n")), "+ \r\n-ERR line too long\r\n");
    shell.log_in();
}

#[test]
fn the_longest_plain_message_fits() {
    use base64::Engine as _;
    let field = "x".repeat(255);
    let message = format!("{field}\0{field}\0{field}");
    let response = base64::engine::general_purpose::STANDARD.encode(message);
    let mut shell = Shell::new();
    shell.say(&format!("AUTH PLAIN\r\n{response}\r\n"));
    assert_eq!(shell.logins, [(field.clone(), field)]);
}

#[test]
fn no_password_is_taken_where_it_could_be_overheard() {
    for line in
        ["USER abc\r\n", "PASS secret\r\n", "AUTH\r\n", "AUTH PLAIN\r\n", "AUTH PLAIN AGFiYwBzZWNyZXQ=\r\n"]
    {
        let mut shell = Shell::with(Settings::new("mail.example"), Channel::Cleartext);
        shell.run();
        assert_eq!(shell.say(line), TLS_FIRST, "{line}");
        assert!(shell.logins.is_empty());
    }
}

#[test]
fn stls_begins_anew_under_tls() {
    let mut shell = Shell::with(Settings::new("mail.example"), Channel::Trusted);
    shell.run();
    shell.say("LANG ja\r\nUTF8\r\nUSER abc\r\n");
    assert_eq!(shell.say("STLS\r\n"), "+OK TLS の折衝を始めてください\r\n");
    assert!(shell.session.is_tls());
    assert_eq!(shell.say("PASS secret\r\n"), "-ERR USER first\r\n");
    assert_eq!(shell.say("STLS\r\n"), "-ERR TLS is active already\r\n");
    shell.log_in();
    shell.session.receive(b"RETR 1\r\n");
    let Some(pop3::Action::Transmit(transmit)) = shell.session.next_action(shell.now) else {
        panic!("no Transmit");
    };
    assert!(!transmit.utf8);
}

#[test]
fn stls_is_refused_where_it_is_not_offered() {
    let settings = Settings { offers_stls: false, ..Settings::new("mail.example") };
    let mut shell = Shell::with(settings, Channel::Trusted);
    shell.run();
    assert_eq!(shell.say("STLS\r\n"), "-ERR TLS is not offered here\r\n");
}

#[test]
fn plaintext_behind_stls_is_never_obeyed() {
    let refused = "-ERR nothing may follow STLS before TLS is active\r\n";
    for behind in ["USER abc\r\n", "x"] {
        let mut shell = Shell::with(Settings::new("mail.example"), Channel::Cleartext);
        shell.run();
        assert_eq!(shell.say(&format!("STLS\r\n{behind}")), refused);
        assert!(shell.closed && !shell.session.is_tls());
    }
}

#[test]
fn plaintext_that_arrives_before_the_handshake_closes() {
    let mut shell = Shell::with(Settings::new("mail.example"), Channel::Cleartext);
    shell.run();
    shell.session.receive(b"STLS\r\n");
    while !matches!(shell.session.next_action(shell.now), Some(pop3::Action::StartTls)) {}
    assert!(!shell.session.wants_input());
    shell.session.receive(b"USER abc\r\n");
    assert!(shell.run().is_empty());
    assert!(shell.closed);
}

#[test]
fn capabilities_follow_the_channel() {
    let common = "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUTF8 USER\r\nLANG\r\n\
                  EXPIRE NEVER\r\nIMPLEMENTATION Hikyaku\r\n";
    let mut shell = Shell::with(Settings::new("mail.example"), Channel::Cleartext);
    shell.run();
    assert_eq!(shell.say("CAPA\r\n"), format!("+OK capability list follows\r\n{common}STLS\r\n.\r\n"));
    shell.say("STLS\r\n");
    let under_tls = format!("+OK capability list follows\r\n{common}USER\r\nSASL PLAIN\r\n.\r\n");
    assert_eq!(shell.say("CAPA\r\n"), under_tls);
    shell.log_in();
    assert_eq!(shell.say("CAPA\r\n"), under_tls);
}

#[test]
fn responses_come_in_the_language_asked_for() {
    let mut shell = Shell::new();
    shell.run();
    for (line, response) in [
        ("LANG\r\n", "+OK language listing follows\r\nen English\r\nja 日本語\r\n.\r\n"),
        ("LANG MUL\r\n", "-ERR no such language: LANG lists those there are\r\n"),
        ("LANG ja\r\n", "+OK ja 応答を日本語に切り替えました\r\n"),
        ("LANG xx\r\n", "-ERR その言語はありません。LANG で一覧が出ます\r\n"),
        ("USER abc\r\n", "+OK PASS を送ってください\r\n"),
        ("PASS wrong\r\n", "-ERR [AUTH] ユーザー名かパスワードが違います\r\n"),
        ("AUTH PLAIN AGFiYwBzZWNyZXQ=\r\n", "+OK メール 3 通 (58 オクテット)\r\n"),
        ("STAT\r\n", "+OK 3 58\r\n"),
        ("RETR 1\r\n", "+OK 11 オクテット\r\nA: 1\r\n\r\nx\r\n.\r\n"),
        ("DELE 1\r\n", "+OK メール 1 に削除の印を付けました\r\n"),
        ("LANG en-GB\r\n", "+OK en responses are in English now\r\n"),
        ("RSET\r\n", "+OK 3 messages (58 octets)\r\n"),
        ("LANG *\r\n", "+OK ja 応答を日本語に切り替えました\r\n"),
        ("QUIT\r\n", "+OK 接続を終わります\r\n"),
    ] {
        assert_eq!(shell.say(line), response, "{line}");
    }
}

#[test]
fn utf8_mode_reaches_whoever_sends_the_message() {
    for (prologue, utf8) in [("", false), ("UTF8\r\n", true)] {
        let mut shell = Shell::new();
        shell.say(prologue);
        shell.log_in();
        shell.session.receive(b"RETR 1\r\n");
        let Some(pop3::Action::Transmit(transmit)) = shell.session.next_action(shell.now) else {
            panic!("no Transmit");
        };
        assert_eq!(transmit.utf8, utf8);
    }
    let mut shell = Shell::new();
    shell.run();
    assert_eq!(shell.say("UTF8\r\n"), "+OK UTF-8 mode is on\r\n");
}

#[test]
fn a_message_that_cannot_be_sent_is_an_error_before_the_ok() {
    for (failure, response) in [
        (NotTransmitted::Gone, "-ERR unable to open that message\r\n"),
        (
            NotTransmitted::Unavailable,
            "-ERR [SYS/TEMP] temporary trouble on this server: try again later\r\n",
        ),
        (
            NotTransmitted::NeedsUtf8,
            "-ERR [UTF8] this message needs UTF-8 mode: send UTF8 before the login\r\n",
        ),
    ] {
        let mut shell = Shell::logged_in();
        shell.transmission = Err(failure);
        assert_eq!(shell.say("RETR 1\r\nNOOP\r\n"), format!("{response}+OK nothing done\r\n"));
    }
}

#[test]
fn a_message_that_breaks_off_ends_the_session_without_a_word() {
    let mut shell = Shell::logged_in();
    shell.transmission = Err(NotTransmitted::BrokenOff);
    assert_eq!(shell.say("DELE 2\r\nRETR 1\r\nQUIT\r\n"), "+OK message 2 marked as deleted\r\n");
    assert!(shell.closed && shell.removed.is_empty());
}

#[test]
fn unique_ids_are_asked_for_once() {
    let mut shell = Shell::logged_in();
    shell.say("UIDL 1\r\nUIDL\r\nUIDL\r\nUIDL 2\r\n");
    assert_eq!(shell.uids_asked, 1);
}

#[test]
fn unique_ids_that_are_not_to_be_had_are_a_passing_trouble() {
    // One too few would name the wrong messages.
    for uids in [Err(Unavailable), Ok(2)] {
        let mut shell = Shell::logged_in();
        shell.uids = uids;
        let trouble = "-ERR [SYS/TEMP] temporary trouble on this server: try again later\r\n";
        assert_eq!(shell.say("UIDL\r\n"), trouble);
        shell.uids = Ok(3);
        assert_eq!(shell.say("UIDL 3\r\n"), "+OK 3 u2\r\n");
    }
}

#[test]
fn quit_tells_when_messages_could_not_be_removed() {
    let mut shell = Shell::logged_in();
    shell.removal = Err(NotRemoved);
    assert_eq!(
        shell.say("DELE 3\r\nDELE 1\r\nQUIT\r\n"),
        "+OK message 3 marked as deleted\r\n+OK message 1 marked as deleted\r\n\
         -ERR [SYS/TEMP] some deleted messages not removed\r\n"
    );
    assert_eq!((shell.removed, shell.closed), (vec![0, 2], true));
}

#[test]
fn quit_before_the_login_removes_nothing() {
    let mut shell = Shell::new();
    shell.run();
    assert_eq!(shell.say("QUIT\r\nUSER abc\r\n"), "+OK goodbye\r\n");
    assert!(shell.closed && shell.removed.is_empty());
}

#[test]
fn a_lost_connection_removes_nothing() {
    let mut shell = Shell::logged_in();
    shell.say("DELE 1\r\nQUI");
    shell.session.end_of_input();
    assert!(shell.run().is_empty());
    assert!(shell.closed && shell.removed.is_empty());
}

#[test]
fn a_quit_before_the_end_of_input_is_obeyed() {
    let mut shell = Shell::logged_in();
    shell.session.receive(b"DELE 1\r\nQUIT\r\n");
    shell.session.end_of_input();
    shell.run();
    assert_eq!((shell.removed, shell.closed), (vec![0], true));
}

#[test]
fn a_silent_client_is_closed_without_a_word() {
    let mut shell = Shell::logged_in();
    shell.say("DELE 1\r\n");
    shell.session.receive(b"NOOP\r\n");
    shell.session.timed_out();
    assert!(shell.run().is_empty());
    assert!(shell.closed && shell.removed.is_empty());
}

#[test]
fn only_whole_commands_hold_off_the_timer() {
    let mut shell = Shell::logged_in();
    let deadline = shell.session.deadline();
    assert_eq!(deadline - shell.now, std::time::Duration::from_secs(600));
    for octet in ["N", "O", "O"] {
        shell.wait(100);
        shell.say(octet);
        assert_eq!(shell.session.deadline(), deadline);
    }
    shell.say("P\r\n");
    assert_eq!(shell.session.deadline(), shell.now + std::time::Duration::from_secs(600));
}

#[test]
fn the_timer_starts_when_a_long_transmission_has_ended() {
    let mut shell = Shell::logged_in();
    shell.session.receive(b"RETR 1\r\n");
    while !matches!(shell.session.next_action(shell.now), Some(pop3::Action::Transmit(_))) {}
    shell.wait(3600);
    shell.session.transmitted(Ok(()));
    shell.run();
    assert_eq!(shell.session.deadline(), shell.now + std::time::Duration::from_secs(600));
}

#[test]
fn a_client_that_does_not_log_in_has_a_limited_time() {
    let mut shell = Shell::new();
    shell.run();
    let deadline = shell.session.deadline();
    shell.wait(300);
    shell.say("CAPA\r\n");
    assert_eq!(shell.session.deadline(), deadline);
    shell.log_in();
    assert_eq!(shell.session.deadline(), shell.now + std::time::Duration::from_secs(600));
}

#[test]
fn twenty_errors_end_the_session() {
    let mut shell = Shell::logged_in();
    shell.say("DELE 1\r\n");
    let said = shell.say(&"FOO\r\n".repeat(30));
    assert_eq!(said, "-ERR unimplemented\r\n".repeat(19) + "-ERR too many errors\r\n");
    assert!(shell.closed && shell.removed.is_empty());
}

#[test]
fn an_overlong_line_is_refused_and_the_next_is_obeyed() {
    let mut shell = Shell::logged_in();
    let long = "x".repeat(100_000);
    assert_eq!(shell.say(&format!("{long}\r\nNOOP\r\n")), "-ERR line too long\r\n+OK nothing done\r\n");
}

#[test]
fn pipelined_commands_are_answered_in_one_send() {
    let mut shell = Shell::logged_in();
    shell.sends.clear();
    shell.say("STAT\r\nLIST\r\nNOOP\r\nDELE 1\r\nRSET\r\nCAPA\r\n");
    assert_eq!(shell.sends.len(), 1);
}

#[test]
fn commands_wait_while_the_shell_is_asked() {
    let mut shell = Shell::new();
    shell.run();
    let said = shell.say("USER abc\r\nPASS secret\r\nUIDL 1\r\nRETR 1\r\nSTAT\r\nDELE 1\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(
        said,
        "+OK send PASS\r\n+OK 3 messages (58 octets)\r\n+OK 1 u0\r\n+OK 11 octets\r\nA: 1\r\n\r\nx\r\n.\r\n\
         +OK 3 58\r\n+OK message 1 marked as deleted\r\n+OK goodbye\r\n"
    );
    assert_eq!(shell.removed, [0]);
}

#[test]
fn a_great_listing_comes_in_a_few_sends() {
    let mut shell = Shell::new();
    shell.messages = vec![b"x\n".to_vec(); 10_000];
    shell.uids = Ok(10_000);
    shell.log_in();
    for command in ["LIST\r\n", "UIDL\r\n"] {
        shell.sends.clear();
        let said = shell.say(command);
        assert_eq!(said.lines().count(), 10_002);
        assert!(said.ends_with("\r\n.\r\n"));
        let fewest = said.len().div_ceil(pop3::SEND_MAX);
        assert_eq!(shell.sends.len(), fewest, "{:?}", shell.sends);
    }
}

#[test]
fn a_stopping_server_ends_the_command_in_hand_and_no_more() {
    let mut shell = Shell::logged_in();
    shell.say("DELE 2\r\n");
    shell.session.receive(b"RETR 1\r\nQUIT\r\n");
    let Some(pop3::Action::Transmit(_)) = shell.session.next_action(shell.now) else { panic!("no Transmit") };
    shell.session.shutdown();
    assert!(shell.session.next_action(shell.now).is_none());
    shell.session.transmitted(Ok(()));
    assert!(shell.run().is_empty());
    assert!(shell.closed && shell.removed.is_empty());
}

#[test]
fn answers_that_nobody_asked_for_are_ignored() {
    let mut shell = Shell::logged_in();
    shell.session.logged_in(Err(LoginFailure::Credentials));
    shell.session.uids(Err(Unavailable));
    shell.session.transmitted(Err(NotTransmitted::BrokenOff));
    shell.session.removed(Err(NotRemoved));
    assert_eq!(shell.say("STAT\r\n"), "+OK 3 58\r\n");
}
