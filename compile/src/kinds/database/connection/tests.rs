use super::*;
use crate::fixtures::{database_role, database_world};
use serde_json::json;
use std::sync::Arc;

fn compiled(world: &World) -> Result<Connection, Problem> {
    let key = Key::new("shop", "orders");
    compile(world, &key, world.database_connection(&key).unwrap())
}

/// The world with other hosts, other fields of the connection's spec and other parts of its object.
fn with(hosts: serde_json::Value, change: impl FnOnce(&mut DatabaseConnection)) -> World {
    let mut world = database_world();
    let mut provider = SecretProvider::clone(world.provider("p").unwrap());
    provider.spec.databases.hosts = serde_json::from_value(hosts).unwrap();
    world.set_provider("p", Some(Arc::new(provider)));
    let key = Key::new("shop", "orders");
    let mut connection = DatabaseConnection::clone(world.database_connection(&key).unwrap());
    change(&mut connection);
    world.set_database_connection(key, Some(Arc::new(connection)));
    world
}

#[test]
fn its_roles_are_those_that_name_it() {
    let mut world = database_world();
    for (namespace, name, of) in [
        ("shop", "readers", "orders"),
        ("shop", "others", "another"),
        ("hr", "thieves", "orders"),
    ] {
        let role = database_role(namespace, name, of, &json!({"dynamic": {"preset": "readOnly"}}));
        world.set_database_role(Key::of(&role), Some(Arc::new(role)));
    }
    let found = compiled(&world).unwrap();
    assert_eq!(found.name, "keystead.c1.p.c.shop.orders");
    assert_eq!(found.allowed_roles, ["keystead.c1.p.d.shop.readers"]);
    assert_eq!((found.port, found.root), (5432, Root::Given));
}

#[test]
fn only_hosts_that_are_opened_to_the_namespace_are_connected_to() {
    let all = json!({});
    let none = json!({"matchLabels": {"nobody": "has"}});
    for (hosts, works) in [
        (json!([]), false),
        (json!([{"host": "db.example.com", "namespaces": all}]), true),
        (json!([{"host": "*.example.com", "namespaces": all}]), true),
        (json!([{"host": "*.db.example.com", "namespaces": all}]), false),
        (json!([{"host": "example.com", "namespaces": all}]), false),
        (json!([{"host": "db.example.com", "namespaces": none}]), false),
        (
            json!([{"host": "db.example.com", "namespaces": none}, {"host": "*.example.com", "namespaces": all}]),
            false,
        ),
    ] {
        let result = compiled(&with(hosts.clone(), |_| {}));
        assert_eq!(result.is_ok(), works, "{hosts}");
        let permitted = result
            .err()
            .is_none_or(|problem| problem.reason == Reason::NotPermitted);
        assert!(permitted, "{hosts}");
    }
    // `*.example.com` is below the domain, at a dot.
    let hosts = json!([{"host": "*.example.com", "namespaces": all}]);
    let evil = with(hosts, |connection| {
        connection.spec.host = "evilexample.com".into();
    });
    assert!(compiled(&evil).is_err());
}

#[test]
fn what_would_mean_something_else_in_a_url_is_refused() {
    let hosts = json!([{"host": "*.example.com", "namespaces": {}}]);
    for host in [
        "evil.net/x.example.com",
        "a@b.example.com",
        "a:1.example.com",
        "a?x=.example.com",
    ] {
        let world = with(hosts.clone(), |connection| connection.spec.host = host.into());
        assert_eq!(compiled(&world).unwrap_err().reason, Reason::Invalid, "{host}");
    }
    let hosts = json!([{"host": "db.example.com", "namespaces": {}}]);
    let world = with(hosts, |connection| {
        connection.spec.database = Some("a?host=evil".into());
    });
    assert_eq!(compiled(&world).unwrap_err().reason, Reason::Invalid);
}

#[test]
fn the_password_is_asked_for_again_once_for_each_value() {
    let hosts = || json!([{"host": "db.example.com", "namespaces": {}}]);
    let root = |asked: Option<&str>, followed: Option<&str>, rotated: bool| {
        let world = with(hosts(), |connection| {
            let asked = asked.map(|asked| (ROOT_PASSWORD_ANNOTATION.to_owned(), asked.to_owned()));
            connection.metadata.annotations = Some(asked.into_iter().collect());
            let rotated = rotated.then(|| json!("2026-01-02T03:04:05Z"));
            let status = json!({"rootPassword": followed, "rootRotatedAt": rotated});
            connection.status = Some(serde_json::from_value(status).unwrap());
        });
        compiled(&world).unwrap().root
    };
    assert_eq!(root(None, None, false), Root::Given);
    assert_eq!(root(None, None, true), Root::Rotated);
    assert_eq!(root(Some("1"), None, true), Root::Again);
    assert_eq!(root(Some("1"), Some("1"), true), Root::Rotated);
    assert_eq!(root(Some("2"), Some("1"), true), Root::Again);
}
