//! A certificate that can be swapped under a running server.

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// The certificate new connections get. Without one no handshake succeeds.
#[derive(Debug, Default)]
pub struct Reloadable(ArcSwapOption<CertifiedKey>);

/// Why a certificate was not taken; the one before it stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate is not PEM.
    #[error("failed to read the certificate")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    /// The key is not PEM. The cause is left out on purpose.
    #[error("failed to read the private key")]
    Key,
    /// The key belongs to another certificate, or is of a kind we can't use.
    #[error("certificate and private key do not go together")]
    Mismatch(#[source] rustls::Error),
}

impl Reloadable {
    /// Takes a PEM pair, when it is one. Answers whether it is another than before.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<bool, Error> {
        let new = Arc::new(parse(certificate, key)?);
        let old = self.0.swap(Some(Arc::clone(&new)));
        Ok(old.is_none_or(|old| old.cert != new.cert))
    }
}

impl ResolvesServerCert for Reloadable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// Reads a PEM pair and checks that key and certificate belong together: a half-written one does not.
pub fn parse(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, Error> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Error::Key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(Error::Mismatch)
}

/// TLS as the API server speaks it.
pub(super) fn server_config(certificate: Arc<Reloadable>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
