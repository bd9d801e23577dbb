//! For tests: the pages before a directory and a queue that play what they are told, over real sockets.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use envelope::Language;
use link::services::directory::visits::{Ask, Operate, Own, Standing, Token, Visit};
use link::services::directory::{self, Directory};
use link::services::queue::{self, Queue, operators};
use link::{Client, Parcel};
use time::UtcOffset;
use tower::ServiceExt;

use crate::house::{Certificate, House, Site};
use crate::{Connection, app};

/// What the directory plays: its answer to what an operator asks, and to a member's own things.
#[derive(Clone, Copy)]
pub(crate) struct Play {
    pub(crate) operate: fn(Operate) -> directory::Response,
    pub(crate) own: fn(Own) -> directory::Response,
    pub(crate) queue: fn(operators::Question) -> Parcel<operators::Answer>,
}

/// The pages, and somebody who looks at them as an operator.
pub(crate) struct Stage {
    app: axum::Router,
    session: Token,
}

/// What came of a request.
pub(crate) struct Shown {
    pub(crate) status: StatusCode,
    /// Where he is sent.
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Stage {
    /// A stage on which this is played; `fresh` if the operator has proved just now who he is.
    pub(crate) fn set(language: Language, fresh: bool, certificate: Certificate, play: Play) -> Stage {
        let (directory, queue) = (Client::new(Duration::from_secs(5)), Client::new(Duration::from_secs(5)));
        let (here, there) = UnixStream::pair().unwrap();
        directory.attach(here, || {}).unwrap();
        tokio::spawn(link::serve::<Directory>(
            there,
            |_| {},
            move |request, responder| {
                responder.send(directory_plays(request.value, language, fresh, play));
            },
        ));
        let (here, there) = UnixStream::pair().unwrap();
        queue.attach(here, || {}).unwrap();
        tokio::spawn(link::serve::<Queue>(
            there,
            |_| {},
            move |request, responder| {
                let queue::Request::AsOperator(_, question) = request.value else { return };
                let Parcel { value, raw, fds } = (play.queue)(question);
                responder.send(Parcel { value: queue::Response::Operator(value), raw, fds });
            },
        ));
        let house = Arc::new(House::new(directory, queue, site(certificate)));
        Stage { app: app(&house), session: Token::new([7; 32]) }
    }

    /// Looks at a page.
    pub(crate) async fn get(&self, path: &str) -> Shown {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Sends a form, with its token.
    pub(crate) async fn post(&self, path: &str, fields: &str) -> Shown {
        let form = format!("csrf={}&{fields}", self.csrf());
        self.ask(Request::post(path).body(Body::from(form)).unwrap()).await
    }

    /// What stands in each form.
    pub(crate) fn csrf(&self) -> String {
        use base64::Engine as _;
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(self.session.derived("csrf"))
    }

    async fn ask(&self, mut request: Request<Body>) -> Shown {
        let cookie = format!("__Host-session={}", self.session.reveal());
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        request.extensions_mut().insert(Connection { peer: [127, 0, 0, 1].into(), encrypted: true });
        let response = self.app.clone().oneshot(request).await.unwrap();
        let location = response.headers().get(header::LOCATION);
        let location = location.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), 64 << 20).await.unwrap();
        Shown { status, location, text: String::from_utf8_lossy(&body).into_owned() }
    }
}

fn directory_plays(
    request: directory::Request,
    language: Language,
    fresh: bool,
    play: Play,
) -> directory::Response {
    let directory::Request::Visit { ask, .. } = request else { return directory::Response::Unavailable };
    match ask {
        Ask::Standing => visit(Visit::Standing(Box::new(Standing {
            account: "root".parse().unwrap(),
            address: "root@pobox.example".parse().unwrap(),
            sub_domain: None,
            language,
            operates: true,
            operator: true,
            second_factor: true,
            must_enrol: false,
            fresh_until: if fresh { u64::from(u32::MAX) } else { 0 },
            scope: None,
        }))),
        Ask::Operate(Operate::QueueGrant { act }) => {
            let key = link::grant::GrantKey::new([1; 32]);
            let grant = link::grant::OperatorGrant::issue(&key, "root".parse().unwrap(), act, 0);
            visit(Visit::QueueGrant(grant))
        }
        Ask::Operate(Operate::As(_, own)) | Ask::Own(own) => (play.own)(own),
        Ask::Operate(operate) => (play.operate)(operate),
        _ => directory::Response::Unavailable,
    }
}

/// An answer to a visit.
pub(crate) fn visit(visit: Visit) -> directory::Response {
    directory::Response::Visit(Box::new(visit))
}

/// The site of the stage.
pub(crate) fn site(certificate: Certificate) -> Site {
    Site {
        hostname: "mail.pobox.example".parse().unwrap(),
        domain: "pobox.example".parse().unwrap(),
        url: "https://mail.pobox.example/".into(),
        trusted_proxies: Vec::new(),
        pop_window_minutes: 30,
        submission: Some(587),
        submissions: Some(465),
        smtp: Some(25),
        pop3: Some(110),
        pop3s: Some(995),
        trace_days: 14,
        message_size_max: 20 << 20,
        zone: UtcOffset::from_hms(9, 0, 0).unwrap(),
        certificate: Some(certificate),
    }
}
