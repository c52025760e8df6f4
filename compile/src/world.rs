//! A read-only view of all that is declared, as the watches fill it.

mod databases;
mod granted;
mod keys;

use crate::index::Index;
use crate::{Key, Problem};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use keystead_crds::names::NAMESPACE_ANNOTATIONS;
use keystead_crds::{Credential, EncryptionKey, SecretBinding, SecretProvider, SecretScope};
use kube::core::{Selector, SelectorExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of a provider beyond its spec. The operator finds it out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProviderFacts {
    /// Certificates to trust; none where the provider names none.
    pub ca: Option<String>,
    /// Accessor of the jwt mount, which policies need to name a pod's node; known once Vault was reached.
    pub accessor: Option<String>,
    /// What tells this Vault's storage from every other; known once it was reached.
    pub storage: Option<String>,
}

/// The texts that bindings take from a ConfigMap: those keys and no others, each with its text if it is
/// there; or why the ConfigMap can't be read.
pub type Texts = Result<BTreeMap<String, Option<String>>, Problem>;

/// All that is declared.
#[derive(Default)]
pub struct World {
    /// This cluster's name.
    pub cluster: String,
    /// The class of providers that this operator serves.
    pub class: String,
    /// Why pods can't get variables by `fileKeyRef`, as a clause; none where they can.
    pub lacks_env_files: Option<String>,
    providers: BTreeMap<String, Arc<SecretProvider>>,
    scopes: BTreeMap<String, Arc<SecretScope>>,
    credentials: BTreeMap<Key, Arc<Credential>>,
    bindings: BTreeMap<Key, Arc<SecretBinding>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Those of ours that namespaces have, by namespace.
    annotations: BTreeMap<String, BTreeMap<String, String>>,
    facts: BTreeMap<String, ProviderFacts>,
    databases: databases::Databases,
    keys: BTreeMap<String, Arc<EncryptionKey>>,
    /// What bindings take from ConfigMaps.
    texts: BTreeMap<Key, Texts>,
    /// Bindings that are there and can't be read.
    unreadable: BTreeSet<Key>,
    /// Scopes of which the same is true.
    unreadable_scopes: BTreeSet<String>,
    /// Who declares a service at a scope, oldest first.
    declared: Index<(String, String), (Age, Key)>,
    /// The names of the bindings that name a service account.
    bound: Index<Key, String>,
    /// The bindings that keep a native Secret, by each service in it.
    synced: Index<String, Key>,
    granted: granted::Granted,
}

/// Creation time, for "the oldest wins". Objects of one second are told apart by name.
type Age = Option<Time>;

impl World {
    /// An empty world of a cluster, for the providers of one class.
    pub fn new(cluster: impl Into<String>, class: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            class: class.into(),
            ..Self::default()
        }
    }

    // === what changes it ===

    /// Puts a provider in, or takes it out; answers what stood there.
    pub fn set_provider(
        &mut self,
        name: &str,
        object: Option<Arc<SecretProvider>>,
    ) -> Option<Arc<SecretProvider>> {
        if object.is_none() {
            self.facts.remove(name);
        }
        set(&mut self.providers, name.to_owned(), object)
    }

    /// Puts a scope in, or takes it out; answers what stood there.
    pub fn set_scope(&mut self, name: &str, object: Option<Arc<SecretScope>>) -> Option<Arc<SecretScope>> {
        set(&mut self.scopes, name.to_owned(), object)
    }

    /// Puts a credential in, or takes it out; answers what stood there.
    pub fn set_credential(&mut self, key: Key, object: Option<Arc<Credential>>) -> Option<Arc<Credential>> {
        let entry = |object: &Credential| (object.metadata.creation_timestamp.clone(), key.clone());
        if let Some(old) = self.credentials.get(&key) {
            self.declared.remove(&place(old), &entry(old));
        }
        if let Some(new) = &object {
            self.declared.insert(place(new), entry(new));
        }
        set(&mut self.credentials, key, object)
    }

    /// Puts a binding in, or takes it out; answers what stood there.
    pub fn set_binding(
        &mut self,
        key: Key,
        object: Option<Arc<SecretBinding>>,
    ) -> Option<Arc<SecretBinding>> {
        let old = self.bindings.get(&key);
        self.granted
            .change(&key, old.map(AsRef::as_ref), object.as_deref());
        if let Some(old) = old {
            for account in accounts(&key, old) {
                self.bound.remove(&account, &key.name);
            }
            for service in synced(old) {
                self.synced.remove(service, &key);
            }
        }
        if let Some(new) = &object {
            for account in accounts(&key, new) {
                self.bound.insert(account, key.name.clone());
            }
            for service in synced(new) {
                self.synced.insert(service.clone(), key.clone());
            }
        }
        set(&mut self.bindings, key, object)
    }

    /// Notes whether a binding is there that can't be read.
    pub fn set_unreadable_binding(&mut self, key: &Key, unreadable: bool) {
        if unreadable {
            self.unreadable.insert(key.clone());
        } else {
            self.unreadable.remove(key);
        }
    }

    /// The same of a scope.
    pub fn set_unreadable_scope(&mut self, name: &str, unreadable: bool) {
        if unreadable {
            self.unreadable_scopes.insert(name.to_owned());
        } else {
            self.unreadable_scopes.remove(name);
        }
    }

    /// Notes a namespace's labels, or that it is gone; answers whether that changed anything.
    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) -> bool {
        let new = labels.clone();
        set(&mut self.namespaces, name.to_owned(), labels) != new
    }

    /// Notes which of our annotations a namespace has; answers whether that changed anything.
    pub fn set_annotations(&mut self, namespace: &str, mut all: BTreeMap<String, String>) -> bool {
        all.retain(|name, _| NAMESPACE_ANNOTATIONS.contains(&name.as_str()));
        let new = (!all.is_empty()).then_some(all);
        set(&mut self.annotations, namespace.to_owned(), new.clone()) != new
    }

    /// Notes what was found out of a provider; answers whether that changed anything.
    pub fn set_facts(&mut self, provider: &str, facts: ProviderFacts) -> bool {
        self.facts.insert(provider.to_owned(), facts.clone()) != Some(facts)
    }

    /// Notes what was read of a ConfigMap, or that nobody needs it; answers whether that changed anything.
    pub fn set_texts(&mut self, config_map: &Key, texts: Option<Texts>) -> bool {
        let new = texts.clone();
        set(&mut self.texts, config_map.clone(), texts) != new
    }

    // === what is in it ===

    /// What is known of a ConfigMap; none before it was read.
    pub fn texts(&self, config_map: &Key) -> Option<&Texts> {
        self.texts.get(config_map)
    }

    /// A provider by name.
    pub fn provider(&self, name: &str) -> Option<&Arc<SecretProvider>> {
        self.providers.get(name)
    }

    /// Whether a provider is another operator's. One that does not exist is nobody's: all may say so.
    pub fn is_foreign(&self, provider: &str) -> bool {
        self.providers
            .get(provider)
            .is_some_and(|found| found.spec.class != self.class)
    }

    /// What is known of a provider.
    pub fn facts(&self, provider: &str) -> Option<&ProviderFacts> {
        self.facts.get(provider)
    }

    /// A scope by name.
    pub fn scope(&self, name: &str) -> Option<&Arc<SecretScope>> {
        self.scopes.get(name)
    }

    /// A credential.
    pub fn credential(&self, key: &Key) -> Option<&Arc<Credential>> {
        self.credentials.get(key)
    }

    /// A binding.
    pub fn binding(&self, key: &Key) -> Option<&Arc<SecretBinding>> {
        self.bindings.get(key)
    }

    /// Every provider.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<SecretProvider>> {
        self.providers.values()
    }

    /// Every scope.
    pub fn scopes(&self) -> impl Iterator<Item = &Arc<SecretScope>> {
        self.scopes.values()
    }

    /// Every scope of a provider.
    pub fn scopes_of<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Arc<SecretScope>> {
        self.scopes
            .values()
            .filter(move |scope| scope.spec.provider_ref.name == provider)
    }

    /// Every credential.
    pub fn credentials(&self) -> impl Iterator<Item = (&Key, &Arc<Credential>)> {
        self.credentials.iter()
    }

    /// Every credential of a namespace.
    pub fn credentials_in<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Credential>)> {
        let first = Key {
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        self.credentials
            .range(first..)
            .take_while(move |(key, _)| key.namespace == namespace)
    }

    /// Every binding.
    pub fn bindings(&self) -> impl Iterator<Item = (&Key, &Arc<SecretBinding>)> {
        self.bindings.iter()
    }

    /// Every binding of a namespace.
    pub fn bindings_in<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<SecretBinding>)> {
        let first = Key {
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        self.bindings
            .range(first..)
            .take_while(move |(key, _)| key.namespace == namespace)
    }

    /// Every binding that names a service account, of whatever provider.
    pub fn bindings_of(
        &self,
        namespace: &str,
        account: &str,
    ) -> impl Iterator<Item = (&Key, &Arc<SecretBinding>)> {
        let names = self.bound.at(&Key::new(namespace, account)).iter();
        let keys: Vec<Key> = names.map(|name| Key::new(namespace, name)).collect();
        keys.into_iter()
            .filter_map(|key| self.bindings.get_key_value(&key))
    }

    /// Every binding that keeps a native Secret with values of a service.
    pub fn syncing(&self, service: &str) -> impl Iterator<Item = (&Key, &Arc<SecretBinding>)> {
        let keys = self.synced.at(service).iter();
        keys.filter_map(|key| self.bindings.get_key_value(key))
    }

    /// Who declares a service at a scope, oldest first. Only the oldest is heard.
    pub fn who_declares(&self, scope: &str, service: &str) -> impl Iterator<Item = &Key> {
        let declared = self.declared.at(&(scope.to_owned(), service.to_owned()));
        declared.iter().map(|(_, key)| key)
    }

    /// Whether a namespace has a binding that can't be read. What it grants is not known, so nothing
    /// there may be taken away.
    pub fn has_unreadable_binding(&self, namespace: &str) -> bool {
        self.unreadable.iter().any(|key| key.namespace == namespace)
    }

    /// A scope that can't be read and of which nothing is known from before, if there is one.
    pub fn unreadable_scope(&self) -> Option<&str> {
        let mut unknown = self.unreadable_scopes.iter();
        unknown
            .find(|name| !self.scopes.contains_key(*name))
            .map(String::as_str)
    }

    /// Every namespace whose labels are known.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(String::as_str)
    }

    /// Whether a namespace's labels are known.
    pub fn knows(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// What one of our annotations says of a namespace.
    pub fn annotation(&self, namespace: &str, name: &str) -> Option<&str> {
        Some(self.annotations.get(namespace)?.get(name)?.as_str())
    }

    /// Whether a selector chooses a namespace. One that is not known yet is chosen by none.
    pub fn selects(&self, selector: &LabelSelector, namespace: &str) -> bool {
        let Some(labels) = self.namespaces.get(namespace) else {
            return false;
        };
        matches(selector, labels)
    }

    /// The namespaces that a selector chooses.
    pub fn selected(&self, selector: &LabelSelector) -> impl Iterator<Item = &str> {
        let selector = Selector::try_from(selector.clone()).ok();
        self.namespaces
            .iter()
            .filter(move |(_, labels)| selector.as_ref().is_some_and(|selector| selector.matches(labels)))
            .map(|(name, _)| name.as_str())
    }
}

/// Whether a selector chooses what has these labels. One that can't be read chooses nothing.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

fn place(credential: &Credential) -> (String, String) {
    (
        credential.spec.scope_ref.name.clone(),
        credential.spec.service.clone(),
    )
}

/// The service accounts that a binding names.
fn accounts<'a>(key: &'a Key, binding: &'a SecretBinding) -> impl Iterator<Item = Key> + 'a {
    let names = binding.spec.service_accounts.iter();
    names.map(|name| Key::new(&key.namespace, name))
}

/// The services whose values a native Secret of the binding holds.
fn synced(binding: &SecretBinding) -> impl Iterator<Item = &String> {
    let secrets = binding.spec.sync.iter().flat_map(|_| &binding.spec.secrets);
    secrets.filter_map(|secret| secret.service.as_ref())
}

/// Whether `one` is older than `other`; objects of one second are told apart by their names. One without a
/// time is not made yet, and the youngest.
pub fn is_older<T: kube::ResourceExt>(one: &T, other: &T) -> bool {
    let age = |object: &T| {
        let created = object.creation_timestamp();
        (created.is_none(), created, object.name_any(), object.namespace())
    };
    age(one) < age(other)
}

#[cfg(test)]
mod tests;
