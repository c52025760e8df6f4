//! What is refused is refused by every rule there is, with words that help.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::rig::{install_kinds, unique};
use super::table::{Row, good, rows};
use super::{definitions, server_dry_run};
use crate::stage::Stage;

pub(super) fn created(stage: &Stage) -> Result<()> {
    install_kinds(stage)?;
    server_dry_run(stage, &good()).context("what the bad manifests are made of is good")?;
    let rows = rows();
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
    let [
        provider,
        _,
        company,
        credential,
        _,
        connection,
        dynamic,
        _,
        key,
        _,
    ] = good();
    let mut objects = [provider, company, credential, connection, dynamic, key];
    for object in &mut objects {
        object["metadata"]["name"] = json!(id);
    }
    // It stays on the bed, where another's provider must not meet it.
    objects[0]["spec"]["vault"]["pathPrefix"] = json!(id);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    stage.apply("-", &list)?;
    for (object, pointer, value) in [
        ("secretprovider", "/spec/environment", "testing"),
        ("secretprovider", "/spec/class", "another"),
        ("secretprovider", "/spec/vault/pathPrefix", "another"),
        ("secretprovider", "/spec/vault/mounts/kv", "another"),
        ("secretprovider", "/spec/vault/namespace", "another"),
        ("secretprovider", "/spec/workloadAuth/method", "Kubernetes"),
        ("secretprovider", "/spec/workloadAuth/mount", "another"),
        ("secretscope", "/spec/providerRef/name", "another"),
        ("secretscope", "/spec/level", "Node"),
        ("secretscope", "/spec/id", "another"),
        ("credential", "/spec/scopeRef/name", "another"),
        ("credential", "/spec/service", "another"),
        ("databaseconnection", "/spec/providerRef/name", "another"),
        ("databaseconnection", "/spec/plugin", "Redis"),
        ("databaseconnection", "/spec/database", "another"),
        ("databaseconnection", "/spec/username", "another"),
        ("databaserole", "/spec/connectionRef/name", "another"),
        ("encryptionkey", "/spec/providerRef/name", "another"),
        ("encryptionkey", "/spec/type", "rsa-2048"),
    ] {
        let patch = json!([{"op": "add", "path": pointer, "value": value}]);
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
        if let Some((before, _)) = line.split_once("\" is invalid") {
            before
                .rsplit('"')
                .next()
                .unwrap_or_default()
                .clone_into(&mut current);
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
