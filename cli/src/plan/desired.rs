//! All that there should be in Vault and in the Secrets of `sync`, by who says so: pure.

mod databases;
mod keys;

use k8s_openapi::jiff::Timestamp;
use keystead_cluster::keys::Published;
use keystead_compile::kinds::binding::{self, Account};
use keystead_compile::kinds::credential::{Fate, Removal};
use keystead_compile::kinds::sync::{self, Native};
use keystead_compile::kinds::{credential, provider, scope};
use keystead_compile::{Held, Key, Problem, World, pause};
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::{Credential, SecretBinding, SecretProvider};
use keystead_vault::object::{Deletion, Object, SigningKeys};
use kube::ResourceExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who has a say in Vault.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// A `SecretProvider`.
    Provider(String),
    /// A `SecretScope`, by itself.
    Scope(String),
    /// A `Credential`.
    Credential(Key),
    /// A `DatabaseConnection`.
    DatabaseConnection(Key),
    /// A `DatabaseRole`.
    DatabaseRole(Key),
    /// An `EncryptionKey`.
    EncryptionKey(String),
    /// A `SecretBinding`, by itself.
    Binding(Key),
    /// A service account, by all its bindings.
    Account(Account),
}

/// What there should be because of one of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Desired {
    /// In whose Vault; none where that can't be told.
    pub(crate) provider: Option<String>,
    /// What is to be done there, or why it can't be told.
    pub(crate) steps: Result<Vec<Step>, Problem>,
}

/// One thing to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// It should be there.
    Apply(Object),
    /// It should not.
    Remove(Object, Deletion),
    /// A native Secret of the binding with this uid should hold what is in Vault.
    Sync(Native, Option<String>),
    /// A native Secret should not be there.
    Drop(Key),
    /// Something stays that its owner leaves: a sentence.
    Stay(String),
}

/// The native Secrets that there are, by the uid of the binding they are of.
pub(crate) type Synced = BTreeMap<String, Vec<Key>>;

/// Everything, with what becomes of these accounts besides those that bindings name.
pub(crate) fn all(
    world: &World,
    keys: &Published,
    accounts: &BTreeSet<Account>,
    synced: &Synced,
) -> BTreeMap<Subject, Desired> {
    let mut all = BTreeMap::new();
    for found in world.providers() {
        let name = found.name_any();
        let steps = pause::check(world, found.as_ref(), &name).map(|()| engines(found, keys));
        all.insert(Subject::Provider(name.clone()), Desired::of(&name, steps));
    }
    for found in world.scopes() {
        let checked = scope::check(world, found).map(|()| Vec::new());
        let desired = Desired::of(&found.spec.provider_ref.name, checked);
        all.insert(Subject::Scope(found.name_any()), desired);
    }
    for (key, found) in world.credentials() {
        let desired = Desired {
            provider: credential::provider_name(world, found).map(str::to_owned),
            steps: values(world, key, found),
        };
        all.insert(Subject::Credential(key.clone()), desired);
    }
    all.extend(databases::desired(world));
    all.extend(keys::desired(world));
    for (key, found) in world.bindings() {
        let desired = Desired::of(&found.spec.provider_ref.name, natives(world, key, found, synced));
        all.insert(Subject::Binding(key.clone()), desired);
    }
    for account in accounts.union(&named(world)) {
        let desired = Desired::of(&account.provider, access(world, account));
        all.insert(Subject::Account(account.clone()), desired);
    }
    all
}

/// The accounts that bindings name.
pub(crate) fn named(world: &World) -> BTreeSet<Account> {
    let accounts = world
        .bindings()
        .flat_map(|(key, found)| binding::accounts(key, found));
    accounts.filter(binding::can_exist).collect()
}

/// The value's path in Vault's API that a step is about, if it is about values.
pub(crate) fn place(step: &Step) -> Option<String> {
    match step {
        Step::Apply(Object::KvSecret(secret)) | Step::Remove(Object::KvSecret(secret), _) => {
            Some(secret.path.data())
        }
        _ => None,
    }
}

fn engines(provider: &SecretProvider, keys: &Published) -> Vec<Step> {
    let spec = &provider.spec;
    let mounts = provider::mounts(provider).filter(|_| spec.vault.manage_mounts);
    let mounts = mounts.map(Object::Mount);
    let keys = (spec.workload_auth.method == WorkloadMethod::Jwt).then(|| {
        Object::SigningKeys(SigningKeys {
            mount: spec.workload_auth.mount.clone(),
            keys: keys.keys.clone(),
            issuer: keys.issuer.clone(),
        })
    });
    mounts.chain(keys).map(Step::Apply).collect()
}

fn values(world: &World, key: &Key, credential: &Credential) -> Result<Vec<Step>, Problem> {
    if credential.metadata.deletion_timestamp.is_some() {
        return farewell(world, key, credential);
    }
    pause::check_credential(world, credential)?;
    let object = Object::KvSecret(credential::compile(world, key, credential, Timestamp::now())?);
    Ok(vec![Step::Apply(object)])
}

/// What becomes of the values of a deleted Credential.
fn farewell(world: &World, key: &Key, credential: &Credential) -> Result<Vec<Step>, Problem> {
    Ok(match credential::fate(world, key, credential) {
        Fate::Nothing => Vec::new(),
        Fate::Retained(path) => {
            vec![Step::Stay(format!(
                "it is deleted, and its values stay at {path} (deletionPolicy: Retain)"
            ))]
        }
        Fate::LeftBehind(path, why) => {
            vec![Step::Stay(format!(
                "it is deleted, and its values are left behind at {path}: {why}"
            ))]
        }
        Fate::Waiting(_, why) => return Err(why),
        Fate::Goes(removal) => {
            let Removal { secret, deletion, .. } = *removal;
            vec![Step::Remove(Object::KvSecret(secret), deletion)]
        }
    })
}

/// What becomes of the Secret that a binding asks for, and of those that it asked for before.
fn natives(world: &World, key: &Key, binding: &SecretBinding, synced: &Synced) -> Result<Vec<Step>, Problem> {
    pause::check(world, binding, &binding.spec.provider_ref.name)?;
    binding::check(world, key, binding)?;
    let native = sync::compile(world, key, binding)?;
    let uid = binding.metadata.uid.clone();
    let held = uid.as_ref().and_then(|uid| synced.get(uid)).into_iter().flatten();
    let wanted = native.as_ref().map(|native| &native.key);
    let others = held
        .filter(|secret| Some(*secret) != wanted)
        .cloned()
        .map(Step::Drop);
    let others: Vec<Step> = others.collect();
    let native = native.map(|native| Step::Sync(native, uid));
    Ok(native.into_iter().chain(others).collect())
}

/// What becomes of an account.
fn access(world: &World, account: &Account) -> Result<Vec<Step>, Problem> {
    pause::check_account(world, account)?;
    binding::readable(world, account)?;
    if let Some(objects) = binding::compile(world, account)? {
        return Ok(objects.into_iter().map(Step::Apply).collect());
    }
    let objects = binding::removal(world, account)?.into_iter();
    Ok(objects
        .map(|object| Step::Remove(object, Deletion::Retain))
        .collect())
}

/// What is to be done for an object that has one thing in Vault.
fn steps<K: Held>(
    world: &World,
    provider: &str,
    object: &K,
    compiled: impl FnOnce() -> Result<Object, Problem>,
    removed: impl FnOnce() -> Result<Object, Problem>,
) -> Result<Vec<Step>, Problem> {
    pause::check(world, object, provider)?;
    if object.meta().deletion_timestamp.is_none() {
        return Ok(vec![Step::Apply(compiled()?)]);
    }
    Ok(if object.is_held() {
        vec![Step::Remove(removed()?, Deletion::Delete)]
    } else {
        Vec::new()
    })
}

// === impl Desired ===

impl Desired {
    fn of(provider: &str, steps: Result<Vec<Step>, Problem>) -> Self {
        Self {
            provider: Some(provider.to_owned()),
            steps,
        }
    }
}

// === impl Subject ===

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(name) => write!(f, "SecretProvider {name}"),
            Self::Scope(name) => write!(f, "SecretScope {name}"),
            Self::Credential(key) => write!(f, "Credential {}/{}", key.namespace, key.name),
            Self::DatabaseConnection(key) => write!(f, "DatabaseConnection {}/{}", key.namespace, key.name),
            Self::DatabaseRole(key) => write!(f, "DatabaseRole {}/{}", key.namespace, key.name),
            Self::EncryptionKey(name) => write!(f, "EncryptionKey {name}"),
            Self::Binding(key) => write!(f, "SecretBinding {}/{}", key.namespace, key.name),
            Self::Account(account) => write!(f, "service account {}/{}", account.namespace, account.name),
        }
    }
}
