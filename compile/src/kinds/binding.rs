//! `SecretBinding` → one policy and one auth role for each service account it names.
//!
//! Access is compiled per service account, because that is the identity Vault sees, and from all
//! bindings that name the account, because it has one policy.

mod clash;
mod path;
mod shape;
mod template;

pub(super) use clash::overlap;
pub use clash::{clash, clash_with_any};
pub use shape::fits;
pub(super) use template::text;
pub use template::{check_sources, config_maps, wanted};

use super::database::role;
use super::{defaults, provider, scope};
use crate::{Key, Problem, World};
use keystead_crds::binding::{BoundSecret, PathMethod};
use keystead_crds::condition::Reason;
use keystead_crds::names::{is_dns_label, is_dns_subdomain};
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::{Level, SecretBinding, SecretProvider};
use keystead_vault::hcl;
use keystead_vault::name::Letter;
use keystead_vault::object::{AuthRole, Object, Policy, RoleMethod};
use keystead_vault::path::KvPath;
use kube::ResourceExt as _;
use path::permitted;
use std::collections::BTreeSet;
use std::sync::Arc;
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

/// The bindings that name an account at its provider: what it may do comes from all of them together.
pub fn naming<'a>(
    world: &'a World,
    account: &Account,
) -> impl Iterator<Item = (&'a Key, &'a Arc<SecretBinding>)> {
    let bindings = world.bindings_of(&account.namespace, &account.name);
    bindings.filter(|(_, found)| found.spec.provider_ref.name == account.provider)
}

/// Whether the binding can work, apart from Vault.
pub fn check(world: &World, key: &Key, binding: &SecretBinding) -> Result<(), Problem> {
    let provider = provider::find(world, &binding.spec.provider_ref.name)?;
    provider::admit(world, provider, &key.namespace)?;
    scope::company(world, &binding.spec.provider_ref.name, &key.namespace)?;
    let mut accounts = binding.spec.service_accounts.iter();
    if let Some(name) = accounts.find(|name| !is_dns_subdomain(name)) {
        return Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.serviceAccounts: {name:?} is not the name of a service account: expected lower-case letters, digits, '-' and '.'"
            ),
        ));
    }
    fits(&binding.spec)?;
    defaults::effective(world, provider, key, binding)?;
    check_paths(world, provider, key, binding)?;
    check_roles(world, provider, key, binding)?;
    clash(world, key, binding).map_or(Ok(()), Err)
}

/// Whether the provider opens every existing path that the binding names to its namespace.
pub fn check_paths(
    world: &World,
    provider: &SecretProvider,
    key: &Key,
    binding: &SecretBinding,
) -> Result<(), Problem> {
    for secret in &binding.spec.secrets {
        let Some(text) = &secret.path else { continue };
        permitted(world, provider, &key.namespace, text, secret.method).map_err(|problem| {
            let message = format!("spec.secrets[{}].path: {}", secret.name, problem.message);
            Problem::new(problem.reason, message)
        })?;
    }
    Ok(())
}

/// Whether every DatabaseRole that the binding names is there, and of its provider.
fn check_roles(
    world: &World,
    provider: &SecretProvider,
    key: &Key,
    binding: &SecretBinding,
) -> Result<(), Problem> {
    for secret in &binding.spec.secrets {
        let Some(name) = &secret.database_role else {
            continue;
        };
        role::granted(world, provider, &key.namespace, name).map_err(|problem| {
            let message = format!("spec.secrets[{}].databaseRole: {}", secret.name, problem.message);
            Problem::new(problem.reason, message)
        })?;
    }
    Ok(())
}

/// Which scopes of level Node are there and do not serve the binding's pods: a sentence, if any.
pub fn unserved_nodes(world: &World, binding: &SecretBinding) -> Option<String> {
    let name = &binding.spec.provider_ref.name;
    if world.provider(name)?.spec.workload_auth.method == WorkloadMethod::Jwt {
        return None;
    }
    let mut scopes = world
        .scopes_of(name)
        .filter(|scope| scope.spec.level == Level::Node);
    let first = scopes.next()?.name_any();
    let more = match scopes.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "the Node scopes of SecretProvider {name} (SecretScope {first}{more}) do not serve these pods: Node scopes need workloadAuth.method Jwt, and it has Kubernetes"
    ))
}

/// The policy and the role an account should have; none where no binding gives it anything.
/// The policy stands first: a role must never point at a policy that is not there yet.
pub fn compile(world: &World, account: &Account) -> Result<Option<[Object; 2]>, Problem> {
    let provider = provider::find(world, &account.provider)?;
    let secrets = secrets(world, provider, account);
    // What the API server refuses must not become another grant if it ever gets here.
    let services = secrets.iter().filter_map(|secret| secret.service.as_ref());
    let services: BTreeSet<&String> = services.filter(|service| is_dns_label(service)).collect();
    // One that the binding may not name is not granted, whatever else the binding gives.
    let existing = secrets.iter().filter_map(|secret| {
        let text = secret.path.as_deref()?;
        let path = permitted(world, provider, &account.namespace, text, secret.method).ok()?;
        Some((path, secret.method))
    });
    let roles = secrets
        .iter()
        .filter_map(|secret| secret.database_role.as_deref());
    let roles = roles.filter_map(|name| role::granted(world, provider, &account.namespace, name).ok());
    let roles = roles.map(|path| (path, PathMethod::Get));
    let mut reached = hcl::Paths::new();
    for (path, method) in existing.chain(roles) {
        reached.entry(path).or_default().insert(method);
    }
    if services.is_empty() && reached.is_empty() {
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
    policy.text = hcl::workload(&header, &Vec::from_iter(paths), &reached);
    Ok(Some([Object::Policy(policy), role]))
}

/// Whether it is known what all bindings of the account's namespace give, and at which scopes. While one
/// can't be read, what stands in Vault may be the account's due, so none of it is changed.
pub fn readable(world: &World, account: &Account) -> Result<(), Problem> {
    let unreadable = match world.unreadable_scope() {
        Some(scope) => format!("SecretScope {scope}"),
        None if world.has_unreadable_binding(&account.namespace) => {
            format!("a SecretBinding of namespace {}", account.namespace)
        }
        None => return Ok(()),
    };
    let message = format!(
        "{unreadable} can't be read by this version of Keystead (the operator's log says why), so what the namespace's service \
         accounts may do stays as it is until that is mended or deleted"
    );
    Err(Problem::new(Reason::Invalid, message))
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

/// What bindings give the account.
fn secrets<'a>(world: &'a World, provider: &SecretProvider, account: &'a Account) -> Vec<&'a BoundSecret> {
    if provider::admit(world, provider, &account.namespace).is_err() || !can_exist(account) {
        return Vec::new();
    }
    naming(world, account)
        .flat_map(|(_, binding)| &binding.spec.secrets)
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
mod tests;
