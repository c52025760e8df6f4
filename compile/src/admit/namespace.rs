//! Who may be a tenant: what a change of a namespace's labels changes for scopes and providers.
//! Labels decide there, so whoever changes that needs the right to change the scope or provider.

use crate::kinds::scope;
use crate::{World, world};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keystead_crds::{SecretProvider, SecretScope};
use kube::ResourceExt as _;
use std::collections::{BTreeMap, BTreeSet};

/// A namespace's labels.
pub type Labels = BTreeMap<String, String>;

/// A scope or provider that selects a namespace from now on, or no longer does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Which kind it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Which labels do it and what it means, such as `adding label company=acme would make it a member
    /// of SecretScope acme`.
    pub what: String,
}

/// The kinds that choose namespaces by label.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// SecretProvider.
    Provider,
    /// SecretScope.
    Scope,
}

impl Kind {
    /// Its name in the API server's paths and rules.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Provider => "secretproviders",
            Self::Scope => "secretscopes",
        }
    }
}

/// All that select a namespace after its labels change and did not before, or the other way round.
///
/// A new namespace has no labels before; what selects it even so was opened to all by its owner, and
/// is no change. Nor is what does not select it any more: it was never there.
pub fn changes(world: &World, before: Option<&Labels>, after: &Labels) -> Vec<Change> {
    let none = Labels::new();
    let labels = Relabelled {
        created: before.is_none(),
        before: before.unwrap_or(&none),
        after,
    };
    let providers = world.providers().filter(|found| found.spec.class == world.class);
    let scopes = world
        .scopes()
        .filter(|scope| !world.is_foreign(&scope.spec.provider_ref.name));
    providers
        .flat_map(|provider| of_provider(provider, &labels))
        .chain(scopes.flat_map(|scope| of_scope(scope, &labels)))
        .collect()
}

fn of_scope(scope: &SecretScope, labels: &Relabelled<'_>) -> Vec<Change> {
    let name = scope.name_any();
    let change = |what| Change {
        kind: Kind::Scope,
        name: name.clone(),
        what,
    };
    let members = scope::members(scope).and_then(|selector| {
        labels.effect(
            selector,
            &format!("make it a member of SecretScope {name}"),
            &format!("end its membership of SecretScope {name}"),
        )
    });
    let writers = labels.effect(
        &scope.spec.writers.namespace_selector,
        &format!("let it declare values for SecretScope {name}"),
        &format!("stop it from declaring values for SecretScope {name}"),
    );
    members.into_iter().chain(writers).map(change).collect()
}

fn of_provider(provider: &SecretProvider, labels: &Relabelled<'_>) -> Vec<Change> {
    let name = provider.name_any();
    let users = provider.spec.namespaces.as_ref().and_then(|selector| {
        labels.effect(
            selector,
            &format!("let it use SecretProvider {name}"),
            &format!("stop it from using SecretProvider {name}"),
        )
    });
    let paths = provider.spec.allowed_paths.iter().filter_map(|path| {
        let path_of = format!("{} of SecretProvider {name}", path.prefix);
        labels.effect(
            &path.namespaces,
            &format!("open the path {path_of} to it"),
            &format!("close the path {path_of} to it"),
        )
    });
    let change = |what| Change {
        kind: Kind::Provider,
        name: name.clone(),
        what,
    };
    users.into_iter().chain(paths).map(change).collect()
}

/// A namespace's labels before and after.
struct Relabelled<'a> {
    created: bool,
    before: &'a Labels,
    after: &'a Labels,
}

impl Relabelled<'_> {
    /// What the change means for a selector, where it means something.
    fn effect(&self, selector: &LabelSelector, joins: &str, leaves: &str) -> Option<String> {
        let selects = |labels| world::matches(selector, labels);
        let effect = match (selects(self.before), selects(self.after)) {
            (false, true) => joins,
            (true, false) if !self.created => leaves,
            _ => return None,
        };
        Some(format!("{} would {effect}", self.said_of(selector)))
    }

    /// The change in words, as far as it concerns the selector.
    fn said_of(&self, selector: &LabelSelector) -> String {
        let equal = selector.match_labels.iter().flatten().map(|(key, _)| key);
        let others = selector.match_expressions.iter().flatten();
        let keys: BTreeSet<&String> = equal.chain(others.map(|expression| &expression.key)).collect();
        let said: Vec<String> = keys
            .into_iter()
            .filter_map(|key| match (self.before.get(key), self.after.get(key)) {
                (None, Some(value)) if self.created => Some(format!("creating it with label {key}={value}")),
                (None, Some(value)) => Some(format!("adding label {key}={value}")),
                (Some(_), None) => Some(format!("removing label {key}")),
                (Some(old), Some(new)) if old != new => {
                    Some(format!("changing label {key} from {old} to {new}"))
                }
                _ => None,
            })
            .collect();
        said.join(" and ")
    }
}

#[cfg(test)]
mod tests;
