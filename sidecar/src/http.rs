//! `/livez`, `/readyz` and `/metrics` on the pod's address.

use keystead_runtime::probes::Probes;
use keystead_runtime::{Backoff, Readiness, Shutdown};
use prometheus::Registry;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// Between tries to get the port.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// Serves until the end. A port that is taken does not stop the secrets; it may become free, as
/// when the predecessor of a restarted container is still about to go.
pub(crate) async fn serve(address: SocketAddr, readiness: Readiness, registry: Registry, shutdown: Shutdown) {
    let mut failures = 0;
    let probes = loop {
        let error = match Probes::bind(address, readiness.clone(), registry.clone()).await {
            Ok(probes) => break probes,
            Err(error) => error,
        };
        if failures == 0 {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, why, "no probes and no metrics, trying again");
        }
        failures += 1;
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(BACKOFF.delay(failures)) => {}
        }
    };
    tracing::debug!(address = %probes.address(), "serving probes and metrics");
    probes.run(shutdown).await;
}
