//! Making keys and certificates: ECDSA P-256, which every TLS client knows.

use super::material::{self, Material};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::time::Duration;

/// The old material with a new CA, a new leaf or both. Without old material it takes both.
pub(super) fn issue(
    old: Option<Material>,
    ca: bool,
    leaf: bool,
    now: Timestamp,
    dns_names: &[String],
) -> Result<Material, Error> {
    let empty = || Material {
        ca_crt: vec![],
        ca_key: vec![],
        tls_crt: vec![],
        tls_key: vec![],
    };
    let mut material = old.unwrap_or_else(empty);
    material.ca_crt = unexpired(&material.ca_crt, now);
    if ca {
        let (certificate, key) = authority(now)?;
        // Whoever still serves a leaf of the CA before must be trusted until it has a new one.
        material.ca_crt = [certificate.into_bytes(), material.ca_crt].concat();
        material.ca_key = key.into_bytes();
    }
    if leaf {
        let (certificate, key) = server(&material, now, dns_names)?;
        material.tls_crt = certificate.into_bytes();
        material.tls_key = key.into_bytes();
    }
    Ok(material)
}

fn authority(now: Timestamp) -> Result<(String, String), Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Two CAs that stand in one bundle are told apart by name, too.
    params.distinguished_name.push(
        DnType::CommonName,
        format!("Keystead webhook CA {}", now.as_second()),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let_live(&mut params, now, CA_LIFE);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn server(material: &Material, now: Timestamp, dns_names: &[String]) -> Result<(String, String), Error> {
    let signer = KeyPair::from_pem(&String::from_utf8_lossy(&material.ca_key))?;
    let authority = material::certificates(&material.ca_crt);
    let authority = authority.first().ok_or(Error::CouldNotParseCertificate)?;
    let issuer = Issuer::from_ca_cert_der(authority, signer)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(dns_names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Keystead webhook");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let_live(&mut params, now, LEAF_LIFE);
    Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}

/// Good from a little while ago, for those whose clock is behind ours.
fn let_live(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + life;
}

/// The certificates of a bundle that have not ended.
fn unexpired(bundle: &[u8], now: Timestamp) -> Vec<u8> {
    let live = |der: &_| material::der_validity(der).is_some_and(|validity| now < validity.not_after);
    let certificates = material::certificates(bundle).into_iter().filter(live);
    certificates.flat_map(|der| pem(&der)).collect()
}

fn pem(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).flat_map(|line| [line, b"\n"]);
    let (begin, end): (&[u8], &[u8]) = (b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n");
    std::iter::once(begin)
        .chain(lines)
        .chain([end])
        .flatten()
        .copied()
        .collect()
}

const CA_LIFE: Duration = Duration::from_hours(24 * 365);
const LEAF_LIFE: Duration = Duration::from_hours(24 * 30);
const CLOCK_SKEW: Duration = Duration::from_mins(10);
