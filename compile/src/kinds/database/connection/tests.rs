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
fn only_ports_that_are_opened_are_connected_to() {
    for (ports, port, works) in [
        (json!([]), None, true),
        (json!([]), Some(5432), true),
        (json!([]), Some(5433), false),
        (json!([5433]), Some(5433), true),
        (json!([5433]), None, false),
    ] {
        let hosts = json!([{"host": "db.example.com", "namespaces": {}, "ports": ports}]);
        let result = compiled(&with(hosts, |connection| connection.spec.port = port));
        assert_eq!(result.is_ok(), works, "{ports} {port:?}");
        let problem = result.err();
        let says_why = problem.is_none_or(|problem| {
            problem.reason == Reason::NotPermitted && problem.message.contains("does not open port")
        });
        assert!(says_why, "{ports} {port:?}");
    }
}

#[test]
fn what_is_refused_is_taken_back() {
    let roles = |world: &mut World| {
        for (name, fields) in [
            (
                "own",
                json!({"dynamic": {"creationStatements": ["CREATE ROLE a"]}}),
            ),
            ("reader", json!({"dynamic": {"preset": "readOnly"}})),
        ] {
            let role = database_role("shop", name, "orders", &fields);
            world.set_database_role(Key::of(&role), Some(Arc::new(role)));
        }
    };
    let mut world = database_world();
    roles(&mut world);
    let allowed = compiled(&world).unwrap().allowed_roles;
    assert_eq!(
        allowed,
        ["keystead.c1.p.d.shop.reader"],
        "one may bring no statements"
    );
    let (key, own) = (Key::new("shop", "orders"), Key::new("shop", "own"));
    let role = world.database_role(&own).unwrap();
    let problem = role::compile(&world, &own, role).unwrap_err();
    let gone = role::withdrawal(&world, &own, role, &problem);
    assert_eq!(gone.unwrap().name, "keystead.c1.p.d.shop.own");

    let mut world = with(json!([]), |_| {});
    roles(&mut world);
    let object = world.database_connection(&key).unwrap();
    let problem = compiled(&world).unwrap_err();
    let closed = closed(&world, &key, object, &problem).unwrap();
    assert_eq!(closed.name, "keystead.c1.p.c.shop.orders");
    assert_eq!(super::roles(&world, &key).count(), 0);

    // Nothing is taken back on the word of labels that are not known.
    world.set_namespace("shop", None);
    let object = world.database_connection(&key).unwrap();
    assert!(super::closed(&world, &key, object, &problem).is_none());
    // Nor for a mistake.
    let mistake = Problem::new(Reason::Invalid, "");
    assert!(super::closed(&database_world(), &key, object, &mistake).is_none());
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
