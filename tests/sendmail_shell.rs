//! The command that programs call. Against a server of ours that does as it is told: what a message and a
//! job look like when they come, and what becomes of them when nobody hears. Then against the real one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::ReversePath;
use link::Parcel;
use link::services::submit::{ComposedEnvelope, Request, Response, Submit};
use sendmail::{DropFile, Face, FromHeader, Job, Refusal, Treatment};
use tempfile::TempDir;

use crate::house::House;

const LETTER: &[u8] = b"To: xyz@pobox.example\nSubject: hello\n\nLine one.\n.\nLine three.\n";

/// A place in which `sendmail` finds what a server leaves for it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        for directory in ["data", "data/run", "data/drop", "bin"] {
            fs::create_dir(place.path(directory)).unwrap();
        }
        let config =
            format!("data = \"{}\"\npassword = \"not ours to read\"\n", place.path("data").display());
        fs::write(place.path("hikyaku.toml"), config).unwrap();
        place.note("");
        for face in Face::ALL {
            symlink(env!("CARGO_BIN_EXE_hikyaku"), place.path("bin").join(face.name())).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Leaves a note with these lines in place of the usual ones.
    fn note(&self, lines: &str) {
        let mut note = String::new();
        for line in ["strict = false", "spool = true", "qmailqueue = true", "message_size_max = 10000000"] {
            let (name, _) = line.split_once(" =").unwrap();
            note += lines.lines().find(|line| line.starts_with(name)).unwrap_or(line);
            note.push('\n');
        }
        fs::write(self.path("data/run/sendmail.toml"), note).unwrap();
    }

    /// The same for a house: its server is the real one.
    fn of(house: &House) -> Place {
        let place = Place::new();
        fs::copy(&house.config, place.path("hikyaku.toml")).unwrap();
        place
    }

    /// Lets other users run `bin/hikyaku`.
    fn open(&self) {
        for directory in ["", "data", "bin"] {
            fs::set_permissions(self.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_hikyaku"), self.path("bin/hikyaku")).unwrap();
        fs::set_permissions(self.path("hikyaku.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// A command line, in which `$BIN` is the directory of the faces, with nothing in its environment.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/bash");
        command.args(["-c", line]).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("HIKYAKU_CONFIG", self.path("hikyaku.toml")).env("BIN", self.path("bin"));
        command.current_dir(self.dir.path());
        command
    }

    /// Runs it with this on standard input.
    fn run(&self, line: &str, input: &[u8]) -> Output {
        let mut command = self.shell(line);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap_or_else(|error| panic!("{line}: writing to it: {error}"));
        output
    }

    /// The only file of the drop directory: its job and message.
    fn dropped(&self) -> Came {
        let names: Vec<_> =
            fs::read_dir(self.path("data/drop")).unwrap().map(|it| it.unwrap().path()).collect();
        let [path] = names.as_slice() else { panic!("{names:?}") };
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.len() == 32 && name.bytes().all(|it| it.is_ascii_hexdigit()), "{name}");
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o640);
        let mut file = DropFile::open(File::open(path).unwrap(), u64::MAX).unwrap();
        let (mut message, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match file.read(&mut piece).unwrap() {
                0 => return (file.job().clone(), message),
                read => message.extend_from_slice(&piece[..read]),
            }
        }
    }

    fn nothing_is_dropped(&self) {
        assert_eq!(fs::read_dir(self.path("data/drop")).unwrap().count(), 0);
    }
}

/// A job, and the message for it.
type Came = (Job, Vec<u8>);

/// What a server was given.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<Came>>>);

impl Given {
    /// All that came until now.
    fn all(&self) -> Vec<Came> {
        self.0.lock().unwrap().clone()
    }

    /// The only one.
    fn one(&self) -> Came {
        let all = self.all();
        let [one] = all.as_slice() else { panic!("{} messages came", all.len()) };
        one.clone()
    }
}

/// What a server does with a message once it has all of it; none: it goes away.
type Verdict = fn(&Job) -> Option<Response>;

fn accepted(_: &Job) -> Option<Response> {
    Some(Response::Accepted("0000000000001".parse().unwrap()))
}

/// Starts a server that takes messages. It ends with the test's process.
fn serve(place: &Place, verdict: Verdict) -> Given {
    let given = Given::default();
    let noted = given.clone();
    let listener = UnixListener::bind(place.path("data/run/submit")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let noted = noted.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut coming: Option<Came> = None;
                let served = link::serve::<Submit>(
                    stream.unwrap(),
                    |_| {},
                    |parcel, responder| {
                        let whole = match parcel.value {
                            Request::Take { job, whole } => {
                                coming = Some((job, parcel.raw.to_vec()));
                                whole
                            }
                            Request::More { whole } => {
                                coming.as_mut().unwrap().1.extend_from_slice(&parcel.raw);
                                whole
                            }
                            Request::Compose(job) => return responder.send(composed(&job, &parcel.raw)),
                            Request::Refused(_) => return responder.send(Response::GoOn),
                            Request::Waiting(_) => {
                                return responder.send(Response::Waiting { messages: vec![], more: None });
                            }
                            Request::TakeLeft { .. } => panic!("no program asks this"),
                        };
                        if !whole {
                            return responder.send(Response::GoOn);
                        }
                        let (job, message) = coming.take().unwrap();
                        if let Some(response) = verdict(&job) {
                            noted.0.lock().unwrap().push((job, message));
                            responder.send(response);
                        }
                    },
                );
                served.await.unwrap();
            });
        }
    });
    given
}

/// Puts a line above the header, so that it can be told from the caller's.
fn composed(job: &Job, header: &[u8]) -> Parcel<Response> {
    let header = String::from_utf8(header.to_vec()).unwrap().replace("\r\n", "\n");
    let address = |octets: &[u8]| std::str::from_utf8(octets).unwrap().parse().unwrap();
    let reverse_path = match &job.sender {
        Some(sender) if sender.is_empty() => ReversePath::Null,
        Some(sender) => ReversePath::Address(address(sender)),
        None => ReversePath::Address(address(b"abc@pobox.example")),
    };
    let recipients = job.arguments.iter().map(|it| address(it)).collect();
    let envelopes = vec![ComposedEnvelope { reverse_path, recipients }];
    Parcel::with_raw(Response::Composed(envelopes), Bytes::from(format!("Message-ID: <1@here>\n{header}")))
}

fn exit(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_message_and_what_is_to_be_done_with_it_come_as_the_caller_gave_them() {
    let place = Place::new();
    let given = serve(&place, accepted);
    let message = b"Subject: \x83e\x83X\x83g\r\n\r\nthree\rkinds\nof line ends\r\n.\r\nand none at the end";
    let output = place.run("$BIN/sendmail -oi -fabc@pobox.example -F 'A B' xyz@pobox.example", message);
    assert_eq!((exit(&output), said(&output)), (Some(0), String::new()));
    let (job, came) = given.one();
    assert_eq!(came, message);
    assert_eq!(job.face, Face::Sendmail);
    assert_eq!(job.sender.as_deref(), Some(&b"abc@pobox.example"[..]));
    assert_eq!(job.full_name.as_deref(), Some(&b"A B"[..]));
    assert_eq!(job.arguments, [b"xyz@pobox.example"]);
    assert_eq!((job.from_header, job.treatment), (FromHeader::Never, Treatment::Complete));
    place.nothing_is_dropped();
}

#[test]
fn a_message_too_large_for_memory_comes_whole() {
    let place = Place::new();
    let given = serve(&place, accepted);
    let mut message = LETTER.to_vec();
    message.extend((0..3_000_000).map(|at| b'a' + (at % 23) as u8));
    for tmpdir in ["/tmp", "/nowhere"] {
        let output = place.run(&format!("TMPDIR={tmpdir} $BIN/sendmail -t"), &message);
        assert_eq!((exit(&output), said(&output)), (Some(0), String::new()), "{tmpdir}");
    }
    assert!(given.all().iter().all(|(_, came)| *came == message));
    assert_eq!(given.all().len(), 2);
}

#[test]
fn one_octet_too_many_is_refused_and_the_caller_may_finish_writing() {
    let place = Place::new();
    let given = serve(&place, accepted);
    place.note("message_size_max = 100000");
    let output = place.run("$BIN/sendmail -t", &[b'x'; 5_000_000]);
    assert_eq!(exit(&output), Some(69), "{}", said(&output));
    assert!(said(&output).contains("100000"), "{}", said(&output));
    assert!(given.all().is_empty());
}

#[test]
fn a_wrong_option_lets_the_caller_finish_writing_too() {
    let place = Place::new();
    place.note("strict = true");
    let output = place.run("$BIN/sendmail -n -t", &[b'x'; 1_000_000]);
    assert_eq!(exit(&output), Some(100));
    let usage = "sendmail: illegal option -- n\n\
        sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n";
    assert!(said(&output).starts_with(usage), "{}", said(&output));
}

#[test]
fn the_servers_refusal_is_the_exit_code_and_the_words() {
    let place = Place::new();
    let given = serve(&place, |_| Some(Response::Refused(Refusal::UnknownUser(1001))));
    let output = place.run("$BIN/sendmail -t", LETTER);
    assert_eq!(exit(&output), Some(77));
    assert!(said(&output).starts_with("sendmail: user id 1001 belongs to no customer"), "{}", said(&output));
    assert_eq!(exit(&place.run("$BIN/qmail-inject", LETTER)), Some(100));
    assert_eq!(given.all().len(), 2);
    place.nothing_is_dropped();
}

#[test]
fn while_nobody_hears_a_message_waits_in_the_drop_directory() {
    let place = Place::new();
    let output = place.run("umask 777; $BIN/sendmail -v xyz@pobox.example", LETTER);
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    assert!(said(&output).contains("the mail server does not answer"), "{}", said(&output));
    let (job, message) = place.dropped();
    assert_eq!(
        (job.arguments.as_slice(), message.as_slice()),
        (&[b"xyz@pobox.example".to_vec()][..], LETTER)
    );
}

#[test]
fn a_message_that_a_server_took_to_its_grave_waits_in_the_drop_directory() {
    for verdict in
        [(|_| None) as Verdict, |_| Some(Response::Refused(Refusal::ServerAway("starting".into())))]
    {
        let place = Place::new();
        serve(&place, verdict);
        assert_eq!(exit(&place.run("$BIN/sendmail -t", LETTER)), Some(0));
        assert_eq!(place.dropped().1, LETTER);
    }
}

#[test]
fn where_a_message_may_not_wait_it_is_tried_again_later() {
    let place = Place::new();
    place.note("spool = false");
    let output = place.run("$BIN/sendmail -t", LETTER);
    assert_eq!(exit(&output), Some(75));
    assert!(said(&output).contains("does not run"), "{}", said(&output));
    assert_eq!(exit(&place.run("$BIN/qmail-inject", LETTER)), Some(111));
    place.nothing_is_dropped();
    place.note("spool = true");
    fs::remove_dir(place.path("data/drop")).unwrap();
    let output = place.run("$BIN/sendmail -t", LETTER);
    assert_eq!(exit(&output), Some(75));
    assert!(said(&output).contains("data/drop"), "{}", said(&output));
}

#[test]
fn who_may_not_write_into_the_drop_directory_learns_which_group_may() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: nobody can be somebody else");
        return;
    }
    let place = Place::new();
    place.open();
    fs::set_permissions(place.path("data/drop"), fs::Permissions::from_mode(0o3730)).unwrap();
    let output =
        place.run("setpriv --reuid 65534 --regid 65534 --clear-groups bin/hikyaku sendmail -t", LETTER);
    assert_eq!(exit(&output), Some(75));
    assert!(said(&output).contains("the group root may leave mail"), "{}", said(&output));
}

#[test]
fn a_caller_who_closed_all_but_the_message_sends_all_the_same() {
    let place = Place::new();
    let given = serve(&place, accepted);
    for line in [
        "ulimit -n 8; exec $BIN/sendmail xyz@pobox.example >&- 2>&-",
        "exec $BIN/sendmail -v xyz@pobox.example >/dev/full 2>/dev/full",
        "mkdir -p nowhere; cd nowhere; rmdir ../nowhere; exec $BIN/sendmail xyz@pobox.example",
        "exec env HOME= TMPDIR= USER= LANG=xx_YY.ZZ $BIN/sendmail xyz@pobox.example",
    ] {
        let output = place.run(line, LETTER);
        assert_eq!(exit(&output), Some(0), "{line}: {}", said(&output));
    }
    assert!(given.all().iter().all(|(_, came)| came == LETTER));
    let output = place.run("exec $BIN/sendmail xyz@pobox.example <&-", b"");
    assert_eq!(exit(&output), Some(65), "{}", said(&output));
    assert!(said(&output).contains("standard input is closed"), "{}", said(&output));
    let taken = given.all().len();
    for (line, code) in [("qmail-inject xyz@pobox.example", 100), ("qmail-queue 1<envelope", 54)] {
        fs::write(place.path("envelope"), b"Fabc@pobox.example\0Txyz@pobox.example\0\0").unwrap();
        assert_eq!(exit(&place.run(&format!("exec $BIN/{line} <&-"), b"")), Some(code), "{line}");
    }
    assert_eq!(given.all().len(), taken, "nobody sent an empty message");
    let output = place.run("exec $BIN/sendmail xyz@pobox.example </dev/null", b"");
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    assert_eq!(given.all().last().unwrap().1, b"", "there was nothing to read");
    let output = place.run("ulimit -n 8; exec $BIN/sendmail -f '' xyz@pobox.example", &[b'x'; 2_000_000]);
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
}

#[test]
fn nobody_who_reads_no_more_is_a_reason_to_end_otherwise() {
    let place = Place::new();
    let given = serve(&place, accepted);
    let line =
        "(sleep 0.2; printf x; exec $BIN/sendmail -v xyz@pobox.example; echo $? >code) 2>&1 | head -c 1";
    let line = line.replace("exec ", "");
    place.run(&line, LETTER);
    assert_eq!(fs::read_to_string(place.path("code")).unwrap(), "0\n");
    assert_eq!(given.all().len(), 1);
}

#[test]
fn qmail_queue_takes_the_envelope_from_descriptor_1() {
    let place = Place::new();
    let given = serve(&place, accepted);
    let envelope = "F\\0Txyz@pobox.example\\0T#@[]\\0\\0what follows does not count";
    let line = format!("exec $BIN/qmail-queue 1< <(printf '{envelope}'; exec sleep 20 2>&-)");
    let begun = Instant::now();
    let output = place.run(&line, LETTER);
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    assert!(begun.elapsed() < Duration::from_secs(15), "the end of the envelope is enough");
    let (job, message) = given.one();
    assert_eq!(message, LETTER);
    assert_eq!((job.face, job.treatment), (Face::QmailQueue, Treatment::AsIs));
    assert_eq!(job.sender.as_deref(), Some(&b""[..]));
    assert_eq!(job.arguments, [b"xyz@pobox.example".to_vec(), b"#@[]".to_vec()]);
}

#[test]
fn qmail_queue_has_its_own_exit_codes() {
    let place = Place::new();
    let given = serve(&place, accepted);
    for (envelope, code) in [
        ("", 54),
        ("Fabc@pobox.example\\0Txyz@pobox.example\\0", 54),
        ("Xabc\\0\\0", 91),
        (&format!("F\\0T{}\\0\\0", "x".repeat(1003)), 11),
    ] {
        let output = place.run(&format!("$BIN/qmail-queue 1< <(printf '{envelope}')"), LETTER);
        assert_eq!(exit(&output), Some(code), "{envelope}: {}", said(&output));
    }
    assert!(given.all().is_empty());
}

#[test]
fn a_program_that_qmailqueue_names_gets_the_completed_message_and_hands_it_in() {
    let place = Place::new();
    let given = serve(&place, accepted);
    let filter = "#!/bin/sh\ntest -z \"$QMAILQUEUE\" || exit 91\n(echo 'X-Filter: seen'; cat) | exec $BIN/qmail-queue\n";
    // The pipe would take descriptor 1 from qmail-queue if it were not kept.
    let filter =
        filter.replace("(echo", "exec 3<&1; (echo").replace("$BIN/qmail-queue", "$BIN/qmail-queue 1<&3");
    assert!(place.run("cat >filter && chmod 755 filter", filter.as_bytes()).status.success());
    let output =
        place.run("QMAILQUEUE=$PWD/filter $BIN/sendmail xyz@pobox.example", b"Subject: x\r\n\r\nbody\r\n");
    assert_eq!((exit(&output), said(&output)), (Some(0), String::new()));
    let (job, message) = given.one();
    assert_eq!(job.face, Face::QmailQueue);
    assert_eq!(job.sender.as_deref(), Some(&b"abc@pobox.example"[..]));
    assert_eq!(job.arguments, [b"xyz@pobox.example"]);
    let expected = "X-Filter: seen\nMessage-ID: <1@here>\nSubject: x\n\nbody\n";
    assert_eq!(String::from_utf8(message).unwrap(), expected);
}

#[test]
fn what_such_a_program_refuses_is_refused_in_its_words() {
    let place = Place::new();
    let given = serve(&place, accepted);
    for (script, sendmail, inject, words) in [
        ("exit 31", 69, 100, "permanently rejected"),
        ("exit 71", 75, 111, "temporarily rejected"),
        ("printf 'Dno viruses, please' >&6; exit 82", 69, 100, "no viruses, please"),
        ("kill -9 $$", 75, 111, "crashed"),
    ] {
        let script = format!("#!/bin/sh\n{script}\n");
        assert!(
            place.run("rm -f filter; cat >filter && chmod 755 filter", script.as_bytes()).status.success()
        );
        for (face, code) in [("sendmail", sendmail), ("qmail-inject", inject)] {
            let output = place.run(&format!("QMAILQUEUE=./filter $BIN/{face} xyz@pobox.example"), LETTER);
            assert_eq!(exit(&output), Some(code), "{script}: {}", said(&output));
            assert!(said(&output).contains(words), "{script}: {}", said(&output));
        }
    }
    place.note("qmailqueue = false");
    assert_eq!(exit(&place.run("QMAILQUEUE=./filter $BIN/sendmail xyz@pobox.example", LETTER)), Some(0));
    assert_eq!(given.all().len(), 1, "who may not, does not");
}

#[test]
fn a_program_that_would_take_a_message_for_nobody_is_not_asked() {
    let place = Place::new();
    serve(&place, accepted);
    let output = place.run("QMAILQUEUE=/bin/true $BIN/sendmail -t", b"Subject: x\n\nbody\n");
    assert_eq!(exit(&output), Some(64), "{}", said(&output));
}

#[test]
fn qmail_inject_n_prints_and_sends_nothing() {
    let place = Place::new();
    let given = serve(&place, accepted);
    let output = place.run("$BIN/qmail-inject -n xyz@pobox.example", b"Subject: x\n\nbody");
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "Return-Path: <abc@pobox.example>\nMessage-ID: <1@here>\nSubject: x\n\nbody\n");
    assert!(given.all().is_empty());
}

#[test]
fn smtp_on_standard_input_is_smtp_with_the_server() {
    let place = Place::new();
    let listener = UnixListener::bind(place.path("data/run/smtp")).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 here\r\n").unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        // More than a pipe holds, of a server that has all it wants.
        stream.write_all(&vec![b'x'; 200_000]).unwrap();
        stream.write_all(b"\r\n221 bye\r\n").unwrap();
        heard
    });
    let output = place.run("$BIN/sendmail -bs", &[b'y'; 300_000]);
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    assert_eq!(output.stdout.len(), 10 + 200_000 + 11);
    assert!(output.stdout.starts_with(b"220 here\r\nxx"));
    assert_eq!(server.join().unwrap().len(), 300_000);
}

#[test]
fn a_server_that_has_ended_the_dialogue_ends_it_for_a_client_who_has_not() {
    let place = Place::new();
    let listener = UnixListener::bind(place.path("data/run/smtp")).unwrap();
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"554 no\r\n").unwrap());
    let begun = Instant::now();
    let output = place.run("exec $BIN/sendmail -bs < <(exec sleep 20 2>&-)", b"");
    assert_eq!((exit(&output), output.stdout.as_slice()), (Some(75), &b"554 no\r\n"[..]));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn smtp_without_a_thread_to_spare_is_one_reply() {
    let place = Place::new();
    place.open();
    let listener = UnixListener::bind(place.path("data/run/smtp")).unwrap();
    fs::set_permissions(place.path("data/run/smtp"), fs::Permissions::from_mode(0o777)).unwrap();
    // Root may start as many as it likes.
    let line =
        "setpriv --reuid 65534 --regid 65534 --clear-groups prlimit --nproc=0 bin/hikyaku sendmail -bs";
    let output = place.run(line, b"QUIT\r\n");
    assert_eq!(exit(&output), Some(75), "{}", said(&output));
    assert!(output.stdout.starts_with(b"421 ") && output.stdout.ends_with(b"\r\n"));
    drop(listener);
}

#[test]
fn smtp_with_a_server_that_is_away_is_one_reply() {
    let place = Place::new();
    let output = place.run("$BIN/sendmail -bs", b"");
    assert_eq!(exit(&output), Some(75));
    assert!(output.stdout.starts_with(b"421 ") && output.stdout.ends_with(b"\r\n"));
}

#[test]
fn nothing_that_is_said_to_newaliases_matters() {
    let place = Place::new();
    assert_eq!(exit(&place.run("$BIN/newaliases", b"")), Some(0));
}

/// Somebody who is not whoever runs this test.
const OTHER: u32 = 65534;

/// A house in which the programs of whoever runs this test send as abc, and somebody else's as xyz.
fn house() -> House {
    House::with(&format!("[sendmail.users]\n{} = \"abc\"\n{OTHER} = \"xyz\"", nix::unistd::geteuid()))
}

#[test]
fn a_message_that_a_program_hands_in_is_delivered() {
    let house = house();
    let place = Place::of(&house);
    let form = b"To: xyz@pobox.example\r\nBcc: abc@pobox.example\r\nSubject: form\r\n\r\none\r\n.\r\ntwo";
    let output = place.run("$BIN/sendmail -oi -t", form);
    assert_eq!((exit(&output), said(&output)), (Some(0), String::new()));
    for account in ["abc", "xyz"] {
        let [message] = &house.wait_for_messages(account, 1)[..] else { panic!("one message was sent") };
        assert!(message.starts_with("Return-Path: <abc@pobox.example>\n"), "{message}");
        assert!(message.ends_with("\nSubject: form\n\none\n.\ntwo\n"), "{message}");
        assert!(!message.contains("Bcc:"), "{message}");
        for field in ["\nDate: ", "\nMessage-ID: ", "\nFrom: "] {
            assert_eq!(message.matches(field).count(), 1, "{message}");
        }
    }
    let output = place.run("$BIN/sendmail nobody@pobox.example nowhere@pobox.example", form);
    assert_eq!(exit(&output), Some(67), "{}", said(&output));
    assert!(said(&output).contains("nobody@pobox.example, nowhere@pobox.example"), "{}", said(&output));
}

#[test]
fn the_log_tells_what_was_let_pass_and_what_a_program_was_refused_before_it_had_a_message() {
    let house = house();
    let place = Place::of(&house);
    let good = place.run("$BIN/sendmail -oi -odb -n abc@pobox.example", b"Subject: x\n\ny\n");
    assert_eq!(exit(&good), Some(0), "{}", said(&good));
    let accepted = house.wait_for_event("accepted");
    assert_eq!(accepted["let_pass"], "-oi -odb -n");
    assert_eq!(exit(&place.run("$BIN/sendmail -bd", b"")), Some(64));
    let refused = house.wait_for_event("refused");
    assert_eq!(refused["account"], "abc");
    assert!(refused["status"].as_str().unwrap().contains("-bd"), "{refused}");
}

#[test]
fn a_message_that_waited_for_the_server_is_delivered_when_it_runs() {
    let mut house = house();
    let place = Place::of(&house);
    house.stop();
    let output = place.run("$BIN/sendmail xyz@pobox.example", b"Subject: waited\n\nlong\n");
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    house.start();
    let [message] = &house.wait_for_messages("xyz", 1)[..] else { panic!("one message was sent") };
    assert!(message.contains("\nSubject: waited\n\nlong\n"), "{message}");
}

#[test]
fn a_filter_sees_what_is_delivered() {
    let house = house();
    let place = Place::of(&house);
    let filter = "#!/bin/sh\nexec 3<&1; (echo 'X-Filter: seen'; cat) | exec $BIN/qmail-queue 1<&3\n";
    assert!(place.run("cat >filter && chmod 755 filter", filter.as_bytes()).status.success());
    let output = place.run("QMAILQUEUE=$PWD/filter $BIN/sendmail -t", LETTER);
    assert_eq!((exit(&output), said(&output)), (Some(0), String::new()));
    let [message] = &house.wait_for_messages("xyz", 1)[..] else { panic!("one message was sent") };
    assert!(message.contains("\nX-Filter: seen\n"), "{message}");
    assert_eq!(message.matches("\nMessage-ID: ").count(), 1, "{message}");
    assert!(message.ends_with("\nSubject: hello\n\nLine one.\n.\nLine three.\n"), "{message}");
}

#[test]
fn smtp_on_standard_input_is_known_by_its_user() {
    let house = house();
    let place = Place::of(&house);
    let dialogue = "EHLO here\r\nMAIL FROM:<abc@pobox.example>\r\nRCPT TO:<xyz@pobox.example>\r\nDATA\r\n\
        From: abc@pobox.example\r\nSubject: by hand\r\n\r\nhello\r\n.\r\nQUIT\r\n";
    let output = place.run("$BIN/sendmail -bs", dialogue.as_bytes());
    let replies = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(exit(&output), Some(0));
    assert!(replies.starts_with("220 ") && replies.lines().last().unwrap().starts_with("221 "), "{replies}");
    house.wait_for_messages("xyz", 1);
}

#[test]
fn mailq_lists_all_mail_for_operators_and_for_others_their_own() {
    let house = house();
    let place = Place::of(&house);
    assert_eq!(String::from_utf8(place.run("$BIN/mailq", b"").stdout).unwrap(), "Mail queue is empty\n");
    let output = place.run("$BIN/sendmail u@there.example", LETTER);
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    for line in ["$BIN/mailq", "$BIN/sendmail -bp"] {
        let output = place.run(line, b"");
        let list = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(exit(&output), Some(0), "{}", said(&output));
        assert!(list.contains("abc@pobox.example\n") && list.contains(" u@there.example\n"), "{list}");
        assert!(list.ends_with("Kbytes in 1 Request.\n"), "{list}");
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: nobody can be somebody else");
        return;
    }
    place.open();
    fs::set_permissions(house.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = |line: &str, input: &[u8]| {
        place.run(&format!("setpriv --reuid {OTHER} --clear-groups bin/hikyaku {line}"), input)
    };
    let output = own("mailq", b"");
    assert_eq!((said(&output).as_str(), output.stdout.as_slice()), ("", &b"Mail queue is empty\n"[..]));
    let output = own("sendmail w@there.example", LETTER);
    assert_eq!(exit(&output), Some(0), "{}", said(&output));
    let list = String::from_utf8(own("mailq", b"").stdout).unwrap();
    assert!(list.contains("xyz@pobox.example\n") && list.contains(" w@there.example\n"), "{list}");
    assert!(!list.contains("u@there.example"), "{list}");
}
