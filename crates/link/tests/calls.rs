//! Calls over real sockets: many at once, with descriptors, over the death of the other side.
#![forbid(unsafe_code)]
// A failed unwrap is a failed test, in its helper functions too.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use link::blocking::BlockingClient;
use link::{CallError, Client, Parcel, Service, Turns, serve};

struct Echo;

impl Service for Echo {
    const NAME: &'static str = "echo";
    type Request = String;
    type Response = String;
    type Event = u32;
}

fn echo_server(stream: UnixStream) -> tokio::task::JoinHandle<std::io::Result<()>> {
    tokio::spawn(serve::<Echo>(
        stream,
        |events| events.send(42),
        |request, responder| match request.value.as_str() {
            "silence" => drop(responder),
            "file" => {
                let mut file = tempfile();
                file.write_all(b"the message").unwrap();
                responder.send(Parcel::with_fds("here".into(), vec![OwnedFd::from(file)]));
            }
            _ => responder.send(Parcel::with_raw(request.value, request.raw)),
        },
    ))
}

fn tempfile() -> std::fs::File {
    let path = std::env::temp_dir().join(format!("hikyaku-link-{}-{:p}", std::process::id(), &0));
    let file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

#[tokio::test]
async fn many_calls_share_a_connection_and_each_gets_its_own_answer() {
    let (near, far) = UnixStream::pair().unwrap();
    let _server = echo_server(far);
    let (heard, mut events) = tokio::sync::mpsc::unbounded_channel();
    let client = Client::<Echo>::listening(Duration::from_secs(5), move |event| {
        let _ = heard.send(event);
    });
    client.attach(near, || {}).unwrap();
    let mut calls = Vec::new();
    for number in 0..500usize {
        let client = client.clone();
        calls.push(tokio::spawn(async move {
            let raw = Bytes::from(vec![number as u8; number * 100]);
            let answer = client.call(Parcel::with_raw(number.to_string(), raw.clone())).await.unwrap();
            assert_eq!((answer.value, answer.raw), (number.to_string(), raw));
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(events.recv().await, Some(None));
    assert_eq!(events.recv().await, Some(Some(42)));
}

fn turns(stream: UnixStream) -> Turns<Echo> {
    stream.set_nonblocking(true).unwrap();
    Turns::new(tokio::net::UnixStream::from_std(stream).unwrap(), 1 << 20)
}

/// Whoever writes on without waiting for answers fills his own socket, not our memory.
#[tokio::test]
async fn turns_are_taken_one_after_the_other() {
    let (near, far) = UnixStream::pair().unwrap();
    let client = Client::<Echo>::new(Duration::from_secs(5));
    client.attach(near, || {}).unwrap();
    let calls: Vec<_> = (0..200u32)
        .map(|number| {
            let client = client.clone();
            let raw = Bytes::from(vec![7; 64 << 10]);
            tokio::spawn(async move { client.call(Parcel::with_raw(number.to_string(), raw)).await })
        })
        .collect();
    let mut turns = turns(far);
    let mut taken = 0;
    while taken < calls.len()
        && let Some((request, responder)) = turns.next().await.unwrap()
    {
        assert_eq!(request.raw.len(), 64 << 10);
        responder.send(request.value);
        taken += 1;
    }
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap().value, number.to_string());
    }
}

#[tokio::test]
async fn a_peer_that_sends_a_descriptor_unasked_is_hung_up_on() {
    let (near, far) = UnixStream::pair().unwrap();
    let client = Client::<Echo>::new(Duration::from_secs(5));
    client.attach(near, || {}).unwrap();
    let mut turns = turns(far);
    let call = tokio::spawn(async move {
        client.call(Parcel::with_fds("file".into(), vec![OwnedFd::from(tempfile())])).await
    });
    assert!(turns.next().await.is_err());
    drop(turns);
    assert!(matches!(call.await.unwrap(), Err(CallError::Lost(_))));
}

#[tokio::test]
async fn a_descriptor_comes_along_and_a_silent_service_fails_the_call() {
    let (near, far) = UnixStream::pair().unwrap();
    let _server = echo_server(far);
    let client = Client::<Echo>::new(Duration::from_secs(5));
    client.attach(near, || {}).unwrap();
    let many: Vec<_> = (0..20).map(|_| client.call("file".to_string())).collect();
    for call in many {
        let mut answer = call.await.unwrap();
        let mut file = std::fs::File::from(answer.fds.remove(0));
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "the message");
    }
    assert!(matches!(client.call("silence".to_string()).await, Err(CallError::Failed("echo"))));
}

#[tokio::test]
async fn a_call_survives_the_death_of_the_role_when_it_may_be_repeated() {
    let client = Client::<Echo>::new(Duration::from_secs(5));
    let (near, far) = UnixStream::pair().unwrap();
    client.attach(near, || {}).unwrap();
    // Nobody serves `far`: the call is under way when it closes.
    let once = tokio::spawn({
        let client = client.clone();
        async move { client.call("once".to_string()).await }
    });
    let patient = tokio::spawn({
        let client = client.clone();
        async move { client.call_until_answered("again".to_string(), Bytes::new()).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(far);
    assert!(matches!(once.await.unwrap(), Err(CallError::Lost("echo"))));
    let (near, far) = UnixStream::pair().unwrap();
    let _server = echo_server(far);
    client.attach(near, || {}).unwrap();
    assert_eq!(patient.await.unwrap().unwrap().value, "again");
}

#[tokio::test]
async fn without_a_role_a_call_ends_after_its_patience() {
    let client = Client::<Echo>::new(Duration::from_millis(50));
    assert!(matches!(client.call("x".to_string()).await, Err(CallError::Absent("echo"))));
}

#[tokio::test]
async fn a_blocking_caller_gets_its_answer() {
    let (near, far) = UnixStream::pair().unwrap();
    let _server = echo_server(far);
    let answer = tokio::task::spawn_blocking(move || {
        let mut client = BlockingClient::<Echo>::new(near, Duration::from_secs(5)).unwrap();
        assert!(matches!(client.call("silence".to_string()), Err(CallError::Failed(_))));
        client.call(Parcel::with_raw("x".to_string(), Bytes::from_static(b"raw"))).unwrap()
    })
    .await
    .unwrap();
    assert_eq!((answer.value.as_str(), &answer.raw[..]), ("x", &b"raw"[..]));
}

#[tokio::test]
async fn a_role_that_hangs_is_given_up() {
    let (near, _far) = UnixStream::pair().unwrap();
    let client = Client::<Echo>::new(Duration::from_secs(5)).answers_within(Duration::from_millis(50));
    client.attach(near, || {}).unwrap();
    assert!(matches!(client.call("x".to_string()).await, Err(CallError::Late("echo"))));
}

#[tokio::test]
async fn a_connection_that_ends_is_reported_once() {
    let (near, far) = UnixStream::pair().unwrap();
    let client = Client::<Echo>::new(Duration::from_secs(5));
    let (broke, hear) = tokio::sync::oneshot::channel();
    client.attach(near, move || broke.send(()).unwrap()).unwrap();
    drop(far);
    tokio::time::timeout(Duration::from_secs(5), hear).await.unwrap().unwrap();
}

/// It hangs up, and says so in the version that it speaks.
async fn is_hung_up_on(octets: Vec<u8>) {
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut turns = turns(far);
    near.write_all(&octets).unwrap();
    assert!(turns.next().await.is_err());
    drop(turns);
    let mut answer = Vec::new();
    let read = tokio::task::spawn_blocking(move || {
        std::io::Read::read_to_end(&mut near, &mut answer).unwrap();
        answer
    });
    let answer = read.await.unwrap();
    assert_eq!(answer[4..6], [link::frame::VERSION, 2], "a failure");
}

fn request(raw: &[u8]) -> bytes::BytesMut {
    let mut frame = bytes::BytesMut::new();
    link::frame::encode(&mut frame, link::Kind::Request, 1, &"x", raw, 0).unwrap();
    frame
}

#[tokio::test]
async fn a_stranger_of_another_version_is_told_so() {
    let mut frame = request(b"");
    frame[4] += 1;
    is_hung_up_on(frame.to_vec()).await;
}

/// Its length alone is enough: nothing is held for it.
#[tokio::test]
async fn a_stranger_with_too_large_a_request_is_hung_up_on() {
    is_hung_up_on(request(&[0; 1 << 20])[..100].to_vec()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_does_not_end_his_request_is_hung_up_on() {
    let began = tokio::time::Instant::now();
    is_hung_up_on(request(b"mail")[..7].to_vec()).await;
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_peer_that_asks_and_does_not_read_is_not_served_without_end() {
    let (near, far) = UnixStream::pair().unwrap();
    let served = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = std::sync::Arc::clone(&served);
    tokio::spawn(serve::<Echo>(
        far,
        |_| {},
        move |request, responder| {
            counting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            responder.send(Parcel::with_raw(request.value, Bytes::from(vec![0; 1 << 20])));
        },
    ));
    let asking = tokio::task::spawn_blocking(move || {
        let mut near = near;
        near.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut frame = bytes::BytesMut::new();
        link::frame::encode(&mut frame, link::Kind::Request, 1, &"x", b"", 0).unwrap();
        for _ in 0..1000 {
            if near.write_all(&frame).is_err() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        near
    });
    let _near = asking.await.unwrap();
    let served = served.load(std::sync::atomic::Ordering::Relaxed);
    assert!((1..20).contains(&served), "{served} answers of a megabyte were made for a peer that reads none");
}
