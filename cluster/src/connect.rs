//! The way to the API server.

use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use std::time::Duration;

/// Longest time to connect to the API server.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says where the API server is.
    #[error("failed to find a Kubernetes API server: neither a kubeconfig nor a cluster around")]
    Nowhere(#[source] kube::config::InferConfigError),
    /// The kubeconfig does not have what was asked for.
    #[error("cannot use context {context} of the kubeconfig")]
    Context {
        /// As given.
        context: String,
        /// Why.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// Its client can't be made.
    #[error("failed to make a client of the Kubernetes API server")]
    Client(#[source] kube::Error),
}

/// Where the API server is and who asks: a context of the kubeconfig, or what is found without one (the
/// kubeconfig's current context, then the cluster that this runs in). Retries are left to the caller.
pub async fn config(context: Option<&str>) -> Result<Config, Error> {
    let mut config = match context {
        None => Config::infer().await.map_err(Error::Nowhere)?,
        Some(context) => {
            let options = KubeConfigOptions {
                context: Some(context.to_owned()),
                ..KubeConfigOptions::default()
            };
            let config = Config::from_kubeconfig(&options).await;
            config.map_err(|source| Error::Context {
                context: context.to_owned(),
                source,
            })?
        }
    };
    config.connect_timeout = Some(CONNECT_DEADLINE);
    config.default_retry = false;
    Ok(config)
}

/// A client of it.
pub fn client(config: Config) -> Result<Client, Error> {
    Client::try_from(config).map_err(Error::Client)
}
