//! What the annotation `keystead.dev/paused` stops: an object, and all that depends on a provider.

use crate::kinds::binding::{Account, naming};
use crate::{Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::names::PAUSED_ANNOTATION;
use keystead_crds::{Credential, SecretScope};
use kube::{Resource, ResourceExt};

/// Why nothing is done for an object now: somebody has paused it, or the provider it depends on.
pub fn check(world: &World, object: &impl ResourceExt, provider: &str) -> Result<(), Problem> {
    if is_paused(object) {
        let message =
            format!("the annotation {PAUSED_ANNOTATION} stops everything for it; take it off to go on");
        return Err(Problem::new(Reason::Paused, message));
    }
    check_named(world.provider(provider).map(AsRef::as_ref))
}

/// The same for a credential, whose scope may be paused too.
pub fn check_credential(world: &World, credential: &Credential) -> Result<(), Problem> {
    let scope = world.scope(&credential.spec.scope_ref.name).map(AsRef::as_ref);
    let provider = scope.map_or("", |scope: &SecretScope| scope.spec.provider_ref.name.as_str());
    check(world, credential, provider)?;
    check_named(scope)
}

/// Why nothing is done for an account now: its provider or a binding that names it is paused, and its
/// policy comes from all of them together.
pub fn check_account(world: &World, account: &Account) -> Result<(), Problem> {
    check_named(world.provider(&account.provider).map(AsRef::as_ref))?;
    naming(world, account).try_for_each(|(_, binding)| check_named(Some(binding.as_ref())))
}

fn check_named<K: Resource<DynamicType = ()>>(object: Option<&K>) -> Result<(), Problem> {
    match object {
        Some(object) if is_paused(object) => Err(Problem::new(
            Reason::Paused,
            format!(
                "waiting for {} {}, which is paused",
                K::kind(&()),
                object.name_any()
            ),
        )),
        _ => Ok(()),
    }
}

fn is_paused(object: &impl ResourceExt) -> bool {
    let value = object.annotations().get(PAUSED_ANNOTATION);
    value.is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::fixtures::{binding, company, credential, provider, world};
    use crate::kinds::binding::accounts;
    use std::sync::Arc;

    fn paused<K: ResourceExt>(mut object: K) -> K {
        let annotations = object.annotations_mut();
        annotations.insert(PAUSED_ANNOTATION.into(), "true".into());
        object
    }

    #[test]
    fn a_paused_binding_keeps_its_accounts() {
        let mut world = world([provider("p")], []);
        let first = paused(binding("shop", "first", "p", "web", "hubspot"));
        let second = binding("shop", "second", "p", "web", "hubspot");
        let key = Key::of(&first);
        let account = accounts(&key, &first).next().unwrap();
        world.set_binding(Key::of(&second), Some(Arc::new(second.clone())));
        assert_eq!(check_account(&world, &account), Ok(()));
        world.set_binding(key, Some(Arc::new(first.clone())));
        let problem = check_account(&world, &account).unwrap_err();
        assert!(problem.message.contains("SecretBinding first"), "{problem}");
        assert_eq!(check(&world, &first, "p").unwrap_err().reason, Reason::Paused);
        assert_eq!(check(&world, &second, "p"), Ok(()));
    }

    #[test]
    fn a_pause_reaches_what_depends_on_it() {
        let value = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
        let bound = binding("shop", "web", "p", "web", "hubspot");
        let account = accounts(&Key::of(&bound), &bound).next().unwrap();
        let scope = || company("acme", "p", "acme", 1);
        let calm = world([provider("p")], [scope()]);
        assert_eq!(check_credential(&calm, &value), Ok(()));
        let of_scope = world([provider("p")], [paused(scope())]);
        let problem = check_credential(&of_scope, &value).unwrap_err();
        assert!(problem.message.contains("SecretScope acme"), "{problem}");
        let of_provider = world([paused(provider("p"))], [scope()]);
        for problem in [
            check(&of_provider, &bound, "p"),
            check_account(&of_provider, &account),
            check_credential(&of_provider, &value),
        ] {
            assert!(problem.unwrap_err().message.contains("SecretProvider p"));
        }
    }
}
