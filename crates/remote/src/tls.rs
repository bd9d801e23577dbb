//! TLS towards servers: with or without a look at their certificates, with or without what is new.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::routes::TlsPolicy;

/// How much of TLS a server is trusted to cope with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Features {
    /// All that we have.
    #[default]
    All,
    /// TLS 1.2 and a short first message. Some servers and boxes before them fail at TLS 1.3 or at a
    /// first message of two packets, as post-quantum key exchange makes it.
    Modest,
}

/// The ways to start TLS.
#[derive(Clone)]
pub struct Tls {
    any: [Arc<ClientConfig>; 2],
    valid: [Arc<ClientConfig>; 2],
}

impl Tls {
    /// TLS that trusts these authorities where a certificate is to be valid.
    ///
    /// # Errors
    /// If the library lacks a version of the protocol, which the build rules out.
    pub fn new(authorities: RootCertStore) -> Result<Tls, rustls::Error> {
        let authorities = Arc::new(authorities);
        let modest = || {
            let mut provider = aws_lc_rs::default_provider();
            provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
            provider
        };
        let ways = [
            (aws_lc_rs::default_provider(), rustls::ALL_VERSIONS),
            (modest(), &[&rustls::version::TLS12][..]),
        ];
        let [all, modest] = ways.map(|(provider, versions)| configs(provider, versions, &authorities));
        let ((any_all, valid_all), (any_modest, valid_modest)) = (all?, modest?);
        Ok(Tls { any: [any_all, any_modest], valid: [valid_all, valid_modest] })
    }

    /// TLS that trusts the authorities of the Mozilla list, as it was when this program was built.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub fn with_mozilla_authorities() -> Result<Tls, rustls::Error> {
        Tls::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// What shakes hands by this policy.
    pub fn connector(&self, policy: TlsPolicy, features: Features) -> TlsConnector {
        let configs = match policy {
            TlsPolicy::Opportunistic | TlsPolicy::Require => &self.any,
            TlsPolicy::Verify => &self.valid,
        };
        TlsConnector::from(Arc::clone(&configs[usize::from(features == Features::Modest)]))
    }
}

type Configs = (Arc<ClientConfig>, Arc<ClientConfig>);

fn configs(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    authorities: &Arc<RootCertStore>,
) -> Result<Configs, rustls::Error> {
    let provider = Arc::new(provider);
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder =
        || ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
    let any = builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { schemes }))
        .with_no_client_auth();
    let valid = builder()?.with_root_certificates(Arc::clone(authorities)).with_no_client_auth();
    Ok((Arc::new(any), Arc::new(valid)))
}

/// Takes any certificate, and what is signed with it. Where everybody's certificate will do, whoever is
/// on the line can show his own: looking at signatures would only turn away old servers, to clear text.
#[derive(Debug)]
struct AnyCertificate {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
