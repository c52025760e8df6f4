//! The cluster's public signing keys, as its API server publishes them.

use crate::deadline::call;
use keystead_compile::Problem;
use keystead_crds::condition::Reason;
use keystead_vault::jwks::KeySet;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What whoever checks this cluster's tokens must know.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Published {
    /// Issuer of service account tokens.
    pub issuer: String,
    /// PEM public keys that sign them; while they are rotated, the old and the new.
    pub keys: Vec<String>,
}

/// Asks the API server.
pub async fn published(client: &Client) -> Result<Published, Problem> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
    }
    let discovery: Discovery = get(client, "/.well-known/openid-configuration").await?;
    let keys: KeySet = get(client, "/openid/v1/jwks").await?;
    let keys = keys
        .to_pem()
        .map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    Ok(Published {
        issuer: discovery.issuer,
        keys,
    })
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Problem> {
    let request = http::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| Problem::new(Reason::KubernetesError, error.to_string()))?;
    call(path, client.request(request)).await
}
