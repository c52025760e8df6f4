use super::*;
use crate::fixtures::{provider, world};
use keystead_crds::provider::{Environment, OperatorAuth};
use serde_json::json;

fn messages(world: &World, provider: &SecretProvider) -> Vec<String> {
    provider
        .problems(world)
        .into_iter()
        .map(|problem| problem.message)
        .collect()
}

fn alone() -> World {
    world([], [])
}

fn with_paths(prefixes: &[&str]) -> SecretProvider {
    let mut provider = provider("p");
    provider.spec.allowed_paths = prefixes
        .iter()
        .map(|prefix| AllowedPath {
            prefix: (*prefix).to_owned(),
            namespaces: <_>::default(),
            methods: Vec::new(),
        })
        .collect();
    provider
}

#[test]
fn a_good_one_is_let_through() {
    let provider = with_paths(&[
        "secret/data/team-a",
        "kv/data/keystead-old",
        "kv/data/keystea",
        "kv/data",
        "kv2",
        "database/creds",
    ]);
    assert_eq!(messages(&alone(), &provider), Vec::<String>::new());
    let mut world = alone();
    world.set_provider("p", Some(provider.clone().into()));
    assert_eq!(
        messages(&world, &provider),
        Vec::<String>::new(),
        "it is no neighbour of itself"
    );
}

#[test]
fn the_operator_needs_a_mount_of_its_own() {
    let mut provider = provider("p");
    let auth = |mount| -> OperatorAuth {
        serde_json::from_value(json!({"jwt": {"mount": mount, "role": "r"}})).unwrap()
    };
    provider.spec.vault.auth = auth(Some("jwt-c1"));
    assert_eq!(
        messages(&alone(), &provider),
        [
            "spec.vault.auth.jwt.mount: jwt-c1 is spec.workloadAuth.mount too, and the operator keeps that mount's keys; \
             give the operator a mount of its own"
        ]
    );
    provider.spec.vault.auth = auth(None);
    assert_eq!(messages(&alone(), &provider), Vec::<String>::new());
    provider.spec.workload_auth.mount = "jwt".into();
    assert_eq!(messages(&alone(), &provider).len(), 1, "the default counts");
}

#[test]
fn a_bundle_holds_certificates() {
    let mut provider = provider("p");
    for bad in [
        "",
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        provider.spec.vault.ca_bundle = Some(bad.into());
        assert_eq!(
            messages(&alone(), &provider),
            ["spec.vault.caBundle holds no certificate: expected one or more PEM blocks 'BEGIN CERTIFICATE'"],
            "{bad}"
        );
    }
    let good = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    provider.spec.vault.ca_bundle = Some(good.into());
    assert_eq!(messages(&alone(), &provider), Vec::<String>::new());
}

#[test]
fn two_do_not_share_a_place() {
    let world = world([provider("first")], []);
    let mut second = provider("second");
    second.spec.vault.address = "HTTPS://Vault:8200".into();
    let why = "spec.vault: SecretProvider first has the same address, namespace, mounts.kv, pathPrefix and environment, \
               and both would write the same paths: use that one, or another pathPrefix";
    assert_eq!(messages(&world, &second), [why]);
    let differ: [fn(&mut SecretProvider); 5] = [
        |second| second.spec.environment = Environment::Testing,
        |second| second.spec.vault.address = "https://vault:8201".into(),
        |second| second.spec.vault.namespace = Some("team".into()),
        |second| second.spec.vault.mounts.kv = "kv2".into(),
        |second| second.spec.vault.path_prefix = "other".into(),
    ];
    for change in differ {
        let mut second = provider("second");
        change(&mut second);
        assert_eq!(messages(&world, &second), Vec::<String>::new());
    }
}

#[test]
fn no_path_opens_what_scopes_keep_apart() {
    for bad in [
        "kv/data/keystead",
        "kv/data/keystead/production/company/acme",
        "kv/metadata/keystead/production",
        "kv/subkeys/keystead",
    ] {
        let messages = messages(&alone(), &with_paths(&[bad]));
        let why = format!(
            "spec.allowedPaths[{bad}].prefix: kv/data/keystead is where SecretProvider p keeps its values, which bindings \
             name as services: give a path outside of it"
        );
        assert_eq!(messages, [why], "{bad}");
    }
    // Nor a neighbour's.
    let mut other = provider("other");
    other.spec.vault.path_prefix = "theirs".into();
    other.spec.vault.mounts.kv = "team/kv".into();
    let world = world([other], []);
    let refused = messages(&world, &with_paths(&["team/kv/data/theirs/production"]));
    assert!(refused[0].contains("team/kv/data/theirs is where SecretProvider other keeps its values"));
    assert_eq!(
        messages(&world, &with_paths(&["team/kv/data/ours"])),
        Vec::<String>::new()
    );
    // Two addresses may be one server, and a path may lead into a Vault namespace below.
    let mut below = provider("below");
    below.spec.vault.address = "https://by-another-name:8200".into();
    below.spec.vault.namespace = Some("team/".into());
    let world = self::world([below], []);
    let refused = messages(&world, &with_paths(&["team/kv/data/keystead"]));
    assert!(refused[0].contains("kv/data/keystead is where SecretProvider below keeps its values"));
    // What it kept before is its own no more.
    let mut world = alone();
    world.set_provider("p", Some(provider("p").into()));
    let mut moved = with_paths(&["kv/data/keystead"]);
    moved.spec.vault.path_prefix = "new".into();
    assert_eq!(messages(&world, &moved), Vec::<String>::new());
}

#[test]
fn another_operators_provider_is_left_alone() {
    let mut foreign = with_paths(&["kv/data/keystead"]);
    foreign.spec.class = "another".into();
    assert_eq!(messages(&alone(), &foreign), Vec::<String>::new());
}
