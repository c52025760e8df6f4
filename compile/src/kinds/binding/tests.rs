use super::*;
use crate::ProviderFacts;
use crate::fixtures::{binding, company, global, node, provider, world};
use std::sync::Arc;

fn shop() -> World {
    let mut world = world(
        [provider("p")],
        [global("g", "p"), company("acme", "p", "acme", 1)],
    );
    world.set_facts(
        "p",
        ProviderFacts {
            accessor: Some("auth_jwt_1".into()),
            ..ProviderFacts::default()
        },
    );
    world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
    add(&mut world, "one", "hubspot");
    world
}

fn add(world: &mut World, name: &str, service: &str) {
    let binding = binding("shop", name, "p", "web", service);
    world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
}

fn account() -> Account {
    Account {
        provider: "p".into(),
        namespace: "shop".into(),
        name: "web".into(),
    }
}

fn text(world: &World) -> String {
    match compile(world, &account()).unwrap() {
        Some([Object::Policy(policy), _]) => policy.text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_grants_the_services_in_the_scopes_and_no_more() {
    let text = text(&shop());
    let granted: Vec<_> = text.lines().filter(|line| line.contains("kv/data/")).collect();
    assert_eq!(
        granted,
        [
            r#"path "kv/data/keystead/production/company/acme/hubspot" { capabilities = ["read"] }"#,
            r#"path "kv/data/keystead/production/global/all/hubspot" { capabilities = ["read"] }"#,
            r#"path "kv/data/keystead/production/node/{{identity.entity.aliases.auth_jwt_1.name}}/hubspot" { capabilities = ["read"] }"#,
        ]
    );
}

#[test]
fn all_bindings_of_an_account_make_one_policy() {
    let mut world = shop();
    add(&mut world, "two", "openai");
    assert_eq!(text(&world).matches("/openai\"").count(), 6);
    world.set_binding(
        Key {
            namespace: "shop".into(),
            name: "one".into(),
        },
        None,
    );
    assert_eq!(text(&world).matches("/hubspot\"").count(), 0);
    world.set_binding(
        Key {
            namespace: "shop".into(),
            name: "two".into(),
        },
        None,
    );
    assert_eq!(compile(&world, &account()), Ok(None));
}

#[test]
fn a_namespace_that_leaves_its_company_loses_the_paths() {
    let mut world = shop();
    world.set_namespace("shop", Some([("company".to_owned(), "none".to_owned())].into()));
    assert!(!text(&world).contains("/company/"));
}

#[test]
fn a_role_lets_in_one_service_account() {
    let Some([_, Object::Role(role)]) = compile(&shop(), &account()).unwrap() else {
        panic!()
    };
    assert_eq!(
        (role.namespace.as_str(), role.service_account.as_str()),
        ("shop", "web")
    );
    assert_eq!(role.name, "keystead.c1.p.s.shop.web");
    assert_eq!(role.policy, role.name);
}

#[test]
fn node_scopes_that_can_not_serve_are_said() {
    let mut world = shop();
    let key = Key {
        namespace: "shop".into(),
        name: "one".into(),
    };
    let said = |world: &World| unserved_nodes(world, world.binding(&key).unwrap());
    for name in ["n1", "n2", "n3"] {
        world.set_scope(name, Some(Arc::new(node(name, "p", name))));
    }
    assert_eq!(said(&world), None, "a Jwt provider serves them");
    let mut kubernetes = provider("p");
    kubernetes.spec.workload_auth.method = WorkloadMethod::Kubernetes;
    world.set_provider("p", Some(Arc::new(kubernetes)));
    let message = said(&world).unwrap();
    assert!(message.contains("(SecretScope n1 and 2 more)"), "{message}");
    assert!(
        message.contains("Node scopes need workloadAuth.method Jwt"),
        "{message}"
    );
    for name in ["n1", "n2", "n3"] {
        world.set_scope(name, None);
    }
    assert_eq!(said(&world), None);
}

#[test]
fn a_name_of_another_spelling_gives_nothing() {
    let mut world = shop();
    let binding = binding("shop", "upper", "p", "WEB", "hubspot");
    let key = Key::of(&binding);
    world.set_binding(key.clone(), Some(Arc::new(binding)));
    let upper = Account {
        name: "WEB".into(),
        ..account()
    };
    assert_eq!(compile(&world, &upper), Ok(None));
    assert!(!can_exist(&upper) && can_exist(&account()));
    assert_eq!(
        check(&world, &key, world.binding(&key).unwrap())
            .unwrap_err()
            .reason,
        Reason::Invalid
    );
}

#[test]
fn what_the_api_server_refuses_gives_nothing() {
    for bad in [
        "*",
        "+",
        "a*",
        "{{identity.entity.id}}",
        "a/b",
        "..",
        "UP",
        "a\"",
        "a\n",
        "",
    ] {
        let mut world = shop();
        let before = text(&world);
        add(&mut world, "two", bad);
        assert_eq!(text(&world), before, "service {bad:?}");

        let mut scope = company("acme", "p", "acme", 1);
        scope.spec.id = Some(bad.into());
        world.set_scope("acme", Some(Arc::new(scope)));
        assert!(!text(&world).contains("/company/"), "company {bad:?}");

        let mut named = provider("p");
        named.spec.vault.path_prefix = format!("{bad}/");
        world.set_provider("p", Some(Arc::new(named)));
        assert_eq!(
            compile(&world, &account()).unwrap_err().reason,
            Reason::Invalid,
            "prefix {bad:?}"
        );
    }
}

#[test]
fn a_provider_that_does_not_admit_the_namespace_gives_nothing() {
    let mut world = shop();
    let mut provider = provider("p");
    provider.spec.namespaces = company("x", "p", "other", 1)
        .spec
        .members
        .unwrap()
        .namespace_selector;
    world.set_provider("p", Some(Arc::new(provider)));
    assert_eq!(compile(&world, &account()), Ok(None));
    let key = Key {
        namespace: "shop".into(),
        name: "one".into(),
    };
    let problem = check(&world, &key, world.binding(&key).unwrap()).unwrap_err();
    assert_eq!(problem.reason, Reason::NotPermitted);
}
