//! `Credential` → the values of one service at one scope.

use super::{provider, scope};
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::credential::CredentialKey;
use keystead_crds::names::is_dns_label;
use keystead_crds::{Credential, SecretScope};
use keystead_vault::object::{Adoption, KvSecret, Owner, ValueRef};
use keystead_vault::path::KvPath;
use kube::ResourceExt as _;
use std::collections::BTreeMap;

/// The provider whose Vault holds the values, if it can be told.
pub fn provider_name<'a>(world: &'a World, credential: &Credential) -> Option<&'a str> {
    world
        .scope(&credential.spec.scope_ref.name)
        .map(|scope| scope.spec.provider_ref.name.as_str())
}

/// What there should be in Vault.
pub fn compile(world: &World, key: &Key, credential: &Credential) -> Result<KvSecret, Problem> {
    let spec = &credential.spec;
    let scope_name = &spec.scope_ref.name;
    let scope = world
        .scope(scope_name)
        .ok_or_else(|| Problem::not_found("SecretScope", scope_name))?;
    scope::check(world, scope).map_err(|problem| {
        Problem::new(
            problem.reason,
            format!("SecretScope {scope_name}: {}", problem.message),
        )
    })?;
    let provider = provider::find(world, &scope.spec.provider_ref.name)?;
    if !is_dns_label(&spec.service) {
        return Err(Problem::new(
            Reason::Invalid,
            "spec.service must be one path segment of lower-case letters, digits and '-'",
        ));
    }
    may_declare(world, scope, &key.namespace)?;
    // Whoever may not declare here does not stand in the way of those who may.
    let mut declared = world.who_declares(scope_name, &spec.service);
    let writers = &scope.spec.writers.namespace_selector;
    if let Some(first) = declared.find(|other| world.selects(writers, &other.namespace))
        && first != key
    {
        return Err(Problem::new(
            Reason::Conflict,
            format!(
                "Credential {}/{} is older and declares the same service {} at SecretScope {scope_name}: delete one",
                first.namespace, first.name, spec.service
            ),
        ));
    }
    let path = KvPath::new(
        &provider::kv_base(provider),
        scope.spec.level,
        scope.spec.id.as_deref(),
        &spec.service,
    );
    let known = credential.status.as_ref().is_some_and(|status| {
        status.version.is_some() && status.path.as_deref() == Some(path.to_string().as_str())
    });
    Ok(KvSecret {
        path,
        owner: Owner {
            cluster: world.cluster.clone(),
            namespace: key.namespace.clone(),
            name: credential.name_any(),
        },
        keys: spec
            .keys
            .iter()
            .map(|from| Ok((from.name.clone(), value(key, from)?)))
            .collect::<Result<BTreeMap<_, _>, Problem>>()?,
        adoption: Adoption::Refuse,
        active: true,
        known,
    })
}

/// Whether credentials of a namespace may declare values at a scope.
pub(crate) fn may_declare(world: &World, scope: &SecretScope, namespace: &str) -> Result<(), Problem> {
    if world.selects(&scope.spec.writers.namespace_selector, namespace) {
        return Ok(());
    }
    Err(Problem::new(
        Reason::NotPermitted,
        format!(
            "SecretScope {} does not let namespace {namespace} declare values: its spec.writers selects other labels",
            scope.name_any()
        ),
    ))
}

fn value(credential: &Key, key: &CredentialKey) -> Result<ValueRef, Problem> {
    match (&key.from.secret_key_ref, &key.from.value) {
        (Some(secret), None) => Ok(ValueRef::SecretKey {
            namespace: credential.namespace.clone(),
            name: secret.name.clone(),
            key: secret.key.clone(),
        }),
        (None, Some(text)) => Ok(ValueRef::Literal(text.clone())),
        _ => Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.keys[{}].from needs exactly one of secretKeyRef and value",
                key.name
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{company, credential, provider, world};
    use std::sync::Arc;

    fn declared(world: &World, name: &str) -> Result<KvSecret, Problem> {
        let key = Key {
            namespace: "acme-secrets".into(),
            name: name.into(),
        };
        compile(world, &key, world.credential(&key).unwrap())
    }

    fn acme() -> World {
        let mut world = world([provider("p")], [company("acme", "p", "acme", 1)]);
        world.set_namespace(
            "acme-secrets",
            Some([("writes".to_owned(), "acme".to_owned())].into()),
        );
        world
    }

    fn add(world: &mut World, credential: Credential) {
        world.set_credential(Key::of(&credential), Some(Arc::new(credential)));
    }

    #[test]
    fn values_go_where_the_scope_says() {
        let mut world = acme();
        add(
            &mut world,
            credential("acme-secrets", "hubspot", "acme", "hubspot", 1),
        );
        let secret = declared(&world, "hubspot").unwrap();
        assert_eq!(
            secret.path.data(),
            "kv/data/keystead/production/company/acme/hubspot"
        );
        assert_eq!(secret.owner.to_string(), "c1/acme-secrets/hubspot");
        assert_eq!(
            secret.keys["base_url"],
            ValueRef::Literal("https://api.example".into())
        );
    }

    #[test]
    fn the_second_of_two_waits_for_the_first_to_go() {
        let mut world = acme();
        add(
            &mut world,
            credential("acme-secrets", "second", "acme", "hubspot", 2),
        );
        add(
            &mut world,
            credential("acme-secrets", "first", "acme", "hubspot", 1),
        );
        assert!(declared(&world, "first").is_ok());
        assert_eq!(declared(&world, "second").unwrap_err().reason, Reason::Conflict);
        world.set_credential(
            Key {
                namespace: "acme-secrets".into(),
                name: "first".into(),
            },
            None,
        );
        assert!(declared(&world, "second").is_ok());
    }

    #[test]
    fn who_may_not_declare_blocks_nobody() {
        let mut world = acme();
        world.set_namespace("elsewhere", Some(BTreeMap::new()));
        add(&mut world, credential("elsewhere", "squat", "acme", "hubspot", 1));
        add(
            &mut world,
            credential("acme-secrets", "hubspot", "acme", "hubspot", 2),
        );
        assert!(declared(&world, "hubspot").is_ok());
    }

    #[test]
    fn only_writers_declare() {
        let mut world = acme();
        world.set_namespace("acme-secrets", Some(BTreeMap::new()));
        add(
            &mut world,
            credential("acme-secrets", "hubspot", "acme", "hubspot", 1),
        );
        assert_eq!(
            declared(&world, "hubspot").unwrap_err().reason,
            Reason::NotPermitted
        );
    }

    #[test]
    fn it_says_what_it_waits_for() {
        let mut world = World::new("c1", "keystead");
        add(
            &mut world,
            credential("acme-secrets", "hubspot", "acme", "hubspot", 1),
        );
        assert_eq!(
            declared(&world, "hubspot").unwrap_err().message,
            "SecretScope acme not found"
        );
    }
}
