//! Connections and roles of databases.

use super::{Desired, Subject, steps};
use keystead_compile::World;
use keystead_compile::kinds::database::{connection, role};
use keystead_vault::object::Object;

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
