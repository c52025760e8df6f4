//! `SecretScope`: one of its kind, of one company, and no way for one company into another.

use super::{Admit, collect, readable};
use crate::kinds::{provider, scope};
use crate::{Problem, World};
use keystead_crds::SecretScope;
use keystead_crds::condition::Reason;
use kube::ResourceExt as _;

impl Admit for SecretScope {
    fn problems(&self, world: &World) -> Vec<Problem> {
        let found = world.provider(&self.spec.provider_ref.name);
        // Another operator's scope: its webhook sees to it.
        if world.is_foreign(&self.spec.provider_ref.name) {
            return Vec::new();
        }
        let members = self.spec.members.as_ref();
        collect([
            readable(
                "spec.members.namespaceSelector",
                members.and_then(|members| members.namespace_selector.as_ref()),
            ),
            readable(
                "spec.writers.namespaceSelector",
                Some(&self.spec.writers.namespace_selector),
            ),
            alone(world, self),
            found.map_or(Ok(()), |provider| scope::has_level(provider, self)),
            members_of_one(world, self),
            writers_of_no_other(world, self),
            members_write_for_no_other(world, self),
        ])
    }
}

/// No other scope of its provider has its level and id.
fn alone(world: &World, scope: &SecretScope) -> Result<(), Problem> {
    let mut twins = scope::others(world, scope).filter(|other| scope::are_twins(scope, other));
    let Some(twin) = twins.next() else {
        return Ok(());
    };
    let (twin, provider, level) = (twin.name_any(), &scope.spec.provider_ref.name, scope.spec.level);
    let message = match &scope.spec.id {
        Some(id) => {
            format!(
                "spec.id: SecretScope {twin} is the {level:?} {id} of SecretProvider {provider} already: \
                 use it, or another id"
            )
        }
        None => {
            format!(
                "spec.level: SecretScope {twin} is the {level:?} one of SecretProvider {provider} already: use it"
            )
        }
    };
    Err(Problem::new(Reason::Conflict, message))
}

/// No namespace is a member of two companies.
fn members_of_one(world: &World, scope: &SecretScope) -> Result<(), Problem> {
    let members: Vec<&str> = served(world, scope).collect();
    let shared = scope::companies(world, scope).find_map(|other| {
        let mut members = members.iter();
        members
            .find(|namespace| scope::has_member(world, other, namespace))
            .map(|namespace| (other, namespace))
    });
    match shared {
        None => Ok(()),
        Some((other, namespace)) => Err(Problem::new(
            Reason::Ambiguous,
            format!(
                "spec.members selects namespace {namespace}, which is a member of SecretScope {} already, and a namespace \
                 belongs to one company: narrow the selector, or change the namespace's labels",
                other.name_any()
            ),
        )),
    }
}

/// A company's values are declared by itself, or in a namespace that belongs to no company.
fn writers_of_no_other(world: &World, scope: &SecretScope) -> Result<(), Problem> {
    let mut companies = scope::companies(world, scope);
    let found = companies.find_map(|other| Some((other, stranger(world, scope, other)?)));
    match found {
        None => Ok(()),
        Some((other, namespace)) => Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.writers selects namespace {namespace}, a member of SecretScope {}: it would declare values for \
                 another company; select namespaces of this company, or of none",
                other.name_any()
            ),
        )),
    }
}

/// The same, where the other company was there first.
fn members_write_for_no_other(world: &World, scope: &SecretScope) -> Result<(), Problem> {
    let mut companies = scope::companies(world, scope);
    let found = companies.find_map(|other| Some((other, stranger(world, other, scope)?)));
    match found {
        None => Ok(()),
        Some((other, namespace)) => Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.members selects namespace {namespace}, which spec.writers of SecretScope {0} selects, too: it would \
                 declare values for another company; narrow the writers of {0} first",
                other.name_any()
            ),
        )),
    }
}

/// A member of one company that may write for another, of which it is no member.
fn stranger<'a>(world: &'a World, written: &SecretScope, company: &'a SecretScope) -> Option<&'a str> {
    let writers = &written.spec.writers.namespace_selector;
    scope::members(written)?;
    served(world, company)
        .find(|namespace| world.selects(writers, namespace) && !scope::has_member(world, written, namespace))
}

/// The members of a company that its provider admits: to the others nobody gives anything. None
/// while the provider is not there, because it is not known whom it will admit.
fn served<'a>(world: &'a World, scope: &SecretScope) -> impl Iterator<Item = &'a str> {
    let provider = world.provider(&scope.spec.provider_ref.name);
    let members = provider.and_then(|_| scope::members(scope));
    let members = members.into_iter().flat_map(|selector| world.selected(selector));
    members.filter(move |namespace| {
        provider.is_some_and(|provider| provider::admit(world, provider, namespace).is_ok())
    })
}

#[cfg(test)]
mod tests;
