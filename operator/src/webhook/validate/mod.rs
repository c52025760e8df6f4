//! The validating webhook: tells whoever applies one of our objects what CEL can't say, and asks who
//! changes a namespace's labels whether they may say who is a tenant.

mod guard;
mod objects;

use super::Directory;
use super::metrics::Metrics;
use super::wire::{FORBIDDEN, Incoming, Malformed, Response, UNAVAILABLE};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Which of the two webhooks was called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A namespace is made or its labels change.
    Namespace,
    /// One of our objects is made or changed.
    Object,
}

/// What was decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It gets in, with these warnings.
    Allow(Vec<String>),
    /// It does not get in.
    Refuse {
        /// HTTP status for the one who sent it.
        code: u16,
        /// Why, and what would be right.
        message: String,
        /// What else is to be said.
        warnings: Vec<String>,
    },
}

/// Answers reviews.
pub struct Handler {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) client: kube::Client,
    pub(super) metrics: Metrics,
}

/// What the API server asks. What it asks about stays raw.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request {
    uid: String,
    kind: GroupVersionKind,
    name: String,
    namespace: String,
    operation: String,
    user_info: User,
    object: Value,
    old_object: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GroupVersionKind {
    kind: String,
}

/// Who sent it, as the API server knows them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: Option<String>,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

// === impl Handler ===

impl Handler {
    /// Answers the body of one request with the body of its response.
    pub(super) async fn answer(&self, entry: Entry, body: &[u8]) -> Result<Vec<u8>, Malformed> {
        let begun = Instant::now();
        let (request, verdict) = match (read(body), entry) {
            (Ok(request), Entry::Object) => {
                let verdict = self.object(&request).await;
                (request, verdict)
            }
            (Ok(request), Entry::Namespace) => {
                let verdict = self.namespace(&request).await;
                (request, verdict)
            }
            // What can't be read is let through: whether it can work is found out when it is compiled.
            (Err(_), Entry::Object) if is_json(body) => (
                Request {
                    uid: uid(body),
                    ..Request::default()
                },
                Verdict::unread(),
            ),
            (Err(malformed), _) => {
                self.count(entry, "malformed");
                return Err(malformed);
            }
        };
        let answer = verdict.render(&request.uid)?;
        self.count(entry, verdict.outcome());
        self.metrics.duration.observe(begun.elapsed().as_secs_f64());
        if let Verdict::Refuse { message, .. } = &verdict {
            let (kind, namespace, name) = (&request.kind.kind, &request.namespace, &request.name);
            tracing::info!(kind, namespace, name, message, "refused");
        }
        Ok(answer)
    }

    /// A refusal is looked at again a moment later: what the object needs may have been applied just
    /// before it, and not be known here yet.
    async fn object(&self, request: &Request) -> Verdict {
        let look = || objects::decide(self.directory.world().as_deref(), request);
        match look() {
            Verdict::Refuse { .. } => {
                sleep(SETTLE).await;
                look()
            }
            allowed @ Verdict::Allow(_) => allowed,
        }
    }

    async fn namespace(&self, request: &Request) -> Verdict {
        let questions = match self.directory.world() {
            None => return Verdict::refuse(UNAVAILABLE, "Keystead is starting, try again".to_owned()),
            Some(world) => match guard::questions(&world, request) {
                Ok(questions) => questions,
                Err(unreadable) => return Verdict::refuse(FORBIDDEN, unreadable.to_owned()),
            },
        };
        guard::decide(request, questions, |question| {
            guard::ask(&self.client, request, question)
        })
        .await
    }

    fn count(&self, entry: Entry, outcome: &str) {
        let labels = [entry.as_str(), outcome];
        self.metrics.requests.with_label_values(&labels).inc();
    }
}

fn read(body: &[u8]) -> Result<Request, Malformed> {
    let request = serde_json::from_slice::<Incoming<Request>>(body)?.request;
    if request.uid.is_empty() {
        return Err(Malformed(serde::de::Error::custom("request.uid is empty")));
    }
    Ok(request)
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// The review's uid, wherever the rest of it went wrong.
fn uid(body: &[u8]) -> String {
    let review: Value = serde_json::from_slice(body).unwrap_or_default();
    let uid = review.pointer("/request/uid").and_then(Value::as_str);
    uid.unwrap_or_default().to_owned()
}

// === impl Entry ===

impl Entry {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "validate_namespace",
            Self::Object => "validate",
        }
    }
}

// === impl Verdict ===

impl Verdict {
    const fn allow() -> Self {
        Self::Allow(Vec::new())
    }

    fn refuse(code: u16, message: String) -> Self {
        Self::Refuse {
            code,
            message,
            warnings: Vec::new(),
        }
    }

    /// Nothing of what can't be read is repeated: there may be a value in it.
    fn unread() -> Self {
        Self::Allow(vec![
            "Keystead can't read this and has not looked at it; its conditions will say what is wrong"
                .to_owned(),
        ])
    }

    const fn outcome(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allowed",
            Self::Refuse {
                code: UNAVAILABLE, ..
            } => "not_ready",
            Self::Refuse { .. } => "refused",
        }
    }

    fn render(&self, uid: &str) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Allow(warnings) => Response::allow(uid).with_warnings(warnings).render(),
            Self::Refuse {
                code,
                message,
                warnings,
            } => Response::refuse(uid, *code, message)
                .with_warnings(warnings)
                .render(),
        }
    }
}

/// By then the watches have brought what was applied just before; people don't notice.
const SETTLE: Duration = Duration::from_millis(250);

#[cfg(test)]
pub(in crate::webhook) mod tests;
