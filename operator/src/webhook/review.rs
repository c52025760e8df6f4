//! Reviews of new pods: what comes in, what is decided, what goes out.

use super::inject::{self, Operation, Pod, Refusal};
use super::metrics::Metrics;
use super::wire::{FORBIDDEN, Incoming, Malformed, Response, UNAVAILABLE};
use super::{Directory, Lookup};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_crds::names;
use serde::Deserialize;
use serde_json::value::RawValue;
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
struct Request<'a> {
    uid: String,
    /// The pod itself need not say: one made by `generateName` has neither name nor namespace.
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

/// Decides about one new pod. Pure.
fn decide(
    entry: Entry,
    namespace: &str,
    pod: &Pod<'_>,
    directory: &dyn Directory,
    sidecar: &inject::Settings,
) -> Decision {
    // Before the directory is asked: whatever it says of the account, there is nothing to be done.
    if pod.is_settled() {
        return Decision::Leave;
    }
    let account = pod.service_account();
    let lookup = directory.secrets_for(namespace, account, pod.labels());
    match (lookup, entry) {
        (Lookup::Found(secrets), _) => match inject::plan(pod, *secrets, sidecar) {
            Ok(patch) if patch.is_empty() => Decision::Leave,
            Ok(patch) => Decision::Inject(patch),
            Err(refusal) => Decision::from(refusal),
        },
        (Lookup::Elsewhere, _) | (Lookup::NoBinding | Lookup::Unselected(_), Entry::Namespace) => {
            Decision::Leave
        }
        (Lookup::NoBinding, Entry::Pod) => Decision::Refuse {
            code: FORBIDDEN,
            message: format!(
                "no SecretBinding in namespace {namespace} names service account {account}: \
                 apply one, or take the label {} off the pod",
                names::INJECT_LABEL
            ),
        },
        (Lookup::Unselected(bindings), Entry::Pod) => Decision::Refuse {
            code: FORBIDDEN,
            message: format!(
                "no SecretBinding in namespace {namespace} is for this pod: those that name service account {account} ({}) \
                 select pods with other labels by podSelector: change one, or the pod's labels, or take the label {} \
                 off the pod",
                bindings.join(", "),
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
        let pod = request.pod();
        let decision = match &pod {
            Ok(Some(pod)) => decide(entry, &request.namespace, pod, &*self.directory, &self.sidecar),
            Ok(None) => Decision::Leave,
            Err(refusal) => Decision::from(refusal.clone()),
        };
        let answer = render(&request.uid, &decision)?;
        self.metrics
            .requests
            .with_label_values(&[entry.as_str(), decision.outcome()])
            .inc();
        self.metrics.duration.observe(begun.elapsed().as_secs_f64());
        let account = pod
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map(Pod::service_account);
        let namespace = &request.namespace;
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

// === impl Request ===

impl Request<'_> {
    /// The pod that is to be made; none where the request is about anything else.
    fn pod(&self) -> Result<Option<Pod<'_>>, Refusal> {
        let object = self.object.filter(|_| self.operation == "CREATE");
        object.map(|object| Pod::parse(object.get())).transpose()
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

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse {
            code: FORBIDDEN,
            message: refusal.to_string(),
        }
    }
}

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
