//! What the application may ask instead of reading files: its secrets as JSON, over HTTP on a Unix
//! socket in the files' volume. A port would be open to every pod that shares the node's network.
//!
//! Everything is answered from memory; nothing here asks Vault.

mod answers;

pub(crate) use answers::Answers;

use crate::error::Error;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use keystead_runtime::{Backoff, Shutdown};
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use warp::hyper::server::conn::http1;
use warp::{Filter, Reply};

/// The socket's name among the files; no file of a binding begins with a dot.
pub const NAME: &str = ".socket";

/// Connections at once; others wait.
const MAX_CONNECTIONS: usize = 16;
/// Longest time for a connection, which is one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes; the least that hyper takes.
const BUFFER: usize = 8 * 1024;
/// Between tries to make the socket, and to accept.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// Serves until the end. A socket that can't be made does not stop the files.
pub(crate) async fn serve(files: &Path, file_mode: u32, answers: Answers, shutdown: Shutdown) {
    let served = async {
        let listener = bound(files, file_mode).await;
        accept_all(&listener, answers).await;
    };
    tokio::select! {
        () = shutdown.requested() => {}
        () = served => {}
    }
}

async fn bound(files: &Path, file_mode: u32) -> UnixListener {
    let mut failures = 0;
    loop {
        match bind(files, file_mode) {
            Ok(listener) => return listener,
            Err(error) if failures == 0 => {
                tracing::warn!(%error, "no socket for the application, trying again");
            }
            Err(_) => {}
        }
        failures += 1;
        sleep(BACKOFF.delay(failures)).await;
    }
}

/// Takes the place of the socket that a predecessor left. Who may read the files may connect, which
/// takes the right to write; that the application mounts the volume read-only does not matter.
fn bind(files: &Path, file_mode: u32) -> Result<UnixListener, Error> {
    let path = files.join(NAME);
    let next = files.join(format!("{NAME}.next"));
    match fs::remove_file(&next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::disk("remove", &next)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&next).map_err(Error::disk("make", &next))?;
    let readers = file_mode & 0o444;
    let mode = Permissions::from_mode(readers | (readers >> 1));
    fs::set_permissions(&next, mode).map_err(Error::disk("open", &next))?;
    fs::rename(&next, &path).map_err(Error::disk("replace", &path))?;
    Ok(listener)
}

async fn accept_all(listener: &UnixListener, answers: Answers) {
    let filter = routes(answers);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut failures = 0;
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                failures = 0;
                let filter = filter.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    if timeout(DEADLINE, answer(stream, filter)).await.is_err() {
                        tracing::debug!("gave up on a connection to the socket");
                    }
                });
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(%error, "failed to accept a connection to the socket");
                sleep(BACKOFF.delay(failures)).await;
            }
        }
    }
}

/// One request: a connection costs little here, and an idle one would keep its slot.
async fn answer<R: Reply + 'static>(
    stream: UnixStream,
    filter: impl Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
) {
    let service = TowerToHyperService::new(warp::service(filter));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection to the socket ended");
    }
}

fn routes(answers: Answers) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    warp::method()
        .and(warp::path::full())
        .map(move |method, path: warp::path::FullPath| answers.to(&method, path.as_str()))
}

#[cfg(test)]
mod tests;
