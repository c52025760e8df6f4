//! Who holds what: the service accounts that bindings grant a Credential's values or a database role.

use super::binding::{self, Account};
use super::{provider, scope};
use crate::{Key, World};
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::{Credential, Level, SecretBinding, SecretProvider, SecretScope};
use std::collections::BTreeSet;

/// Services and roles.
type Granted<'a> = BTreeSet<(Option<&'a String>, Option<&'a String>)>;

/// How many are named.
const NAMED: usize = 3;

/// The accounts that are granted a Credential's values: how many, and the first of them. None where nobody is.
pub fn of_credential(world: &World, credential: &Credential) -> Option<String> {
    let scope = world.scope(&credential.spec.scope_ref.name)?;
    let provider = world.provider(&scope.spec.provider_ref.name)?;
    let mut holders = BTreeSet::new();
    // Those of a namespace stand together: it is looked at once.
    let mut last: Option<(&str, bool)> = None;
    for (key, found) in world.granting(&credential.spec.service) {
        if found.spec.provider_ref != scope.spec.provider_ref {
            continue;
        }
        let served = match last {
            Some((namespace, served)) if namespace == key.namespace => served,
            _ => serves(world, provider, scope, &key.namespace),
        };
        last = Some((&key.namespace, served));
        if served {
            holders.extend(named(key, found));
        }
    }
    short(&holders)
}

/// The same of a DatabaseRole.
pub fn of_role(world: &World, role: &Key) -> Option<String> {
    let bindings = world.bindings_in(&role.namespace).filter(|(_, found)| {
        let mut secrets = found.spec.secrets.iter();
        let names = secrets.any(|secret| secret.database_role.as_ref() == Some(&role.name));
        let provider = world.provider(&found.spec.provider_ref.name);
        names
            && provider.is_some_and(|provider| {
                provider::admit(world, provider, &role.namespace).is_ok()
                    && super::database::role::granted(world, provider, &role.namespace, &role.name).is_ok()
            })
    });
    short(&bindings.flat_map(|(key, found)| named(key, found)).collect())
}

/// Whether two states of a binding grant the same to the same.
pub fn are_alike(one: &SecretBinding, other: &SecretBinding) -> bool {
    grants(one) == grants(other)
}

/// What a binding grants, and to whom.
fn grants(binding: &SecretBinding) -> (&str, Granted<'_>, BTreeSet<&String>) {
    let spec = &binding.spec;
    let secrets = spec.secrets.iter();
    let what = secrets.map(|secret| (secret.service.as_ref(), secret.database_role.as_ref()));
    (
        &spec.provider_ref.name,
        what.collect(),
        spec.service_accounts.iter().collect(),
    )
}

/// Whether the accounts of a namespace reach what is declared at a scope.
fn serves(world: &World, provider: &SecretProvider, scope: &SecretScope, namespace: &str) -> bool {
    let name = &scope.spec.provider_ref.name;
    let is_level = match scope.spec.level {
        Level::Global => true,
        Level::Node => provider.spec.workload_auth.method == WorkloadMethod::Jwt,
        Level::Company => {
            scope::has_member(world, scope, namespace)
                && scope::company(world, name, namespace)
                    .is_ok_and(|id| id.is_some() && id == scope.spec.id.as_deref())
        }
        Level::User => false,
    };
    is_level && provider::admit(world, provider, namespace).is_ok()
}

fn named(key: &Key, binding: &SecretBinding) -> impl Iterator<Item = Account> {
    binding::accounts(key, binding).filter(binding::can_exist)
}

fn short(holders: &BTreeSet<Account>) -> Option<String> {
    let first = holders.iter().take(NAMED);
    let mut names: Vec<String> = first
        .map(|account| format!("{}/{}", account.namespace, account.name))
        .collect();
    if holders.len() > NAMED {
        names.push("…".into());
    }
    (!holders.is_empty()).then(|| format!("{}: {}", holders.len(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{binding, company, credential, global, provider, world};
    use std::sync::Arc;

    fn shops(bindings: &[SecretBinding]) -> World {
        let scopes = [
            company("acme", "p", "acme", 1),
            company("globex", "p", "globex", 2),
            global("all", "p"),
        ];
        let mut world = world([provider("p"), provider("q")], scopes);
        for (namespace, id) in [("hr", "acme"), ("shop", "acme"), ("other", "globex")] {
            world.set_namespace(namespace, Some([("company".to_owned(), id.to_owned())].into()));
        }
        for binding in bindings {
            world.set_binding(Key::of(binding), Some(Arc::new(binding.clone())));
        }
        world
    }

    #[test]
    fn a_company_s_values_are_held_by_its_namespaces() {
        let world = shops(&[
            binding("shop", "a", "p", "web", "slack"),
            binding("shop", "b", "p", "web", "slack"),
            binding("shop", "c", "q", "foreign", "slack"),
            binding("shop", "d", "p", "job", "hubspot"),
            binding("hr", "a", "p", "api", "slack"),
            binding("other", "a", "p", "web", "slack"),
            binding("unknown", "a", "p", "Web", "slack"),
        ]);
        let held =
            |scope: &str, service: &str| of_credential(&world, &credential("x", "x", scope, service, 1));
        assert_eq!(held("acme", "slack").as_deref(), Some("2: hr/api, shop/web"));
        assert_eq!(held("globex", "slack").as_deref(), Some("1: other/web"));
        assert_eq!(
            held("all", "slack").as_deref(),
            Some("3: hr/api, other/web, shop/web")
        );
        assert_eq!(held("globex", "hubspot"), None);
        assert_eq!(held("missing", "slack"), None);
    }

    #[test]
    fn the_first_three_are_named() {
        let names = ["a", "b", "c", "d"].map(|name| binding("shop", name, "p", name, "slack"));
        let held = of_credential(&shops(&names), &credential("x", "x", "acme", "slack", 1));
        assert_eq!(held.as_deref(), Some("4: shop/a, shop/b, shop/c, …"));
    }

    #[test]
    fn what_a_binding_grants_is_its_services_and_accounts() {
        let one = || binding("shop", "a", "p", "web", "slack");
        let mut renamed = one();
        renamed.spec.secrets[0].name = "other".into();
        assert!(are_alike(&one(), &renamed));
        assert!(!are_alike(&one(), &binding("shop", "a", "p", "job", "slack")));
        assert!(!are_alike(&one(), &binding("shop", "a", "p", "web", "hubspot")));
        assert!(!are_alike(&one(), &binding("shop", "a", "q", "web", "slack")));
    }
}
