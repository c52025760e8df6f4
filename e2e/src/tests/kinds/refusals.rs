//! The table of what is refused, and with which words.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::rig::{install_kinds, unique};
use super::{definitions, server_dry_run};
use crate::stage::Stage;

/// A good manifest, what makes it bad (a JSON pointer and what to put there; null takes the field
/// away), and what the refusal must say: the field, and what would be right.
type Row = (fn() -> Value, &'static str, Value, &'static str, &'static str);

const SEGMENT: &str = "must be one path segment";

pub(super) fn created(stage: &Stage) -> Result<()> {
    install_kinds(stage)?;
    server_dry_run(stage, &[provider(), global(), company(), credential(), binding()])
        .context("what the bad manifests are made of is good")?;
    let rows: Vec<Row> = [provider_rows(), scope_rows(), credential_rows(), binding_rows()].concat();
    let bad: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(number, row)| spoiled(number, row))
        .collect::<Result<_>>()?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": bad}).to_string();
    let line = "kubectl create --dry-run=server -f -";
    let refusal = stage.refusal(line, &mut stage.command(line), Some(&list))?;
    let refusals = by_name(&refusal.0);
    let mut wrong = Vec::new();
    for (number, ((_, pointer, value, field, right), object)) in rows.iter().zip(&bad).enumerate() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let said = refusals
            .get(name)
            .map_or("nothing: it was accepted", String::as_str);
        if !(said.contains(field) && said.contains(right)) {
            wrong.push(format!(
                "row {number}: {pointer} = {value}: expected {field:?} and {right:?} in: {said}"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    every_rule_was_broken(stage, &refusal.0)
}

pub(super) fn changed(stage: &Stage) -> Result<()> {
    install_kinds(stage)?;
    let id = unique("fixed")?;
    let mut objects = [provider(), company(), credential()];
    for object in &mut objects {
        object["metadata"]["name"] = json!(id);
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    stage.apply("-", &list)?;
    for (object, pointer, value) in [
        ("secretprovider", "/spec/environment", "testing"),
        ("secretprovider", "/spec/class", "another"),
        ("secretprovider", "/spec/vault/pathPrefix", "another"),
        ("secretscope", "/spec/providerRef/name", "another"),
        ("secretscope", "/spec/level", "Node"),
        ("secretscope", "/spec/id", "another"),
        ("credential", "/spec/scopeRef/name", "another"),
        ("credential", "/spec/service", "another"),
    ] {
        let patch = json!([{"op": "replace", "path": pointer, "value": value}]);
        let line =
            format!("kubectl patch {object} {id} -n default --dry-run=server --type=json -p '{patch}'");
        let refusal = stage.refused(&line)?;
        let parts: Vec<&str> = pointer.split('/').skip(1).collect();
        let field = parts.strip_suffix(&["name"]).unwrap_or(&parts);
        let name = field.last().copied().unwrap_or_default();
        for part in [field.join("."), format!("{name} is immutable")] {
            ensure!(
                refusal.0.contains(&part),
                "{object} {pointer}: expected {part:?} in: {}",
                refusal.0
            );
        }
    }
    Ok(())
}

/// A rule that no row breaks could be taken away and nobody would see it.
fn every_rule_was_broken(stage: &Stage, refusals: &str) -> Result<()> {
    let mut rules = BTreeSet::new();
    for definition in definitions(stage)? {
        messages(&definition, &mut rules);
    }
    ensure!(rules.len() > 15, "these are all rules: {rules:?}");
    let untried: Vec<&String> = rules
        .iter()
        .filter(|rule| !rule.contains("immutable") && !refusals.contains(rule.as_str()))
        .collect();
    ensure!(untried.is_empty(), "no row breaks these rules: {untried:#?}");
    Ok(())
}

fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "x-kubernetes-validations" {
                    let rules = value.as_array().into_iter().flatten();
                    found.extend(rules.filter_map(|rule| Some(rule["message"].as_str()?.to_owned())));
                } else {
                    messages(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
        _ => {}
    }
}

/// What was said of each object: kubectl begins each refusal with its kind and name.
fn by_name(refusals: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    for line in refusals.lines() {
        let name = line
            .split_once('"')
            .and_then(|(_, rest)| rest.split_once('"'))
            .filter(|(_, rest)| rest.starts_with(" is invalid"));
        if let Some((name, _)) = name {
            name.clone_into(&mut current);
        }
        let said = found.entry(current.clone()).or_default();
        said.push_str(line);
        said.push('\n');
    }
    found
}

fn spoiled(number: usize, (good, pointer, value, ..): &Row) -> Result<Value> {
    let mut object = good();
    object["metadata"]["name"] = json!(format!("bad-{number}"));
    let (parent, field) = pointer.rsplit_once('/').context("a pointer has a slash")?;
    let parent = object.pointer_mut(parent).context("the pointer leads nowhere")?;
    match parent {
        Value::Object(fields) if value.is_null() => drop(fields.remove(field)),
        parent => parent[field] = value.clone(),
    }
    Ok(object)
}

// === what is good ===

fn provider() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretProvider", "metadata": {"name": "good"},
        "spec": {
            "environment": "production",
            "class": "nobody",
            "vault": {
                "address": "https://vault.vault.svc:8200",
                "auth": {"kubernetes": {"role": "operator"}},
                "mounts": {},
                "pathPrefix": "keystead",
            },
            "workloadAuth": {"method": "Jwt", "mount": "jwt"},
        },
    })
}

fn global() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretScope", "metadata": {"name": "good-global"},
        "spec": {"providerRef": {"name": "nobody"}, "level": "Global", "writers": {"namespaceSelector": {}}},
    })
}

fn company() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretScope", "metadata": {"name": "good-company"},
        "spec": {
            "providerRef": {"name": "nobody"}, "level": "Company", "id": "acme-1.example",
            "members": {"namespaceSelector": {}}, "writers": {"namespaceSelector": {}},
        },
    })
}

fn credential() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "Credential",
        "metadata": {"name": "good", "namespace": "default"},
        "spec": {
            "scopeRef": {"name": "nobody"}, "service": "hubspot",
            "keys": [{"name": "api_key", "from": {"value": "x"}}],
        },
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretBinding",
        "metadata": {"name": "good", "namespace": "default"},
        "spec": {
            "providerRef": {"name": "nobody"}, "serviceAccounts": ["web"],
            "secrets": [{"name": "hubspot", "service": "hubspot"}],
            "files": [
                {"path": "a/b.txt", "format": "Raw", "secret": "hubspot", "key": "api_key"},
                {"path": "c.env", "format": "Dotenv", "secret": "hubspot"},
            ],
            "env": [{"name": "API_KEY", "secret": "hubspot", "key": "api_key"}],
            "refreshInterval": "30s",
        },
    })
}

// === what is bad ===

fn provider_rows() -> Vec<Row> {
    let address = "address must be http(s)://host[:port]";
    let mount = "must be a Vault path of letters";
    let mut rows: Vec<Row> = vec![
        (
            provider,
            "/metadata/name",
            json!("a.b"),
            "metadata.name",
            "must be a DNS label",
        ),
        (
            provider,
            "/spec/environment",
            json!("staging"),
            "spec.environment",
            "\"production\"",
        ),
        (
            provider,
            "/spec/vault/pathPrefix",
            json!("a/b"),
            "spec.vault.pathPrefix",
            SEGMENT,
        ),
        (
            provider,
            "/spec/vault/pathPrefix",
            json!("A"),
            "spec.vault.pathPrefix",
            SEGMENT,
        ),
        (
            provider,
            "/spec/vault/pathPrefix",
            json!("a+"),
            "spec.vault.pathPrefix",
            SEGMENT,
        ),
        (
            provider,
            "/spec/vault",
            json!({
                "address": "https://v", "auth": {"kubernetes": {"role": "r"}}, "caBundle": "x",
                "caSecretRef": {"name": "a", "namespace": "b", "key": "c"},
            }),
            "spec.vault",
            "caBundle and caSecretRef exclude each other",
        ),
        (
            provider,
            "/spec/vault/auth/kubernetes/mount",
            json!("a*"),
            "kubernetes.mount",
            mount,
        ),
        (
            provider,
            "/spec/vault/mounts/kv",
            json!("kv/"),
            "spec.vault.mounts.kv",
            mount,
        ),
        (
            provider,
            "/spec/workloadAuth/mount",
            json!("{{x}}"),
            "spec.workloadAuth.mount",
            mount,
        ),
        (
            provider,
            "/spec/workloadAuth/method",
            json!("Token"),
            "spec.workloadAuth.method",
            "\"Jwt\"",
        ),
    ];
    for bad in [
        "https://v/path",
        "https://v?x=1",
        "https://me@v",
        "vault.svc:8200",
        "ftp://vault",
    ] {
        rows.push((
            provider,
            "/spec/vault/address",
            json!(bad),
            "spec.vault.address",
            address,
        ));
    }
    for bad in ["9s", "25h", "0s"] {
        let right = "tokenTtl must be between 10s and 24h";
        rows.push((
            provider,
            "/spec/workloadAuth/tokenTtl",
            json!(bad),
            "spec.workloadAuth.tokenTtl",
            right,
        ));
    }
    rows
}

fn scope_rows() -> Vec<Row> {
    let members = "spec.members says which namespaces belong to a Company";
    let id = "a Global scope has none, the others need one";
    let all = json!({"namespaceSelector": {}});
    let mut rows: Vec<Row> = vec![
        (global, "/spec/id", json!("acme"), "spec.id", id),
        (company, "/spec/id", Value::Null, "spec.id", id),
        (global, "/spec/level", json!("Node"), "spec.id", id),
        (company, "/spec/members", Value::Null, "spec.members", members),
        (global, "/spec/members", all.clone(), "spec.members", members),
        (company, "/spec/level", json!("Node"), "spec.members", members),
        (company, "/spec/level", json!("Team"), "spec.level", "\"Company\""),
    ];
    for bad in ["a/b", "a+", "+", "a*", "{{x}}", "Acme", ".a", "a.", "..", "a b"] {
        rows.push((
            company,
            "/spec/id",
            json!(bad),
            "spec.id",
            "id must be one path segment",
        ));
    }
    rows
}

fn credential_rows() -> Vec<Row> {
    let from = "from needs exactly one of secretKeyRef and value";
    let key = |name: &str| json!({"name": name, "from": {"value": "x"}});
    let both = json!({"value": "x", "secretKeyRef": {"name": "a", "key": "b"}});
    let mut rows: Vec<Row> = vec![
        (credential, "/spec/keys/0/from", both, "spec.keys[0].from", from),
        (
            credential,
            "/spec/keys/0/from",
            json!({}),
            "spec.keys[0].from",
            from,
        ),
        (credential, "/spec/keys", json!([]), "spec.keys", "at least 1"),
        (
            credential,
            "/spec/keys",
            json!([key("a"), key("a")]),
            "spec.keys[1]",
            "Duplicate value",
        ),
        (
            credential,
            "/spec/type",
            json!("Password"),
            "spec.type",
            "\"ApiKey\"",
        ),
    ];
    for bad in ["Hubspot", "a/b", "a+", "{{x}}", "-a", "a.b"] {
        rows.push((credential, "/spec/service", json!(bad), "spec.service", SEGMENT));
    }
    for bad in ["a b", "a/b", "-a", "a,b"] {
        let right = "name must be letters, digits";
        rows.push((
            credential,
            "/spec/keys/0/name",
            json!(bad),
            "spec.keys[0].name",
            right,
        ));
    }
    rows
}

fn binding_rows() -> Vec<Row> {
    let unknown = "must be the name of an entry of spec.secrets";
    let kind = "a Raw file holds one key and needs 'key'";
    let hubspot = json!({"name": "hubspot", "service": "hubspot"});
    let file = json!({"path": "a", "format": "Dotenv", "secret": "hubspot"});
    let variable = json!({"name": "A", "secret": "hubspot", "key": "k"});
    let mut rows: Vec<Row> = vec![
        (
            binding,
            "/spec/files/0/secret",
            json!("other"),
            "spec.files",
            unknown,
        ),
        (binding, "/spec/env/0/secret", json!("other"), "spec.env", unknown),
        (binding, "/spec/files/0/key", Value::Null, "spec.files[0]", kind),
        (binding, "/spec/files/1/key", json!("k"), "spec.files[1]", kind),
        (
            binding,
            "/spec/files/0/format",
            json!("Toml"),
            "spec.files[0].format",
            "\"Raw\"",
        ),
        (
            binding,
            "/spec/secrets/0/service",
            json!("Hubspot"),
            "spec.secrets[0].service",
            SEGMENT,
        ),
        (
            binding,
            "/spec/secrets",
            json!([hubspot, hubspot]),
            "spec.secrets[1]",
            "Duplicate value",
        ),
        (
            binding,
            "/spec/files",
            json!([file, file]),
            "spec.files[1]",
            "Duplicate value",
        ),
        (
            binding,
            "/spec/env",
            json!([variable, variable]),
            "spec.env[1]",
            "Duplicate value",
        ),
        (
            binding,
            "/spec/serviceAccounts",
            json!(["web", "web"]),
            "spec.serviceAccounts[1]",
            "Duplicate value",
        ),
        (
            binding,
            "/spec/serviceAccounts",
            json!([]),
            "spec.serviceAccounts",
            "at least 1",
        ),
    ];
    for bad in ["../a", "/a", ".a", "a/../b", "a/.b", "a//b", "a/", "a b"] {
        rows.push((
            binding,
            "/spec/files/0/path",
            json!(bad),
            "spec.files[0].path",
            "path must be relative",
        ));
    }
    for bad in ["KEYSTEAD_X", "A-B", "1A", "A=B"] {
        let right = "name must be letters, digits and '_'";
        rows.push((binding, "/spec/env/0/name", json!(bad), "spec.env[0].name", right));
    }
    for bad in ["0s", "25h", "500ms"] {
        let right = "refreshInterval must be between 1s and 24h";
        rows.push((
            binding,
            "/spec/refreshInterval",
            json!(bad),
            "spec.refreshInterval",
            right,
        ));
    }
    rows
}
