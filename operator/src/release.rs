//! `--release`: takes our finalizer off, so that nothing waits for an operator that is removed. A
//! running one would put it back, so it is stopped first, and its lease is taken.

use crate::args::Args;
use crate::lease::Election;
use crate::run::{Error, READ_DEADLINE, connect};
use k8s_openapi::api::apps::v1::Deployment;
use keystead_cluster::{call, release};
use keystead_compile::Problem;
use keystead_crds::condition::Reason;
use keystead_runtime::{Shutdown, shutdown};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for the operator to end: its grace, and the life of a lease that it does not give back.
const STOP_DEADLINE: Duration = Duration::from_mins(1);

/// Takes the finalizer off everything that is not known to be of another class.
pub async fn release(args: Args) -> Result<(), Error> {
    let shutdown = shutdown::on_signals().map_err(Error::Signals)?;
    let client = connect(Some(READ_DEADLINE)).await?;
    let_go(&client, args, &shutdown).await.map_err(Error::Release)
}

async fn let_go(client: &Client, args: Args, shutdown: &Shutdown) -> Result<(), Problem> {
    let namespace = args.webhook.namespace.unwrap_or_default();
    if let Some(deployment) = &args.stop {
        stop(client, &namespace, deployment).await?;
    }
    if let Some(lease) = args.lease {
        let mut election = Election::new(client.clone(), &namespace, lease, args.identity);
        let won = timeout(STOP_DEADLINE, election.win(shutdown)).await;
        if won != Ok(true) {
            return Err(Problem::new(
                Reason::Conflict,
                "an operator still has the lease, and would put the finalizers back: stop it first",
            ));
        }
    }
    let held = release::held(client, Some(&args.class)).await?;
    for found in &held {
        release::let_go(client, found).await?;
        let release::Held { kind, key, deleted } = found;
        let (namespace, name) = (&key.namespace, &key.name);
        tracing::info!(?kind, namespace, name, deleted, "took the finalizer off");
    }
    tracing::info!(count = held.len(), "nothing waits for this operator any more");
    Ok(())
}

/// Scales a Deployment to none; one that is gone is fine.
async fn stop(client: &Client, namespace: &str, name: &str) -> Result<(), Problem> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    let parameters = PatchParams::default();
    let scaled = async {
        match api.patch_scale(name, &parameters, &none).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            scaled => scaled.map(|_| ()),
        }
    };
    call(&format!("scale of Deployment {namespace}/{name}"), scaled).await?;
    tracing::info!(namespace, name, "scaled the operator to none");
    Ok(())
}
