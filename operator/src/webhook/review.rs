//! Reviews of new pods: what comes in, what is decided, what goes out.

use super::inject::{self, Operation};
use super::metrics::Metrics;
use super::wire::{FORBIDDEN, Incoming, Malformed, Response, UNAVAILABLE};
use super::{Directory, Lookup};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_crds::names;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

/// Which of the two webhooks was called. Their selectors are ANDed, so "the pod or its namespace
/// carries the label" takes two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// The namespace carries the label: pods with a binding get their secrets.
    Namespace,
    /// The pod carries the label: it wants secrets, and must not start without.
    Pod,
}

/// What was decided about a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It gets this.
    Inject(Vec<Operation>),
    /// It goes on as it is.
    Leave,
    /// It does not get in.
    Refuse {
        /// HTTP status for the one who made it.
        code: u16,
        /// Why, and what to do.
        message: String,
    },
}

/// Answers reviews.
pub struct Handler {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) sidecar: inject::Settings,
    pub(super) metrics: Metrics,
}

/// What the API server asks. Our own struct: the pod stays raw.
#[derive(Debug, Deserialize)]
pub struct Request {
    uid: String,
    /// The pod itself need not say: one made by `generateName` has neither name nor namespace.
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    object: Value,
}

/// Decides about one pod. Pure.
pub fn decide(
    entry: Entry,
    request: &Request,
    directory: &dyn Directory,
    sidecar: &inject::Settings,
) -> Decision {
    if request.operation != "CREATE" {
        return Decision::Leave;
    }
    // Before the directory is asked: whatever it says of the account, there is nothing to be done.
    if inject::is_settled(&request.object) {
        return Decision::Leave;
    }
    let (namespace, account) = (&request.namespace, service_account(&request.object));
    match (directory.secrets_for(namespace, account), entry) {
        (Lookup::Found(secrets), _) => match inject::plan(&request.object, *secrets, sidecar) {
            Ok(patch) if patch.is_empty() => Decision::Leave,
            Ok(patch) => Decision::Inject(patch),
            Err(refusal) => Decision::Refuse {
                code: FORBIDDEN,
                message: refusal.to_string(),
            },
        },
        (Lookup::Elsewhere, _) | (Lookup::NoBinding, Entry::Namespace) => Decision::Leave,
        (Lookup::NoBinding, Entry::Pod) => Decision::Refuse {
            code: FORBIDDEN,
            message: format!(
                "no SecretBinding in namespace {namespace} names service account {account}: \
                 apply one, or take the label {} off the pod",
                names::INJECT_LABEL
            ),
        },
        // Under both labels: it has a binding, so it must not start without its secrets.
        (Lookup::Refused(message), _) => Decision::Refuse {
            code: FORBIDDEN,
            message,
        },
        (Lookup::NotReady, _) => Decision::Refuse {
            code: UNAVAILABLE,
            message: "Keystead is starting, try again".to_owned(),
        },
    }
}

/// The account a pod runs as. The API server fills it in before it asks, so the default is for others.
fn service_account(pod: &Value) -> &str {
    let spec = pod.get("spec");
    let name = spec
        .and_then(|spec| spec.get("serviceAccountName"))
        .and_then(Value::as_str);
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

// === impl Handler ===

impl Handler {
    /// Answers the body of one request with the body of its response.
    pub fn answer(&self, entry: Entry, body: &[u8]) -> Result<Vec<u8>, Malformed> {
        let begun = Instant::now();
        let request = serde_json::from_slice::<Incoming<Request>>(body).map_err(|error| {
            self.metrics
                .requests
                .with_label_values(&[entry.as_str(), "malformed"])
                .inc();
            Malformed(error)
        })?;
        let request = request.request;
        let decision = decide(entry, &request, &*self.directory, &self.sidecar);
        let answer = render(&request.uid, &decision)?;
        self.metrics
            .requests
            .with_label_values(&[entry.as_str(), decision.outcome()])
            .inc();
        self.metrics.duration.observe(begun.elapsed().as_secs_f64());
        let (namespace, account) = (&request.namespace, service_account(&request.object));
        let outcome = decision.outcome();
        match &decision {
            Decision::Refuse { message, .. } => {
                tracing::info!(uid = request.uid, %entry, %namespace, account, outcome, message, "pod refused");
            }
            Decision::Inject(_) | Decision::Leave => {
                tracing::debug!(uid = request.uid, %entry, %namespace, account, outcome, "pod reviewed");
            }
        }
        Ok(answer)
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("sidecar", &self.sidecar)
            .finish_non_exhaustive()
    }
}

// === impl Entry ===

impl Entry {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Pod => "pod",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Decision ===

impl Decision {
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Inject(_) => "injected",
            Self::Leave => "left",
            Self::Refuse {
                code: UNAVAILABLE, ..
            } => "not_ready",
            Self::Refuse { .. } => "refused",
        }
    }
}

fn render(uid: &str, decision: &Decision) -> serde_json::Result<Vec<u8>> {
    let response = match decision {
        Decision::Inject(operations) => {
            Response::allow(uid).with_patch(STANDARD.encode(serde_json::to_vec(operations)?))
        }
        Decision::Leave => Response::allow(uid),
        Decision::Refuse { code, message } => Response::refuse(uid, *code, message),
    };
    response.render()
}

#[cfg(test)]
pub(in crate::webhook) mod tests;
