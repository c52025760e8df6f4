//! Events of pods. What a pod says again is counted on the event that there is.

use super::bounds::Recent;
use super::{Pod, Refusal, lock};
use crate::events;
use k8s_openapi::api::core::v1::ObjectReference;
use keystead_crds::sidecar::{PodReason, PodReport};
use kube::Client;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Makes the events, and remembers them.
pub(super) struct Said {
    client: Client,
    known: Mutex<Recent<Key, Made>>,
}

/// Which pod said what.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    uid: String,
    reason: PodReason,
    message: String,
}

#[derive(Clone, Debug)]
struct Made {
    /// Of the event.
    name: String,
    /// How often it was said.
    times: i32,
}

impl Said {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::new(Recent::new(KNOWN, KNOWN_FOR)),
        }
    }

    pub(super) async fn say(&self, pod: &Pod, report: &PodReport) -> Result<(), Refusal> {
        let failed = |error: &str| {
            tracing::warn!(
                namespace = pod.namespace,
                pod = pod.name,
                error,
                "no event of a pod could be made"
            );
            Refusal::Unanswered("the API server does not take the event".to_owned())
        };
        match timeout(DEADLINE, self.publish(pod, report)).await {
            Ok(Ok(())) => Ok(()),
            // The pod is about to go, and nobody will look for its events.
            Ok(Err(kube::Error::Api(status))) if events::is_terminating(&status) => Ok(()),
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(_) => Err(failed("no answer in time")),
        }
    }

    async fn publish(&self, pod: &Pod, report: &PodReport) -> kube::Result<()> {
        let key = Key {
            uid: pod.uid.clone(),
            reason: report.reason,
            message: report.message.clone(),
        };
        let made = lock(&self.known).get(&key, Instant::now()).cloned();
        let made = match made {
            Some(made) => self.again(pod, made).await?,
            None => None,
        };
        let made = match made {
            Some(made) => made,
            None => self.anew(pod, report).await?,
        };
        lock(&self.known).put(key, made, Instant::now());
        Ok(())
    }

    /// None where the event is gone: they do not live long.
    async fn again(&self, pod: &Pod, made: Made) -> kube::Result<Option<Made>> {
        let times = made.times.saturating_add(1);
        match events::repeat(&self.client, &pod.namespace, &made.name, times).await {
            Ok(()) => Ok(Some(Made { times, ..made })),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn anew(&self, pod: &Pod, report: &PodReport) -> kube::Result<Made> {
        let regarding = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        let (reason, warning) = (report.reason.as_str(), report.reason.is_warning());
        let event = events::create(
            &self.client,
            &regarding,
            "Deliver",
            warning,
            reason,
            &report.message,
        )
        .await?;
        Ok(Made {
            name: event.metadata.name.unwrap_or_default(),
            times: 1,
        })
    }
}

/// Events of which it is known that they are there; each has a sentence of at most 1 KiB.
const KNOWN: usize = 1024;
/// The API server keeps events for an hour by default.
const KNOWN_FOR: Duration = Duration::from_mins(50);
const DEADLINE: Duration = Duration::from_secs(5);
