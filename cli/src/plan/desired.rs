//! All that there should be in Vault, by who says so: pure.

use keystead_cluster::keys::Published;
use keystead_compile::kinds::binding::{self, Account};
use keystead_compile::kinds::{credential, scope};
use keystead_compile::{Key, Problem, World, pause};
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::{Credential, SecretProvider};
use keystead_vault::object::{Deletion, Mount, MountKind, Object, SigningKeys};
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
}

/// Everything, with what becomes of these accounts besides those that bindings name.
pub(crate) fn all(
    world: &World,
    keys: &Published,
    accounts: &BTreeSet<Account>,
) -> BTreeMap<Subject, Desired> {
    let mut all = BTreeMap::new();
    for found in world.providers() {
        let name = found.name_any();
        let steps = pause::check(world, found.as_ref(), &name).map(|()| provider(found, keys));
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
    for (key, found) in world.bindings() {
        let checked = binding::check(world, key, found).map(|()| Vec::new());
        let desired = Desired::of(&found.spec.provider_ref.name, checked);
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

fn provider(provider: &SecretProvider, keys: &Published) -> Vec<Step> {
    let spec = &provider.spec;
    let mount = spec.vault.manage_mounts.then(|| {
        Object::Mount(Mount {
            path: spec.vault.mounts.kv.clone(),
            kind: MountKind::Kv2,
        })
    });
    let keys = (spec.workload_auth.method == WorkloadMethod::Jwt).then(|| {
        Object::SigningKeys(SigningKeys {
            mount: spec.workload_auth.mount.clone(),
            keys: keys.keys.clone(),
            issuer: keys.issuer.clone(),
        })
    });
    mount.into_iter().chain(keys).map(Step::Apply).collect()
}

fn values(world: &World, key: &Key, credential: &Credential) -> Result<Vec<Step>, Problem> {
    pause::check_credential(world, credential)?;
    let object = Object::KvSecret(credential::compile(world, key, credential)?);
    Ok(vec![Step::Apply(object)])
}

/// What becomes of an account. A binding that can't be read may name it, so nothing is taken away then.
fn access(world: &World, account: &Account) -> Result<Vec<Step>, Problem> {
    pause::check_account(world, account)?;
    if let Some(objects) = binding::compile(world, account)? {
        return Ok(objects.into_iter().map(Step::Apply).collect());
    }
    if world.has_unreadable_binding(&account.namespace) {
        return Ok(Vec::new());
    }
    let objects = binding::removal(world, account)?.into_iter();
    Ok(objects
        .map(|object| Step::Remove(object, Deletion::Retain))
        .collect())
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
            Self::Binding(key) => write!(f, "SecretBinding {}/{}", key.namespace, key.name),
            Self::Account(account) => write!(f, "service account {}/{}", account.namespace, account.name),
        }
    }
}
