//! Vault as the person at the keyboard sees it.

use crate::args::VaultArgs;
use anyhow::Context as _;
use keystead_cluster::{Values, connection};
use keystead_crds::SecretProvider;
use keystead_vault::{Client, Connection, Sensitive};
use std::path::Path;

/// What to do about a missing token.
const NO_TOKEN: &str = "no Vault token: set VAULT_TOKEN, or name a file with --token-file";

/// A client with the person's own token, of the server that the command line names, in a Vault namespace.
pub(crate) fn client(args: &VaultArgs, namespace: Option<&str>) -> anyhow::Result<Client> {
    let address = args.address.clone();
    let client = Client::new(&Connection {
        address: address.context("no Vault: name its address with --vault, or set VAULT_ADDR")?,
        ca: ca(args)?,
        namespace: namespace.map(str::to_owned),
        ..Connection::default()
    })?;
    client.set_token(&token(args)?.context(NO_TOKEN)?)?;
    Ok(client)
}

/// A client of a provider's Vault that carries no token yet. What the command line says of the server
/// goes before what the provider says.
pub(crate) async fn reach(
    args: &VaultArgs,
    cluster: &kube::Client,
    provider: &SecretProvider,
) -> anyhow::Result<Client> {
    let vault = &provider.spec.vault;
    let ca = match ca(args)? {
        Some(ca) => Some(ca),
        None => connection::authorities(&Values::new(cluster), provider).await?,
    };
    let client = Client::new(&Connection {
        address: args.address.clone().unwrap_or_else(|| vault.address.clone()),
        ca,
        namespace: vault.namespace.clone(),
        // It is the name of the provider's address.
        server_name: vault.tls_server_name.clone().filter(|_| args.address.is_none()),
        ..Connection::default()
    })?;
    Ok(client)
}

/// A client of a provider's Vault with the person's own token.
pub(crate) async fn log_in(
    args: &VaultArgs,
    cluster: &kube::Client,
    provider: &SecretProvider,
) -> anyhow::Result<Client> {
    let token = token(args)?.context(NO_TOKEN)?;
    let client = reach(args, cluster, provider).await?;
    client.set_token(&token)?;
    Ok(client)
}

/// The person's token, if there is one.
pub(crate) fn token(args: &VaultArgs) -> anyhow::Result<Option<Sensitive<String>>> {
    Ok(match &args.token_file {
        Some(file) => Some(Sensitive::new(read(file)?)),
        None => std::env::var("VAULT_TOKEN").ok().map(Sensitive::new),
    })
}

fn ca(args: &VaultArgs) -> anyhow::Result<Option<String>> {
    args.ca.as_deref().map(read).transpose()
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
