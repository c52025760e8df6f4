//! `SecretScope`: where values can be declared, and which company a namespace belongs to.

use super::provider;
use crate::world::is_older;
use crate::{Problem, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keystead_crds::condition::Reason;
use keystead_crds::names::is_dns_subdomain;
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::{Level, SecretProvider, SecretScope};
use kube::ResourceExt as _;

/// Whether the scope can serve: its provider is there, can do its level, and no older scope is the same.
pub fn check(world: &World, scope: &SecretScope) -> Result<(), Problem> {
    let provider = provider::find(world, &scope.spec.provider_ref.name)?;
    has_level(provider, scope)?;
    if !has_usable_id(scope) {
        return Err(Problem::new(
            Reason::Invalid,
            "spec.id must be one path segment of lower-case letters, digits, '-' and '.'; a Global scope has none",
        ));
    }
    match older_twin(world, scope) {
        None => Ok(()),
        Some(twin) => Err(Problem::new(
            Reason::Conflict,
            format!(
                "SecretScope {} is older and has the same provider, level and id: delete one",
                twin.name_any()
            ),
        )),
    }
}

/// Whether the provider can do the scope's level.
pub(crate) fn has_level(provider: &SecretProvider, scope: &SecretScope) -> Result<(), Problem> {
    if scope.spec.level != Level::Node || provider.spec.workload_auth.method == WorkloadMethod::Jwt {
        return Ok(());
    }
    Err(Problem::new(
        Reason::Invalid,
        format!(
            "spec.level: Node needs a provider with workloadAuth.method Jwt, and SecretProvider {} has Kubernetes",
            provider.name_any()
        ),
    ))
}

/// The company a namespace belongs to. Where two companies select it, neither serves it.
pub fn company<'a>(world: &'a World, provider: &'a str, namespace: &str) -> Result<Option<&'a str>, Problem> {
    let mut companies = world
        .scopes_of(provider)
        .filter(|scope| has_member(world, scope, namespace) && !is_doubled(world, scope));
    let (first, second) = (companies.next(), companies.next());
    if let (Some(first), Some(second)) = (first, second) {
        return Err(Problem::new(
            Reason::Ambiguous,
            format!(
                "SecretScopes {} and {} both select namespace {namespace}; a namespace belongs to one company, so neither serves it",
                first.name_any(),
                second.name_any()
            ),
        ));
    }
    Ok(first.and_then(|scope| scope.spec.id.as_deref()))
}

/// Whether the id is what the API server lets through: any other could mean another path.
fn has_usable_id(scope: &SecretScope) -> bool {
    match (scope.spec.level, scope.spec.id.as_deref()) {
        (Level::Global, id) => id.is_none(),
        // Users have names such as `jane@acme.example` or `jane_doe`.
        (Level::User, Some(id)) => is_dns_subdomain(&id.replace(['@', '_'], "-")),
        (Level::Company | Level::Node, Some(id)) => is_dns_subdomain(id),
        (_, None) => false,
    }
}

/// Which namespaces are members; none but a Company that can serve has any.
pub(crate) fn members(scope: &SecretScope) -> Option<&LabelSelector> {
    let members = scope.spec.members.as_ref()?;
    let selector = members.namespace_selector.as_ref();
    selector.filter(|_| scope.spec.level == Level::Company && has_usable_id(scope))
}

/// Whether a namespace is a member.
pub(crate) fn has_member(world: &World, scope: &SecretScope, namespace: &str) -> bool {
    members(scope).is_some_and(|selector| world.selects(selector, namespace))
}

/// Whether credentials of a namespace may declare values at a scope. A company's are declared by itself,
/// or in a namespace that belongs to no company.
pub(crate) fn may_declare(world: &World, scope: &SecretScope, namespace: &str) -> Result<(), Problem> {
    let why = if !world.selects(&scope.spec.writers.namespace_selector, namespace) {
        "its spec.writers selects other labels".to_owned()
    } else if let Some(other) = other_company(world, scope, namespace) {
        format!(
            "the namespace is a member of SecretScope {}, and would declare them for another company: narrow \
             spec.writers, and declare them elsewhere",
            other.name_any()
        )
    } else {
        return Ok(());
    };
    Err(Problem::new(
        Reason::NotPermitted,
        format!(
            "SecretScope {} does not let namespace {namespace} declare values: {why}",
            scope.name_any()
        ),
    ))
}

/// The other company that serves a namespace, where the scope is of a company that does not.
fn other_company<'a>(world: &'a World, scope: &'a SecretScope, namespace: &str) -> Option<&'a SecretScope> {
    members(scope).filter(|members| !world.selects(members, namespace))?;
    let provider = world.provider(&scope.spec.provider_ref.name)?;
    provider::admit(world, provider, namespace).ok()?;
    others(world, scope)
        .find(|other| has_member(world, other, namespace) && is_company_beside(world, scope, other))
}

/// The provider's other companies that serve.
pub(crate) fn companies<'a>(
    world: &'a World,
    scope: &'a SecretScope,
) -> impl Iterator<Item = &'a SecretScope> {
    others(world, scope).filter(|other| is_company_beside(world, scope, other))
}

fn is_company_beside(world: &World, scope: &SecretScope, other: &SecretScope) -> bool {
    members(other).is_some() && !are_twins(scope, other) && !is_doubled(world, other)
}

/// The provider's other scopes.
pub(crate) fn others<'a>(world: &'a World, scope: &'a SecretScope) -> impl Iterator<Item = &'a SecretScope> {
    world
        .scopes_of(&scope.spec.provider_ref.name)
        .map(AsRef::as_ref)
        .filter(|other| other.name_any() != scope.name_any())
}

/// Whether two scopes stand for the same place in Vault.
pub(crate) fn are_twins(one: &SecretScope, other: &SecretScope) -> bool {
    let (one, other) = (&one.spec, &other.spec);
    one.provider_ref == other.provider_ref && one.level == other.level && one.id == other.id
}

/// Whether an older scope stands for the same place, so that this one does not serve.
pub(crate) fn is_doubled(world: &World, scope: &SecretScope) -> bool {
    older_twin(world, scope).is_some()
}

fn older_twin<'a>(world: &'a World, scope: &'a SecretScope) -> Option<&'a SecretScope> {
    others(world, scope).find(|other| are_twins(scope, other) && is_older(*other, scope))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{company as company_scope, global, node, provider, world};

    #[test]
    fn the_older_of_two_twins_serves() {
        let world = world(
            [provider("p")],
            [
                company_scope("old", "p", "acme", 1),
                company_scope("new", "p", "acme", 2),
            ],
        );
        assert_eq!(check(&world, world.scope("old").unwrap()), Ok(()));
        let problem = check(&world, world.scope("new").unwrap()).unwrap_err();
        assert_eq!(problem.reason, Reason::Conflict);
        assert!(problem.message.contains("SecretScope old"), "{problem}");
    }

    #[test]
    fn a_namespace_of_two_companies_belongs_to_neither() {
        let mut globex = company_scope("globex", "p", "globex", 2);
        globex.spec.members = company_scope("x", "p", "acme", 1).spec.members;
        let mut world = world(
            [provider("p")],
            [company_scope("acme", "p", "acme", 1), globex, global("g", "p")],
        );
        world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
        world.set_namespace("other", Some([("company".to_owned(), "none".to_owned())].into()));
        let problem = company(&world, "p", "shop").unwrap_err();
        assert_eq!(problem.reason, Reason::Ambiguous);
        assert_eq!(company(&world, "p", "other"), Ok(None));
        assert_eq!(company(&world, "p", "unknown"), Ok(None));
    }

    #[test]
    fn a_node_scope_needs_jwt() {
        let mut kubernetes = provider("p");
        kubernetes.spec.workload_auth.method = WorkloadMethod::Kubernetes;
        let world = world([kubernetes], [node("n", "p", "n1")]);
        let problem = check(&world, world.scope("n").unwrap()).unwrap_err();
        assert_eq!(problem.reason, Reason::Invalid);
    }
}
