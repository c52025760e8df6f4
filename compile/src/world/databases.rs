//! The databases that are declared.

use super::{World, set};
use crate::Key;
use keystead_crds::{DatabaseConnection, DatabaseRole};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Connections and roles.
#[derive(Default)]
pub(super) struct Databases {
    connections: BTreeMap<Key, Arc<DatabaseConnection>>,
    roles: BTreeMap<Key, Arc<DatabaseRole>>,
}

impl World {
    /// Puts a connection in, or takes it out; answers what stood there.
    pub fn set_database_connection(
        &mut self,
        key: Key,
        object: Option<Arc<DatabaseConnection>>,
    ) -> Option<Arc<DatabaseConnection>> {
        set(&mut self.databases.connections, key, object)
    }

    /// Puts a role in, or takes it out; answers what stood there.
    pub fn set_database_role(
        &mut self,
        key: Key,
        object: Option<Arc<DatabaseRole>>,
    ) -> Option<Arc<DatabaseRole>> {
        set(&mut self.databases.roles, key, object)
    }

    /// A connection.
    pub fn database_connection(&self, key: &Key) -> Option<&Arc<DatabaseConnection>> {
        self.databases.connections.get(key)
    }

    /// A role.
    pub fn database_role(&self, key: &Key) -> Option<&Arc<DatabaseRole>> {
        self.databases.roles.get(key)
    }

    /// Every connection.
    pub fn database_connections(&self) -> impl Iterator<Item = (&Key, &Arc<DatabaseConnection>)> {
        self.databases.connections.iter()
    }

    /// Every role.
    pub fn database_roles(&self) -> impl Iterator<Item = (&Key, &Arc<DatabaseRole>)> {
        self.databases.roles.iter()
    }

    /// The roles that name a connection.
    pub fn database_roles_of<'a>(
        &'a self,
        connection: &'a Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<DatabaseRole>)> {
        let first = Key::new(&connection.namespace, "");
        self.databases
            .roles
            .range(first..)
            .take_while(|(key, _)| key.namespace == connection.namespace)
            .filter(|(_, role)| role.spec.connection_ref.name == connection.name)
    }
}
