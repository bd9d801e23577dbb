//! Role `keys`, user `hikyaku-keys`. Hears `smtp` and `pop3`. Touches the keys directory, and the
//! configured key through a descriptor that the supervisor opened.
//!
//! It alone holds private keys and signs for the others: whoever takes over a role that hears
//! strangers gets no key.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use link::services::keys::{Keys, Renewed, Request, Response};
use link::{Broadcast, Parcel, Responder, serve};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{error, info};

use super::{Caller, Orders, Told, ended};
use crate::control::{Settings, Start};

/// A certificate and the key that proves it.
struct Identity {
    chain: Vec<Vec<u8>>,
    key: Arc<dyn SigningKey>,
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let own = made_here(&start.settings)?;
    let identity = Arc::new(Mutex::new(own));
    let callers = Broadcast::<Keys>::default();
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Answer(role, stream) => {
                let identity = Arc::clone(&identity);
                let callers = callers.clone();
                let served = serve::<Keys>(
                    stream,
                    move |events| callers.add(events),
                    move |request, responder| answer(&identity, request, responder),
                );
                tokio::spawn(async move { ended::<Keys>(Caller::Role(role), served.await) });
            }
            Told::KeyFiles { certificate, key } => match configured(certificate, key) {
                Ok(new) => {
                    *identity.lock().unwrap_or_else(PoisonError::into_inner) = new;
                    info!(event = "certificate", "the configured certificate is in use");
                    callers.send(&Renewed);
                }
                Err(problem) => error!(
                    event = "certificate_refused",
                    problem = format!("{problem:#}"),
                    "the certificate in use stays"
                ),
            },
            Told::Stop => return Ok(()),
            _ => {}
        }
    }
}

fn answer(identity: &Mutex<Identity>, request: Parcel<Request>, responder: Responder<Keys>) {
    let identity = identity.lock().unwrap_or_else(PoisonError::into_inner);
    let response = match request.value {
        Request::Certificate => {
            Response::Certificate { chain: identity.chain.clone(), schemes: schemes(identity.key.as_ref()) }
        }
        Request::Sign { scheme } => identity
            .key
            .choose_scheme(&[SignatureScheme::from(scheme)])
            .and_then(|signer| signer.sign(&request.raw).ok())
            .map_or(Response::Refused, Response::Signed),
    };
    responder.send(response);
}

/// What a key can sign with, best first.
fn schemes(key: &dyn SigningKey) -> Vec<u16> {
    let all = match key.algorithm() {
        SignatureAlgorithm::RSA => vec![
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ],
        _ => vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
        ],
    };
    all.into_iter().filter(|scheme| key.choose_scheme(&[*scheme]).is_some()).map(u16::from).collect()
}

fn configured(certificate: OwnedFd, key: OwnedFd) -> anyhow::Result<Identity> {
    let read = |fd: OwnedFd| -> anyhow::Result<Vec<u8>> {
        let mut pem = Vec::new();
        std::fs::File::from(fd).take(1 << 20).read_to_end(&mut pem)?;
        Ok(pem)
    };
    parse(&read(certificate)?, &read(key)?)
}

fn parse(certificate: &[u8], key: &[u8]) -> anyhow::Result<Identity> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .context("the certificate file is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("the key file holds no private key in PEM")?;
    let key = any_supported_type(&key).context("the private key is of no kind that TLS uses")?;
    let Some(first) = chain.first() else {
        bail!("the certificate file holds no certificate");
    };
    let spki = rustls::server::ParsedCertificate::try_from(first)?.subject_public_key_info();
    if key.public_key().is_some_and(|public| public != spki) {
        bail!("the private key does not belong to the certificate");
    }
    Ok(Identity { chain: chain.iter().map(|der| der.to_vec()).collect(), key })
}

/// The certificate that was made here, at the first start or for another host name before.
fn made_here(settings: &Settings) -> anyhow::Result<Identity> {
    let directory = &settings.paths.keys;
    let file = |extension: &str| directory.join(format!("{}.{extension}", settings.hostname.to_ascii()));
    let (certificate, key) = (file("crt"), file("key"));
    if !certificate.exists() || !key.exists() {
        let made = rcgen::generate_simple_self_signed(vec![settings.hostname.to_ascii()])
            .context("cannot make a certificate")?;
        write_durably(&key, made.signing_key.serialize_pem().as_bytes())?;
        write_durably(&certificate, made.cert.pem().as_bytes())?;
        info!(
            event = "certificate_made", hostname = %settings.hostname,
            "no certificate is configured: one was made, which mail programs will ask about"
        );
    }
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    parse(&read(&certificate)?, &read(&key)?)
        .with_context(|| format!("{} is damaged; remove it to have a new one made", certificate.display()))
}

/// Writes a file that is whole or not there.
fn write_durably(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let draft = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(octets)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
