//! TLS that works, that fails in each of its phases, and what the policy makes of it.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use remote::{Outcome, TlsPolicy};
use rustls::crypto::aws_lc_rs;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::peer::{Do, say};
use crate::world::{EHLO, EHLO_TLS, World, deliver, deliver_all};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// What shakes hands as a server of this name.
    fn acceptor(&self, name: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

const POLICIES: [TlsPolicy; 3] = [TlsPolicy::Opportunistic, TlsPolicy::Require, TlsPolicy::Verify];

/// What becomes of a message by each policy, and how often the server was connected to.
async fn by_each_policy(
    ehlo: &'static str,
    tls: Option<TlsAcceptor>,
    roots: RootCertStore,
    manners: impl Fn(usize, &str) -> Option<Do> + Send + Sync + Clone + 'static,
) -> [(String, bool, usize); 3] {
    let mut results = Vec::new();
    for policy in POLICIES {
        let world = World::new().await;
        let peer = world.peer("there.example", ehlo, tls.clone(), manners.clone());
        let mut settings = world.settings();
        settings.tls = policy;
        settings.connect = Duration::from_secs(2);
        let remote = world.remote_with(settings, roots.clone());
        let outcomes = deliver_all(&remote, "there.example", &["b"]).await;
        let (outcome, under_tls) = match &outcomes[0] {
            Outcome::Delivered { under_tls, .. } => ("delivered".to_owned(), *under_tls),
            Outcome::Failed(diagnosis) | Outcome::Deferred(diagnosis) => {
                (diagnosis.status.to_string(), false)
            }
        };
        results.push((outcome, under_tls, peer.connections()));
    }
    results.try_into().expect("three policies")
}

fn delivered(under_tls: bool, connections: usize) -> (String, bool, usize) {
    ("delivered".to_owned(), under_tls, connections)
}

fn not_delivered(status: &str, connections: usize) -> (String, bool, usize) {
    (status.to_owned(), false, connections)
}

#[tokio::test]
async fn a_good_certificate_serves_all_and_a_wrong_one_those_who_do_not_look() {
    let authority = Authority::new();
    let good = authority.acceptor("there.example", rustls::ALL_VERSIONS);
    let results = by_each_policy(EHLO_TLS, Some(good.clone()), authority.roots(), |_, _| None).await;
    assert_eq!(results, [delivered(true, 1), delivered(true, 1), delivered(true, 1)]);
    let wrong_name = authority.acceptor("other.example", rustls::ALL_VERSIONS);
    let results = by_each_policy(EHLO_TLS, Some(wrong_name), authority.roots(), |_, _| None).await;
    assert_eq!(results, [delivered(true, 1), delivered(true, 1), not_delivered("4.7.5", 1)]);
    let results = by_each_policy(EHLO_TLS, Some(good), Authority::new().roots(), |_, _| None).await;
    assert_eq!(results, [delivered(true, 1), delivered(true, 1), not_delivered("4.7.5", 1)]);
}

#[tokio::test]
async fn where_tls_is_not_offered_or_refused_only_the_easy_going_deliver() {
    let results = by_each_policy(EHLO, None, RootCertStore::empty(), |_, _| None).await;
    assert_eq!(results, [delivered(false, 1), not_delivered("4.7.4", 1), not_delivered("4.7.4", 1)]);
    let refused = |_: usize, command: &str| (command == "STARTTLS").then(|| say("454 4.7.0 not now"));
    let results = by_each_policy(EHLO_TLS, None, RootCertStore::empty(), refused).await;
    assert_eq!(results, [delivered(false, 1), not_delivered("4.7.0", 1), not_delivered("4.7.0", 1)]);
}

#[tokio::test]
async fn tls_that_fails_in_any_phase_falls_back_only_where_it_may() {
    for action in [
        // Instead of 220, after it, with noise, and in silence.
        Do::SayAndClose("220 go\r\n".to_owned()),
        Do::Say("220 go\r\n".to_owned()),
    ] {
        let closes = matches!(action, Do::SayAndClose(_));
        let manners = move |_: usize, command: &str| match command {
            "STARTTLS" => Some(action.clone()),
            "" | "QUIT" | "DATA" | "." => None,
            command if command.is_ascii() && command.contains(' ') => None,
            // The client's first message, taken for a command.
            _ => Some(say("500 what?")),
        };
        let results = by_each_policy(EHLO_TLS, None, RootCertStore::empty(), manners).await;
        assert_eq!(results[0], delivered(false, 3), "closes: {closes}");
        assert_eq!(results[1..], [not_delivered("4.7.5", 2), not_delivered("4.7.5", 2)]);
    }
}

#[tokio::test]
async fn a_server_that_fails_at_new_tls_gets_the_old_one() {
    let authority = Authority::new();
    let old = authority.acceptor("there.example", &[&rustls::version::TLS12]);
    // The first handshake of each client breaks off, as at a box that cannot read it.
    let manners = |connection: usize, command: &str| {
        (command == "STARTTLS" && connection == 1).then(|| Do::SayAndClose("220 go\r\n".to_owned()))
    };
    let results = by_each_policy(EHLO_TLS, Some(old), authority.roots(), manners).await;
    assert_eq!(results, [delivered(true, 2), delivered(true, 2), delivered(true, 2)]);
}

#[tokio::test]
async fn what_is_put_before_the_handshake_is_never_believed() {
    let injected = |_: usize, command: &str| {
        (command == "STARTTLS").then(|| Do::Say("220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n".to_owned()))
    };
    let results = by_each_policy(EHLO_TLS, None, RootCertStore::empty(), injected).await;
    // There is somebody on the line: not even the easy-going go on in clear text.
    assert_eq!(results.map(|(outcome, ..)| outcome), ["4.7.0", "4.7.0", "4.7.0"]);
}

#[tokio::test]
async fn connections_under_tls_are_used_again() {
    let authority = Authority::new();
    let world = World::new().await;
    let acceptor = authority.acceptor("there.example", rustls::ALL_VERSIONS);
    let peer = world.peer("there.example", EHLO_TLS, Some(acceptor), |_, _| None);
    let remote = world.remote_with(world.settings(), authority.roots());
    for _ in 0..10 {
        assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
    }
    assert_eq!((peer.connections(), peer.messages()), (1, 10));
}
