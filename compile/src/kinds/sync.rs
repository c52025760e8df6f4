//! `sync` → the native Secret that a binding asks for: where its values are, and what it holds of them.
//!
//! It is one for all nodes, so its values are those that the namespace has at Company and Global.

use super::binding::check_paths;
use super::{defaults, pod, provider, scope};
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::sidecar::SecretConfig;
use keystead_crds::{Level, SecretBinding, SecretProvider};
use keystead_vault::Sensitive;
use keystead_vault::path::KvPath;
use keystead_vault::resolve::{self, ScopeName, Secrets, Source, show};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest sum of values that a Secret takes, in bytes.
const LARGEST: usize = 1 << 20;

/// A native Secret, as a binding asks for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Native {
    /// The Secret.
    pub key: Key,
    /// The provider its values come from.
    pub provider: String,
    /// Where they are, each place once.
    pub sources: Vec<Source>,
    /// What is taken of them.
    pub secrets: Vec<SecretConfig>,
    /// How often to look for changes.
    pub refresh: Duration,
}

/// What the Secret holds.
pub type Data<'a> = BTreeMap<&'a str, &'a Sensitive<String>>;

/// The Secret that a binding asks for, if it does.
pub fn compile(world: &World, key: &Key, binding: &SecretBinding) -> Result<Option<Native>, Problem> {
    let spec = &binding.spec;
    let Some(sync) = &spec.sync else {
        return Ok(None);
    };
    let provider = provider::find(world, &spec.provider_ref.name)?;
    let scopes = scopes(world, &spec.provider_ref.name, &key.namespace)?;
    // What Vault makes for each who asks is not for all.
    let shared = spec
        .secrets
        .iter()
        .filter(|secret| secret.database_role.is_none() && secret.method.is_get());
    let secrets: Vec<SecretConfig> = shared
        .map(|secret| pod::stored(secret.name.clone(), secret))
        .collect();
    check_paths(world, provider, key, binding)?;
    let asked = secrets.iter().map(|secret| &secret.from);
    let sources = resolve::sources(&provider::kv_base(provider), &scopes, asked)
        .map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    Ok(Some(Native {
        key: Key {
            namespace: key.namespace.clone(),
            name: sync.secret_name.clone(),
        },
        provider: spec.provider_ref.name.clone(),
        sources,
        secrets,
        refresh: defaults::effective(world, provider, key, binding)?.refresh.value,
    }))
}

/// The bindings whose Secrets hold what is at a path of Keystead's.
pub fn fed_by(world: &World, provider: &SecretProvider, path: &KvPath) -> Vec<Key> {
    let (base, name) = (provider::kv_base(provider), provider.metadata.name.as_deref());
    let name = name.unwrap_or_default();
    let service = path.path.rsplit('/').next().unwrap_or_default();
    let bindings = world.syncing(service);
    let fed = bindings.filter(|(_, found)| found.spec.provider_ref.name == name);
    let fed = fed.filter(|(key, _)| {
        let scopes = scopes(world, name, &key.namespace).unwrap_or_default();
        let mut paths = scopes
            .iter()
            .map(|scope| KvPath::new(&base, scope.level, scope.id.as_deref(), service));
        paths.any(|fed| fed == *path)
    });
    fed.map(|(key, _)| key.clone()).collect()
}

/// The scopes of a namespace that are the same on all nodes, most specific first.
fn scopes(world: &World, provider: &str, namespace: &str) -> Result<Vec<ScopeName>, Problem> {
    let company = scope::company(world, provider, namespace)?.map(|id| ScopeName {
        level: Level::Company,
        id: Some(id.to_owned()),
    });
    let global = ScopeName {
        level: Level::Global,
        id: None,
    };
    Ok(company.into_iter().chain([global]).collect())
}

/// What a Secret holds: every key that the binding shows, under its own name.
pub fn data<'a>(native: &Native, secrets: &'a Secrets) -> Result<Data<'a>, Problem> {
    let mut data = Data::new();
    let mut givers: BTreeMap<&str, &str> = BTreeMap::new();
    for asked in &native.secrets {
        let name = asked.name.as_str();
        let shown = show(secrets, asked)
            .map_err(|missing| Problem::new(Reason::NotFound, format!("spec.secrets[{name}]: {missing}")))?;
        for (key, found) in shown.keys {
            if let Some(other) = givers.insert(key, name) {
                return Err(Problem::new(
                    Reason::Invalid,
                    format!(
                        "spec.sync: {other} and {name} of spec.secrets both have a key {key}, and a Secret can have one: choose by their keys, or sync one of them by another SecretBinding"
                    ),
                ));
            }
            check_key(name, key)?;
            data.insert(key, &found.value);
        }
    }
    let size: usize = data.values().map(|value| value.expose().len()).sum();
    if size > LARGEST {
        return Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.sync: the values have {size} bytes, and a Secret can hold 1 MiB: choose by spec.secrets[].keys"
            ),
        ));
    }
    Ok(data)
}

/// Keys of Secrets are narrower than those of Vault.
fn check_key(secret: &str, key: &str) -> Result<(), Problem> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let dots = key == "." || key.starts_with("..");
    if !key.is_empty() && key.len() <= 253 && !dots && key.bytes().all(legal) {
        return Ok(());
    }
    Err(Problem::new(
        Reason::Invalid,
        format!(
            "spec.sync: {key:?} of spec.secrets[{secret}] can't be a key of a Secret, which has letters, digits, '-', '_' and '.': leave it out by spec.secrets[{secret}].keys"
        ),
    ))
}

#[cfg(test)]
mod tests;
