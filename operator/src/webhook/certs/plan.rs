//! Whether something is due. Pure.

use super::material::{self, Material};
use crate::webhook::tls;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls_pki_types::{ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

/// What to do about the certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plan {
    /// Nothing.
    Keep,
    /// Make new ones of these.
    Renew {
        /// The CA.
        ca: bool,
        /// The certificate that is served.
        leaf: bool,
    },
}

/// Renews at two thirds of a life, and at once what can't be used.
///
/// A new CA does not bring a new leaf with it while the old one is still good: it is first made
/// known to everyone, and only the next leaf is signed with it.
pub fn plan(existing: Option<&Material>, now: Timestamp, dns_names: &[String]) -> Plan {
    let Some(material) = existing else {
        return Plan::Renew { ca: true, leaf: true };
    };
    let leaf = leaf(material, now, dns_names);
    match (authority(material, now), leaf) {
        (State::Unusable, _) => Plan::Renew { ca: true, leaf: true },
        (State::Due, leaf) => Plan::Renew {
            ca: true,
            leaf: leaf == State::Unusable,
        },
        (State::Good, State::Good) => Plan::Keep,
        (State::Good, State::Due | State::Unusable) => Plan::Renew {
            ca: false,
            leaf: true,
        },
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Due,
    Good,
    Unusable,
}

fn authority(material: &Material, now: Timestamp) -> State {
    if tls::parse(&material.ca_crt, &material.ca_key).is_err() {
        return State::Unusable;
    }
    by_age(&material.ca_crt, now)
}

fn leaf(material: &Material, now: Timestamp, dns_names: &[String]) -> State {
    if tls::parse(&material.tls_crt, &material.tls_key).is_err() || !is_trusted(material, now, dns_names) {
        return State::Unusable;
    }
    by_age(&material.tls_crt, now)
}

fn by_age(pem: &[u8], now: Timestamp) -> State {
    let Some(validity) = material::validity(pem) else {
        return State::Unusable;
    };
    if now >= validity.not_after || now < validity.not_before {
        return State::Unusable;
    }
    let life = validity.not_after.duration_since(validity.not_before);
    let age = now.duration_since(validity.not_before);
    if age >= life * 2 / 3 {
        State::Due
    } else {
        State::Good
    }
}

/// Whether the API server would take the certificate for each of the names.
fn is_trusted(material: &Material, now: Timestamp, dns_names: &[String]) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(material::certificates(&material.ca_crt));
    let provider = Arc::new(ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let chain = material::certificates(&material.tls_crt);
    let (Some((leaf, others)), Ok(seconds)) = (chain.split_first(), u64::try_from(now.as_second())) else {
        return false;
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    dns_names.iter().all(|name| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verifier.verify_server_cert(leaf, others, &name, &[], now).is_ok())
    })
}
