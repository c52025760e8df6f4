//! The plain model: what a service account's token may do, said without a policy. It shares nothing
//! with what is tested.

use super::worlds::{Company, Declared, Labels, Provider, SPACES, Selector, is_strange};
use std::collections::{BTreeMap, BTreeSet};

/// Whose token.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Account {
    /// Index of the provider.
    pub(super) provider: usize,
    pub(super) space: &'static str,
    pub(super) name: &'static str,
}

/// Path → what may be done there. On every other path nothing may be.
pub(super) type Grants = BTreeMap<String, &'static str>;

/// What the account's tokens may do; none where it can't even log in. `run` is what real names begin
/// with, `node` the node that the token names.
pub(super) fn grants(world: &Declared, account: &Account, run: &str, node: &str) -> Option<Grants> {
    let provider = world.providers.get(account.provider)?;
    let names = [provider.name, provider.prefix, account.space, account.name];
    let labels = labels_of(world, account.space)?;
    if names.into_iter().any(is_strange) || provider.admits.as_ref().is_some_and(|who| !picks(who, labels)) {
        return None;
    }
    let (services, paths) = asked_for(world, provider, account, labels);
    if services.is_empty() && paths.is_empty() {
        return None;
    }
    let mut scopes = vec!["global/all".to_owned()];
    if provider.jwt {
        scopes.push(format!("node/{node}"));
    }
    if let Some(company) = company(world, account.provider, labels) {
        scopes.push(format!("company/{company}"));
    }

    let mut grants = Grants::from([
        ("auth/token/lookup-self".to_owned(), "read"),
        ("auth/token/renew-self".to_owned(), "update"),
        ("auth/token/revoke-self".to_owned(), "update"),
    ]);
    let Provider {
        prefix, environment, ..
    } = provider;
    for scope in &scopes {
        for service in &services {
            for kind in ["data", "metadata"] {
                let path = format!("kv/{kind}/{run}{prefix}/{environment}/{scope}/{service}");
                grants.insert(path, "read");
            }
        }
    }
    for path in paths {
        grants.insert(path.to_owned(), "read");
        grants.insert(format!("sys/leases/renew/{path}/lease"), "update");
        grants.insert(format!("sys/leases/revoke/{path}/lease"), "update");
    }
    Some(grants)
}

/// The services and the paths that its bindings ask for and may have.
fn asked_for(
    world: &Declared,
    provider: &Provider,
    account: &Account,
    labels: &Labels,
) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let (mut services, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for binding in &world.changing.bindings {
        let its = binding.space == account.space && binding.provider == account.provider;
        if its && binding.accounts.contains(account.name) {
            services.extend(binding.services.iter().filter(|name| !is_strange(name)));
            paths.extend(binding.paths.iter().filter(|path| {
                let below = |prefix: &str| **path == prefix || path.starts_with(&format!("{prefix}/"));
                let mut opens = provider.opens.iter();
                !is_strange(path) && opens.any(|(prefix, who)| below(prefix) && picks(who, labels))
            }));
        }
    }
    (services, paths)
}

/// The one company that the namespace belongs to. Of two scopes of one company the older is heard; a
/// namespace of two companies belongs to none.
fn company(world: &Declared, provider: usize, labels: &Labels) -> Option<&'static str> {
    let scopes = || {
        let scopes = world.companies.iter().enumerate();
        scopes.filter(|(_, scope)| scope.provider == provider && !is_strange(scope.id))
    };
    let age = |index: usize, scope: &Company| (scope.made, index);
    let heard = |index: usize, scope: &Company| {
        !scopes().any(|(other, twin)| twin.id == scope.id && age(other, twin) < age(index, scope))
    };
    let mut mine = scopes().filter(|(index, scope)| heard(*index, scope) && picks(&scope.members, labels));
    match (mine.next(), mine.next()) {
        (Some((_, scope)), None) => Some(scope.id),
        _ => None,
    }
}

fn labels_of<'a>(world: &'a Declared, space: &str) -> Option<&'a Labels> {
    let index = SPACES.iter().position(|known| *known == space)?;
    world.changing.labels.get(index)
}

fn picks(selector: &Selector, labels: &Labels) -> bool {
    match selector {
        Selector::All => true,
        Selector::Is(name, value) => labels.get(name) == Some(value),
        Selector::IsNot(name, value) => labels.get(name) != Some(value),
    }
}
