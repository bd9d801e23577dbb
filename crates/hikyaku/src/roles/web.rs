//! Role `web`, user `hikyaku-web`. Hears members and operators by HTTP, with TLS of its own or behind a proxy;
//! calls `directory` (who is this, and what does he want changed?), `queue` (to look, and to rule) and `keys`
//! (signatures). Touches no file, and holds no password and no session: the pages are in the crate `web`.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use link::Client;
use time::UtcOffset;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use web::{Certificate, Connection, House, Site};

use super::connections::{Reception, Stream, Visitor};
use super::tls::Tls;
use super::{Orders, PATIENCE, Told};
use crate::control::{Door, Role, Settings, Start};
use crate::page_address::page_address;

/// How long a browser may take to send the head of a request, to negotiate TLS, or to come again.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may last, however often its browser comes again: it then makes another. So nobody keeps one
/// for good, by not taking the answers, say.
const CONNECTION_MAX: Duration = Duration::from_secs(600);
/// How long the last answer may take to be taken.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// How long requests may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub async fn run(mut orders: Orders, start: Start, zone: UtcOffset) -> anyhow::Result<()> {
    let site = site_of(&start.settings, zone);
    let house = Arc::new(House::new(Client::new(PATIENCE), Client::new(PATIENCE), site));
    let shown = Arc::clone(&house);
    let tls = Tls::telling(move |chain| {
        shown.show_certificate(Certificate { chain: chain.iter().map(|one| one.to_vec()).collect() });
    });
    let acceptor = tls.acceptor()?;
    let app = web::app(&house);
    let reception = Reception::new("web", start.settings);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Directory, stream) => {
                house.directory.attach(stream, orders.mend(called))?;
            }
            Told::Call(called @ Role::Queue, stream) => house.queue.attach(stream, orders.mend(called))?,
            Told::Call(called @ Role::Keys, stream) => tls.attach(stream, orders.mend(called))?,
            Told::Listen(door, listener) => {
                let (app, acceptor) = (app.clone(), acceptor.clone());
                let converse = move |visitor| converse(app.clone(), acceptor.clone(), door, visitor);
                reception.open(listener, converse, |_| {
                    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                        .to_vec()
                });
            }
            Told::Reload(settings) => {
                house.change_site(site_of(&settings, zone));
                reception.reload(*settings);
            }
            Told::Stop => break,
            _ => {}
        }
    }
    reception.close(STOP_PATIENCE).await;
    Ok(())
}

/// One connection: as many requests as its browser makes, one after the other.
async fn converse(
    app: axum::Router,
    acceptor: TlsAcceptor,
    door: Door,
    visitor: Visitor,
) -> std::io::Result<()> {
    let Visitor { stream, peer, mut stopping, .. } = visitor;
    let encrypted = door == Door::Https;
    let stream = match encrypted {
        true => Stream::encrypt(stream, &acceptor, HEAD_PATIENCE, &mut stopping).await?,
        false => Stream::Plain(stream),
    };
    let connection = Connection { peer: peer.ip(), encrypted };
    serve(stream, app, connection, async { drop(stopping.wait_for(|stop| *stop).await) }).await
}

/// Answers requests until the browser goes, the connection has lasted long enough, or the server stops.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: axum::Router,
    connection: Connection,
    stopped: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection);
        app.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_headers(64).max_buf_size(64 << 10);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => Some(served),
        () = stopped => None,
        () = tokio::time::sleep(CONNECTION_MAX) => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(END_PATIENCE, serving).await?
        }
    };
    served.map_err(std::io::Error::other)
}

/// What pages tell of this server.
fn site_of(settings: &Settings, zone: UtcOffset) -> Site {
    let listen = &settings.listen;
    let port = |addresses: &[std::net::SocketAddr]| addresses.first().map(std::net::SocketAddr::port);
    Site {
        hostname: settings.hostname.clone(),
        domain: settings.domain.clone(),
        url: page_address(&settings.hostname, listen, &settings.web),
        trusted_proxies: settings.web.trusted_proxies.clone(),
        pop_window_minutes: u64::from(settings.sending.pop_window) as u32,
        submission: port(&listen.submission),
        submissions: port(&listen.submissions),
        smtp: port(&listen.smtp),
        pop3: port(&listen.pop3),
        pop3s: port(&listen.pop3s),
        trace_days: settings.log.trace_days,
        message_size_max: settings.limits.message_size_max,
        zone,
        certificate: None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_his_answers_keeps_no_connection() {
        let app = axum::Router::new().fallback(|| async { "a".repeat(10_000) });
        let (mut browser, ours) = tokio::io::duplex(100);
        let connection = Connection { peer: [192, 0, 2, 1].into(), encrypted: true };
        let began = tokio::time::Instant::now();
        let serving = tokio::spawn(serve(ours, app, connection, std::future::pending()));
        browser.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let served = serving.await.unwrap();
        assert_eq!(served.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= CONNECTION_MAX && began.elapsed() < CONNECTION_MAX + 2 * END_PATIENCE);
    }
}
