//! What is replaced when, how often, by whom, and who holds it.

mod row;

use crate::output::{self, Format};
use crate::progress;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::connect;
use keystead_cluster::declared::{Unreadable, readable};
use keystead_compile::Problem;
use keystead_crds::{Credential, DatabaseRole, EncryptionKey};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource};
use row::Row;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is in this namespace [default: the context's].
    #[arg(short, long)]
    namespace: Option<String>,
    /// What is in all namespaces, and EncryptionKeys, which are in none.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The kubeconfig's context to use.
    #[arg(long)]
    context: Option<String>,
    /// For programs.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let config = connect::config(options.context.as_deref()).await?;
    let here = options
        .namespace
        .unwrap_or_else(|| config.default_namespace.clone());
    let namespace = Some(here).filter(|_| !options.all_namespaces);
    let client = connect::client(config)?;
    let mut unreadable = Vec::new();
    let work = rows(&client, namespace.as_deref(), &mut unreadable);
    let mut rows = progress::during("reading what is declared", work).await?;
    for found in unreadable {
        let text = format!("warning: {found} can't be read: {}", found.why);
        output::line(&mut std::io::stderr(), &text);
    }
    let now = Timestamp::now();
    row::sort(&mut rows, now);
    output::show(options.output, &rows, || row::table(&rows, now))?;
    Ok(ExitCode::SUCCESS)
}

async fn rows(
    client: &Client,
    namespace: Option<&str>,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Vec<Row>, Problem> {
    let credentials = within::<Credential>(client, namespace, unreadable).await?;
    let mut rows: Vec<Row> = credentials
        .iter()
        .filter_map(|found| Row::of_credential(found))
        .collect();
    let roles = within::<DatabaseRole>(client, namespace, unreadable).await?;
    rows.extend(roles.iter().map(|found| Row::of_role(found)));
    if namespace.is_none() {
        let api: Api<DeserializeGuard<EncryptionKey>> = Api::all(client.clone());
        let keys = readable(&api, ListParams::default(), unreadable).await?;
        rows.extend(keys.iter().filter_map(|(_, found)| Row::of_key(found)));
    }
    Ok(rows)
}

async fn within<K>(
    client: &Client,
    namespace: Option<&str>,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Vec<Arc<K>>, Problem>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let found = readable::<K>(&api, ListParams::default(), unreadable).await?;
    Ok(found.into_iter().map(|(_, found)| found).collect())
}
