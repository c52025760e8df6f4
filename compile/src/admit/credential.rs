//! `Credential`: by whom it may be declared, once, and of a size that Vault takes.

use super::{Admit, collect};
use crate::kinds::{credential, scope};
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::{Credential, SecretScope};

impl Admit for Credential {
    fn problems(&self, world: &World) -> Vec<Problem> {
        // While the scope is not there, or the namespace's labels are not known yet, this waits.
        let key = Key::of(self);
        let scope = world.scope(&self.spec.scope_ref.name);
        let scope = scope.filter(|_| world.knows(&key.namespace));
        match scope {
            // Another operator's: its webhook sees to it.
            Some(scope) if world.is_foreign(&scope.spec.provider_ref.name) => Vec::new(),
            Some(scope) => collect([
                size(self),
                credential::check_rotation(&self.spec),
                declared(world, &key, self, scope),
            ]),
            None => collect([size(self), credential::check_rotation(&self.spec)]),
        }
    }
}

/// Written in one piece, so the pieces count together.
fn size(credential: &Credential) -> Result<(), Problem> {
    let values = credential
        .spec
        .keys
        .iter()
        .filter_map(|key| key.from.value.as_deref());
    let bytes: usize = values.map(str::len).sum();
    if bytes <= MOST {
        return Ok(());
    }
    Err(Problem::new(
        Reason::Invalid,
        format!(
            "spec.keys: the values are {} KiB together, and Vault takes 1024 KiB at one path: spread them over several services",
            bytes.div_ceil(1 << 10)
        ),
    ))
}

/// The namespace may declare it, and nobody else who may does.
fn declared(world: &World, key: &Key, credential: &Credential, scope: &SecretScope) -> Result<(), Problem> {
    scope::may_declare(world, scope, &key.namespace)?;
    let (scope_name, service) = (&credential.spec.scope_ref.name, &credential.spec.service);
    let mut others = world.who_declares(scope_name, service);
    let may = |other: &Key| scope::may_declare(world, scope, &other.namespace).is_ok();
    match others.find(|other| *other != key && may(other)) {
        None => Ok(()),
        Some(other) => Err(Problem::new(
            Reason::Conflict,
            format!(
                "spec.service: Credential {}/{} declares {service} at SecretScope {scope_name} already: change that one, \
                 or delete it first",
                other.namespace, other.name
            ),
        )),
    }
}

/// The largest value that Vault's storage takes by default, in bytes.
const MOST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{company, credential, provider, world};
    use keystead_crds::credential::CredentialKey;
    use serde_json::json;
    use std::sync::Arc;

    /// The scope acme, which the namespace acme-secrets writes, with the service hubspot.
    fn acme() -> World {
        let mut world = world([provider("p")], [company("acme", "p", "acme", 1)]);
        let writes = |company: &str| Some([("writes".to_owned(), company.to_owned())].into());
        world.set_namespace("acme-secrets", writes("acme"));
        world.set_namespace("elsewhere", writes("nobody"));
        let hubspot = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
        world.set_credential(Key::of(&hubspot), Some(Arc::new(hubspot)));
        world
    }

    fn messages(world: &World, credential: &Credential) -> Vec<String> {
        let problems = credential.problems(world).into_iter();
        problems.map(|problem| problem.message).collect()
    }

    #[test]
    fn one_service_is_declared_once_in_a_scope() {
        let world = acme();
        let same = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
        assert_eq!(messages(&world, &same), Vec::<String>::new());
        let other = credential("acme-secrets", "second", "acme", "hubspot", 0);
        assert_eq!(
            messages(&world, &other),
            [
                "spec.service: Credential acme-secrets/hubspot declares hubspot at SecretScope acme already: change that \
                 one, or delete it first"
            ]
        );
        let elsewhere = credential("acme-secrets", "second", "acme", "stripe", 1);
        assert_eq!(messages(&world, &elsewhere), Vec::<String>::new());
    }

    #[test]
    fn who_may_not_declare_is_told_and_stands_in_nobodys_way() {
        let mut world = acme();
        let squat = credential("elsewhere", "squat", "acme", "stripe", 1);
        let told = messages(&world, &squat);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("SecretScope acme does not let namespace elsewhere declare values"),
            "{told:?}"
        );
        world.set_credential(Key::of(&squat), Some(Arc::new(squat)));
        let stripe = credential("acme-secrets", "stripe", "acme", "stripe", 2);
        assert_eq!(messages(&world, &stripe), Vec::<String>::new());
    }

    #[test]
    fn the_order_does_not_matter_and_others_are_left_alone() {
        let mut world = acme();
        let waits = credential("acme-secrets", "second", "later", "hubspot", 1);
        assert_eq!(messages(&world, &waits), Vec::<String>::new());
        let new = credential("just-made", "second", "acme", "hubspot", 1);
        assert_eq!(messages(&world, &new), Vec::<String>::new());
        let mut foreign = provider("p");
        foreign.spec.class = "another".into();
        world.set_provider("p", Some(foreign.into()));
        let second = credential("acme-secrets", "second", "acme", "hubspot", 1);
        assert_eq!(messages(&world, &second), Vec::<String>::new());
    }

    #[test]
    fn values_fit_into_one_write() {
        let mut large = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
        let key = |bytes: usize| -> CredentialKey {
            serde_json::from_value(json!({"name": "k", "from": {"value": "x".repeat(bytes)}})).unwrap()
        };
        large.spec.keys = (0..16).map(|_| key(1 << 16)).collect();
        assert_eq!(messages(&acme(), &large), Vec::<String>::new());
        large.spec.keys.push(key(1));
        assert_eq!(
            messages(&acme(), &large),
            [
                "spec.keys: the values are 1025 KiB together, and Vault takes 1024 KiB at one path: spread them over \
                 several services"
            ]
        );
    }
}
