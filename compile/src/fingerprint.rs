//! What tells one state of all that something in Vault is compiled from from another. An operator that
//! starts learns by it what is as its predecessor left it. Made of names and versions, never of values.

use crate::kinds::binding::Account;
use crate::{Key, World};
use keystead_crds::Credential;
use keystead_crds::names::ROTATE_ANNOTATION;
use keystead_vault::digest::short;
use keystead_vault::object::{KvSecret, Object, Root, ValueRef};
use kube::ResourceExt as _;
use std::fmt;

/// A fingerprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Of a Credential's values, as they were compiled; `version` tells the version of a Secret. None where
/// that is not known, and of values that end one day: what is said of these changes by itself.
pub fn of_credential(
    world: &World,
    provider: &str,
    credential: &Credential,
    secret: &KvSecret,
    version: impl Fn(&Key) -> Option<u64>,
) -> Option<Fingerprint> {
    if credential.spec.expires_at.is_some() {
        return None;
    }
    let mut values = Vec::new();
    for (key, value) in &secret.keys {
        let mut from = None;
        match value {
            ValueRef::SecretKey { namespace, name, .. } => from = Some(version(&Key::new(namespace, name))?),
            ValueRef::Literal(_)
            | ValueRef::Generate { .. }
            | ValueRef::InVault
            | ValueRef::Sealed(_)
            | ValueRef::Webhook => {}
        }
        values.push((key, value, from));
    }
    let KvSecret {
        path,
        owner,
        adoption,
        active,
        rotation,
        ..
    } = secret;
    // What is due or asked for is so until it was followed; the annotation stays.
    let rotation = rotation
        .as_ref()
        .map(|rotation| (rotation.keep_previous, &rotation.by));
    let asked = credential.annotations().get(ROTATE_ANNOTATION);
    let all = (
        vault(world, provider),
        path,
        owner,
        values,
        adoption,
        active,
        rotation,
        asked,
    );
    Some(Fingerprint(short(&format!("{all:?}"))))
}

/// Of an account's policy and role.
pub fn of_account(world: &World, account: &Account, objects: &[Object]) -> Fingerprint {
    let all = (vault(world, &account.provider), objects);
    Fingerprint(short(&format!("{all:?}")))
}

/// Of a binding, whose accounts have these.
pub fn of_binding(accounts: &[Fingerprint]) -> Fingerprint {
    Fingerprint(short(&format!("{accounts:?}")))
}

/// Of a connection or a role of a database; none of a connection whose root password has still to be sent
/// or rotated.
pub fn of_database(world: &World, provider: &str, object: &Object) -> Option<Fingerprint> {
    if let Object::DatabaseConnection(connection) = object {
        let settled = match connection.root {
            Root::Given => !connection.rotate,
            Root::Rotated => true,
            Root::Again => false,
        };
        if !settled {
            return None;
        }
    }
    Some(Fingerprint(short(&format!(
        "{:?}",
        (vault(world, provider), object)
    ))))
}

/// Which Vault it is.
fn vault(world: &World, provider: &str) -> impl fmt::Debug {
    let declared = world.provider(provider).map(|found| &found.spec.vault);
    let storage = world.facts(provider).and_then(|facts| facts.storage.as_deref());
    (declared, storage)
}

#[cfg(test)]
mod tests;
