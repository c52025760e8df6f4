use super::*;
use crate::fixtures::{created, database_connection, database_role, database_world};
use serde_json::json;
use std::sync::Arc;

/// A static role in the world, made at a second.
fn role(world: &mut World, namespace: &str, name: &str, user: &str, age: i64) -> (Key, Arc<DatabaseRole>) {
    let fields = json!({"static": {"username": user}});
    let mut role = database_role(namespace, name, "orders", &fields);
    role.metadata.creation_timestamp = Some(created(age));
    let (key, role) = (Key::of(&role), Arc::new(role));
    world.set_database_role(key.clone(), Some(Arc::clone(&role)));
    (key, role)
}

fn connect(world: &mut World, change: impl FnOnce(&mut DatabaseConnection)) {
    let mut connection = database_connection("hr", "orders");
    connection.spec.username = "hr-root".into();
    change(&mut connection);
    world.set_database_connection(Key::of(&connection), Some(Arc::new(connection)));
}

fn reason(world: &World, role: &(Key, Arc<DatabaseRole>)) -> Option<Reason> {
    let compiled = role::compile(world, &role.0, &role.1);
    compiled.err().map(|problem| problem.reason)
}

#[test]
fn only_users_that_are_opened_to_the_namespace_are_taken_over() {
    let mut world = database_world();
    connect(&mut world, |_| {});
    for (namespace, user, expected) in [
        ("shop", "legacy", None),
        ("hr", "legacy", None),
        ("shop", "legacy2", Some(Reason::NotPermitted)),
        ("shop", "app-web", None),
        ("hr", "app-web", Some(Reason::NotPermitted)),
        ("shop", "postgres", Some(Reason::NotPermitted)),
        ("shop", "root", Some(Reason::Invalid)),
    ] {
        let mut world = database_world();
        connect(&mut world, |_| {});
        let role = role(&mut world, namespace, "a", user, 1);
        assert_eq!(reason(&world, &role), expected, "{namespace} {user}");
    }
}

#[test]
fn one_user_of_a_server_has_one_keeper_the_oldest() {
    let mut world = database_world();
    connect(&mut world, |_| {});
    let younger = role(&mut world, "hr", "a", "legacy", 2);
    assert_eq!(reason(&world, &younger), None);
    let older = role(&mut world, "shop", "b", "legacy", 1);
    assert_eq!(reason(&world, &older), None);
    assert_eq!(reason(&world, &younger), Some(Reason::Conflict));
    // Of one second, and of one name.
    let twin = role(&mut world, "shop", "a", "legacy", 2);
    world.set_database_role(older.0, None);
    assert_eq!(reason(&world, &younger), None);
    assert_eq!(reason(&world, &twin), Some(Reason::Conflict));
    // Another server has another user by that name.
    connect(&mut world, |connection| {
        connection.spec.host = "other.example.com".into();
    });
    assert_eq!(reason(&world, &twin), None);
}

#[test]
fn a_role_that_is_refused_keeps_nobody_out() {
    let mut world = database_world();
    connect(&mut world, |_| {});
    role(&mut world, "hr", "a", "app-web", 1);
    let younger = role(&mut world, "shop", "b", "app-web", 2);
    assert_eq!(reason(&world, &younger), None);
}

#[test]
fn the_root_of_a_connection_that_works_is_nobodys_static_user() {
    let mut world = database_world();
    let role = role(&mut world, "shop", "a", "legacy", 1);
    // Whoever has not logged in yet claims nothing.
    connect(&mut world, |connection| {
        connection.spec.username = "legacy".into();
    });
    assert_eq!(reason(&world, &role), None);
    let works = |connection: &mut DatabaseConnection| {
        connection.spec.username = "legacy".into();
        let status = json!({"rootRotatedAt": "2026-01-02T03:04:05Z"});
        connection.status = Some(serde_json::from_value(status).unwrap());
    };
    connect(&mut world, works);
    assert_eq!(reason(&world, &role), Some(Reason::Conflict));
    connect(&mut world, |connection| {
        works(connection);
        connection.spec.port = Some(6432);
    });
    assert_eq!(reason(&world, &role), None, "another server");
}
