//! What is in Vault under our names, whoever still declares it.

use crate::client::Client;
use crate::error::Error;
use crate::name::{Letter, Prefix};
use std::collections::BTreeSet;

/// The service accounts (namespace and name) that have a policy, or a role of this auth mount.
pub async fn accounts(
    client: &Client,
    prefix: &Prefix,
    mount: &str,
) -> Result<BTreeSet<(String, String)>, Error> {
    let mut names = client.list("sys/policies/acl").await?;
    names.extend(client.list(&format!("auth/{mount}/role")).await?);
    let accounts = names
        .iter()
        .filter_map(|name| prefix.parse(Letter::ServiceAccount, name));
    Ok(accounts
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .collect())
}
