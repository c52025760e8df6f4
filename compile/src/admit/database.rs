//! `DatabaseConnection` and `DatabaseRole`: of hosts and statements that the provider opens to the namespace.

use super::Admit;
use crate::kinds::database::{connection, role};
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::{DatabaseConnection, DatabaseRole};

impl Admit for DatabaseConnection {
    fn problems(&self, world: &World) -> Vec<Problem> {
        let key = Key::of(self);
        let compiled = connection::compile(world, &key, self).map(drop);
        told(world, &key, Some(&self.spec.provider_ref.name), compiled)
    }
}

impl Admit for DatabaseRole {
    fn problems(&self, world: &World) -> Vec<Problem> {
        let key = Key::of(self);
        let provider = role::provider_name(world, &key, self);
        told(world, &key, provider, role::compile(world, &key, self).map(drop))
    }
}

/// What is wrong, unless it merely waits: for a provider, a connection, the namespace's labels. Another
/// operator's webhook sees to its own.
fn told(world: &World, key: &Key, provider: Option<&str>, compiled: Result<(), Problem>) -> Vec<Problem> {
    let ours = provider.is_some_and(|name| world.provider(name).is_some() && !world.is_foreign(name));
    let told = compiled
        .err()
        .filter(|problem| problem.reason != Reason::NotFound);
    told.filter(|_| ours && world.knows(&key.namespace))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{database_role, database_world};
    use serde_json::json;

    #[test]
    fn a_host_and_statements_that_are_not_opened_are_refused() {
        let world = database_world();
        let key = Key::new("shop", "orders");
        let mut connection = DatabaseConnection::clone(world.database_connection(&key).unwrap());
        assert!(connection.problems(&world).is_empty());
        connection.spec.host = "elsewhere.example.com".into();
        assert_eq!(connection.problems(&world)[0].reason, Reason::NotPermitted);
        connection.spec.provider_ref.name = "later".into();
        assert!(connection.problems(&world).is_empty(), "it waits");

        let own = json!({"dynamic": {"creationStatements": ["DROP DATABASE orders"]}});
        let role = database_role("shop", "users", "orders", &own);
        assert_eq!(role.problems(&world)[0].reason, Reason::NotPermitted);
        let role = database_role("shop", "users", "later", &own);
        assert!(role.problems(&world).is_empty(), "it waits");
    }
}
