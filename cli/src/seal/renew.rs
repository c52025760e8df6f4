//! Seals that are wrapped anew by the newest version: Vault does so, and shows nobody what is in them.

use crate::output;
use anyhow::Context as _;
use keystead_crds::EncryptionKey;
use keystead_vault::Client;
use keystead_vault::client::Method;
use kube::ResourceExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// Renews what a file has of an EncryptionKey's seals.
pub(super) async fn run(file: &Path, by: &EncryptionKey, client: &Client) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|_| anyhow::anyhow!("{} is neither YAML nor JSON", file.display()))?;
    let name = by.name_any();
    let mut wrapped = BTreeSet::new();
    for document in &documents {
        collect(document, &name, &mut wrapped);
    }
    let status = by.status.as_ref();
    let path = status.and_then(|status| status.path.as_deref());
    let (mount, key) = path
        .and_then(|path| path.rsplit_once("/keys/"))
        .with_context(|| format!("EncryptionKey {name} has no status.path: it is not ready"))?;
    let mut renewed = text.clone();
    for old in &wrapped {
        let new = rewrap(client, &format!("{mount}/rewrap/{key}"), old).await?;
        renewed = renewed.replace(old, &new);
    }
    if renewed != text {
        replace(file, &renewed)?;
    }
    let count = wrapped.len();
    output::line(
        &mut std::io::stdout(),
        &format!(
            "{}: {count} seals of EncryptionKey {name} are of its newest version",
            file.display()
        ),
    );
    Ok(ExitCode::SUCCESS)
}

/// Every value's own key that an EncryptionKey wrapped, wherever it stands.
fn collect(value: &Value, name: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let (Some(Value::String(wrapped)), true) = (
                fields.get("wrappedKey"),
                value.pointer("/keyRef/name") == Some(&name.into()),
            ) {
                found.insert(wrapped.clone());
            }
            fields.values().for_each(|value| collect(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, name, found)),
        _ => {}
    }
}

async fn rewrap(client: &Client, path: &str, wrapped: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Rewrapped {
        ciphertext: String,
    }
    let body = json!({ "ciphertext": wrapped });
    let answer = client.call::<Rewrapped>(Method::Post, path, Some(&body)).await?;
    Ok(answer.data.context("Vault answered nothing")?.ciphertext)
}

/// Puts the new text in the file's place at once: nobody finds half of it.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".renewed");
    let new = Path::new(&name);
    std::fs::write(new, text)
        .and_then(|()| std::fs::set_permissions(new, std::fs::metadata(file)?.permissions()))
        .and_then(|()| std::fs::rename(new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_of_one_key_are_found() {
        let sealed = |by: &str, wrapped: &str| json!({"name": "k", "from": {"sealed": {"keyRef": {"name": by}, "wrappedKey": wrapped}}});
        let list =
            json!({"items": [{"spec": {"keys": [sealed("a", "1"), sealed("b", "2"), sealed("a", "3")]}}]});
        let mut found = BTreeSet::new();
        collect(&list, "a", &mut found);
        assert_eq!(found, ["1".to_owned(), "3".to_owned()].into());
    }
}
