//! Prepares a Vault for a cluster: looks at what is there, shows what is missing, does it.

mod cluster;
mod plan;

use crate::args::Bootstrap;
use crate::{output, vault};
use anyhow::Context as _;
use cluster::Cluster;
use keystead_vault::Client;
use plan::{Change, Facts};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) async fn run(args: Bootstrap) -> anyhow::Result<()> {
    let vault = vault::client(&args.vault)?;
    let cluster = Cluster::connect(&args).await?;
    let facts = Facts {
        cluster: cluster.facts().await?,
        mounts: mounts(&vault).await?,
    };
    let wanted = plan::wanted(&args, &facts);
    let mut missing = Vec::new();
    let mut out = std::io::stdout();
    for change in wanted {
        let there = exists(&vault, &cluster, &facts, &change).await?;
        output::line(&mut out, &format!("{} {change}", if there { "=" } else { "+" }));
        if !there {
            missing.push(change);
        }
    }
    match (missing.len(), args.yes) {
        (0, _) => output::line(&mut out, "Nothing to do: this Vault is ready."),
        (count, false) => {
            output::line(
                &mut out,
                &format!("{count} to do (+). Run it again with --yes to do it."),
            );
            return Ok(());
        }
        (_, true) => {
            for change in &missing {
                apply(&vault, &cluster, change)
                    .await
                    .with_context(|| format!("failed to {change}"))?;
                output::line(&mut out, &format!("done: {change}"));
            }
        }
    }
    output::line(&mut out, &plan::next_steps(&args));
    Ok(())
}

/// The mounts there are, with their types: engines by path, auth methods below `auth/`.
async fn mounts(vault: &Client) -> anyhow::Result<BTreeMap<String, Mount>> {
    let mut all: BTreeMap<String, Mount> = vault.read("sys/mounts").await.context(
        "the token must be allowed to read sys/mounts and sys/auth, and to write mounts, policies and roles",
    )?;
    let auth: BTreeMap<String, Mount> = vault.read("sys/auth").await?;
    all.extend(
        auth.into_iter()
            .map(|(path, mount)| (format!("auth/{path}"), mount)),
    );
    Ok(all)
}

/// A mount, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Mount {
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its options, such as the version of a KV engine.
    pub(crate) options: Option<BTreeMap<String, String>>,
}

/// Whether a change is made already. What stands in its way is an error.
async fn exists(vault: &Client, cluster: &Cluster, facts: &Facts, change: &Change) -> anyhow::Result<bool> {
    match change {
        Change::Mount { path, kind, version } => {
            let Some(found) = facts.mounts.get(&format!("{path}/")) else {
                return Ok(false);
            };
            let same = found.options.as_ref().and_then(|options| options.get("version")) == version.as_ref();
            anyhow::ensure!(
                found.kind == *kind && (version.is_none() || same),
                "{path} is mounted already, and not as {change} needs it: choose another path"
            );
            Ok(true)
        }
        Change::Write { path, body, .. } => {
            let found: Option<Map<String, Value>> = match vault.read_optional(path).await {
                Ok(found) => found,
                // A mount that is not there yet has nothing below it; Vault answers 400 or 404.
                Err(keystead_vault::Error::Refused { code: 400 | 404, .. }) => None,
                Err(error) => return Err(error.into()),
            };
            Ok(found.is_some_and(|found| body.iter().all(|(key, value)| found.get(key) == Some(value))))
        }
        Change::Reviewer { path, body } => {
            let configured: Option<Map<String, Value>> = vault.read_optional(path).await.unwrap_or(None);
            let same =
                configured.is_some_and(|found| body.iter().all(|(key, value)| found.get(key) == Some(value)));
            Ok(same && cluster.has_reviewer().await?)
        }
    }
}

async fn apply(vault: &Client, cluster: &Cluster, change: &Change) -> anyhow::Result<()> {
    match change {
        Change::Mount { path, kind, version } => {
            let path = match path.strip_prefix("auth/") {
                Some(method) => format!("sys/auth/{method}"),
                None => format!("sys/mounts/{path}"),
            };
            let options = version.as_ref().map(|version| json!({ "version": version }));
            vault
                .write(&path, &json!({ "type": kind, "options": options }))
                .await?;
        }
        Change::Write { path, body, .. } => vault.write(path, &Value::Object(body.clone())).await?,
        Change::Reviewer { path, body } => {
            let token = cluster.reviewer_token().await?;
            let mut body = body.clone();
            body.insert("token_reviewer_jwt".into(), Value::String(token.expose().clone()));
            vault.write(path, &Value::Object(body)).await?;
        }
    }
    Ok(())
}
