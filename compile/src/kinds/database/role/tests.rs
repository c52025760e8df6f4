use super::*;
use crate::fixtures::{binding, database_role, database_world};
use crate::kinds::binding::{Account, compile as access};
use keystead_vault::object::Object;
use serde_json::{Value, json};

fn compiled(world: &World, spec: &Value) -> Result<Role, Problem> {
    let role = database_role("shop", "users", "orders", spec);
    compile(world, &Key::of(&role), &role)
}

#[test]
fn users_are_members_of_a_group() {
    let world = database_world();
    let role = compiled(
        &world,
        &json!({"dynamic": {"preset": "readWrite", "schema": "sales"}}),
    )
    .unwrap();
    assert_eq!(role.name, "keystead.c1.p.d.shop.users");
    assert_eq!(role.connection, "keystead.c1.p.c.shop.orders");
    let RoleKind::Dynamic {
        creation,
        revocation,
        default_ttl,
        max_ttl,
    } = role.kind
    else {
        panic!()
    };
    assert!(
        creation[1].ends_with("IN ROLE \"keystead:orders:sales:write\";"),
        "{creation:?}"
    );
    assert!(creation[0].contains("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"sales\""));
    assert!(creation.concat().contains("{{name}}") && revocation[0].contains("pg_terminate_backend"));
    assert_eq!(
        (default_ttl, max_ttl),
        (Duration::from_hours(1), Duration::from_hours(24))
    );
}

#[test]
fn statements_need_leave_of_the_provider() {
    let own = json!({"dynamic": {"creationStatements": ["CREATE ROLE \"{{name}}\""]}});
    let mut world = database_world();
    let problem = compiled(&world, &own).unwrap_err();
    assert_eq!(problem.reason, Reason::NotPermitted);
    assert!(
        problem.message.contains("spec.databases.freeStatements"),
        "{problem}"
    );
    let mut provider = SecretProvider::clone(world.provider("p").unwrap());
    provider.spec.databases.free_statements = serde_json::from_value(json!({})).unwrap();
    world.set_provider("p", Some(Arc::new(provider)));
    assert!(compiled(&world, &own).is_ok());
}

#[test]
fn what_is_the_servers_own_is_granted_to_nobody() {
    for schema in ["pg_catalog", "information_schema"] {
        let asked = json!({"dynamic": {"preset": "readOnly", "schema": schema}});
        let problem = compiled(&database_world(), &asked).unwrap_err();
        assert_eq!(problem.reason, Reason::NotPermitted);
        assert!(problem.message.contains(schema), "{problem}");
    }
}

#[test]
fn one_whose_connection_is_gone_is_taken_away_where_it_was() {
    let mut world = database_world();
    let mut role = database_role(
        "shop",
        "users",
        "gone",
        &json!({"dynamic": {"preset": "readOnly"}}),
    );
    let key = Key::of(&role);
    assert_eq!(removal(&world, &key, &role).unwrap_err().reason, Reason::NotFound);
    role.status = Some(serde_json::from_value(json!({"provider": "p"})).unwrap());
    assert_eq!(
        removal(&world, &key, &role).unwrap().name,
        "keystead.c1.p.d.shop.users"
    );
    assert_eq!(compile(&world, &key, &role).unwrap_err().reason, Reason::NotFound);
    world.set_provider("p", None);
    assert_eq!(removal(&world, &key, &role).unwrap_err().reason, Reason::NotFound);
}

#[test]
fn a_binding_grants_the_roles_of_its_namespace_alone() {
    let mut world = database_world();
    for (namespace, name) in [("shop", "users"), ("hr", "salaries")] {
        let role = database_role(
            namespace,
            name,
            "orders",
            &json!({"dynamic": {"preset": "readOnly"}}),
        );
        world.set_database_role(Key::of(&role), Some(Arc::new(role)));
    }
    let mut web = binding("shop", "web", "p", "web", "hubspot");
    let secrets =
        json!([{"name": "db", "databaseRole": "users"}, {"name": "hr", "databaseRole": "salaries"}]);
    web.spec.secrets = serde_json::from_value(secrets).unwrap();
    world.set_binding(Key::of(&web), Some(Arc::new(web.clone())));
    let account = Account {
        provider: "p".into(),
        namespace: "shop".into(),
        name: "web".into(),
    };
    world.set_facts(
        "p",
        crate::ProviderFacts {
            accessor: Some("a".into()),
            ..crate::ProviderFacts::default()
        },
    );
    let Some([Object::Policy(policy), _]) = access(&world, &account).unwrap() else {
        panic!()
    };
    let lines: Vec<&str> = policy
        .text
        .lines()
        .filter(|line| line.contains("database/"))
        .collect();
    assert!(
        lines[0].starts_with("path \"database/creds/keystead.c1.p.d.shop.users\""),
        "{lines:?}"
    );
    assert!(!policy.text.contains("salaries"), "{}", policy.text);
    let problem = crate::kinds::binding::check(&world, &Key::of(&web), &web).unwrap_err();
    assert!(
        problem
            .message
            .contains("spec.secrets[hr].databaseRole: DatabaseRole salaries not found")
    );
}
