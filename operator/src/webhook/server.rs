//! The webhook's HTTPS server: its routes, and how much it takes in.

mod body;

use self::body::{Bodies, Missing};
use super::https::{self, Clients};
use super::wire::Malformed;
use super::{review, validate};
use futures::Stream;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use keystead_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use warp::http::{HeaderValue, Response, StatusCode, header};
use warp::hyper::body::Buf;
use warp::{Filter, Rejection, Reply};

/// Who answers.
pub(super) struct Handlers {
    pub(super) inject: review::Handler,
    pub(super) validate: validate::Handler,
}

/// Who is asked, and for what.
#[derive(Clone, Copy, Debug)]
enum Route {
    Inject(review::Entry),
    Validate(validate::Entry),
}

impl Handlers {
    async fn answer(&self, route: Route, body: &[u8]) -> Result<Vec<u8>, Malformed> {
        match route {
            Route::Inject(entry) => self.inject.answer(entry, body),
            Route::Validate(entry) => self.validate.answer(entry, body).await,
        }
    }
}

/// Answers until the end is asked for, and what is under way for a little longer.
pub(super) async fn serve(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    handlers: Arc<Handlers>,
    shutdown: Shutdown,
) {
    let clients = Clients {
        of: "the webhook",
        connections: MAX_CONNECTIONS,
        each: MAX_CONNECTIONS,
        life: None,
    };
    let routes = routes(handlers);
    https::serve(listener, config, builder(), clients, |_| routes.clone(), shutdown).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that sends half a header and falls silent does not keep its slot.
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_buf_size(BUFFER)
        .header_read_timeout(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS_SIZE)
        // What is sent before its body has room waits in here.
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}

fn routes(handlers: Arc<Handlers>) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let pod = warp::path!("inject" / "pod").map(|| Route::Inject(review::Entry::Pod));
    let namespace = warp::path!("inject" / "namespace").map(|| Route::Inject(review::Entry::Namespace));
    let object = warp::path!("validate").map(|| Route::Validate(validate::Entry::Object));
    let tenant = warp::path!("validate" / "namespace").map(|| Route::Validate(validate::Entry::Namespace));
    let inject = pod.or(namespace).unify();
    let validate = object.or(tenant).unify();
    let bodies = Bodies::new();
    warp::post()
        .and(inject.or(validate).unify())
        .and(warp::body::content_length_limit(body::MAX as u64))
        .and(warp::header::header("content-length"))
        .and(warp::body::stream())
        .then(move |route, length: usize, body| {
            let (handlers, bodies) = (Arc::clone(&handlers), bodies.clone());
            async move { receive(&handlers, &bodies, route, length, body).await }
        })
        .recover(|rejection: Rejection| async move { Ok::<_, Infallible>(reject(&rejection)) })
}

async fn receive(
    handlers: &Handlers,
    bodies: &Bodies,
    route: Route,
    length: usize,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Response<Vec<u8>> {
    match bodies.read(length, body).await {
        // Its room is taken until it is answered.
        Ok(body) => respond(handlers.answer(route, &body.bytes).await),
        Err(Missing::Broken) => plain(StatusCode::BAD_REQUEST, POST.to_owned()),
        Err(Missing::Late) => plain(
            StatusCode::REQUEST_TIMEOUT,
            "the review did not arrive in time\n".to_owned(),
        ),
    }
}

/// Refusals are answers too: another status than 200 means that the webhook itself failed, which is
/// then left to its failure policy.
fn respond(answer: Result<Vec<u8>, Malformed>) -> Response<Vec<u8>> {
    match answer {
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
            "not found: POST /inject/pod, /inject/namespace, /validate or /validate/namespace\n",
        )
    } else if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        (StatusCode::PAYLOAD_TOO_LARGE, "the review is too large\n")
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        (StatusCode::LENGTH_REQUIRED, "a content-length is needed\n")
    } else {
        (StatusCode::BAD_REQUEST, POST)
    };
    plain(status, message.to_owned())
}

fn plain(status: StatusCode, message: String) -> Response<Vec<u8>> {
    let mut response = Response::new(message.into_bytes());
    *response.status_mut() = status;
    response
}

const POST: &str = "POST an AdmissionReview here\n";
/// API servers keep a handful of connections each.
const MAX_CONNECTIONS: usize = 128;
/// Requests at once in a connection of HTTP/2.
const STREAMS: u32 = 64;
/// Of one request.
const HEADERS_SIZE: u32 = 8 << 10;
/// What a connection of HTTP/2 takes in before somebody reads it, all its streams together.
const WINDOW: u32 = 64 << 10;
/// The same of HTTP/1, and what TLS holds of either.
const BUFFER: usize = 64 << 10;

/// All that clients can make the server hold at once. The chart's limit is 256 MiB; the rest is for the
/// operator itself and for the one review that is looked at, which is larger as JSON values than as text.
const HELD: usize = body::SMALL * body::SMALL_AT_ONCE
    + body::MAX * body::LARGE_AT_ONCE
    + MAX_CONNECTIONS * (WINDOW as usize + STREAMS as usize * HEADERS_SIZE as usize + 2 * BUFFER);
const _: () = assert!(HELD <= 128 << 20);

/// Also how long an idle connection of HTTP/1 may stay.
const HEADERS: Duration = Duration::from_mins(1);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
