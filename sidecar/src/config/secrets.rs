//! What is to be read, and where: every name and path is checked here, because it becomes a path at Vault.

use super::{Error, field};
use keystead_crds::names;
use keystead_crds::scope::Level;
use keystead_crds::sidecar::{Config, DEFAULT_OVERLAP, SecretConfig, SecretSource, VaultConfig};
use keystead_vault::path::{ApiPath, KvBase};
use keystead_vault::resolve::{self, ScopeName, Source};
use std::collections::BTreeMap;
use std::time::Duration;

/// Secrets by the name that files and variables mean them by.
pub(super) fn secrets(config: &Config) -> Result<BTreeMap<String, SecretConfig>, Error> {
    let mut secrets = BTreeMap::new();
    for (index, secret) in config.secrets.iter().enumerate() {
        let place = |part| format!("secrets[{index}].{part}");
        match &secret.from {
            SecretSource::Service(service) => check_segment(&place("from"), service)?,
            SecretSource::Path(path) => drop(api_path(&place("from"), path)?),
            SecretSource::Database(at) => drop(api_path(&place("from.path"), &at.path)?),
            SecretSource::Made(at) => drop(api_path(&place("from.path"), &at.path)?),
        }
        if secrets.insert(secret.name.clone(), secret.clone()).is_some() {
            return Err(field(
                &place("name"),
                &format!("{:?} is there twice", secret.name),
            ));
        }
    }
    Ok(secrets)
}

fn api_path(place: &str, path: &str) -> Result<ApiPath, Error> {
    ApiPath::parse(path).map_err(|error| field(place, &error.to_string()))
}

/// Several secrets may show what is at one place.
pub(super) fn sources(
    vault: &VaultConfig,
    scopes: &[ScopeName],
    secrets: &BTreeMap<String, SecretConfig>,
) -> Result<Vec<Source>, Error> {
    let base = KvBase {
        mount: vault.kv_mount.clone(),
        prefix: vault.path_prefix.clone(),
        environment: vault.environment.clone(),
    };
    let asked = secrets.values().map(|secret| &secret.from);
    resolve::sources(&base, scopes, asked).map_err(|error| field("secrets", &error.to_string()))
}

/// How long credentials live on beside their successors; the longest counts where several show one.
pub(super) fn overlaps(secrets: &BTreeMap<String, SecretConfig>) -> BTreeMap<SecretSource, Duration> {
    let mut overlaps = BTreeMap::new();
    for secret in secrets.values() {
        if matches!(secret.from, SecretSource::Service(_)) {
            continue;
        }
        let asked = secret
            .overlap_millis
            .map_or(DEFAULT_OVERLAP, Duration::from_millis);
        let longest: &mut Duration = overlaps.entry(secret.from.clone()).or_default();
        *longest = asked.max(*longest);
    }
    overlaps
}

/// The secret that a file or variable means is there and shows the key.
pub(super) fn check_secret(
    secrets: &BTreeMap<String, SecretConfig>,
    place: &str,
    name: &str,
    key: Option<&str>,
) -> Result<(), Error> {
    let Some(secret) = secrets.get(name) else {
        return Err(field(
            &format!("{place}.secret"),
            &format!("there is no secret named {name:?}"),
        ));
    };
    match key {
        Some(key) if !secret.keys.is_empty() && !secret.keys.iter().any(|shown| shown == key) => Err(field(
            &format!("{place}.key"),
            &format!("{key:?} is not among the keys of secret {name:?}"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn scopes(vault: &VaultConfig, node: Option<&str>) -> Result<Vec<ScopeName>, Error> {
    let mut scopes = Vec::new();
    for (index, scope) in vault.scopes.iter().enumerate() {
        let id = match scope.level {
            Level::Global => None,
            Level::Node => {
                let node = node.ok_or(Error::NoNode)?;
                check_segment(names::NODE_ENV, node)?;
                Some(node.to_owned())
            }
            Level::Company | Level::User => {
                let place = format!("vault.scopes[{index}].id");
                let id = scope
                    .id
                    .clone()
                    .ok_or_else(|| field(&place, "this level needs one"))?;
                check_segment(&place, &id)?;
                Some(id)
            }
        };
        scopes.push(ScopeName {
            level: scope.level,
            id,
        });
    }
    if scopes.is_empty() {
        return Err(field("vault.scopes", "must not be empty"));
    }
    Ok(scopes)
}

/// Services and ids are segments of Vault's paths: one that has a slash would lead elsewhere.
fn check_segment(place: &str, segment: &str) -> Result<(), Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if segment.is_empty() || segment.starts_with('.') || !segment.bytes().all(legal) {
        return Err(field(
            place,
            &format!("{segment:?} must be letters, digits, '-', '_' and '.', not starting with '.'"),
        ));
    }
    Ok(())
}
