//! What is in the Secret.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::collections::BTreeMap;
use std::fmt;

/// Keys and certificates, as PEM.
#[derive(Clone, Eq, PartialEq)]
pub struct Material {
    /// Whom to trust: the CA that signs now, then those before it that have not ended.
    pub ca_crt: Vec<u8>,
    /// The key of the first CA.
    pub ca_key: Vec<u8>,
    /// The certificate to serve.
    pub tls_crt: Vec<u8>,
    /// Its key.
    pub tls_key: Vec<u8>,
}

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// The validity of the first certificate of a PEM file, if there is one.
pub(super) fn validity(pem: &[u8]) -> Option<Validity> {
    der_validity(&certificates(pem).into_iter().next()?)
}

/// The validity of one certificate.
pub(super) fn der_validity(der: &CertificateDer<'_>) -> Option<Validity> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let second = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let validity = certificate.validity();
    Some(Validity {
        not_before: second(validity.not_before)?,
        not_after: second(validity.not_after)?,
    })
}

/// The certificates of a PEM file; none of them if one can't be read.
pub(super) fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .unwrap_or_default()
}

// === impl Material ===

impl Material {
    /// What the Secret holds, when it holds all of it.
    pub(super) fn from_secret(secret: &Secret) -> Option<Self> {
        let value = |key: &str| Some(secret.data.as_ref()?.get(key)?.0.clone());
        Some(Self {
            ca_crt: value(CA_CRT)?,
            ca_key: value(CA_KEY)?,
            tls_crt: value(TLS_CRT)?,
            tls_key: value(TLS_KEY)?,
        })
    }

    pub(super) fn to_secret(&self, name: &str) -> Secret {
        let mut secret = Secret {
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        secret.metadata.name = Some(name.to_owned());
        let label = ("app.kubernetes.io/managed-by".to_owned(), "keystead".to_owned());
        secret.metadata.labels = Some(BTreeMap::from([label]));
        self.write_to(&mut secret);
        secret
    }

    /// Leaves everything else in the Secret as it is.
    pub(super) fn write_to(&self, secret: &mut Secret) {
        let data = secret.data.get_or_insert_default();
        let values = [&self.ca_crt, &self.ca_key, &self.tls_crt, &self.tls_key];
        for (key, value) in [CA_CRT, CA_KEY, TLS_CRT, TLS_KEY].into_iter().zip(values) {
            data.insert(key.to_owned(), ByteString(value.clone()));
        }
    }
}

#[cfg(test)]
impl Material {
    /// Certificates that are good now, for that name.
    pub(in crate::webhook) fn for_tests(name: &str) -> Self {
        super::issue::issue(None, true, true, Timestamp::now(), &[name.to_owned()]).unwrap()
    }

    pub(in crate::webhook) fn authorities(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.ca_crt)
    }
}

/// Two of the four are private keys.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

pub(super) const CA_CRT: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
pub(super) const TLS_CRT: &str = "tls.crt";
pub(super) const TLS_KEY: &str = "tls.key";
