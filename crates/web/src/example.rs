//! A house for tests: its directory and its queue answer as the test says.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use link::services::directory::visits::{Standing, Token, Visit};
use link::services::directory::{self, Directory};
use link::services::queue::{self, Queue};
use link::{Client, Service};
use time::UtcOffset;
use tower::ServiceExt;

use crate::{Connection, House, Site};

/// The site.
pub(crate) fn site() -> Site {
    Site {
        hostname: "mail.pobox.example".parse().unwrap(),
        domain: "pobox.example".parse().unwrap(),
        url: "https://mail.pobox.example/".into(),
        trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
        pop_window_minutes: 30,
        submission: Some(587),
        submissions: Some(465),
        smtp: Some(25),
        pop3: Some(110),
        pop3s: Some(995),
        trace_days: 30,
        message_size_max: 1 << 25,
        zone: UtcOffset::UTC,
        certificate: None,
    }
}

/// A house whose services do not answer.
pub(crate) fn house() -> Arc<House> {
    Arc::new(House::new(Client::new(Duration::from_millis(1)), Client::new(Duration::from_millis(1)), site()))
}

/// A house whose services answer so.
pub(crate) fn served(
    directory: impl FnMut(directory::Request) -> directory::Response + Send + 'static,
    queue: impl FnMut(queue::Request) -> queue::Response + Send + 'static,
) -> Arc<House> {
    let house = house();
    attend::<Directory>(&house.directory, directory);
    attend::<Queue>(&house.queue, queue);
    house
}

fn attend<S: Service>(
    client: &Client<S>,
    mut answer: impl FnMut(S::Request) -> S::Response + Send + 'static,
) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    client.attach(ours, || {}).unwrap();
    tokio::spawn(link::serve::<S>(
        theirs,
        |_| {},
        move |request, responder| {
            responder.send(link::Parcel::from(answer(request.value)));
        },
    ));
}

/// What the directory answers to a visitor.
pub(crate) fn visit(visit: Visit) -> directory::Response {
    directory::Response::Visit(Box::new(visit))
}

/// A member's standing.
pub(crate) fn standing() -> Standing {
    Standing {
        account: "abc".parse().unwrap(),
        address: "abc@pobox.example".parse().unwrap(),
        sub_domain: "abc.pobox.example".parse().ok(),
        language: envelope::Language::En,
        operates: false,
        operator: false,
        second_factor: false,
        must_enrol: false,
        fresh_until: 0,
        scope: None,
    }
}

/// The key that visitors in tests have.
pub(crate) fn key() -> Token {
    Token::new([7; 32])
}

/// Asks the house, as by TLS.
pub(crate) async fn ask(house: &Arc<House>, mut request: Request<Body>) -> Response<String> {
    let connection = Connection { peer: [127, 0, 0, 1].into(), encrypted: true };
    request.extensions_mut().insert(connection);
    let (head, body) = crate::app(house).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8(body.to_vec()).unwrap())
}
