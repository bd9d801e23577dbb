//! TLS for roles that hold no key: the handshake runs here, signatures come from `keys`.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use link::Client;
use link::services::keys::{Keys, Request, Response};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

/// How long a handshake waits for `keys`.
const PATIENCE: Duration = Duration::from_secs(2);

/// The server's certificate, and the way to its key.
pub struct Tls {
    keys: Client<Keys>,
    shown: ArcSwapOption<CertifiedKey>,
    told: Box<Told>,
}

/// Hears of each certificate that is shown from now on: its chain, DER, the server's own first.
type Told = dyn Fn(&[CertificateDer<'_>]) + Send + Sync;

impl Tls {
    /// TLS that waits for a socket to `keys`.
    pub fn new() -> Arc<Tls> {
        Tls::telling(|_| {})
    }

    /// The same, and it tells of each certificate that it shows from now on.
    pub fn telling(told: impl Fn(&[CertificateDer<'_>]) + Send + Sync + 'static) -> Arc<Tls> {
        Arc::new_cyclic(|tls: &Weak<Tls>| {
            let tls = tls.clone();
            // A new connection and a renewed certificate both mean: fetch it.
            let keys = Client::<Keys>::listening(PATIENCE, move |_| {
                if let Some(tls) = tls.upgrade() {
                    tokio::spawn(tls.refresh());
                }
            });
            Tls { keys: keys.answers_within(PATIENCE), shown: ArcSwapOption::empty(), told: Box::new(told) }
        })
    }

    /// Uses this socket to `keys` from now on; `broken` is called when it ends.
    ///
    /// # Errors
    /// If the socket cannot be watched.
    pub fn attach(&self, stream: UnixStream, broken: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.keys.attach(stream, broken)
    }

    async fn refresh(self: Arc<Self>) {
        match self.keys.call_until_answered(Request::Certificate, Bytes::new()).await.map(|a| a.value) {
            Ok(Response::Certificate { chain, schemes }) => {
                let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
                (self.told)(&chain);
                let schemes = schemes.into_iter().map(SignatureScheme::from).collect();
                let key = RemoteKey { keys: self.keys.clone(), schemes };
                self.shown.store(Some(Arc::new(CertifiedKey::new(chain, Arc::new(key)))));
            }
            Ok(_) => warn!("the keys role did not answer with a certificate"),
            Err(error) => warn!(%error, "the certificate was not to be had"),
        }
    }

    /// What accepts TLS connections with this certificate.
    ///
    /// # Errors
    /// If the TLS library lacks a version of the protocol, which the build rules out.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

struct Resolver(Arc<Tls>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.shown.load_full().or_else(|| {
            // The first client of a server that has just started may be here before the certificate.
            let refresh = Arc::clone(&self.0).refresh();
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(refresh));
            self.0.shown.load_full()
        })
    }
}

/// A key in another process.
#[derive(Clone)]
struct RemoteKey {
    keys: Client<Keys>,
    schemes: Vec<SignatureScheme>,
}

impl std::fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteKey").field("schemes", &self.schemes).finish_non_exhaustive()
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner { key: self.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.schemes.first() {
            Some(&SignatureScheme::ED25519) => SignatureAlgorithm::ED25519,
            Some(
                &(SignatureScheme::ECDSA_NISTP256_SHA256
                | SignatureScheme::ECDSA_NISTP384_SHA384
                | SignatureScheme::ECDSA_NISTP521_SHA512),
            ) => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

#[derive(Debug)]
struct RemoteSigner {
    key: RemoteKey,
    scheme: SignatureScheme,
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let request = Request::Sign { scheme: u16::from(self.scheme) };
        let raw = Bytes::copy_from_slice(message);
        // The TLS library signs in the middle of a call, where nothing can be awaited: this
        // thread steps out of the runtime meanwhile, and other sessions go on.
        let answer = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(self.key.keys.call_until_answered(request, raw))
        });
        match answer.map(|answer| answer.value) {
            Ok(Response::Signed(signature)) => Ok(signature),
            Ok(_) => Err(rustls::Error::General("the keys role refused to sign".into())),
            Err(error) => Err(rustls::Error::General(error.to_string())),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
