//! The bed's certificates and the kubeconfigs made of them.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;

/// A certificate authority and the folder its certificates go to.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Who a certificate speaks for.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    /// Name of the files, and the common name if `user` is empty.
    pub(crate) file: &'a str,
    /// The common name: a user's name to Kubernetes.
    pub(crate) user: &'a str,
    /// The organization: a user's group to Kubernetes.
    pub(crate) group: &'a str,
    /// Host names and addresses.
    pub(crate) hosts: &'a [&'a str],
}

impl Authority {
    /// Makes a new authority; its files are `<name>.crt` and `<name>.key`.
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(&Subject {
            user: name,
            ..Subject::default()
        })?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?;
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.crt")), certificate.pem())?;
        write_private(
            &folder.join(format!("{name}.key")),
            key.serialize_pem().as_bytes(),
        )?;
        Ok(Self {
            folder: folder.into(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Signs a certificate: `<file>.crt` and `<file>.key`.
    pub(crate) fn issue(&self, subject: &Subject<'_>) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = params(subject)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(
            self.folder.join(format!("{}.crt", subject.file)),
            certificate.pem(),
        )?;
        write_private(
            &self.folder.join(format!("{}.key", subject.file)),
            key.serialize_pem().as_bytes(),
        )
    }
}

fn params(subject: &Subject<'_>) -> Result<CertificateParams> {
    let hosts: Vec<String> = subject.hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).context("a certificate's host names")?;
    let user = if subject.user.is_empty() {
        subject.file
    } else {
        subject.user
    };
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    if !subject.group.is_empty() {
        params
            .distinguished_name
            .push(DnType::OrganizationName, subject.group);
    }
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2046, 1, 1));
    Ok(params)
}

/// Writes a kubeconfig that carries its certificates, so that it works from anywhere.
pub(super) fn kubeconfig(pki: &Path, user: &str, server: &str, file: &Path) -> Result<()> {
    let data = |name: String| -> Result<String> {
        let path = pki.join(name);
        Ok(BASE64_STANDARD.encode(fs::read(&path).with_context(|| format!("read {}", path.display()))?))
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bed",
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user}}],
        "clusters": [{"name": "bed", "cluster": {
            "server": server, "certificate-authority-data": data("kubernetes-ca.crt".into())?,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": data(format!("{user}.crt"))?,
            "client-key-data": data(format!("{user}.key"))?,
        }}],
    });
    // JSON is YAML.
    write_private(file, serde_json::to_string_pretty(&config)?.as_bytes())
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;

    let unfinished = path.with_extension("unfinished");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&unfinished, path));
    written.with_context(|| format!("write {}", path.display()))
}
