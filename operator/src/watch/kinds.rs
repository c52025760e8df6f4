//! The kinds of ours: where the world keeps them, and what a change touches.

use super::Declared;
use crate::affected;
use crate::queue::Unit;
use keystead_compile::{Key, World};
use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Declared for SecretProvider {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_provider(&key.name, object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.provider(&key.name)
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        world.providers().map(|found| Key::of(found.as_ref())).collect()
    }

    fn affected(world: &World, key: &Key, _: &[&Self]) -> Vec<Unit> {
        affected::by_provider(world, &key.name)
    }
}

impl Declared for SecretScope {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_scope(&key.name, object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.scope(&key.name)
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        world.scopes().map(|found| Key::of(found.as_ref())).collect()
    }

    fn note_unreadable(world: &mut World, key: &Key, unreadable: bool) {
        world.set_unreadable_scope(&key.name, unreadable);
    }

    fn affected(world: &World, key: &Key, states: &[&Self]) -> Vec<Unit> {
        let providers: BTreeSet<&str> = states
            .iter()
            .map(|scope| scope.spec.provider_ref.name.as_str())
            .collect();
        affected::by_scope(world, &key.name, providers)
    }
}

impl Declared for Credential {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_credential(key.clone(), object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.credential(key)
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        world.credentials().map(|(key, _)| key.clone()).collect()
    }

    fn affected(world: &World, key: &Key, states: &[&Self]) -> Vec<Unit> {
        affected::by_credential(world, key, states)
    }
}

impl Declared for SecretBinding {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_binding(key.clone(), object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.binding(key)
    }

    fn note_unreadable(world: &mut World, key: &Key, unreadable: bool) {
        world.set_unreadable_binding(key, unreadable);
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        world.bindings().map(|(key, _)| key.clone()).collect()
    }

    fn affected(_: &World, key: &Key, states: &[&Self]) -> Vec<Unit> {
        let mut units = affected::by_binding(key, states);
        units.extend(affected::config_maps(key, states));
        units
    }

    fn affected_later(world: &World, key: &Key, states: &[&Self]) -> BTreeSet<Unit> {
        affected::held_by(world, key, states)
    }
}

impl Declared for DatabaseConnection {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_database_connection(key.clone(), object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.database_connection(key)
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        world.database_connections().map(|(key, _)| key.clone()).collect()
    }

    fn affected(world: &World, key: &Key, _: &[&Self]) -> Vec<Unit> {
        affected::by_database_connection(world, key)
    }
}

impl Declared for DatabaseRole {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_database_role(key.clone(), object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.database_role(key)
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        world.database_roles().map(|(key, _)| key.clone()).collect()
    }

    fn affected(world: &World, key: &Key, states: &[&Self]) -> Vec<Unit> {
        affected::by_database_role(world, key, states)
    }
}

impl Declared for EncryptionKey {
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>> {
        world.set_encryption_key(&key.name, object)
    }

    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>> {
        world.encryption_key(&key.name)
    }

    fn keys(world: &World) -> BTreeSet<Key> {
        let keys = world.encryption_keys();
        keys.map(|found| Key::of(found.as_ref())).collect()
    }

    fn affected(world: &World, key: &Key, _: &[&Self]) -> Vec<Unit> {
        affected::by_encryption_key(world, &key.name)
    }
}
