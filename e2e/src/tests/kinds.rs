//! The kinds against a real API server: it takes the definitions and every manifest we show, and
//! refuses what can't work with a sentence that says what would.

mod databases;
mod keys;
mod refusals;
mod rotation;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Test;
use super::rig::{install_kinds, unique};
use crate::documents;
use crate::stage::Stage;

/// The tests, the widest first.
pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_servers(
            "kinds: the API server takes the definitions and every manifest we show",
            shown_manifests,
        ),
        Test::on_servers(
            "kinds: what can't work is refused, naming the field and what would be right",
            refusals::created,
        ),
        Test::on_servers(
            "kinds: what must not change is refused to change",
            refusals::changed,
        ),
    ]
}

fn shown_manifests(stage: &Stage) -> Result<()> {
    install_kinds(stage)?;
    for definition in definitions(stage)? {
        let name = &definition["metadata"]["name"];
        for condition in definition["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let bad = condition["type"] == "NonStructuralSchema" && condition["status"] == "True";
            ensure!(!bad, "{name}: {condition}");
        }
    }
    let space = unique("shown")?;
    stage.show(&format!("kubectl create namespace {space}"))?;
    // A pod is taken only where its account is.
    stage.show(&format!("kubectl -n {space} create serviceaccount web"))?;
    let mut kinds = BTreeSet::new();
    for (place, text) in manifests()? {
        let objects = accepted(stage, &space, &text).with_context(|| format!("{place} is not accepted"))?;
        kinds.extend(objects);
    }
    for kind in [
        "SecretProvider",
        "SecretScope",
        "Credential",
        "SecretBinding",
        "DatabaseConnection",
        "DatabaseRole",
        "EncryptionKey",
    ] {
        ensure!(kinds.contains(kind), "no manifest of a {kind} is shown anywhere");
    }
    Ok(())
}

/// Every definition of ours, as the API server has it.
fn definitions(stage: &Stage) -> Result<Vec<Value>> {
    let answer: Value = serde_json::from_str(&stage.ask("kubectl get customresourcedefinitions -o json")?)?;
    let all = answer["items"].as_array().cloned().unwrap_or_default();
    let ours: Vec<Value> = all
        .into_iter()
        .filter(|definition| definition["spec"]["group"] == "keystead.dev")
        .collect();
    ensure!(!ours.is_empty(), "there are no definitions of ours");
    Ok(ours)
}

/// The manifests of the story, and those in the documents, each with where it stands.
fn manifests() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for path in files(&documents::root().join("e2e/story"), "yaml")? {
        let text = read(&path)?
            .replace("@vault@", "https://vault.vault.svc:8200")
            .replace("@node@", "node-1");
        found.push((path.display().to_string(), text));
    }
    ensure!(!found.is_empty(), "the story has no manifests");
    for page in documents::all()? {
        found.extend(page.manifests());
    }
    Ok(found)
}

/// The files in a folder that end so; none where there is no folder.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Has the API server check manifests without keeping them; answers their kinds. Namespaced ones
/// are checked in a namespace that exists, whatever theirs is called.
fn accepted(stage: &Stage, space: &str, manifests: &str) -> Result<Vec<String>> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(manifests)?;
    for object in &mut objects {
        if object["metadata"]["namespace"].is_string() {
            object["metadata"]["namespace"] = json!(space);
        }
    }
    let kinds = objects
        .iter()
        .filter_map(|object| Some(object["kind"].as_str()?.to_owned()))
        .collect();
    server_dry_run(stage, &objects)?;
    Ok(kinds)
}

/// Shows objects to the API server, which checks all of them and keeps none. Apply, because an
/// object of the same name may be there.
fn server_dry_run(stage: &Stage, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let line = "kubectl apply --server-side --force-conflicts --dry-run=server -f -";
    let mut command = stage.command(line);
    match stage.shown(line, &mut command, Some(&list)) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{error}"),
    }
}
