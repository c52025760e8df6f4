//! What sidecars say of their pods: each report becomes an event on the pod that its token names. Whatever
//! is sent, memory, the API server's work and the number of events stay bounded; what is too much is refused,
//! since a report is a courtesy.

mod bounds;
mod identity;
mod said;
#[cfg(test)]
mod tests;

use self::bounds::{Bucket, Rate, Recent};
use self::identity::{Identities, Pod};
use self::said::Said;
use super::https::{self, Clients};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use keystead_crds::names;
use keystead_crds::sidecar::PodReport;
use keystead_runtime::shutdown::Shutdown;
use kube::Client;
use prometheus::IntCounterVec;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use warp::http::{Response, StatusCode};
use warp::{Filter, Rejection, Reply};

/// Answers sidecars.
pub(super) struct Handler {
    identities: Identities,
    said: Said,
    /// How much each address may still show that is worth no question.
    sources: Mutex<Recent<IpAddr, Bucket>>,
    /// How much each pod may still say, by its uid.
    each: Mutex<Recent<String, Bucket>>,
    at_once: Semaphore,
    /// Reports by outcome.
    counter: IntCounterVec,
}

/// Why a report is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is not what a sidecar sends.
    #[error(
        "expected {{\"reason\": …, \"message\": …}}, the message one sentence without control characters: {0}"
    )]
    Malformed(String),
    /// Nobody's, or somebody's who is no pod.
    #[error(
        "expected the header `authorization: Bearer TOKEN` with a pod's token of audience {}",
        names::REPORT_AUDIENCE
    )]
    Unknown,
    /// The pod said too much, its address showed too much that is no pod's, or too many ask.
    #[error("too many reports: try again later")]
    TooMany,
    /// The API server does not play along.
    #[error("{0}")]
    Unanswered(String),
}

/// Answers until the end is asked for.
pub(super) async fn serve(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    handler: Arc<Handler>,
    shutdown: Shutdown,
) {
    let clients = Clients {
        of: "reports",
        connections: CONNECTIONS,
        each: CONNECTIONS_OF_ONE,
        life: Some(LIFE),
    };
    let routes = |source| routes(Arc::clone(&handler), source);
    https::serve(listener, config, builder(), clients, routes, shutdown).await;
}

/// One request for each connection: a sidecar has little to say, and its place is another's then.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(BUFFER);
    builder
}

/// What answers one address.
fn routes(
    handler: Arc<Handler>,
    source: IpAddr,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    warp::path!("v1" / "reports")
        .and(warp::post())
        .and(warp::header::optional("authorization"))
        .and(warp::body::content_length_limit(LONGEST_BODY))
        .and(warp::body::bytes())
        .then(move |authorization: Option<String>, body: Bytes| {
            let handler = Arc::clone(&handler);
            async move { respond(handler.take(source, authorization.as_deref(), &body).await) }
        })
        .recover(|rejection: Rejection| async move { Ok::<_, Infallible>(reject(&rejection)) })
}

fn respond(taken: Result<(), Refusal>) -> Response<String> {
    let Err(refusal) = taken else {
        return plain(StatusCode::NO_CONTENT, String::new());
    };
    plain(refusal.status(), format!("{refusal}\n"))
}

fn reject(rejection: &Rejection) -> Response<String> {
    let (status, message) = if rejection.is_not_found() {
        (StatusCode::NOT_FOUND, "not found: POST /v1/reports\n")
    } else if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        (StatusCode::PAYLOAD_TOO_LARGE, "the report is too large\n")
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        (StatusCode::LENGTH_REQUIRED, "a content-length is needed\n")
    } else {
        (StatusCode::BAD_REQUEST, "POST a report here\n")
    };
    plain(status, message.to_owned())
}

fn plain(status: StatusCode, message: String) -> Response<String> {
    let mut response = Response::new(message);
    *response.status_mut() = status;
    response
}

// === impl Handler ===

impl Handler {
    pub(super) fn new(client: Client, counter: IntCounterVec) -> Self {
        Self {
            identities: Identities::new(client.clone()),
            said: Said::new(client),
            sources: Mutex::new(Recent::new(SOURCES, SOURCES_FOR)),
            each: Mutex::new(Recent::new(PODS, PODS_FOR)),
            at_once: Semaphore::new(AT_ONCE),
            counter,
        }
    }

    async fn take(&self, source: IpAddr, authorization: Option<&str>, body: &[u8]) -> Result<(), Refusal> {
        let taken = self.publish(source, authorization, body).await;
        let outcome = taken.as_ref().map_or_else(Refusal::outcome, |()| "told");
        self.counter.with_label_values(&[outcome]).inc();
        taken
    }

    async fn publish(&self, source: IpAddr, authorization: Option<&str>, body: &[u8]) -> Result<(), Refusal> {
        let token = authorization.and_then(identity::bearer).ok_or(Refusal::Unknown)?;
        let report = read(body)?;
        let broken = |_| Refusal::Unanswered("the operator is about to end".into());
        let _slot = self.at_once.acquire().await.map_err(broken)?;
        // Before anybody is asked: whoever sends rubbish takes nothing of what others may ask.
        if !self.may_ask(source) {
            return Err(Refusal::TooMany);
        }
        let pod = match self.identities.of(token).await {
            Ok(pod) if self.may_speak(&pod) => pod,
            Ok(_) => {
                self.charge(source);
                return Err(Refusal::TooMany);
            }
            Err(refusal) => {
                if refusal == Refusal::Unknown {
                    self.charge(source);
                }
                return Err(refusal);
            }
        };
        tracing::debug!(
            namespace = pod.namespace,
            pod = pod.name,
            reason = report.reason.as_str(),
            message = report.message,
            "a pod reports"
        );
        self.said.say(&pod, &report).await
    }

    fn may_ask(&self, source: IpAddr) -> bool {
        let now = Instant::now();
        let sources = lock(&self.sources);
        let bucket = sources.get(&source, now).copied();
        bucket.is_none_or(|bucket| IDLE.has(bucket, now))
    }

    /// A question about what it sent was for nothing.
    fn charge(&self, source: IpAddr) {
        let now = Instant::now();
        let mut sources = lock(&self.sources);
        let mut bucket = sources.get(&source, now).copied().unwrap_or_default();
        IDLE.take(&mut bucket, now);
        sources.put(source, bucket, now);
    }

    fn may_speak(&self, pod: &Pod) -> bool {
        let now = Instant::now();
        let mut each = lock(&self.each);
        let mut bucket = each.get(&pod.uid, now).copied().unwrap_or_default();
        let may = EACH.take(&mut bucket, now);
        each.put(pod.uid.clone(), bucket, now);
        may
    }
}

/// A body that is a report, and safe to show.
fn read(body: &[u8]) -> Result<PodReport, Refusal> {
    let malformed = |why: &str| Err(Refusal::Malformed(why.to_owned()));
    let report: PodReport = serde_json::from_slice(body).or_else(|error| malformed(&error.to_string()))?;
    report.problem().map_or(Ok(report), malformed)
}

/// Nothing that holds a lock here can panic between two steps.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Refusal ===

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unanswered(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn outcome(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unknown => "unknown",
            Self::TooMany => "too_many",
            Self::Unanswered(_) => "failed",
        }
    }
}

/// Of one address: what is no pod's, or is more than its pod may say. Pods rarely share one, and few of these
/// questions are asked of the API server at all.
const IDLE: Rate = Rate {
    burst: 10,
    every: Duration::from_secs(10),
};
/// Addresses that are known for it, and for how long: until they may do as much as a new one.
const SOURCES: usize = 4096;
const SOURCES_FOR: Duration = Duration::from_secs(100);
/// Of one pod.
const EACH: Rate = Rate {
    burst: 6,
    every: Duration::from_secs(10),
};
/// Pods whose number of reports is known, and for how long: until they may say as much as a new one.
const PODS: usize = 4096;
const PODS_FOR: Duration = Duration::from_mins(1);
/// Reports that the API server is asked about at once.
const AT_ONCE: usize = 8;
const CONNECTIONS: usize = 64;
/// Of one address, so that nobody takes all of them.
const CONNECTIONS_OF_ONE: usize = 8;
/// Of a connection, from its handshake to its answer.
const LIFE: Duration = Duration::from_secs(10);
/// A message of control characters alone would take six times its length, and is refused anyway.
const LONGEST_BODY: u64 = 4096;
/// The least that hyper takes.
const BUFFER: usize = 8192;
