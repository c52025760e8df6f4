//! Vault as the person at the keyboard sees it.

use crate::args::VaultArgs;
use anyhow::Context as _;
use keystead_vault::{Client, Connection, Sensitive};

/// A client with the person's own token.
pub(crate) fn client(args: &VaultArgs) -> anyhow::Result<Client> {
    let read = |file: &std::path::Path| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let ca = args.ca.as_deref().map(read).transpose()?;
    let token = match &args.token_file {
        Some(file) => Sensitive::new(read(file)?),
        None => Sensitive::new(
            std::env::var("VAULT_TOKEN")
                .ok()
                .context("no Vault token: set VAULT_TOKEN, or name a file with --token-file")?,
        ),
    };
    let client = Client::new(&Connection {
        address: args.address.clone(),
        ca,
        ..Connection::default()
    })?;
    client.set_token(&token)?;
    Ok(client)
}
