//! The webhook's HTTPS server: warp's filters behind an accept loop of our own, because warp has no
//! TLS of its own.

use super::review::{Entry, Handler};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use keystead_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use warp::http::{HeaderValue, Response, StatusCode, header};
use warp::hyper::body::Bytes;
use warp::{Filter, Rejection, Reply};

/// Answers until the end is asked for, and what is under way for a little longer.
pub(super) async fn serve(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    handler: Arc<Handler>,
    shutdown: Shutdown,
) {
    let acceptor = TlsAcceptor::from(config);
    let filter = routes(handler);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = shutdown.requested() => break,
        };
        let (acceptor, filter, watcher) = (acceptor.clone(), filter.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _slot = slot;
            let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
                return;
            };
            let service = TowerToHyperService::new(warp::service(filter));
            let builder = builder();
            let connection = builder
                .serve_connection(TokioIo::new(stream), service)
                .into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "connection to the webhook ended");
            }
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("gave up on connections to the webhook that did not end");
    }
}

/// The next connection, when there is room for one.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it an answer in two segments waits for the other side's acknowledgement.
                let _ = stream.set_nodelay(true);
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection to the webhook");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that sends half a header and falls silent does not keep its slot.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}

fn routes(handler: Arc<Handler>) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let pod = warp::path!("inject" / "pod").map(|| Entry::Pod);
    let namespace = warp::path!("inject" / "namespace").map(|| Entry::Namespace);
    warp::post()
        .and(pod.or(namespace).unify())
        .and(warp::body::content_length_limit(MAX_BODY))
        .and(warp::body::bytes())
        .map(move |entry, body: Bytes| respond(&handler, entry, &body))
        .recover(|rejection: Rejection| async move { Ok::<_, Infallible>(reject(&rejection)) })
}

/// Refusals are answers too: another status than 200 means that the webhook itself failed, which is
/// then left to its failure policy.
fn respond(handler: &Handler, entry: Entry, body: &[u8]) -> Response<Vec<u8>> {
    match handler.answer(entry, body) {
        Ok(answer) => {
            let mut response = Response::new(answer);
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(malformed) => plain(StatusCode::BAD_REQUEST, format!("{malformed}\n")),
    }
}

fn reject(rejection: &Rejection) -> Response<Vec<u8>> {
    let (status, message) = if rejection.is_not_found() {
        (
            StatusCode::NOT_FOUND,
            "not found: POST /inject/pod or /inject/namespace\n",
        )
    } else if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        (StatusCode::PAYLOAD_TOO_LARGE, "the review is too large\n")
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        (StatusCode::LENGTH_REQUIRED, "a content-length is needed\n")
    } else {
        (StatusCode::BAD_REQUEST, "POST an AdmissionReview here\n")
    };
    plain(status, message.to_owned())
}

fn plain(status: StatusCode, message: String) -> Response<Vec<u8>> {
    let mut response = Response::new(message.into_bytes());
    *response.status_mut() = status;
    response
}

/// A review holds one object and its predecessor, each at most the API server's 3 MiB.
const MAX_BODY: u64 = 7 << 20;
/// API servers keep a handful of connections each.
const MAX_CONNECTIONS: usize = 512;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Also how long an idle connection of HTTP/1 may stay.
const HEADERS: Duration = Duration::from_mins(1);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The API server waits for an answer no longer than this.
const DRAIN: Duration = Duration::from_secs(5);
/// Out of file descriptors, most likely: they come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
