//! `SecretBinding` → one policy and one auth role for each service account it names.
//!
//! Access is compiled per service account, because that is the identity Vault sees, and from all
//! bindings that name the account, because it has one policy.

use super::{provider, scope};
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::names::{is_dns_label, is_dns_subdomain};
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::{Level, SecretBinding, SecretProvider};
use keystead_vault::hcl;
use keystead_vault::name::Letter;
use keystead_vault::object::{AuthRole, Object, Policy, RoleMethod};
use keystead_vault::path::KvPath;
use std::collections::BTreeSet;
use std::time::Duration;

/// One identity at one provider.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Account {
    /// The provider's name.
    pub provider: String,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account's name.
    pub name: String,
}

/// The accounts a binding names.
pub fn accounts(key: &Key, binding: &SecretBinding) -> impl Iterator<Item = Account> {
    let provider = &binding.spec.provider_ref.name;
    binding.spec.service_accounts.iter().map(move |name| Account {
        provider: provider.clone(),
        namespace: key.namespace.clone(),
        name: name.clone(),
    })
}

/// Whether the binding can work, apart from Vault.
pub fn check(world: &World, key: &Key, binding: &SecretBinding) -> Result<(), Problem> {
    let provider = provider::find(world, &binding.spec.provider_ref.name)?;
    provider::admit(world, provider, &key.namespace)?;
    scope::company(world, &binding.spec.provider_ref.name, &key.namespace)?;
    match binding
        .spec
        .service_accounts
        .iter()
        .find(|name| !is_dns_subdomain(name))
    {
        Some(name) => Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.serviceAccounts: {name:?} is not the name of a service account: expected lower-case letters, digits, '-' and '.'"
            ),
        )),
        None => Ok(()),
    }
}

/// The policy and the role an account should have; none where no binding gives it anything.
/// The policy stands first: a role must never point at a policy that is not there yet.
pub fn compile(world: &World, account: &Account) -> Result<Option<[Object; 2]>, Problem> {
    let provider = provider::find(world, &account.provider)?;
    let services = services(world, provider, account);
    if services.is_empty() {
        return Ok(None);
    }
    let mut paths = BTreeSet::new();
    for (level, id) in levels(world, provider, account)? {
        for service in &services {
            paths.insert(KvPath::new(
                &provider::kv_base(provider),
                level,
                id.as_deref(),
                service,
            ));
        }
    }
    let [Object::Policy(mut policy), role] = identified(world, provider, account) else {
        return Ok(None);
    };
    let header = format!(
        "cluster {}, provider {}, service account {}/{}. Do not edit: it is compiled from SecretBindings.",
        world.cluster, account.provider, account.namespace, account.name
    );
    policy.text = hcl::workload(&header, &paths.into_iter().collect::<Vec<_>>());
    Ok(Some([Object::Policy(policy), role]))
}

/// Whether an account can exist. No other has anything in Vault: names there fold their case, so what
/// is done by a name of another spelling would be done to somebody else.
pub fn can_exist(account: &Account) -> bool {
    is_dns_label(&account.namespace) && is_dns_subdomain(&account.name)
}

/// What an account has in Vault, to be taken away. The role goes first: nobody should log in with
/// a policy that is gone.
pub fn removal(world: &World, account: &Account) -> Result<[Object; 2], Problem> {
    let provider = provider::find(world, &account.provider)?;
    let [policy, role] = identified(world, provider, account);
    Ok([role, policy])
}

/// Policy and role by name, the policy without its text.
fn identified(world: &World, provider: &SecretProvider, account: &Account) -> [Object; 2] {
    let auth = &provider.spec.workload_auth;
    let name =
        provider::prefix(world, provider).name(Letter::ServiceAccount, &account.namespace, &account.name);
    let role = AuthRole {
        mount: auth.mount.clone(),
        name: name.clone(),
        method: match auth.method {
            WorkloadMethod::Jwt => RoleMethod::Jwt,
            WorkloadMethod::Kubernetes => RoleMethod::Kubernetes,
        },
        namespace: account.namespace.clone(),
        service_account: account.name.clone(),
        audience: auth.audience.clone(),
        policy: name.clone(),
        ttl: Duration::from(auth.token_ttl),
    };
    [
        Object::Policy(Policy {
            name,
            text: String::new(),
        }),
        Object::Role(role),
    ]
}

/// The services that the account's working bindings give it.
fn services(world: &World, provider: &SecretProvider, account: &Account) -> BTreeSet<String> {
    if provider::admit(world, provider, &account.namespace).is_err() || !is_dns_subdomain(&account.name) {
        return BTreeSet::new();
    }
    let bindings = world
        .bindings_in(&account.namespace)
        .map(|(_, binding)| &binding.spec);
    bindings
        .filter(|spec| {
            spec.provider_ref.name == account.provider && spec.service_accounts.contains(&account.name)
        })
        .flat_map(|spec| spec.secrets.iter().filter_map(|secret| secret.service.clone()))
        .collect()
}

/// The scopes the account belongs to, most specific first; a Node's id is Vault's template for it.
fn levels(
    world: &World,
    provider: &SecretProvider,
    account: &Account,
) -> Result<Vec<(Level, Option<String>)>, Problem> {
    let mut levels = Vec::new();
    if provider.spec.workload_auth.method == WorkloadMethod::Jwt {
        let accessor = world
            .facts(&account.provider)
            .and_then(|facts| facts.accessor.as_deref());
        let accessor = accessor.ok_or_else(|| {
            let message = format!(
                "waiting for SecretProvider {}: its jwt mount is not known yet",
                account.provider
            );
            Problem::new(Reason::NotFound, message)
        })?;
        levels.push((Level::Node, Some(hcl::node_template(accessor))));
    }
    // An ambiguous company serves nobody; the binding's condition says so.
    if let Ok(Some(id)) = scope::company(world, &account.provider, &account.namespace) {
        levels.push((Level::Company, Some(id.to_owned())));
    }
    levels.push((Level::Global, None));
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProviderFacts;
    use crate::fixtures::{binding, company, global, provider, world};
    use std::sync::Arc;

    fn shop() -> World {
        let mut world = world(
            [provider("p")],
            [global("g", "p"), company("acme", "p", "acme", 1)],
        );
        world.set_facts(
            "p",
            ProviderFacts {
                ca: None,
                accessor: Some("auth_jwt_1".into()),
            },
        );
        world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
        add(&mut world, "one", "hubspot");
        world
    }

    fn add(world: &mut World, name: &str, service: &str) {
        let binding = binding("shop", name, "p", "web", service);
        world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
    }

    fn account() -> Account {
        Account {
            provider: "p".into(),
            namespace: "shop".into(),
            name: "web".into(),
        }
    }

    fn text(world: &World) -> String {
        match compile(world, &account()).unwrap() {
            Some([Object::Policy(policy), _]) => policy.text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_policy_grants_the_services_in_the_scopes_and_no_more() {
        let text = text(&shop());
        let granted: Vec<_> = text.lines().filter(|line| line.contains("kv/data/")).collect();
        assert_eq!(
            granted,
            [
                r#"path "kv/data/keystead/production/company/acme/hubspot" { capabilities = ["read"] }"#,
                r#"path "kv/data/keystead/production/global/all/hubspot" { capabilities = ["read"] }"#,
                r#"path "kv/data/keystead/production/node/{{identity.entity.aliases.auth_jwt_1.name}}/hubspot" { capabilities = ["read"] }"#,
            ]
        );
    }

    #[test]
    fn all_bindings_of_an_account_make_one_policy() {
        let mut world = shop();
        add(&mut world, "two", "openai");
        assert_eq!(text(&world).matches("/openai\"").count(), 6);
        world.set_binding(
            Key {
                namespace: "shop".into(),
                name: "one".into(),
            },
            None,
        );
        assert_eq!(text(&world).matches("/hubspot\"").count(), 0);
        world.set_binding(
            Key {
                namespace: "shop".into(),
                name: "two".into(),
            },
            None,
        );
        assert_eq!(compile(&world, &account()), Ok(None));
    }

    #[test]
    fn a_namespace_that_leaves_its_company_loses_the_paths() {
        let mut world = shop();
        world.set_namespace("shop", Some([("company".to_owned(), "none".to_owned())].into()));
        assert!(!text(&world).contains("/company/"));
    }

    #[test]
    fn a_role_lets_in_one_service_account() {
        let Some([_, Object::Role(role)]) = compile(&shop(), &account()).unwrap() else {
            panic!()
        };
        assert_eq!(
            (role.namespace.as_str(), role.service_account.as_str()),
            ("shop", "web")
        );
        assert_eq!(role.name, "keystead.c1.p.s.shop.web");
        assert_eq!(role.policy, role.name);
    }

    #[test]
    fn a_name_of_another_spelling_gives_nothing() {
        let mut world = shop();
        let binding = binding("shop", "upper", "p", "WEB", "hubspot");
        let key = Key::of(&binding);
        world.set_binding(key.clone(), Some(Arc::new(binding)));
        let upper = Account {
            name: "WEB".into(),
            ..account()
        };
        assert_eq!(compile(&world, &upper), Ok(None));
        assert!(!can_exist(&upper) && can_exist(&account()));
        assert_eq!(
            check(&world, &key, world.binding(&key).unwrap())
                .unwrap_err()
                .reason,
            Reason::Invalid
        );
    }

    #[test]
    fn a_provider_that_does_not_admit_the_namespace_gives_nothing() {
        let mut world = shop();
        let mut provider = provider("p");
        provider.spec.namespaces = company("x", "p", "other", 1)
            .spec
            .members
            .unwrap()
            .namespace_selector;
        world.set_provider("p", Some(Arc::new(provider)));
        assert_eq!(compile(&world, &account()), Ok(None));
        let key = Key {
            namespace: "shop".into(),
            name: "one".into(),
        };
        let problem = check(&world, &key, world.binding(&key).unwrap()).unwrap_err();
        assert_eq!(problem.reason, Reason::NotPermitted);
    }
}
