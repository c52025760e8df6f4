use super::terraform::quoted;
use super::*;
use crate::bootstrap::plan::tests::{args, plan};
use hcl::eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

/// Every engine, and both auth methods asking the API server.
const MOST: &str = "--workload-method kubernetes --database db --transit team/keys --vault-namespace team1 --operator-mount a/b";

fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    let file = files.iter().find(|file| file.path == path);
    &file.unwrap_or_else(|| panic!("no {path} in {files:?}")).text
}

/// What Terraform knows when it reads `main.tf`; a file's text is its path.
fn context(changes: &[Change]) -> Context<'static> {
    #[expect(
        clippy::needless_pass_by_value,
        clippy::unnecessary_wraps,
        reason = "functions are of this type"
    )]
    fn file(args: FuncArgs) -> Result<hcl::Value, String> {
        Ok(args[0].clone())
    }
    let mounts: serde_json::Map<String, Value> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Method { whose, mount, .. } => {
                let name = format!("{whose:?}").to_lowercase();
                Some((name, json!({ "path": mount })))
            }
            _ => None,
        })
        .collect();
    let mut context = Context::new();
    for (name, value) in [
        ("vault_auth_backend", Value::Object(mounts)),
        ("var", json!({ "token_reviewer_jwt": "THE TOKEN" })),
        ("path", json!({ "module": "." })),
    ] {
        context.declare_var(name, hcl::to_value(value).expect("a value"));
    }
    let file = FuncDef::builder().param(ParamType::String).build(file);
    context.declare_func("file", file);
    context
}

/// The resources of `main.tf`, by type and name, as a program reads them.
fn resources(line: &str) -> BTreeMap<String, Value> {
    let changes = plan(line);
    let files = terraform(&args(line), &changes).expect("files");
    let body = hcl::parse(text(&files, "main.tf")).unwrap_or_else(|error| panic!("{line}: {error}"));
    let context = context(&changes);
    let blocks = body
        .into_blocks()
        .filter(|block| block.identifier() == "resource");
    blocks
        .map(|block| {
            let labels: Vec<&str> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
            let attributes = block.body().attributes().map(|attribute| {
                let value = attribute.expr().evaluate(&context);
                let value = value.unwrap_or_else(|error| panic!("{labels:?} {}: {error}", attribute.key()));
                (
                    attribute.key().to_owned(),
                    serde_json::to_value(value).expect("JSON"),
                )
            });
            (labels.join("."), Value::Object(attributes.collect()))
        })
        .collect()
}

/// What is written by the tool is what the resource says, under the provider's names.
#[test]
fn terraform_declares_what_is_written() {
    let changes = plan(MOST);
    let mut resources = resources(MOST);
    let config = |mount: &str| {
        let mut body = find(&changes, &format!("auth/{mount}/config")).body();
        body.insert("backend".into(), mount.into());
        body.insert("token_reviewer_jwt".into(), "THE TOKEN".into());
        body
    };
    let mut role = find(&changes, "auth/a/b/role/keystead-operator-c1").body();
    role.insert("backend".into(), "a/b".into());
    role.insert("role_name".into(), "keystead-operator-c1".into());
    let pods = "kubernetes-c1-workloads";
    for (name, wanted) in [
        (
            "vault_mount.kv",
            json!({"path": "kv", "type": "kv", "options": {"version": "2"}}),
        ),
        ("vault_mount.database", json!({"path": "db", "type": "database"})),
        (
            "vault_mount.transit",
            json!({"path": "team/keys", "type": "transit"}),
        ),
        (
            "vault_auth_backend.operator",
            json!({"path": "a/b", "type": "kubernetes"}),
        ),
        (
            "vault_auth_backend.workloads",
            json!({"path": pods, "type": "kubernetes"}),
        ),
        (
            "vault_kubernetes_auth_backend_config.operator",
            Value::Object(config("a/b")),
        ),
        (
            "vault_kubernetes_auth_backend_config.workloads",
            Value::Object(config(pods)),
        ),
        (
            "vault_policy.operator",
            json!({"name": "keystead-operator-c1", "policy": "./sys/policies/acl/keystead-operator-c1.hcl"}),
        ),
        ("vault_kubernetes_auth_backend_role.operator", Value::Object(role)),
    ] {
        let mut found = resources
            .remove(name)
            .unwrap_or_else(|| panic!("no {name} in {resources:?}"));
        let namespace = found
            .as_object_mut()
            .and_then(|fields| fields.remove("namespace"));
        assert_eq!(namespace, Some(json!("team1")), "{name}");
        assert_eq!(found, wanted, "{name}");
    }
    assert!(resources.is_empty(), "more than is written: {resources:?}");
}

/// The method and its keys are one resource there, and the operator replaces the keys.
#[test]
fn terraform_leaves_the_signing_keys_to_the_operator() {
    let changes = plan("");
    let mut wanted = find(&changes, "auth/jwt-c1/config").body();
    wanted.insert("path".into(), "jwt-c1".into());
    assert_eq!(
        resources("")["vault_jwt_auth_backend.workloads"],
        Value::Object(wanted)
    );
    let files = terraform(&args(""), &changes).expect("files");
    let lifecycle = "lifecycle {\n    ignore_changes = [jwt_validation_pubkeys]\n  }";
    assert!(text(&files, "main.tf").contains(lifecycle), "{files:?}");
}

#[test]
fn the_files_lie_at_the_paths_that_they_go_to() {
    let changes = plan("");
    let files = script(&args(""), &changes).expect("files");
    let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "apply.sh",
            "auth/jwt-c1/config.json",
            "auth/kubernetes-c1/config.json",
            "auth/kubernetes-c1/role/keystead-operator-c1.json",
            "reviewer.yaml",
            "sys/policies/acl/keystead-operator-c1.hcl",
        ]
    );
    for change in &changes {
        let path = change.path();
        let json = files.iter().find(|file| file.path == format!("{path}.json"));
        if let Some(file) = json {
            let found: Value = serde_json::from_str(&file.text).expect("JSON");
            assert_eq!(found, Value::Object(change.body()), "{path}");
        }
    }
}

fn find<'a>(changes: &'a [Change], path: &str) -> &'a Change {
    let found = changes.iter().find(|change| change.path() == path);
    found.unwrap_or_else(|| panic!("no {path} in {changes:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever stands in a text, Terraform reads that text, and nothing else is in the file.
    #[test]
    fn terraform_reads_the_text_that_was_meant(text in "([$%]\\{|[$%{}\"\\\\\n\r\t\u{1}]|\\PC){0,20}") {
        let file = format!("a = {}\n", quoted(&text));
        let body = hcl::parse(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let attributes: Vec<_> = body.attributes().collect();
        prop_assert_eq!(attributes.len(), 1);
        let found = attributes[0].expr().evaluate(&Context::new());
        prop_assert_eq!(found.expect("a text"), hcl::Value::from(text));
    }
}
