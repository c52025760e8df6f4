//! Connections and roles of databases.

use super::{Desired, Subject, steps};
use keystead_compile::kinds::database::{connection, role};
use keystead_compile::{Problem, World};
use keystead_vault::object::Object;

/// What there should be because of them.
pub(super) fn desired(world: &World) -> Vec<(Subject, Desired)> {
    let connections = world.database_connections().map(|(key, found)| {
        let provider = found.spec.provider_ref.name.as_str();
        let steps = steps(
            world,
            provider,
            found.as_ref(),
            || {
                let compiled = connection::compile(world, key, found).map(Object::DatabaseConnection);
                compiled.map_err(|problem| {
                    let closed = connection::closed(world, key, found, &problem).is_some();
                    told(
                        problem,
                        closed,
                        "by what is in Vault already no role gives anything",
                    )
                })
            },
            || connection::removal(world, key, found).map(Object::DatabaseConnection),
        );
        let desired = Desired::of(provider, steps);
        (Subject::DatabaseConnection(key.clone()), desired)
    });
    let roles = world.database_roles().map(|(key, found)| {
        let provider = role::provider_name(world, key, found);
        let steps = steps(
            world,
            provider.unwrap_or_default(),
            found.as_ref(),
            || {
                let compiled = role::compile(world, key, found).map(Object::DatabaseRole);
                compiled.map_err(|problem| {
                    let goes = role::withdrawal(world, key, found, &problem).is_some();
                    told(problem, goes, "what is in Vault already is taken away")
                })
            },
            || role::removal(world, key, found).map(Object::DatabaseRole),
        );
        let desired = Desired {
            provider: provider.map(str::to_owned),
            steps,
        };
        (Subject::DatabaseRole(key.clone()), desired)
    });
    connections.chain(roles).collect()
}

/// A problem, with what becomes of what is in Vault because of it.
fn told(mut problem: Problem, is_refused: bool, what: &str) -> Problem {
    if is_refused {
        problem.message = format!("{problem}; {what}");
    }
    problem
}
