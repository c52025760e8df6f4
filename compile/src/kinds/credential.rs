//! `Credential` → the values of one service at one scope.

mod expiry;
mod generate;
mod removal;
mod rotation;
mod sealed;

pub use expiry::{Expiry, expiry};
pub use removal::{Fate, Removal, fate, removal};
pub(crate) use rotation::check as check_rotation;
pub use rotation::{Standing, due, is_replaceable, standing, waits};

use super::{provider, scope};
use crate::{Key, Problem, World};
use k8s_openapi::jiff::Timestamp;
use keystead_crds::condition::Reason;
use keystead_crds::credential::{Adoption, CredentialKey};
use keystead_crds::names::{ROTATE_ANNOTATION, is_dns_label};
use keystead_crds::{Credential, SecretProvider, SecretScope};
use keystead_vault::object::{Adoption as Taking, KvSecret, Owner, ValueRef};
use keystead_vault::path::KvPath;
use kube::ResourceExt as _;
use std::collections::BTreeMap;

/// The provider whose Vault holds the values, if it can be told.
pub fn provider_name<'a>(world: &'a World, credential: &Credential) -> Option<&'a str> {
    world
        .scope(&credential.spec.scope_ref.name)
        .map(|scope| scope.spec.provider_ref.name.as_str())
}

/// What there should be in Vault at a time.
pub fn compile(
    world: &World,
    key: &Key,
    credential: &Credential,
    now: Timestamp,
) -> Result<KvSecret, Problem> {
    let spec = &credential.spec;
    let (scope, provider) = place(world, credential)?;
    scope::check(world, scope).map_err(|problem| {
        Problem::new(
            problem.reason,
            format!("SecretScope {}: {}", spec.scope_ref.name, problem.message),
        )
    })?;
    scope::may_declare(world, scope, &key.namespace)?;
    check_first(world, scope, key, credential)?;
    let path = path(provider, scope, credential);
    let (rotation, asked) = rotation::compile(world, provider, scope, key, credential, now)?;
    let keys = spec.keys.iter().map(|from| {
        let value = match &from.from.sealed {
            Some(sealed) => sealed::compile(world, key, credential, from, sealed)?,
            None => value(key, from)?,
        };
        Ok((from.name.clone(), value))
    });
    Ok(KvSecret {
        owner: owner(world, key),
        keys: keys.collect::<Result<BTreeMap<_, _>, Problem>>()?,
        adoption: match spec.adoption {
            Adoption::Refuse => Taking::Refuse,
            Adoption::Adopt => Taking::Adopt,
        },
        active: spec.active,
        rotation,
        asked,
        known: credential.status.as_ref().is_some_and(|status| {
            status.version.is_some() && status.path.as_deref() == Some(path.to_string().as_str())
        }),
        path,
    })
}

/// What asks for values to be replaced. What was followed before asks for nothing: else
/// values that are lost later would be made anew because of it.
fn asked(credential: &Credential) -> Option<&str> {
    let status = credential.status.as_ref();
    let followed = status.and_then(|status| status.rotation.as_ref()?.followed.as_ref());
    let asked = credential.annotations().get(ROTATE_ANNOTATION);
    asked.filter(|asked| Some(*asked) != followed).map(String::as_str)
}

/// The scope and the provider that say where the values are.
fn place<'a>(
    world: &'a World,
    credential: &Credential,
) -> Result<(&'a SecretScope, &'a SecretProvider), Problem> {
    let name = &credential.spec.scope_ref.name;
    let scope = world
        .scope(name)
        .ok_or_else(|| Problem::not_found("SecretScope", name))?;
    let provider = provider::find(world, &scope.spec.provider_ref.name)?;
    if !is_dns_label(&credential.spec.service) {
        return Err(Problem::new(
            Reason::Invalid,
            "spec.service must be one path segment of lower-case letters, digits and '-'",
        ));
    }
    Ok((scope, provider))
}

fn path(provider: &SecretProvider, scope: &SecretScope, credential: &Credential) -> KvPath {
    KvPath::new(
        &provider::kv_base(provider),
        scope.spec.level,
        scope.spec.id.as_deref(),
        &credential.spec.service,
    )
}

fn owner(world: &World, key: &Key) -> Owner {
    Owner {
        cluster: world.cluster.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

/// Whether nobody else declared the same before.
fn check_first(
    world: &World,
    scope: &SecretScope,
    key: &Key,
    credential: &Credential,
) -> Result<(), Problem> {
    let (scope_name, service) = (&credential.spec.scope_ref.name, &credential.spec.service);
    // Whoever may not declare here does not stand in the way of those who may.
    let mut declared = world.who_declares(scope_name, service);
    match declared.find(|other| scope::may_declare(world, scope, &other.namespace).is_ok()) {
        Some(first) if first != key => Err(Problem::new(
            Reason::Conflict,
            format!(
                "Credential {}/{} is older and declares the same service {service} at SecretScope {scope_name}: delete one",
                first.namespace, first.name
            ),
        )),
        _ => Ok(()),
    }
}

fn value(credential: &Key, key: &CredentialKey) -> Result<ValueRef, Problem> {
    let from = &key.from;
    match (
        &from.secret_key_ref,
        &from.value,
        &from.generate,
        &from.vault,
        &from.webhook,
    ) {
        (Some(secret), None, None, None, None) => Ok(ValueRef::SecretKey {
            namespace: credential.namespace.clone(),
            name: secret.name.clone(),
            key: secret.key.clone(),
        }),
        (None, Some(text), None, None, None) => Ok(ValueRef::Literal(text.clone())),
        (None, None, Some(generate), None, None) => generate::compile(&key.name, generate),
        (None, None, None, Some(_), None) => Ok(ValueRef::InVault),
        (None, None, None, None, Some(_)) => Ok(ValueRef::Webhook),
        _ => Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.keys[{}].from needs exactly one of secretKeyRef, generate, sealed, value, vault and webhook",
                key.name
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
