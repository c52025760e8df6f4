use super::*;
use crate::fixtures::{provider, world};
use keystead_vault::hcl::Paths;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

/// Provider `p` opens `secret/data/team-a` to namespaces of team a, and everything of `kv` to all.
fn opened() -> World {
    let mut provider = provider("p");
    provider.spec.allowed_paths = serde_json::from_value(json!([
        {"prefix": "secret/data/team-a", "namespaces": {"matchLabels": {"team": "a"}}},
        {"prefix": "kv", "namespaces": {}},
        {"prefix": "below", "namespaces": {}},
    ]))
    .unwrap();
    let mut world = world([provider], []);
    for (namespace, team) in [("shop", "a"), ("other", "b")] {
        world.set_namespace(namespace, Some([("team".to_owned(), team.to_owned())].into()));
    }
    world
}

fn asked(world: &World, namespace: &str, path: &str) -> Result<ApiPath, Problem> {
    permitted(
        world,
        world.provider("p").unwrap(),
        namespace,
        path,
        PathMethod::Get,
    )
}

fn refused(world: &World, namespace: &str, path: &str) -> (Reason, String) {
    let problem = asked(world, namespace, path).expect_err(path);
    (problem.reason, problem.message)
}

#[test]
fn a_method_is_opened_by_its_name() {
    let mut world = opened();
    let mut provider = provider("p");
    provider.spec.allowed_paths = serde_json::from_value(json!([
        {"prefix": "pki/issue/web", "namespaces": {}, "methods": ["Post"]},
        {"prefix": "both", "namespaces": {}, "methods": ["Get", "Post"]},
        {"prefix": "secret/data/app", "namespaces": {}},
        {"prefix": "kv", "namespaces": {}, "methods": ["Get", "Post"]},
    ]))
    .unwrap();
    world.set_provider("p", Some(Arc::new(provider)));
    let may = |path, method| {
        let asked = permitted(&world, world.provider("p").unwrap(), "shop", path, method);
        asked.map_or_else(|problem| problem.message, |path| path.to_string())
    };
    for (path, method) in [
        ("pki/issue/web", PathMethod::Post),
        ("both/a", PathMethod::Get),
        ("both/a", PathMethod::Post),
        ("secret/data/app", PathMethod::Get),
    ] {
        assert_eq!(may(path, method), path);
    }
    for (path, method) in [
        ("pki/issue/web", PathMethod::Get),
        ("secret/data/app", PathMethod::Post),
    ] {
        let wanted = format!(
            "SecretProvider p does not open {path} to namespace shop by method {method:?}: the entry of its \
             spec.allowedPaths needs {method:?} among its methods"
        );
        assert_eq!(may(path, method), wanted);
    }
}

#[test]
fn a_prefix_opens_itself_and_what_is_below_to_those_it_selects() {
    let world = opened();
    for path in [
        "secret/data/team-a",
        "secret/data/team-a/app",
        "secret/data/team-a/app/db.v2",
    ] {
        assert_eq!(asked(&world, "shop", path).unwrap().as_str(), path);
        let (reason, message) = refused(&world, "other", path);
        assert_eq!(reason, Reason::NotPermitted);
        assert!(message.contains("SecretProvider p does not open"), "{message}");
        assert!(message.contains("to namespace other"), "{message}");
    }
    for path in [
        "secret/data/team-ab",
        "secret/data",
        "secret/metadata/team-a/app",
        "database/creds/x",
    ] {
        assert_eq!(refused(&world, "shop", path).0, Reason::NotPermitted, "{path}");
    }
    assert_eq!(
        refused(&world, "unknown", "secret/data/team-a").0,
        Reason::NotPermitted
    );
}

#[test]
fn what_is_no_path_or_vaults_own_is_refused() {
    let world = opened();
    for path in [
        "",
        "/",
        "kv/",
        "/kv/x",
        "kv//x",
        "kv/../sys/x",
        "kv/./x",
        "kv/..",
        "kv/*",
        "kv/+/x",
        "kv/{{x}}",
        "kv/\"x",
        "kv/x\n",
        "kv/é",
        "kv/a b",
        "kv/%2e%2e/x",
        "kv/x?list=true",
        "kv/x#",
    ] {
        let (reason, message) = refused(&world, "shop", path);
        assert_eq!(reason, Reason::Invalid, "{path:?}");
        assert!(message.contains("such as secret/data/team-a/app"), "{message}");
    }
    for path in [
        "sys/policies/acl/x",
        "auth/token/lookup-self",
        "identity/entity/id/x",
        "cubbyhole/x",
        "SYS/x",
    ] {
        let (reason, message) = refused(&world, "shop", path);
        assert_eq!(reason, Reason::Invalid, "{path}");
        assert!(message.contains("is Vault's own"), "{message}");
    }
}

#[test]
fn nobody_walks_around_the_scopes() {
    let mut world = opened();
    let mut below = provider("q");
    below.spec.vault.namespace = Some("below".into());
    below.spec.vault.mounts.kv = "deep/kv".into();
    below.spec.vault.path_prefix = "ks".into();
    world.set_provider("q", Some(Arc::new(below)));
    for (path, keeper) in [
        ("kv/data/keystead/production/global/all/hubspot", "p"),
        ("kv/data/keystead/testing/global/all/hubspot", "p"),
        ("kv/metadata/keystead/production/global/all/hubspot", "p"),
        ("kv/subkeys/keystead/x", "p"),
        ("kv/data/keystead", "p"),
        ("below/deep/kv/data/ks/production/global/all/hubspot", "q"),
    ] {
        let (reason, message) = refused(&world, "shop", path);
        assert_eq!(reason, Reason::NotPermitted, "{path}");
        assert!(
            message.contains(&format!("the values of SecretProvider {keeper}")),
            "{message}"
        );
        assert!(message.contains("name the service"), "{message}");
    }
    for path in [
        "kv/data/keysteads/x",
        "kv/keystead/x",
        "kv/data/x/keystead/y",
        "below/kv/data/keystead/x",
        "below/deep/kv/data/k/x",
    ] {
        assert!(asked(&world, "shop", path).is_ok(), "{path}");
    }
}

proptest! {
    /// Whatever a binding names, its policy has that path literally and nothing that matches another.
    #[test]
    fn a_path_grants_itself_and_nothing_else(
        text in prop_oneof![
            "kv(/[-a-z._+*{}\"\\\\ #%\n]{0,6}){0,4}",
            "(sys|auth|kv|secret|below)/(data|metadata|[.]{1,2})/(keystead|team-a|[+*]|.{0,3})(/[a-z*]{0,3})?",
            ".{0,24}",
        ],
    ) {
        let world = opened();
        if let Ok(path) = asked(&world, "shop", &text) {
            prop_assert_eq!(path.as_str(), text.as_str());
            let one = Paths::from([(path.clone(), [PathMethod::Get].into())]);
            let policy = keystead_vault::hcl::workload("x", &[], &one);
            let base = keystead_vault::hcl::workload("x", &[], &Paths::new());
            let granted = policy.strip_prefix(&base).unwrap();
            let (read, leases) = granted.split_once('\n').unwrap();
            prop_assert_eq!(read, format!("path \"{text}\" {{ capabilities = [\"read\"] }}"));
            let below = ["renew", "revoke"].map(|verb| format!("path \"sys/leases/{verb}/{text}/+\" {{"));
            prop_assert!(leases.lines().zip(&below).all(|(line, start)| line.starts_with(start)));
            prop_assert_eq!(leases.lines().count(), 2);
            // What HCL or Vault would read as something else than itself.
            prop_assert!(!text.contains(['*', '+', '"', '\\', '{', '}', '$', '%', '\n']), "{:?}", text);
            let segments: Vec<&str> = text.split('/').collect();
            prop_assert!(segments.iter().all(|segment| !["", ".", ".."].contains(segment)), "{:?}", text);
            prop_assert!(!["sys", "auth", "identity", "cubbyhole"].contains(&segments[0]), "{:?}", text);
            let ours = segments.len() > 2 && segments[0] == "kv" && segments[2] == "keystead";
            prop_assert!(!ours, "{:?}", text);
        }
    }
}
