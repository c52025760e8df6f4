use super::*;
use crate::fixtures::{binding, company, global, provider, world};
use keystead_crds::sidecar::SecretSource;
use keystead_vault::resolve::{Origin, Resolved, Secret};
use serde_json::{Value, json};
use std::sync::Arc;

/// A world where namespace shop is of acme, and provider `p` opens `secret` to all.
fn shop() -> World {
    let mut provider = provider("p");
    provider.spec.allowed_paths =
        serde_json::from_value(json!([{"prefix": "secret", "namespaces": {}}])).unwrap();
    let mut world = world([provider], [global("g", "p"), company("acme", "p", "acme", 1)]);
    world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
    world.set_namespace("other", Some([("company".to_owned(), "none".to_owned())].into()));
    world
}

fn synced(namespace: &str, name: &str, secrets: &Value) -> SecretBinding {
    let mut binding = binding(namespace, name, "p", "web", "hubspot");
    binding.spec.secrets = serde_json::from_value(secrets.clone()).unwrap();
    binding.spec.sync = Some(serde_json::from_value(json!({"secretName": "native"})).unwrap());
    binding
}

fn native(secrets: &Value) -> Native {
    let binding = synced("shop", "b", secrets);
    compile(&shop(), &Key::of(&binding), &binding).unwrap().unwrap()
}

fn found(pairs: &[(&str, &[(&str, &str)])]) -> Secrets {
    let resolved = |value: &str| Resolved {
        value: value.into(),
        origin: Origin::Path,
        version: None,
        ends: None,
    };
    let secret = |keys: &[(&str, &str)]| Secret {
        refused: None,
        keys: keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), resolved(value)))
            .collect(),
        searched: vec![ScopeName {
            level: Level::Global,
            id: None,
        }],
    };
    pairs
        .iter()
        .map(|(service, keys)| (SecretSource::Service((*service).to_owned()), secret(keys)))
        .collect()
}

#[test]
fn values_come_from_the_scopes_that_all_nodes_share() {
    let native = native(&json!([
        {"name": "crm", "service": "hubspot"},
        {"name": "again", "service": "hubspot", "keys": ["a"]},
        {"name": "app", "path": "secret/data/app"},
    ]));
    let paths: Vec<&str> = native.sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "kv/data/keystead/production/company/acme/hubspot",
            "kv/data/keystead/production/global/all/hubspot",
            "secret/data/app",
        ]
    );
    assert_eq!(
        (native.key.namespace.as_str(), native.key.name.as_str()),
        ("shop", "native")
    );
    let plain = binding("shop", "b", "p", "web", "hubspot");
    assert!(compile(&shop(), &Key::of(&plain), &plain).unwrap().is_none());
}

#[test]
fn a_path_that_is_not_permitted_is_not_read() {
    let binding = synced(
        "shop",
        "b",
        &json!([{"name": "app", "path": "kv/data/keystead/production/x"}]),
    );
    let problem = compile(&shop(), &Key::of(&binding), &binding).unwrap_err();
    assert_eq!(problem.reason, Reason::NotPermitted);
}

#[test]
fn all_keys_are_in_it_under_their_own_names() {
    let native = native(&json!([
        {"name": "crm", "service": "hubspot", "keys": ["api_key"]},
        {"name": "db", "service": "postgres"},
        {"name": "none", "service": "none", "optional": true},
    ]));
    let secrets = found(&[
        ("hubspot", &[("api_key", "k"), ("password", "x")]),
        ("postgres", &[("password", "p"), ("user", "")]),
        ("none", &[]),
    ]);
    let data = data(&native, &secrets).unwrap();
    let pairs: Vec<String> = data
        .iter()
        .map(|(key, value)| format!("{key}={}", value.expose()))
        .collect();
    assert_eq!(pairs, ["api_key=k", "password=p", "user="]);
}

#[test]
fn what_can_not_be_in_one_is_said() {
    let crm = json!([{"name": "crm", "service": "hubspot"}]);
    let both = json!([{"name": "crm", "service": "hubspot"}, {"name": "db", "service": "postgres"}]);
    let long = "x".repeat(LARGEST + 1);
    let of = |pairs: &[(&str, &str)]| found(&[("hubspot", pairs), ("postgres", &[("password", "p")])]);
    for (secrets, found, reason, wanted) in [
        (
            &both,
            of(&[("password", "x")]),
            Reason::Invalid,
            "spec.sync: crm and db of spec.secrets both have a key password",
        ),
        (
            &crm,
            of(&[]),
            Reason::NotFound,
            "spec.secrets[crm]: no value for hubspot in global",
        ),
        (
            &crm,
            of(&[("a/b", "x")]),
            Reason::Invalid,
            "\"a/b\" of spec.secrets[crm] can't be a key of a Secret",
        ),
        (
            &crm,
            of(&[("..x", "x")]),
            Reason::Invalid,
            "leave it out by spec.secrets[crm].keys",
        ),
        (
            &crm,
            of(&[("a", &long)]),
            Reason::Invalid,
            "the values have 1048577 bytes",
        ),
    ] {
        let problem = data(&native(secrets), &found).unwrap_err();
        assert_eq!(problem.reason, reason, "{problem}");
        assert!(problem.message.contains(wanted), "{wanted}: {problem}");
        assert!(!problem.message.contains("xx"), "a value is in it");
    }
}

#[test]
fn a_write_feeds_whoever_sees_its_scope() {
    let mut world = shop();
    let plain = binding("shop", "plain", "p", "web", "hubspot");
    let hubspot = json!([{"name": "crm", "service": "hubspot"}]);
    for binding in [
        synced("shop", "one", &hubspot),
        synced("other", "two", &hubspot),
        synced("shop", "three", &json!([{"name": "db", "service": "postgres"}])),
        plain,
    ] {
        world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
    }
    let provider = world.provider("p").unwrap().clone();
    let fed = |level, id: Option<&str>| {
        let path = KvPath::new(&provider::kv_base(&provider), level, id, "hubspot");
        let keys = fed_by(&world, &provider, &path).into_iter();
        keys.map(|key| key.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(fed(Level::Global, None), "two one");
    assert_eq!(fed(Level::Company, Some("acme")), "one");
    assert_eq!(fed(Level::Company, Some("globex")), "");
    assert_eq!(fed(Level::Node, Some("n1")), "");
}
