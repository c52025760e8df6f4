//! `kubectl keystead seal`: values that may stand in git.

mod renew;
mod wrap;

use crate::args::{VaultArgs, dns_label};
use crate::{output, vault};
use anyhow::Context as _;
use keystead_crds::EncryptionKey;
use keystead_vault::Sensitive;
use keystead_vault::seal::{Place, seal};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest value, in bytes: encrypted it fits into a Credential.
const LONGEST: usize = 32 * 1024;

/// What to seal, and by what.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The key of the Credential that the value is for.
    #[arg(required_unless_present = "renew", requires = "file", requires = "cluster")]
    key: Option<String>,
    /// File with the EncryptionKey, as kubectl get encryptionkey NAME -o yaml writes it.
    #[arg(long, value_name = "FILE")]
    by: PathBuf,
    /// File with the Credential's manifest: a seal opens for its namespace, name, scope and service alone.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The cluster's name, as the operator has it.
    #[arg(long = "cluster-name", env = "KEYSTEAD_CLUSTER", value_name = "NAME", value_parser = dns_label)]
    cluster: Option<String>,
    /// The namespace of a Credential whose manifest names none.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// File with manifests whose seals Vault is to wrap anew by the newest version; it is changed in place.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "file"])]
    renew: Option<PathBuf>,
    /// The Vault namespace of the EncryptionKey's provider, for --renew.
    #[arg(long, env = "VAULT_NAMESPACE", value_name = "NAME")]
    vault_namespace: Option<String>,
    /// How to reach Vault, for --renew.
    #[command(flatten)]
    vault: VaultArgs,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let by = encryption_key(&options.by)?;
    if let Some(file) = &options.renew {
        let client = vault::client(&options.vault, options.vault_namespace.as_deref())?;
        return renew::run(file, &by, &client).await;
    }
    let (Some(key), Some(file), Some(cluster)) = (&options.key, &options.file, &options.cluster) else {
        anyhow::bail!(
            "name the key, the Credential's manifest with --file, and the cluster with --cluster-name"
        );
    };
    let place = place(file, &options.namespace, cluster, key)?;
    output::line(&mut std::io::stdout(), &entry(&by, &place, &value()?)?);
    Ok(ExitCode::SUCCESS)
}

/// The entry of spec.keys.
fn entry(by: &EncryptionKey, place: &Place, value: &Sensitive<String>) -> anyhow::Result<String> {
    let (own, ciphertext) = seal(place, value).context("the value can't be encrypted")?;
    let wrapped = wrap::wrap(by, &own)?;
    let mut text = String::new();
    // Writing to a String can't fail.
    let name = by.metadata.name.as_deref().unwrap_or_default();
    let _ = write!(
        text,
        "- name: {}\n  from:\n    sealed:\n      keyRef: {{name: {name}}}\n      wrappedKey: {wrapped}\n      ciphertext: {ciphertext}",
        place.key
    );
    Ok(text)
}

/// The one EncryptionKey in a file.
fn encryption_key(file: &Path) -> anyhow::Result<EncryptionKey> {
    let found = document(file, "EncryptionKey")?;
    serde_json::from_value(found)
        .with_context(|| format!("{}: the EncryptionKey can't be read", file.display()))
}

/// Where the value belongs, as the Credential's manifest says.
fn place(file: &Path, namespace: &str, cluster: &str, key: &str) -> anyhow::Result<Place> {
    let found = document(file, "Credential")?;
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let needed = |pointer: &str| {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        text(pointer).with_context(|| format!("{}: the Credential has no {field}", file.display()))
    };
    Ok(Place {
        cluster: cluster.to_owned(),
        namespace: text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned()),
        name: needed("/metadata/name")?,
        key: key.to_owned(),
        scope: needed("/spec/scopeRef/name")?,
        service: needed("/spec/service")?,
    })
}

/// The one object of a kind in a file.
fn document(file: &Path, kind: &str) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        // Its words quote the text, which may have values in it.
        .map_err(|_| anyhow::anyhow!("{} is neither YAML nor JSON", file.display()))?;
    let mut found = documents.into_iter().filter(|found| found["kind"] == kind);
    match (found.next(), found.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => anyhow::bail!("{} has no {kind}", file.display()),
        _ => anyhow::bail!(
            "{} has more than one {kind}: give each a file of its own",
            file.display()
        ),
    }
}

/// The value, as it is given.
fn value() -> anyhow::Result<Sensitive<String>> {
    let mut text = Vec::new();
    let limit = u64::try_from(LONGEST)? + 2;
    std::io::stdin()
        .take(limit)
        .read_to_end(&mut text)
        .context("cannot read the value")?;
    let text = Sensitive::new(
        String::from_utf8(text).map_err(|_| anyhow::anyhow!("the value is not text (UTF-8)"))?,
    );
    let value = text.expose();
    let value = Sensitive::from(value.strip_suffix('\n').unwrap_or(value));
    anyhow::ensure!(!value.expose().is_empty(), "there is no value on standard input");
    anyhow::ensure!(
        value.expose().len() <= LONGEST,
        "the value is longer than {LONGEST} bytes"
    );
    Ok(value)
}

#[cfg(test)]
mod tests;
