//! Static users: whose password a role may take over, and which of several roles that want the same.

use super::role;
use crate::world::is_older;
use crate::{Key, Problem, World};
use keystead_crds::condition::{READY, Reason};
use keystead_crds::{DatabaseConnection, DatabaseRole, SecretProvider};
use kube::ResourceExt as _;

/// Whether a role may take over the password of a user.
pub(super) fn check(world: &World, key: &Key, role: &DatabaseRole, user: &str) -> Result<(), Problem> {
    let connection = role::connection(world, key, role)?;
    permit(world, key, connection, user)?;
    let is_twin = |(other, twin): &(&Key, &std::sync::Arc<DatabaseRole>)| {
        let wants = twin
            .spec
            .r#static
            .as_ref()
            .is_some_and(|twin| twin.username == user);
        let is_other = wants && *other != key && is_older(twin.as_ref(), role);
        is_other
            && role::connection(world, other, twin).is_ok_and(|found| {
                found.spec.server() == connection.spec.server() && permit(world, other, found, user).is_ok()
            })
    };
    let Some((twin, _)) = world.database_roles().find(is_twin) else {
        return Ok(());
    };
    Err(Problem::new(
        Reason::Conflict,
        format!(
            "spec.static.username: DatabaseRole {}/{} is older and has {user} of this server already: one password has one keeper",
            twin.namespace, twin.name
        ),
    ))
}

/// The same, whatever other roles want.
fn permit(world: &World, key: &Key, connection: &DatabaseConnection, user: &str) -> Result<(), Problem> {
    let provider = role::admit(world, key, connection)?;
    let root = |message: String| Err(Problem::new(Reason::Invalid, message));
    if user == connection.spec.username {
        let name = connection.name_any();
        return root(format!(
            "spec.static.username: {user} is the user by whom DatabaseConnection {name} works, and Vault keeps its password already"
        ));
    }
    if !is_open(world, provider, &key.namespace, user) {
        return Err(Problem::new(
            Reason::NotPermitted,
            format!(
                "spec.static.username: SecretProvider {} does not open the user {user} to namespace {}: \
                 its spec.databases.staticUsers needs an entry for this user whose namespaces select this one",
                provider.name_any(),
                key.namespace
            ),
        ));
    }
    let server = connection.spec.server();
    let mut others = world.database_connections().map(|(_, other)| other);
    if others.any(|other| other.spec.server() == server && other.spec.username == user && works(other)) {
        return Err(Problem::new(
            Reason::Conflict,
            format!(
                "spec.static.username: {user} is the user by whom another DatabaseConnection to this server works, \
                 and Vault keeps its password already"
            ),
        ));
    }
    Ok(())
}

/// Whether the provider opens a user to a namespace.
fn is_open(world: &World, provider: &SecretProvider, namespace: &str, user: &str) -> bool {
    let mut users = provider.spec.databases.static_users.iter();
    users.any(|entry| {
        let fits = match entry.username.strip_suffix('*') {
            Some(beginning) => user.starts_with(beginning),
            None => user == entry.username,
        };
        fits && world.selects(&entry.namespaces, namespace)
    })
}

/// Whether Vault has logged in by a connection: without the password nobody can claim a user.
fn works(connection: &DatabaseConnection) -> bool {
    connection.status.as_ref().is_some_and(|status| {
        let mut conditions = status.basic.conditions.iter();
        status.root_rotated_at.is_some()
            || conditions.any(|found| found.type_ == READY && found.status == "True")
    })
}

#[cfg(test)]
mod tests;
