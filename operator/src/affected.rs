//! Which units a change touches: pure, over the world as it is after the change.

use crate::queue::Unit;
use keystead_compile::kinds::{binding, encryption, holders, provider, sync};
use keystead_compile::{Key, World};
use keystead_crds::{Credential, DatabaseRole, SecretBinding};
use keystead_vault::path::KvPath;
use kube::ResourceExt as _;
use std::collections::BTreeSet;

/// A provider, or what is known of it, changed: everything that is declared for it.
pub fn by_provider(world: &World, provider: &str) -> Vec<Unit> {
    let mut units = vec![Unit::Provider(provider.to_owned())];
    units.extend(dependants(world, provider));
    // An existing path that a binding names elsewhere may lead among this provider's values.
    let naming = world
        .bindings()
        .filter(|(_, found)| found.spec.secrets.iter().any(|secret| secret.path.is_some()));
    units.extend(naming.flat_map(|(key, found)| by_binding(key, &[found])));
    units
}

/// Everything that is declared for a provider, without the provider itself.
pub fn dependants(world: &World, provider: &str) -> Vec<Unit> {
    let mut units = Vec::new();
    for scope in world.scopes_of(provider) {
        let name = scope.metadata.name.clone().unwrap_or_default();
        units.extend(credentials_at(world, &name));
        units.push(Unit::Scope(name));
    }
    let connections = world.database_connections();
    let connections = connections.filter(|(_, found)| found.spec.provider_ref.name == provider);
    units.extend(connections.flat_map(|(key, _)| by_database_connection(world, key)));
    let keys = world.encryption_keys();
    let keys = keys.filter(|found| found.spec.provider_ref.name == provider);
    units.extend(keys.map(|found| Unit::EncryptionKey(found.name_any())));
    units.extend(bindings_to(world, provider));
    units
}

/// A connection changed: itself, its roles, who is granted them, and who wants its user.
pub fn by_database_connection(world: &World, key: &Key) -> Vec<Unit> {
    let mut units = vec![Unit::DatabaseConnection(key.clone())];
    if let Some(connection) = world.database_connection(key) {
        units.extend(wanting(world, &connection.spec.username));
    }
    for (role, _) in world.database_roles_of(key) {
        units.push(Unit::DatabaseRole(role.clone()));
        units.extend(granted(world, role));
    }
    units
}

/// A role changed: itself, the connections that it names or named, who is granted it, and who wants its
/// user.
pub fn by_database_role(world: &World, key: &Key, states: &[&DatabaseRole]) -> Vec<Unit> {
    let mut units = vec![Unit::DatabaseRole(key.clone())];
    for state in states {
        let connection = Key::new(&key.namespace, &state.spec.connection_ref.name);
        units.push(Unit::DatabaseConnection(connection));
        if let Some(user) = &state.spec.r#static {
            units.extend(wanting(world, &user.username));
        }
    }
    units.extend(granted(world, key));
    units
}

/// The static roles that want a user, on whatever server, and the connections that they name.
fn wanting(world: &World, user: &str) -> Vec<Unit> {
    let roles = world.database_roles().filter(|(_, found)| {
        let fixed = found.spec.r#static.as_ref();
        fixed.is_some_and(|fixed| fixed.username == user)
    });
    let units = roles.flat_map(|(key, found)| {
        let connection = Key::new(&key.namespace, &found.spec.connection_ref.name);
        [
            Unit::DatabaseConnection(connection),
            Unit::DatabaseRole(key.clone()),
        ]
    });
    units.collect()
}

/// The bindings that name a role, and their accounts.
fn granted(world: &World, role: &Key) -> Vec<Unit> {
    let bindings = world.bindings_in(&role.namespace).filter(|(_, found)| {
        let mut secrets = found.spec.secrets.iter();
        secrets.any(|secret| secret.database_role.as_ref() == Some(&role.name))
    });
    bindings
        .flat_map(|(key, found)| by_binding(key, &[found]))
        .collect()
}

/// A scope changed: its twins (one of two may serve now), their values, and who is a member.
pub fn by_scope<'a>(world: &World, name: &str, providers: impl IntoIterator<Item = &'a str>) -> Vec<Unit> {
    let mut units = vec![Unit::Scope(name.to_owned())];
    units.extend(credentials_at(world, name));
    for provider in providers {
        units.extend(dependants(world, provider));
    }
    units
}

/// A credential changed: itself, and whoever declares the same.
pub fn by_credential(world: &World, key: &Key, states: &[&Credential]) -> Vec<Unit> {
    let mut units = vec![Unit::Credential(key.clone())];
    for state in states {
        let twins = world.who_declares(&state.spec.scope_ref.name, &state.spec.service);
        units.extend(twins.cloned().map(Unit::Credential));
        // They count who is sealed by them.
        let sealed = state
            .spec
            .keys
            .iter()
            .filter_map(|found| found.from.sealed.as_ref());
        units.extend(sealed.map(|sealed| Unit::EncryptionKey(sealed.key_ref.name.clone())));
    }
    units
}

/// A key changed: itself, and what is sealed by it.
pub fn by_encryption_key(world: &World, name: &str) -> Vec<Unit> {
    let mut units = vec![Unit::EncryptionKey(name.to_owned())];
    let sealed = world
        .credentials()
        .filter(|(_, found)| !encryption::sealing(found, name).is_empty());
    units.extend(sealed.map(|(key, _)| Unit::Credential(key.clone())));
    units
}

/// A binding changed: itself, the accounts that it names or named, and the Secret it has or had.
pub fn by_binding(key: &Key, states: &[&SecretBinding]) -> Vec<Unit> {
    let mut units = vec![Unit::Binding(key.clone())];
    if states.iter().any(|state| state.spec.sync.is_some()) {
        units.push(Unit::Sync(key.clone()));
    }
    for state in states {
        units.extend(binding::accounts(key, state).map(Unit::Account));
    }
    units
}

/// A binding changed: what others hold by it, or held.
pub fn held_by(world: &World, key: &Key, states: &[&SecretBinding]) -> BTreeSet<Unit> {
    if let [before, after] = states
        && holders::are_alike(before, after)
    {
        return BTreeSet::new();
    }
    let mut units = BTreeSet::new();
    for state in states {
        for secret in &state.spec.secrets {
            let role = secret.database_role.as_ref();
            units.extend(role.map(|name| Unit::DatabaseRole(Key::new(&key.namespace, name))));
        }
        let services: BTreeSet<_> = state
            .spec
            .secrets
            .iter()
            .filter_map(|secret| secret.service.as_ref())
            .collect();
        for scope in world.scopes_of(&state.spec.provider_ref.name) {
            let scope = scope.name_any();
            for service in &services {
                let declared = world.who_declares(&scope, service);
                units.extend(declared.cloned().map(Unit::Credential));
            }
        }
    }
    units
}

/// A namespace's labels changed: what its accounts hold, or held.
pub fn held_in(world: &World, namespace: &str) -> BTreeSet<Unit> {
    let bindings = world.bindings_in(namespace);
    bindings
        .flat_map(|(key, found)| held_by(world, key, &[found]))
        .collect()
}

/// A namespace's labels changed: who may write there, and what its accounts are members of.
pub fn by_namespace(world: &World, namespace: &str) -> Vec<Unit> {
    let credentials = world.credentials_in(namespace);
    let mut units: Vec<Unit> = credentials
        .flat_map(|(key, found)| by_credential(world, key, &[found]))
        .collect();
    let connections = world.database_connections();
    let connections = connections.filter(|(key, _)| key.namespace == namespace);
    units.extend(connections.flat_map(|(key, _)| by_database_connection(world, key)));
    for (key, binding) in world.bindings_in(namespace) {
        units.extend(by_binding(key, &[binding]));
    }
    units
}

/// A Secret changed: the credentials that take values from it, and the connections and providers that name it.
pub fn by_secret(world: &World, secret: &Key) -> Vec<Unit> {
    let mut units = Vec::new();
    for (key, credential) in world.credentials_in(&secret.namespace) {
        let keys = credential.spec.keys.iter();
        let values = keys.filter_map(|from| from.from.secret_key_ref.as_ref());
        let rotation = credential.spec.rotation.as_ref();
        let webhook = rotation.and_then(|rotation| rotation.webhook.as_ref());
        let mut refs = values.chain(webhook.map(|webhook| &webhook.signing_secret_ref));
        if refs.any(|reference| reference.name == secret.name) {
            units.push(Unit::Credential(key.clone()));
        }
    }
    for (key, connection) in world.database_connections() {
        if key.namespace == secret.namespace && connection.spec.root_password_ref.name == secret.name {
            units.push(Unit::DatabaseConnection(key.clone()));
        }
    }
    for provider in world.providers() {
        if provider::secrets(provider).any(|named| named == *secret) {
            units.push(Unit::Provider(provider.metadata.name.clone().unwrap_or_default()));
        }
    }
    units
}

/// A ConfigMap changed: it is read anew, if bindings take templates from it.
pub fn by_config_map(world: &World, config_map: &Key) -> Option<Unit> {
    let is_named = !binding::wanted(world, config_map).is_empty();
    is_named.then(|| Unit::ConfigMap(config_map.clone()))
}

/// A binding changed: the ConfigMaps that it takes, or took, templates from.
pub fn config_maps(key: &Key, states: &[&SecretBinding]) -> BTreeSet<Unit> {
    let named = states.iter().flat_map(|state| binding::config_maps(key, state));
    named.map(Unit::ConfigMap).collect()
}

/// The bindings that take templates from a ConfigMap.
pub fn taking_from(world: &World, config_map: &Key) -> Vec<Unit> {
    let bindings = world.bindings_in(&config_map.namespace);
    bindings
        .filter(|(key, found)| binding::config_maps(key, found).any(|named| named == *config_map))
        .map(|(key, _)| Unit::Binding(key.clone()))
        .collect()
}

/// A Secret is gone: the bindings that would have made it, had it not been there.
pub fn by_place(world: &World, secret: &Key) -> Vec<Unit> {
    let bindings = world.bindings_in(&secret.namespace).filter(|(_, found)| {
        let sync = found.spec.sync.as_ref();
        sync.is_some_and(|sync| sync.secret_name == secret.name)
    });
    bindings.map(|(key, _)| Unit::Sync(key.clone())).collect()
}

/// Values of a provider were written or taken away: the native Secrets that hold them.
pub fn by_values(world: &World, provider: &str, path: &KvPath) -> Vec<Unit> {
    let provider = world.provider(provider);
    let fed = provider.map(|provider| sync::fed_by(world, provider, path));
    fed.into_iter().flatten().map(Unit::Sync).collect()
}

/// The bindings that name an account.
pub fn bindings_of(world: &World, account: &binding::Account) -> Vec<Unit> {
    binding::naming(world, account)
        .map(|(key, _)| Unit::Binding(key.clone()))
        .collect()
}

fn credentials_at(world: &World, scope: &str) -> Vec<Unit> {
    let credentials = world
        .credentials()
        .filter(|(_, found)| found.spec.scope_ref.name == scope);
    credentials
        .map(|(key, _)| Unit::Credential(key.clone()))
        .collect()
}

fn bindings_to(world: &World, provider: &str) -> Vec<Unit> {
    let bindings = world
        .bindings()
        .filter(|(_, found)| found.spec.provider_ref.name == provider);
    bindings
        .flat_map(|(key, found)| by_binding(key, &[found]))
        .collect()
}
