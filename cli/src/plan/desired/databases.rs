//! Connections and roles of databases.

use super::{Desired, Step, Subject};
use keystead_compile::kinds::database::{connection, role};
use keystead_compile::{Held, Problem, World, pause};
use keystead_vault::object::{Deletion, Object};

/// What there should be because of them.
pub(super) fn desired(world: &World) -> Vec<(Subject, Desired)> {
    let connections = world.database_connections().map(|(key, found)| {
        let provider = found.spec.provider_ref.name.as_str();
        let steps = steps(
            world,
            provider,
            found.as_ref(),
            || connection::compile(world, key, found).map(Object::DatabaseConnection),
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
            || role::compile(world, key, found).map(Object::DatabaseRole),
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

fn steps<K: Held>(
    world: &World,
    provider: &str,
    object: &K,
    compiled: impl FnOnce() -> Result<Object, Problem>,
    removed: impl FnOnce() -> Result<Object, Problem>,
) -> Result<Vec<Step>, Problem> {
    pause::check(world, object, provider)?;
    if object.meta().deletion_timestamp.is_none() {
        return Ok(vec![Step::Apply(compiled()?)]);
    }
    Ok(if object.is_held() {
        vec![Step::Remove(removed()?, Deletion::Delete)]
    } else {
        Vec::new()
    })
}
