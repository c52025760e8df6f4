//! Waits for the definitions of our kinds: a chart may bring them after its Deployment, and a watch of a
//! kind that is not there would only back off for longer and longer.

use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use keystead_runtime::{Backoff, Shutdown, probes::Condition};
use kube::{Client, Resource};
use std::collections::BTreeSet;
use std::time::Duration;

/// How soon it looks again, and how late at most.
const LOOK: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));

/// Waits until the API server serves every kind, and says which ones are missing; not, if the end comes
/// first.
pub(crate) async fn all_there(client: &Client, there: &Condition, shutdown: &Shutdown) -> bool {
    let mut said = String::new();
    for attempt in 1.. {
        let news = match missing(client).await {
            Ok(missing) if missing.is_empty() => {
                there.set(true);
                return true;
            }
            Ok(missing) => format!(
                "waiting for the definitions (CRDs) of {}: apply those of the chart",
                missing.join(", ")
            ),
            Err(error) => format!("waiting for the API server, which can't be asked for our kinds: {error}"),
        };
        if news != said {
            tracing::warn!("{news}");
            said = news;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK.delay(attempt)) => {}
            () = shutdown.requested() => return false,
        }
    }
    false
}

/// The kinds that the API server does not serve.
async fn missing(client: &Client) -> Result<Vec<String>, kube::Error> {
    let version = SecretProvider::api_version(&());
    let served: BTreeSet<String> = match client.list_api_group_resources(&version).await {
        Ok(list) => list.resources.into_iter().map(|resource| resource.kind).collect(),
        Err(kube::Error::Api(status)) if status.is_not_found() => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    let ours = [
        SecretProvider::kind(&()),
        SecretScope::kind(&()),
        Credential::kind(&()),
        SecretBinding::kind(&()),
        DatabaseConnection::kind(&()),
        DatabaseRole::kind(&()),
        EncryptionKey::kind(&()),
    ];
    let missing = ours.iter().filter(|kind| !served.contains(kind.as_ref()));
    Ok(missing.map(ToString::to_string).collect())
}
