//! How bodies come in: in bounded time, and only so many at once that memory stays bounded whatever
//! is sent and however slowly.

use futures::{Stream, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use warp::hyper::body::Buf;

/// Room for bodies. Clones share it.
///
/// Small bodies have room of their own, so that nobody who sends large ones slowly keeps ordinary
/// pods out.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// A body that is there; its room is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Why a body is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Missing {
    /// The connection broke, or more came than was said.
    Broken,
    /// Time was up, in the queue for room or while it came.
    Late,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self {
            small: Arc::new(Semaphore::new(SMALL_AT_ONCE)),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }

    /// Reads a body of this length, which is at most [`MAX`], when there is room for it.
    pub(super) async fn read<B: Buf, E>(
        &self,
        length: usize,
        body: impl Stream<Item = Result<B, E>>,
    ) -> Result<Body, Missing> {
        timeout(DEADLINE, self.receive(length, body))
            .await
            .unwrap_or(Err(Missing::Late))
    }

    async fn receive<B: Buf, E>(
        &self,
        length: usize,
        body: impl Stream<Item = Result<B, E>>,
    ) -> Result<Body, Missing> {
        let room = if length <= SMALL { &self.small } else { &self.large };
        let room = Arc::clone(room)
            .acquire_owned()
            .await
            .map_err(|_| Missing::Broken)?;
        let mut bytes = Vec::with_capacity(length);
        let mut body = std::pin::pin!(body);
        while let Some(part) = body.next().await {
            let mut part = part.map_err(|_| Missing::Broken)?;
            if part.remaining() > length - bytes.len() {
                return Err(Missing::Broken);
            }
            while part.has_remaining() {
                let chunk = part.chunk();
                bytes.extend_from_slice(chunk);
                let read = chunk.len();
                part.advance(read);
            }
        }
        Ok(Body { bytes, _room: room })
    }
}

/// Longest body. A review of a new pod holds one object, which the API server takes up to 3 MiB of.
pub(super) const MAX: usize = 4 << 20;
/// What nearly all reviews stay below.
pub(super) const SMALL: usize = 64 << 10;
pub(super) const SMALL_AT_ONCE: usize = 256;
pub(super) const LARGE_AT_ONCE: usize = 4;
/// For the whole of a body, its wait for room included. The API server waits no longer for an answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
