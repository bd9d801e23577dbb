//! What becomes of messages, as their callers and their readers see it.

use super::*;
use crate::job::Names;
use crate::{Face, Manner};
use proptest::prelude::*;
use time::macros::datetime;

/// `sendmail -t`, as a customer's script calls it.
fn job() -> Job {
    Job {
        face: Face::Sendmail,
        manner: Manner::Helpful,
        sender: None,
        full_name: None,
        arguments: Vec::new(),
        from_header: FromHeader::Also,
        treatment: Treatment::Complete,
        names: Names::default(),
        let_pass: Vec::new(),
    }
}

fn named(set: impl FnOnce(&mut Names)) -> Job {
    let mut job = job();
    set(&mut job.names);
    job
}

fn standing(author: ScriptAuthor) -> Standing {
    Standing {
        uid: 1001,
        account: "abc".parse().unwrap(),
        address: "abc@pobox.example".parse().unwrap(),
        hostname: "mail.pobox.example".parse().unwrap(),
        domain: "pobox.example".parse().unwrap(),
        author,
        recipients_max: 100,
        forwards_delivery: false,
    }
}

/// The account has its own domain besides.
fn owned(address: &Address) -> bool {
    let text = address.to_string();
    text == "abc@pobox.example" || text.ends_with("@abc.example")
}

fn composed_by(author: ScriptAuthor, job: &Job, header: impl AsRef<[u8]>) -> Result<Composed, Refusal> {
    let letter = Letter::read(job, &standing(author), header.as_ref())?;
    let asked = letter.to_judge();
    let owned = |address: &Address| {
        assert!(asked.contains(address), "nobody said that {address} would be asked about");
        owned(address)
    };
    letter.compose(&owned, QueueId::from_u64(1), datetime!(2026-11-24 07:05:36 +9))
}

fn composed(job: &Job, header: impl AsRef<[u8]>) -> Composed {
    let shown = String::from_utf8_lossy(header.as_ref()).into_owned();
    composed_by(ScriptAuthor::Own, job, header).unwrap_or_else(|refusal| panic!("{shown}: {refusal}"))
}

fn head(job: &Job, header: &str) -> String {
    String::from_utf8(composed(job, header).head).unwrap()
}

fn recipients(composed: &Composed) -> Vec<String> {
    composed.envelopes.iter().flat_map(|(_, to)| to).map(ToString::to_string).collect()
}

fn reverse_path(composed: &Composed) -> String {
    composed.envelopes[0].0.to_string()
}

const DATE: &str = "Date: Tue, 24 Nov 2026 07:05:36 +0900\r\n";
const MESSAGE_ID: &str = "Message-ID: <0000000000001@mail.pobox.example>\r\n";
const FROM: &str = "From: abc@pobox.example\r\n";
const CC: &str = "Cc: recipient list not shown: ;\r\n";

#[test]
fn what_is_lacking_is_put_on_top_in_qmails_order() {
    let to = Job { arguments: vec![b"a@x.example".to_vec()], ..job() };
    assert_eq!(head(&to, ""), format!("{DATE}{MESSAGE_ID}{FROM}{CC}\r\n"));
    assert_eq!(head(&to, "\r\n"), format!("{DATE}{MESSAGE_ID}{FROM}{CC}\r\n"));
    let given = "Subject: x\r\nTO : a@x.example\r\n y@x.example\r\nfrom: abc@pobox.example\r\n";
    assert_eq!(head(&job(), &format!("{given}\r\n")), format!("{DATE}{MESSAGE_ID}{}\r\n", commas(given)));
    let whole = "Date: now\r\nMessage-ID: x\r\nFrom: abc@pobox.example\r\nCc: a@x.example\r\n\r\n";
    assert_eq!(head(&job(), whole), whole);
}

fn commas(given: &str) -> String {
    given.replace("TO : a@x.example\r\n", "TO: a@x.example,\r\n")
}

#[test]
fn what_nobody_is_to_see_goes_and_the_rest_stays() {
    let given = "Return-Path: <abc@pobox.example>\r\nX-Odd :  \ty\r\n z\r\nBCC: b@x.example,\r\n c@x.example\r\n\
        Content-Length: 5\r\nResent-Bccx: y\r\nApparently-To: d@x.example\r\nTo:a@x.example\r\n\r\n";
    let kept = "X-Odd :  \ty\r\n z\r\nResent-Bccx: y\r\nApparently-To: d@x.example\r\nTo:a@x.example\r\n\r\n";
    let composed = composed(&job(), given);
    assert_eq!(String::from_utf8_lossy(&composed.head), format!("{DATE}{MESSAGE_ID}{FROM}{kept}"));
    assert_eq!(recipients(&composed), ["b@x.example", "c@x.example", "d@x.example", "a@x.example"]);
    assert_eq!(reverse_path(&composed), "<abc@pobox.example>");
}

#[test]
fn a_line_of_an_mbox_file_becomes_a_field() {
    for line in ["From a@x.example Tue Nov 24\r\n", "From : x@y.example\r\n"] {
        let given = format!("{line}To: a@x.example\r\n\r\n");
        assert_eq!(head(&job(), &given), format!("{DATE}{MESSAGE_ID}{FROM}MBOX-Line: {given}"));
    }
}

#[test]
fn a_header_ends_before_what_is_no_field() {
    let to = Job { arguments: vec![b"a@x.example".to_vec()], ..job() };
    let (given, rest) = ("To: b@x.example\r\n", "Subject hi\r\nBcc: c@x.example\r\n");
    let composed = composed(&to, format!("{given}{rest}"));
    let expected = format!("{DATE}{MESSAGE_ID}{FROM}{given}\r\n{rest}");
    assert_eq!(String::from_utf8_lossy(&composed.head), expected);
    assert_eq!(recipients(&composed), ["a@x.example", "b@x.example"]);
}

#[test]
fn a_message_that_is_sent_again_has_what_that_needs() {
    let first = "From: abc@pobox.example\r\nTo: old\r\nBcc: b@x.example\r\n";
    for again in
        ["Resent-To: a@x.example\r\n", "Resent-Bcc: a@x.example\r\nResent-Sender: abc@pobox.example\r\n"]
    {
        let composed = composed(&job(), format!("{again}{first}\r\n"));
        let resent_cc = if again.contains("To") { "" } else { "Resent-Cc: recipient list not shown: ;\r\n" };
        let kept: String = again.split_inclusive('\n').filter(|line| !line.contains("Bcc")).collect();
        assert_eq!(
            String::from_utf8_lossy(&composed.head),
            format!(
                "Resent-{DATE}Resent-{MESSAGE_ID}Resent-{FROM}{resent_cc}{kept}\
                 From: abc@pobox.example\r\nTo: old@pobox.example\r\n\r\n"
            )
        );
        assert_eq!(recipients(&composed), ["a@x.example"]);
    }
}

#[test]
fn short_addresses_are_completed_in_place_and_in_the_envelope() {
    let given = "To: abc (me), Def <def@www>,\r\n\tg@x.example\r\nReply-To: abc\r\nErrors-To: abc\r\nX-To: abc\r\n\
        From: abc (Abc)\r\n\r\n";
    let composed = composed(&job(), given);
    let expected = given
        .replace("To: abc", "To: abc@pobox.example")
        .replace("X-To: abc@pobox.example", "X-To: abc")
        .replace("@www", "@www.pobox.example")
        .replace("From: abc", "From: abc@pobox.example");
    assert_eq!(String::from_utf8_lossy(&composed.head), format!("{DATE}{MESSAGE_ID}{expected}"));
    assert_eq!(recipients(&composed), ["abc@pobox.example", "def@www.pobox.example", "g@x.example"]);
}

#[test]
fn recipients_come_from_where_the_caller_wants_them() {
    let header = "To: t@x.example\r\nCc: a@x.example\r\n\r\n";
    for (from_header, arguments, expected) in [
        (FromHeader::Never, &["a"][..], &["a@pobox.example"][..]),
        (FromHeader::IfNoArguments, &["a"], &["a@pobox.example"]),
        (FromHeader::IfNoArguments, &[], &["t@x.example", "a@x.example"]),
        (FromHeader::Also, &["z@x.example", "a@x.example"], &["z@x.example", "a@x.example", "t@x.example"]),
        (FromHeader::Only, &["a"], &["t@x.example", "a@x.example"]),
    ] {
        let arguments = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        assert_eq!(recipients(&composed(&Job { from_header, arguments, ..job() }, header)), expected);
    }
    for (from_header, header) in [(FromHeader::Never, header), (FromHeader::Also, "To: nobody:;\r\n\r\n")] {
        let job = Job { from_header, ..job() };
        assert_eq!(composed_by(ScriptAuthor::Own, &job, header), Err(Refusal::NoRecipients));
    }
}

#[test]
fn a_field_that_cannot_be_read_matters_only_if_it_is_asked() {
    let given = "To: (\r\n\r\n";
    let refused = composed_by(ScriptAuthor::Own, &job(), given);
    assert_eq!(refused, Err(Refusal::UnreadableField("To: (".into())));
    let job = Job { from_header: FromHeader::Never, arguments: vec![b"a@x.example".to_vec()], ..job() };
    assert_eq!(head(&job, given), format!("{DATE}{MESSAGE_ID}{FROM}{given}"));
}

#[test]
fn raw_japanese_passes_and_hides_nothing() {
    let iso_2022_jp = b"To: \x1b$B;3(ED\x1b(B <a@x.example>, \"\x1b$B\"(\\<\x1b(B\" <b@x.example>\r\n\
        From: \x1b$B;3ED\x1b(B <abc@pobox.example>\r\nReply-To: \x1b$B(;\x1b(B <abc>\r\nSubject: \x1b$B;3(E\x1b(B\r\n\r\n";
    let shift_jis =
        b"To: \x95\\ <a@x.example>, \"\x83\\\" <b@x.example>\r\nFrom: \x8eR\x93c <abc@pobox.example>\r\n\
        Reply-To: \x94\\ <abc>\r\nSubject: \x95\\\r\n\r\n";
    let euc_jp = b"To: \xc8\xf4\xb5\xd3 <a@x.example>, \xc8\xf4 <b@x.example>\r\nFrom: \xbb\xb3 <abc@pobox.example>\r\n\
        Reply-To: \xbb\xb3 <abc>\r\nSubject: \xbb\xb3\r\n\r\n";
    for given in [&iso_2022_jp[..], shift_jis, euc_jp] {
        let composed = composed(&job(), given);
        let head = composed.head.strip_prefix(format!("{DATE}{MESSAGE_ID}").as_bytes()).unwrap();
        let at = head.windows(5).rposition(|octets| octets == b"<abc@").unwrap();
        let (before, after) = head.split_at(at);
        let after = after.strip_prefix(b"<abc@pobox.example").unwrap();
        assert_eq!([before, b"<abc", after].concat(), given);
        assert_eq!(recipients(&composed), ["a@x.example", "b@x.example"]);
    }
}

/// What the caller says, his header and his environment, and whom the envelope then names: for one
/// who writes as himself, and for one who may write as others.
#[test]
fn the_reverse_path_is_what_the_caller_says_if_it_is_his() {
    let said = |sender: &str| Job { sender: Some(sender.into()), ..job() };
    let strict = |sender: &str| Job { manner: Manner::Strict, ..said(sender) };
    let user = |user: &str| named(|names| names.user = Some(user.into()));
    let full = named(|names| {
        names.user = Some(b"abc".to_vec());
        names.host = Some(b"pobox.example".to_vec());
        names.sender_user = Some(b"list".to_vec());
        names.sender_host = Some(b"abc.example".to_vec());
    });
    let host = named(|names| names.host = Some(b"abc.example".to_vec()));
    let ignoring = named(|names| names.letters.ignore_return_path = true);
    const OWN: &str = "<abc@pobox.example>";
    for (job, return_path, own, other) in [
        (job(), None, Some(OWN), OWN),
        (said("abc"), None, Some(OWN), OWN),
        (said("info@abc.example"), None, Some("<info@abc.example>"), "<info@abc.example>"),
        (said(" Info <info@abc.example> "), None, Some("<info@abc.example>"), "<info@abc.example>"),
        (said(""), None, Some("<>"), "<>"),
        (said("<>"), None, Some("<>"), "<>"),
        (strict(""), None, Some("<>"), "<>"),
        (said("v@x.example"), None, None, OWN),
        (strict("v@x.example"), None, None, OWN),
        (said("www-data"), Some("info@abc.example"), None, OWN),
        (job(), Some("Info <info@abc.example>"), Some("<info@abc.example>"), "<info@abc.example>"),
        (job(), Some("<>"), Some("<>"), "<>"),
        (job(), Some("v@x.example"), Some(OWN), OWN),
        (job(), Some("a@abc.example, b@abc.example"), Some(OWN), OWN),
        (job(), Some("("), Some(OWN), OWN),
        (ignoring, Some("info@abc.example"), Some(OWN), OWN),
        (user("www-data"), None, Some(OWN), OWN),
        (user("\n\0\u{2028}"), None, Some(OWN), OWN),
        (host, None, Some("<abc@abc.example>"), "<abc@abc.example>"),
        (full.clone(), None, Some("<list@abc.example>"), "<list@abc.example>"),
        (full, Some("info@abc.example"), Some("<info@abc.example>"), "<info@abc.example>"),
    ] {
        let mut header = "To: a@x.example\r\n".to_owned();
        if let Some(body) = return_path {
            header.push_str(&format!("Return-Path: {body}\r\n"));
        }
        let path = |author| composed_by(author, &job, &header).map(|composed| reverse_path(&composed));
        match own {
            Some(own) => assert_eq!(path(ScriptAuthor::Own), Ok(own.to_owned()), "{job:?}"),
            None => {
                let refusal = path(ScriptAuthor::Own).unwrap_err();
                assert!(matches!(refusal, Refusal::SenderDenied { uid: 1001, .. }), "{job:?} {refusal:?}");
            }
        }
        assert_eq!(path(ScriptAuthor::Keep), Ok(other.to_owned()), "{job:?}");
        assert_eq!(path(ScriptAuthor::ReplyTo), Ok(other.to_owned()), "{job:?}");
    }
}

#[test]
fn a_sender_that_is_no_address_is_refused() {
    for (sender, injects) in [
        ("a@x.example\nBcc: b@x.example", true),
        ("abc\r", true),
        ("A\0 <abc>", true),
        ("abc\u{2028}@pobox.example", true),
        ("a b", false),
        ("a@x.example, b@x.example", false),
        ("<a>, <b>", false),
    ] {
        for author in [ScriptAuthor::Own, ScriptAuthor::Keep, ScriptAuthor::ReplyTo] {
            let job = Job { sender: Some(sender.into()), ..job() };
            let refusal = composed_by(author, &job, "To: a@x.example\r\n\r\n");
            match refusal.unwrap_err() {
                Refusal::Injection(_) => assert!(injects, "{sender:?}"),
                Refusal::NotAnAddress(_) => assert!(!injects, "{sender:?}"),
                other => panic!("{sender:?}: {other}"),
            }
        }
    }
}

#[test]
fn a_from_field_that_is_made_here_names_the_caller() {
    let said =
        |sender: &str, name: &str| Job { sender: Some(sender.into()), full_name: Some(name.into()), ..job() };
    let named_user = |user: &str, name: &str| {
        named(|names| {
            names.user = Some(user.into());
            names.name = Some(name.into());
        })
    };
    let mut comment = named_user("www-data", "Q Name (x)");
    comment.names.letters.comment_name = true;
    let both = Job { full_name: Some(b"Foo".to_vec()), ..named_user("x", "Bar") };
    let japanese = Job { full_name: Some(b"\x8eR\x93c".to_vec()), ..job() };
    for (job, from) in [
        (said("", "Foo Bar"), "\"Foo Bar\" <abc@pobox.example>"),
        (said("info@abc.example", ""), "info@abc.example"),
        (said("info@abc.example", "Foo \"Bar\""), "\"Foo \\\"Bar\\\"\" <info@abc.example>"),
        (said("", "山田"), "=?UTF-8?B?5bGx55Sw?= <abc@pobox.example>"),
        (japanese, "=?Shift_JIS?B?jlKTYw==?= <abc@pobox.example>"),
        (named_user("abc", "Q Name"), "\"Q Name\" <abc@pobox.example>"),
        (named_user("root", "a\nb"), "abc@pobox.example"),
        (comment, "abc@pobox.example (Q Name \\(x\\))"),
        (both, "\"Foo\" <abc@pobox.example>"),
    ] {
        let given = "To: a@x.example\r\n\r\n";
        assert_eq!(head(&job, given), format!("{DATE}{MESSAGE_ID}From: {from}\r\n{given}"));
    }
    let injecting = Job { full_name: Some(b"a\nBcc: b@x.example".to_vec()), ..job() };
    let refusal = composed_by(ScriptAuthor::Own, &injecting, "To: a@x.example\r\n\r\n");
    assert!(matches!(refusal, Err(Refusal::Injection(_))));
    let odd = composed(&Job { full_name: Some(b"\xff\xff".to_vec()), ..job() }, "To: a@x.example\r\n\r\n");
    assert_eq!(odd.notes.len(), 1);
}

#[test]
fn a_from_field_without_an_address_keeps_its_name() {
    for (given, from) in [
        ("", "From: abc@pobox.example"),
        (" 山田 太郎 ", "From: 山田 太郎 <abc@pobox.example>"),
        (" Abc Def <>", "From: Abc Def <abc@pobox.example>"),
        (" nobody:;", "From: abc@pobox.example"),
    ] {
        let composed = head(&job(), &format!("From:{given}\r\nTo: a@x.example\r\n\r\n"));
        assert_eq!(composed, format!("{DATE}{MESSAGE_ID}{from}\r\nTo: a@x.example\r\n\r\n"));
    }
}

#[test]
fn another_author_is_refused_kept_or_answered() {
    let visitor = "To: a@x.example\r\nfrom : Visitor\r\n <v@x.example>\r\nSender: w@x.example\r\n\r\n";
    let refusal = composed_by(ScriptAuthor::Own, &job(), visitor).unwrap_err();
    let address = "v@x.example".parse().unwrap();
    assert_eq!(refusal, Refusal::SenderDenied { address, account: "abc".into(), uid: 1001 });
    let kept = composed_by(ScriptAuthor::Keep, &job(), visitor).unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.head), format!("{DATE}{MESSAGE_ID}{visitor}"));
    let answered = composed_by(ScriptAuthor::ReplyTo, &job(), visitor).unwrap();
    let expected = "To: a@x.example\r\nReply-To: Visitor\r\n <v@x.example>\r\n\
        from: Visitor\r\n <abc@pobox.example>\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&answered.head), format!("{DATE}{MESSAGE_ID}{expected}"));
    assert_eq!(answered.notes.len(), 2);
    for composed in [kept, answered] {
        assert_eq!(reverse_path(&composed), "<abc@pobox.example>");
    }
}

#[test]
fn answers_go_where_the_script_wants_them_if_it_says_so() {
    for (reply_to, left) in [
        ("Reply-To: b@x.example\r\n", "Reply-To: b@x.example\r\nFrom: abc@pobox.example\r\n"),
        ("Reply-To: \r\n", "Reply-To: v@x.example\r\nFrom: abc@pobox.example\r\n"),
    ] {
        let given = format!("{reply_to}From: v@x.example\r\nTo: a@x.example\r\n\r\n");
        let composed = composed_by(ScriptAuthor::ReplyTo, &job(), given).unwrap();
        let expected = format!("{DATE}{MESSAGE_ID}{left}To: a@x.example\r\n\r\n");
        assert_eq!(String::from_utf8_lossy(&composed.head), expected);
    }
}

#[test]
fn who_cannot_be_told_is_refused() {
    let all = [ScriptAuthor::Own, ScriptAuthor::Keep, ScriptAuthor::ReplyTo];
    for (header, field) in [
        ("From: abc@pobox.example\r\nFROM: abc@pobox.example\r\n", "FROM"),
        ("From: abc@pobox.example (\r\n", "From"),
        ("From: Abc abc@pobox.example\r\n", "From"),
        ("Resent-From: <a b>\r\n", "Resent-From"),
    ] {
        for author in all {
            let refusal =
                composed_by(author, &job(), format!("To: a@x.example\r\nResent-To: a@x.example\r\n{header}"));
            assert_eq!(refusal, Err(Refusal::Authors(field.into())), "{header}");
        }
    }
    let many = "Sender: abc@pobox.example\r\n".repeat(AUTHORS_MAX);
    let refusal = composed_by(ScriptAuthor::Own, &job(), format!("To: a@x.example\r\n{many}"));
    assert_eq!(refusal, Err(Refusal::Authors("Sender".into())));
    let dropping = named(|names| names.letters.drop_from = true);
    let given = "To: a@x.example\r\n\r\n";
    let twice = format!("From: v@x.example\r\nFrom: (\r\n{given}");
    assert_eq!(head(&dropping, &twice), format!("{DATE}{MESSAGE_ID}{FROM}{given}"));
}

#[test]
fn the_letters_of_the_environment_do_what_qmail_has_them_do() {
    let given = "To: b@y.example, c@例え.テスト\r\nMessage-ID: <old@x>\r\n\r\n";
    let dropped = head(&named(|names| names.letters.drop_message_id = true), given);
    assert_eq!(dropped, format!("{DATE}{MESSAGE_ID}{FROM}To: b@y.example, c@例え.テスト\r\n\r\n"));
    let paths = |job: &Job| -> Vec<String> {
        composed(job, given).envelopes.iter().map(|(path, to)| format!("{path} {}", to[0])).collect()
    };
    let each = named(|names| names.letters.verp = true);
    assert_eq!(
        paths(&each),
        [
            "<abc-b=y.example@pobox.example> b@y.example",
            "<abc-c=xn--r8jz45g.xn--zckzah@pobox.example> c@例え.テスト"
        ]
    );
    let message = named(|names| names.letters.message_verp = true);
    assert_eq!(paths(&message), ["<abc-0.0000000000001@pobox.example> b@y.example"]);
    let mut both = each.clone();
    both.names.letters.message_verp = true;
    assert_eq!(paths(&both)[0], "<abc-0.0000000000001-b=y.example@pobox.example> b@y.example");
    let said = |sender: &str| Job { sender: Some(sender.into()), ..each.clone() };
    assert_eq!(paths(&said("info@abc.example")), ["<info@abc.example> b@y.example"]);
    assert_eq!(paths(&said("list-@abc.example-@[]"))[0], "<list-b=y.example@abc.example> b@y.example");
    assert_eq!(paths(&said("#@[]")), ["<> b@y.example"]);
    let id_host = named(|names| names.id_host = Some(b"id.example".to_vec()));
    assert!(head(&id_host, "To: a@x.example\r\n").contains("Message-ID: <0000000000001@id.example>\r\n"));
    let rubbish = named(|names| names.id_host = Some(b"id>\r\nX: y".to_vec()));
    assert!(head(&rubbish, "To: a@x.example\r\n").contains(MESSAGE_ID));
}

#[test]
fn mail_to_a_list_of_the_callers_asks_for_answers_to_all() {
    let job = named(|names| names.lists = vec!["LIST@x.example".parse().unwrap()]);
    let given = "Cc: b\r\nTo: list@X.example\r\n\r\n";
    let followup = "Mail-Followup-To: b@pobox.example,\r\n  list@x.example\r\n";
    let completed = "Cc: b@pobox.example\r\nTo: list@X.example\r\n\r\n";
    assert_eq!(head(&job, given), format!("{DATE}{MESSAGE_ID}{FROM}{followup}{completed}"));
    for other in ["To: other@x.example\r\n\r\n", "Mail-Followup-To: c\r\nTo: list@x.example\r\n\r\n"] {
        assert_eq!(head(&job, other), format!("{DATE}{MESSAGE_ID}{FROM}{other}"));
    }
}

#[test]
fn a_thousand_recipients_are_looked_for_among_a_thousand_lists() {
    let addresses = |at: &str| (0..1000).map(|n| format!("a{n}@{at}.example")).collect::<Vec<_>>();
    let lists: Vec<Address> = addresses("lists").iter().map(|list| list.parse().unwrap()).collect();
    let header = Header::of(format!("To: {}\r\n\r\n", addresses("x").join(",")).as_bytes(), true);
    let hosts = Hosts::new(&Names::default(), &"pobox.example".parse().unwrap());
    assert!(followup(&lists, &hosts, &header, 1000).is_empty());
}

fn as_is(sender: &str, recipient: &str, treatment: Treatment) -> Job {
    Job {
        face: Face::QmailQueue,
        manner: Manner::Qmail,
        sender: Some(sender.into()),
        arguments: vec![recipient.into()],
        from_header: FromHeader::Never,
        treatment,
        ..job()
    }
}

#[test]
fn what_is_handed_in_as_it_is_stays_so() {
    let given = "Bcc: b@x.example\r\nReturn-Path: x\r\nFrom: abc\r\nTo: c d\r\nContent-Length: 3\r\n\r\n";
    let job = as_is("info@abc.example", "a b@x.example", Treatment::AsIs);
    let composed = composed_by(ScriptAuthor::Own, &job, given).unwrap();
    assert_eq!(String::from_utf8_lossy(&composed.head), given);
    assert_eq!(recipients(&composed), ["\"a b\"@x.example"]);
    assert_eq!(reverse_path(&composed), "<info@abc.example>");
    assert_eq!(head(&job, ""), "\r\n");
    assert_eq!(head(&job, "X: y\r\n"), "X: y\r\n\r\n");
    assert_eq!(reverse_path(&self::composed(&as_is("", "a@x.example", Treatment::AsIs), "")), "<>");
}

#[test]
fn the_rule_for_authors_holds_for_what_stays_as_it_is() {
    let job = as_is("abc@pobox.example", "a@x.example", Treatment::AsIs);
    for given in ["From: v@x.example\r\n\r\n", "From : v@x.example\r\n\r\n"] {
        let denied = composed_by(ScriptAuthor::Own, &job, given);
        assert!(matches!(denied, Err(Refusal::SenderDenied { .. })), "{denied:?}");
        let kept = composed_by(ScriptAuthor::Keep, &job, given).unwrap();
        assert_eq!(String::from_utf8_lossy(&kept.head), given);
        let answered = composed_by(ScriptAuthor::ReplyTo, &job, given).unwrap();
        let name = given.split(':').next().unwrap().trim_end();
        let expected = format!("Reply-To: v@x.example\r\n{name}: abc@pobox.example\r\n\r\n");
        assert_eq!(String::from_utf8_lossy(&answered.head), expected);
    }
    let odd = "From: (\r\nFrom: v@x.example\r\n\r\n";
    assert_eq!(composed_by(ScriptAuthor::Own, &job, odd), Err(Refusal::Authors("From".into())));
    assert_eq!(composed_by(ScriptAuthor::Keep, &job, odd).unwrap().head, odd.as_bytes());
}

fn forward(line: &str) -> Job {
    let delivered_to = line.as_bytes().to_vec();
    as_is("v@x.example", "a@x.example", Treatment::Forward { delivered_to })
}

#[test]
fn what_is_forwarded_keeps_its_authors_where_anybody_may_stand_in_from_and_nowhere_else() {
    let given = "From: v@x.example\r\nDelivered-To: other@abc.example\r\n\r\n";
    for line in ["Delivered-To: abc@pobox.example\n", "Delivered-To: abc@pobox.example"] {
        let composed = composed_by(ScriptAuthor::Keep, &forward(line), given).unwrap();
        let head = String::from_utf8_lossy(&composed.head);
        assert_eq!(head, format!("Delivered-To: abc@pobox.example\r\n{given}"));
        assert_eq!(reverse_path(&composed), "<abc@pobox.example>");
        let denied = composed_by(ScriptAuthor::Own, &forward(line), given);
        assert!(matches!(denied, Err(Refusal::SenderDenied { .. })), "{line:?} {denied:?}");
    }
    for line in [
        "Delivered-To: abc@pobox.example\n",
        "",
        "X: y\n",
        "Delivered-To: xyz@pobox.example\n",
        "Delivered-To: abc@pobox.example\nX: y\n",
        "Delivered-To: (",
    ] {
        let composed = composed_by(ScriptAuthor::ReplyTo, &forward(line), given).unwrap();
        let head = String::from_utf8_lossy(&composed.head);
        assert!(head.contains("Reply-To: v@x.example\r\nFrom: abc@pobox.example\r\n"), "{line:?} {head}");
    }
}

#[test]
fn a_delivery_that_is_known_to_be_forwarded_keeps_its_authors_and_its_sender() {
    let given = "From: v@x.example, w@x.example\r\nSender: (\r\n\r\n";
    let forwarded = |line: &str| {
        let standing = Standing { forwards_delivery: true, ..standing(ScriptAuthor::Own) };
        let letter = Letter::read(&forward(line), &standing, given.as_bytes()).unwrap();
        letter.compose(&owned, QueueId::from_u64(1), datetime!(2026-11-24 07:05:36 +9))
    };
    let composed = forwarded("Delivered-To: abc@pobox.example\n").unwrap();
    assert_eq!(
        String::from_utf8_lossy(&composed.head),
        format!("Delivered-To: abc@pobox.example\r\n{given}")
    );
    assert_eq!(reverse_path(&composed), "<v@x.example>");
    // Not what had come to somebody else.
    assert!(forwarded("Delivered-To: xyz@pobox.example\n").is_err());
}

#[test]
fn a_sender_field_that_nobody_can_read_stays_only_where_anybody_may_stand_there() {
    for name in ["Sender", "Resent-Sender"] {
        let field = format!("{name}: <v@x.example\r\n");
        let header =
            format!("{field}From: abc@pobox.example\r\nResent-From: abc@pobox.example\r\nTo: b\r\n\r\n");
        for job in [named(|_| ()), as_is("abc@pobox.example", "a@x.example", Treatment::AsIs)] {
            let job = Job { arguments: vec![b"a@x.example".to_vec()], from_header: FromHeader::Never, ..job };
            let kept = composed_by(ScriptAuthor::Keep, &job, &header).unwrap();
            assert!(String::from_utf8_lossy(&kept.head).contains(&field));
            let replaced = composed_by(ScriptAuthor::ReplyTo, &job, &header).unwrap();
            assert!(!String::from_utf8_lossy(&replaced.head).contains(&field));
            assert_eq!(replaced.notes, ["a Sender field that nobody can read was left out"]);
            let refused = composed_by(ScriptAuthor::Own, &job, &header);
            assert_eq!(refused, Err(Refusal::Authors(name.to_owned())));
        }
    }
}

#[test]
fn what_comes_round_again_is_refused() {
    for been in ["Delivered-To: abc@pobox.example", "delivered-to:ABC@POBOX.EXAMPLE "] {
        let header = format!("Received: x\r\n{been}\r\n\r\n");
        let refusal = composed_by(ScriptAuthor::Keep, &forward("Delivered-To: abc@pobox.example\n"), header);
        assert_eq!(refusal, Err(Refusal::TooManyHops));
    }
}

#[test]
fn recipients_have_their_most() {
    let many = |count: usize| (0..count).map(|n| format!("a{n}@x.example, ")).collect::<String>();
    assert_eq!(recipients(&composed(&job(), format!("To: {}\r\n\r\n", many(100)))).len(), 100);
    for header in [format!("To: {}\r\n\r\n", many(101)), format!("To: {}\r\nBcc: b\r\n\r\n", many(100))] {
        assert_eq!(composed_by(ScriptAuthor::Own, &job(), header), Err(Refusal::TooManyRecipients(100)));
    }
}

/// As a form-mail script of the period sends it: Shift_JIS source, text and name converted to
/// ISO-2022-JP, CRLF written through a layer that makes CRLF of LF, a comma list, and a dot.
#[test]
fn a_form_mail_of_the_period_arrives_as_its_visitor_wrote_it() {
    let script = b"To: \x8eR\x93c <a@x.example>,b@x.example\r\r\nSubject: \x1b$B%U%)!<%`\x1b(B\r\r\n\
        From: \x1b$B;3ED(\x1b(B <v@x.example>\r\r\nX-Mailer: formmail\r\r\n\r\r\n\
        \x1b$B;3ED\x1b(B\r\r\n.\r\r\n\x1b$B(\x1b(B end";
    for cut in [1, 7, 4096] {
        let (mut intake, mut body) = (crate::Intake::new(crate::intake::HEADER_MAX, 10_000), Vec::new());
        for piece in script.chunks(cut) {
            intake.feed(piece, &mut body).unwrap();
        }
        intake.finish(&mut body).unwrap();
        let header = intake.header().unwrap();
        let composed = composed_by(ScriptAuthor::ReplyTo, &job(), header).unwrap();
        let expected = [
            DATE.as_bytes(),
            MESSAGE_ID.as_bytes(),
            b"To: \x8eR\x93c <a@x.example>,b@x.example\r\nSubject: \x1b$B%U%)!<%`\x1b(B\r\n\
            Reply-To: \x1b$B;3ED(\x1b(B <v@x.example>\r\nFrom: \x1b$B;3ED(\x1b(B <abc@pobox.example>\r\n\
            X-Mailer: formmail\r\n\r\n",
        ];
        assert_eq!(String::from_utf8_lossy(&composed.head), String::from_utf8_lossy(&expected.concat()));
        assert_eq!(composed.head, expected.concat());
        assert_eq!(body, b"\x1b$B;3ED\x1b(B\r\n.\r\n\x1b$B(\x1b(B end\r\n");
        assert_eq!(recipients(&composed), ["a@x.example", "b@x.example"]);
    }
}

/// This would take minutes if a field were compared with each other.
#[test]
fn a_header_that_is_all_fields_of_one_kind_is_composed() {
    let job = Job { arguments: vec![b"a@x.example".to_vec()], from_header: FromHeader::Never, ..job() };
    for line in
        ["To:a\r\n", "Reply-To:\r\n", "Date:\r\n", "Resent-To:a\r\n", "Resent-Sender:\r\n", "X:\r\n", "To:a,"]
    {
        let header = line.repeat((256 << 10) / line.len());
        let composed = composed_by(ScriptAuthor::Keep, &job, header);
        assert!(composed.is_ok() || matches!(composed, Err(Refusal::Authors(_))), "{line:?}");
    }
}

/// Lines as callers write them, and some that nobody should.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let names = "From|FROM |Sender|To|Cc|Bcc|Reply-To|Resent-To|Resent-From|Resent-Sender|Resent-Bcc|Return-Path|\
        Date|Message-ID|Delivered-To|Content-Length|X|From x|no field";
    let names: Vec<&str> = names.split('|').collect();
    let pieces: Vec<&[u8]> = vec![
        b"abc@pobox.example",
        b"v@x.example",
        b"<v@x.example>",
        b"<abc>",
        b"abc",
        b" ",
        b" ",
        b"\r\n ",
        b",",
        b";",
        b":",
        b"<",
        b">",
        b"(x)",
        b"(",
        b"\"",
        b"@",
        b"+",
        b"\x1b$B;3(\x1b(B",
        b"\x8eR",
        b"\x95\\",
        b"\xe3\x81\x82",
        b"\r\n\r\n",
        b"\n",
    ];
    let body = prop_oneof![
        Just(b" abc@pobox.example".to_vec()),
        Just(b" Visitor <v@x.example>".to_vec()),
        proptest::collection::vec(proptest::sample::select(pieces), 0..5).prop_map(|pieces| pieces.concat()),
    ];
    let line = (proptest::sample::select(names), body)
        .prop_map(|(name, body)| [name.as_bytes(), b":", &body, b"\r\n"].concat());
    proptest::collection::vec(line, 0..7).prop_map(|lines| lines.concat())
}

fn jobs() -> impl Strategy<Value = Job> {
    let text = || {
        proptest::option::of(prop_oneof![
            5 => Just(b"abc".to_vec()),
            5 => Just(b"info@abc.example".to_vec()),
            2 => Just(b"v@x.example".to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..20),
            1 => "[a@<>+,.\"\\\\\\[\\] \r\n]{0,12}".prop_map(String::into_bytes),
        ])
    };
    let treatments = prop_oneof![
        3 => Just(Treatment::Complete),
        1 => Just(Treatment::AsIs),
        1 => Just(Treatment::Forward { delivered_to: b"Delivered-To: abc@pobox.example".to_vec() }),
    ];
    let from_headers = vec![FromHeader::Never, FromHeader::IfNoArguments, FromHeader::Also, FromHeader::Only];
    let letters = proptest::collection::vec(any::<bool>(), 6);
    (
        (text(), text(), text(), text(), text(), text(), text()),
        (treatments, proptest::sample::select(from_headers), letters),
        proptest::sample::select(vec![Manner::Helpful, Manner::Strict, Manner::Qmail]),
    )
        .prop_map(
            |(
                (sender, full_name, argument, user, host, id_host, name),
                (treatment, from_header, l),
                manner,
            )| {
                let letters = Letters {
                    comment_name: l[0],
                    ignore_return_path: l[1],
                    drop_from: l[2],
                    drop_message_id: l[3],
                    verp: l[4],
                    message_verp: l[5],
                };
                let default_host = host.clone();
                let names = Names { user, host, id_host, name, letters, default_host, ..Names::default() };
                let arguments = argument.into_iter().collect();
                Job { sender, full_name, arguments, names, treatment, from_header, manner, ..job() }
            },
        )
}

fn rules() -> impl Strategy<Value = ScriptAuthor> {
    proptest::sample::select(vec![ScriptAuthor::Own, ScriptAuthor::Keep, ScriptAuthor::ReplyTo])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// As anybody reads it who reads fields as we do.
    #[test]
    fn a_composed_header_is_complete_and_names_the_account(
        header in headers(), job in jobs(), rule in rules(),
    ) {
        let Ok(composed) = composed_by(rule, &job, &header) else { return Ok(()) };
        let fields: Vec<_> = message::fields(&composed.head).collect();
        let count = |name| fields.iter().filter(|field| field.is(name)).count();
        prop_assert!(recipients(&composed).len() <= 100 && !recipients(&composed).is_empty());
        prop_assert!(job.treatment != Treatment::Complete || message::has_header(&composed.head));
        for (path, _) in &composed.envelopes {
            let own = |address: &Address| owned(address) || address.local_part.as_str().contains('-');
            prop_assert!(path.address().is_none_or(own), "{path}");
        }
        if job.treatment == Treatment::Complete {
            let resent = fields.iter().any(|field| field.is("Resent-Date"));
            prop_assert_eq!(count("Bcc") + count("Return-Path"), 0);
            if resent {
                prop_assert!(count("Resent-From") >= 1 && count("Resent-Message-ID") >= 1);
            } else {
                prop_assert_eq!(count("From"), 1);
                prop_assert!(count("Date") >= 1 && count("Message-ID") >= 1);
            }
        }
        if rule != ScriptAuthor::Keep {
            let names = ["From", "Sender", "Resent-From", "Resent-Sender"];
            for field in fields.iter().filter(|field| names.iter().any(|name| field.is(name))) {
                let authors = match message::mailboxes(field.body) {
                    // A short one stays short in what stays as it is.
                    Err(_) if job.treatment != Treatment::Complete => Vec::new(),
                    authors => authors.unwrap(),
                };
                for author in authors {
                    prop_assert!(owned(&author), "{author}");
                }
            }
        }
    }

    #[test]
    fn what_has_all_it_needs_leaves_as_it_came(subject in proptest::collection::vec(1u8.., 0..60)) {
        let subject: Vec<u8> = subject.into_iter().filter(|octet| !b"\r\n".contains(octet)).collect();
        let rest = b"\r\nDate: x\r\nMessage-ID: y\r\nFrom: abc@pobox.example\r\nTo: a@x.example\r\n\r\n";
        let given = [b"Subject:", &subject[..], rest].concat();
        prop_assert_eq!(composed(&job(), &given).head, given);
    }

    #[test]
    fn any_octets_are_composed_or_refused(
        header in proptest::collection::vec(any::<u8>(), 0..200), job in jobs(), rule in rules(),
    ) {
        let _ = composed_by(rule, &job, header);
    }
}
