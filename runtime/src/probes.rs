//! `/livez`, `/readyz` and `/metrics`, on a plain port.

use crate::shutdown::Shutdown;
use prometheus::{Registry, TextEncoder};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use warp::http::{Response, StatusCode};
use warp::{Filter, Reply};

/// What must be true before the process is ready; it is when every registered condition is.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Condition>>>);

/// One thing that must be true. Clones speak of the same thing.
#[derive(Clone, Debug)]
pub struct Condition {
    name: Arc<str>,
    met: Arc<AtomicBool>,
    /// Why it is not true, where that is known.
    why: Arc<Mutex<String>>,
}

/// The server, bound and not yet running.
#[derive(Debug)]
pub struct Probes {
    listener: TcpListener,
    address: SocketAddr,
    readiness: Readiness,
    registry: Registry,
}

/// Why the probes can't be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or the address is not ours.
    #[error("failed to listen on {address} for probes and metrics")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

// === impl Readiness ===

impl Readiness {
    /// Adds something that is not true yet. The name is shown to people: `webhook certificate`.
    pub fn register(&self, name: &str) -> Condition {
        let condition = Condition {
            name: name.into(),
            met: Arc::default(),
            why: Arc::default(),
        };
        self.conditions().push(condition.clone());
        condition
    }

    /// What is not true, in the order it was registered, with the reason where that is known.
    pub fn missing(&self) -> Vec<String> {
        self.conditions()
            .iter()
            .filter(|c| !c.is_met())
            .map(ToString::to_string)
            .collect()
    }

    fn conditions(&self) -> std::sync::MutexGuard<'_, Vec<Condition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Condition ===

impl Condition {
    /// Says whether it is true now.
    pub fn set(&self, met: bool) {
        self.change(met, "");
    }

    /// Says that it is not true, and why. The sentence is shown to people.
    pub fn fail(&self, why: &str) {
        self.change(false, why);
    }

    fn change(&self, met: bool, why: &str) {
        why.clone_into(&mut self.why.lock().unwrap_or_else(PoisonError::into_inner));
        if self.met.swap(met, Ordering::Relaxed) != met {
            tracing::debug!(condition = &*self.name, met, "readiness changed");
        }
    }

    /// Whether it is true now.
    pub fn is_met(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &**self.why.lock().unwrap_or_else(PoisonError::into_inner) {
            "" => Ok(()),
            why => write!(f, " ({why})"),
        }
    }
}

// === impl Probes ===

impl Probes {
    /// Takes the port.
    pub async fn bind(address: SocketAddr, readiness: Readiness, registry: Registry) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            readiness,
            registry,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the end is asked for, and what is under way for a little longer.
    pub async fn run(self, shutdown: Shutdown) {
        let asked = shutdown.clone();
        let server = warp::serve(routes(self.readiness, self.registry))
            .incoming(self.listener)
            .graceful(async move { asked.requested().await })
            .run();
        let overdue = async {
            shutdown.requested().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            () = server => {}
            () = overdue => tracing::debug!("gave up on a connection to the probes"),
        }
    }
}

fn routes(
    readiness: Readiness,
    registry: Registry,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let livez = warp::path!("livez").map(|| text(StatusCode::OK, "ok\n".to_owned()));
    let readyz = warp::path!("readyz").map(move || ready(&readiness));
    let metrics = warp::path!("metrics").map(move || metrics(&registry));
    let found = livez.or(readyz).unify().or(metrics).unify();
    warp::get()
        .or(warp::head())
        .unify()
        .and(found)
        .recover(|_| async {
            let hint = "not found: /livez, /readyz and /metrics are here\n".to_owned();
            Ok::<_, Infallible>(text(StatusCode::NOT_FOUND, hint))
        })
}

fn ready(readiness: &Readiness) -> Response<String> {
    let missing = readiness.missing();
    if missing.is_empty() {
        return text(StatusCode::OK, "ok\n".to_owned());
    }
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("waiting for: {}\n", missing.join(", ")),
    )
}

fn metrics(registry: &Registry) -> Response<String> {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(page) => text(StatusCode::OK, page),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to encode metrics: {error}\n"),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // The content type of Prometheus' text format is plain text to everyone else.
    let kind = warp::http::HeaderValue::from_static(prometheus::TEXT_FORMAT);
    response
        .headers_mut()
        .insert(warp::http::header::CONTENT_TYPE, kind);
    response
}

/// How long a connection may outlive the request to end.
const DRAIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    async fn probes(readiness: &Readiness) -> Probes {
        let registry = Registry::new();
        let counter = prometheus::IntCounter::new("keystead_test_total", "A test.").unwrap();
        counter.inc();
        registry.register(Box::new(counter)).unwrap();
        Probes::bind(([127, 0, 0, 1], 0).into(), readiness.clone(), registry)
            .await
            .unwrap()
    }

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn readyz_names_what_is_missing() {
        let readiness = Readiness::default();
        let (certificate, caches) = (
            readiness.register("webhook certificate"),
            readiness.register("caches"),
        );
        let probes = probes(&readiness).await;
        let address = probes.address();
        let (trigger, shutdown) = shutdown::channel();
        let server = tokio::spawn(probes.run(shutdown));

        assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
        let waiting = "waiting for: webhook certificate, caches\n".to_owned();
        assert_eq!(get(address, "/readyz").await, (503, waiting));
        certificate.set(true);
        assert_eq!(
            get(address, "/readyz").await,
            (503, "waiting for: caches\n".to_owned())
        );
        caches.set(true);
        assert_eq!(get(address, "/readyz").await, (200, "ok\n".to_owned()));
        certificate.fail("it has ended");
        let ended = "waiting for: webhook certificate (it has ended)\n".to_owned();
        assert_eq!(get(address, "/readyz").await, (503, ended));
        certificate.set(false);
        let waiting = "waiting for: webhook certificate\n".to_owned();
        assert_eq!(get(address, "/readyz").await, (503, waiting));

        let (status, page) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(page.contains("keystead_test_total 1"), "{page}");
        assert_eq!(get(address, "/elsewhere").await.0, 404);

        trigger.drain();
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "still listening");
    }

    #[tokio::test]
    async fn a_silent_client_does_not_hold_up_the_end() {
        let probes = probes(&Readiness::default()).await;
        let address = probes.address();
        let (trigger, shutdown) = shutdown::channel();
        let server = tokio::spawn(probes.run(shutdown));
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        assert_eq!(get(address, "/livez").await.0, 200);

        tokio::time::pause();
        trigger.drain();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let first = probes(&Readiness::default()).await;
        let error = Probes::bind(first.address(), Readiness::default(), Registry::new())
            .await
            .unwrap_err();
        let expected = format!("failed to listen on {} for probes and metrics", first.address());
        assert_eq!(error.to_string(), expected);
    }
}
