//! Prepares a Vault for a cluster: looks at what is there, shows what is missing, does it.

mod change;
mod cluster;
mod files;
mod plan;
mod rights;

use crate::args::{Bootstrap, Output};
use crate::{output, vault};
use anyhow::Context as _;
use change::{Change, Found, State};
use cluster::{Cluster, ClusterFacts};
use files::File;
use keystead_vault::Client;
use plan::{Facts, Names};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) async fn run(args: Bootstrap) -> anyhow::Result<()> {
    let names = Names::new(&args)?;
    match args.output {
        None => prepare(&args, &names).await,
        Some(output) => write(&args, &names, output).await,
    }
}

/// Shows what is missing, and with --yes does it.
async fn prepare(args: &Bootstrap, names: &Names) -> anyhow::Result<()> {
    let vault = vault::client(&args.vault, args.vault_namespace.as_deref())?;
    let cluster = Cluster::connect(args).await?;
    let facts = Facts {
        cluster: cluster.facts().await?,
        mounts: mounts(&vault).await?,
    };
    let missing = missing(args, names, &vault, &cluster, &facts).await?;
    let mut out = std::io::stdout();
    match (missing.len(), args.yes) {
        (0, _) => output::line(&mut out, "Nothing to do: this Vault is ready."),
        (count, false) => {
            let text = format!("{count} to do (+). Run it again with --yes to do it.");
            output::line(&mut out, &text);
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
    output::line(&mut out, &plan::next_steps(args, names));
    Ok(())
}

/// Writes what would be done, for somebody to review. It is all that should be there, whatever is there.
async fn write(args: &Bootstrap, names: &Names, form: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    // No path is a matter of the cluster.
    let token = rights::policy(args, &plan::wanted(args, names, &ClusterFacts::default()));
    if form == Output::Policy {
        output::line(&mut out, token.trim_end());
        return Ok(());
    }
    let facts = Cluster::connect(args).await?.facts().await?;
    let changes = plan::wanted(args, names, &facts);
    let files = match form {
        Output::Terraform => files::terraform(args, &changes)?,
        Output::Hcl | Output::Policy => {
            let mut files = files::script(args, &changes)?;
            files.push(File::new("token.hcl", token));
            files
        }
    };
    let folder = args.folder.clone();
    let folder = folder.unwrap_or_else(|| format!("keystead-{}", args.cluster).into());
    for file in files {
        let path = file.write(&folder)?;
        output::line(&mut out, &format!("wrote {}", path.display()));
    }
    output::line(&mut out, &plan::next_steps(args, names));
    Ok(())
}

/// Shows everything that should be there, and answers what is not. What is somebody else's is an
/// error before anything is written, unless it may be replaced.
async fn missing(
    args: &Bootstrap,
    names: &Names,
    vault: &Client,
    cluster: &Cluster,
    facts: &Facts,
) -> anyhow::Result<Vec<Change>> {
    let mut missing = Vec::new();
    let mut out = std::io::stdout();
    for change in plan::wanted(args, names, &facts.cluster) {
        let mark = match look(vault, cluster, facts, &change).await? {
            State::Done => "=",
            State::Missing => "+",
            State::Foreign { why, .. } if args.replace => {
                output::line(&mut out, &format!("! {why}, and is replaced:"));
                "+"
            }
            State::Foreign { why, option } => anyhow::bail!(
                "{} exists, and {why}: it seems to be somebody else's, so nothing was written. Choose another place with {option}, or overwrite it with --replace",
                change.path()
            ),
        };
        output::line(&mut out, &format!("{mark} {change}"));
        if mark == "+" {
            missing.push(change);
        }
    }
    Ok(missing)
}

/// The mounts there are, with their types: engines by path, auth methods below `auth/`.
async fn mounts(vault: &Client) -> anyhow::Result<BTreeMap<String, Mount>> {
    let mut all: BTreeMap<String, Mount> = vault.read("sys/mounts").await.context(
        "the token must be allowed to read sys/mounts and sys/auth, and to write mounts, policies and roles; --output policy shows the policy that it needs",
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

/// Whether a change is made already.
async fn look(vault: &Client, cluster: &Cluster, facts: &Facts, change: &Change) -> anyhow::Result<State> {
    if let Some(state) = facts.mounted(change)? {
        return Ok(state);
    }
    let path = change.path();
    // Vault has many words for a path below a mount that is not there: it is not asked.
    let found: Option<Found> = if facts.has(&path) {
        vault.read_optional(&path).await?
    } else {
        None
    };
    let state = change.compare(found.as_ref());
    let reviewed = matches!(change, Change::Reviewer { .. }) && state == State::Done;
    if reviewed && !cluster.has_reviewer().await? {
        return Ok(State::Missing);
    }
    Ok(state)
}

async fn apply(vault: &Client, cluster: &Cluster, change: &Change) -> anyhow::Result<()> {
    let mut body = change.body();
    if let Change::Reviewer { .. } = change {
        let token = cluster.reviewer_token().await?;
        body.insert("token_reviewer_jwt".into(), Value::String(token.expose().clone()));
    }
    vault.write(&change.path(), &Value::Object(body)).await?;
    Ok(())
}
