//! HTTPS for warp's filters, behind an accept loop of our own, because warp has no TLS of its own.

mod sources;

use self::sources::Sources;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use keystead_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use warp::{Filter, Reply};

/// What a server grants those who connect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    /// What they connect to, for the log.
    pub(super) of: &'static str,
    /// How many at once; others wait.
    pub(super) connections: usize,
    /// How many of these from one address; others are turned away.
    pub(super) each: usize,
    /// How long one may stay, whatever it does; for ever where it is left out.
    pub(super) life: Option<Duration>,
}

/// Answers until the end is asked for, and what is under way for a little longer. What answers may depend on the
/// address that is asked from.
pub(super) async fn serve<F>(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    builder: auto::Builder<TokioExecutor>,
    clients: Clients,
    filter: impl Fn(IpAddr) -> F,
    shutdown: Shutdown,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let acceptor = TlsAcceptor::from(config);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(clients.connections));
    let sources = Sources::default();
    loop {
        let (stream, source, slot) = tokio::select! {
            accepted = accept(&listener, &slots, clients.of) => accepted,
            () = shutdown.requested() => break,
        };
        let Some(counted) = sources.count(source, clients.each) else {
            tracing::debug!(%source, to = clients.of, "too many connections from one address");
            continue;
        };
        let (acceptor, filter, watcher) = (acceptor.clone(), filter(source), graceful.watcher());
        let builder = builder.clone();
        tokio::spawn(async move {
            let _held = (slot, counted);
            let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
                return;
            };
            let service = TowerToHyperService::new(warp::service(filter));
            let connection = builder
                .serve_connection(TokioIo::new(stream), service)
                .into_owned();
            let connection = watcher.watch(connection);
            let ended = match clients.life {
                Some(life) => timeout(life, connection).await.unwrap_or(Ok(())),
                None => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, to = clients.of, "a connection ended");
            }
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(to = clients.of, "gave up on connections that did not end");
    }
}

/// The next connection, when there is room for one.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    to: &str,
) -> (TcpStream, IpAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                // Without it an answer in two segments waits for the other side's acknowledgement.
                let _ = stream.set_nodelay(true);
                return (stream, address.ip().to_canonical(), slot);
            }
            Err(error) => {
                tracing::warn!(%error, to, "failed to accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

const HANDSHAKE: Duration = Duration::from_secs(10);
/// The API server waits for an answer no longer than this.
pub(super) const DRAIN: Duration = Duration::from_secs(5);
/// Out of file descriptors, most likely: they come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
