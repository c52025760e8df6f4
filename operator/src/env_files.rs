//! Whether containers can get variables from files (`fileKeyRef`): the API server has to know the field,
//! and so has the kubelet of every node, because a pod may come to any of them.

mod kubelets;

use self::kubelets::Kubelets;
use crate::context::Context;
use crate::watch::Source;
use keystead_runtime::{Backoff, probes::Condition};
use kube::Client;
use kube::core::Status;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the API server is asked anew, because nothing tells of a changed feature gate.
const ASK: Duration = Duration::from_mins(10);
/// After no answer.
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(5));

/// What was found out.
#[derive(Debug, Default)]
struct Found {
    /// Whether the API server takes it; none before it was asked.
    server: Option<bool>,
    kubelets: Kubelets,
}

impl Found {
    /// What stands against it, as a clause.
    fn lacks(&self) -> Option<String> {
        if self.server == Some(false) {
            let clause = "the API server has no fileKeyRef (Kubernetes 1.35, feature gate EnvFiles)";
            return Some(clause.to_owned());
        }
        self.kubelets.lack()
    }
}

/// Finds out, for a webhook that runs in `namespace`, until the end is asked for. `known` is met once
/// there is an answer, and always where there is no webhook.
pub(crate) async fn find_out(source: &Source, namespace: Option<&str>, known: Condition) {
    let Some(namespace) = namespace else {
        return known.set(true);
    };
    let search = Search {
        context: &source.context,
        found: Mutex::default(),
        known,
        upgraded: Notify::new(),
    };
    tokio::join!(
        kubelets::follow(source, &search),
        search.ask_server(source, namespace)
    );
}

/// The search, which goes on.
struct Search<'a> {
    context: &'a Context,
    found: Mutex<Found>,
    known: Condition,
    /// Nodes came or changed version: the API server may have, too.
    upgraded: Notify,
}

impl Search<'_> {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the webhook.
    fn publish(&self) {
        let found = self.found();
        let lacks = found.lacks();
        let is_known = found.server.is_some() && found.kubelets.are_listed();
        drop(found);
        let mut world = self.context.world_mut();
        if world.lacks_env_files != lacks {
            if let Some(why) = &lacks {
                tracing::warn!(why, "pods get no variables by fileKeyRef; mode Exec serves them");
            } else {
                tracing::info!("pods get variables by fileKeyRef");
            }
            world.lacks_env_files = lacks;
        }
        drop(world);
        if is_known {
            self.known.set(true);
        }
    }

    async fn ask_server(&self, source: &Source, namespace: &str) {
        let mut failures = 0;
        loop {
            let wait = match takes_env_files(&self.context.client, namespace).await {
                Ok(takes) => {
                    self.found().server = Some(takes);
                    failures = 0;
                    ASK.mul_f64(0.9 + 0.2 * fastrand::f64())
                }
                Err(error) => {
                    tracing::warn!(%error, "can't find out whether the API server knows fileKeyRef; taking what was true before");
                    // It has had it for long enough.
                    self.found().server.get_or_insert(true);
                    failures += 1;
                    RETRY.delay(failures)
                }
            };
            self.publish();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.upgraded.notified() => {}
                () = source.shutdown.requested() => return,
            }
        }
    }
}

/// Asks by a PodTemplate that is never stored: the right to make one gives nobody a pod. An API server
/// that doesn't have the field drops it, and then finds a variable without a source.
async fn takes_env_files(client: &Client, namespace: &str) -> Result<bool, kube::Error> {
    let path = format!("/api/v1/namespaces/{namespace}/podtemplates?dryRun=All");
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(template().to_string().into_bytes())
        .map_err(kube::core::request::Error::BuildRequest);
    let answer = client
        .request::<Value>(request.map_err(kube::Error::BuildRequest)?)
        .await;
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if is_invalid(&status) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_invalid(status: &Status) -> bool {
    status.code == 422
}

fn template() -> Value {
    let key = json!({"volumeName": "files", "path": "env", "key": "A"});
    let container = json!({
        "name": "probe",
        "image": "keystead.invalid/probe",
        "env": [{"name": "A", "valueFrom": {"fileKeyRef": key}}],
    });
    json!({
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"generateName": "keystead-probe-"},
        "template": {"spec": {"containers": [container], "volumes": [{"name": "files", "emptyDir": {}}]}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_named_before_its_nodes() {
        let mut found = Found::default();
        assert_eq!(found.lacks(), None);
        found.kubelets.note("n1", Some("v1.34.1"));
        let node = found.lacks().unwrap();
        assert!(node.starts_with("node n1 runs"), "{node}");
        found.server = Some(false);
        let server = found.lacks().unwrap();
        assert!(server.starts_with("the API server has no fileKeyRef"), "{server}");
        found.server = Some(true);
        assert_eq!(found.lacks(), Some(node));
    }
}
