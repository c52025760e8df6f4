//! The end of a process: one source, and a handle for everyone who must know.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Running,
    Draining,
    Aborted,
}

/// Tells when to end. Cheap to clone; every long task has one.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Phase>);

/// Asks for the end. When it is dropped nobody could ask any more, so that counts as asking.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Phase>);

/// A shutdown asked for by hand, as tests do.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Trigger(sender), Shutdown(receiver))
}

/// A shutdown asked for by SIGTERM or SIGINT: the first one drains, the second one aborts. The
/// signals are caught from here on, so call it before anything that needs an orderly end.
pub fn on_signals() -> Result<Shutdown, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error)?;
    let (trigger, shutdown) = channel();
    tokio::spawn(async move {
        for ask in [Trigger::drain, Trigger::abort] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "asked to end");
            ask(&trigger);
        }
    });
    Ok(shutdown)
}

/// The process's signals can't be caught.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen for SIGTERM and SIGINT")]
pub struct Error(#[source] io::Error);

// === impl Trigger ===

impl Trigger {
    /// Asks everyone to finish what they do and end.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Asks everyone to end at once.
    pub fn abort(&self) {
        self.advance(Phase::Aborted);
    }

    fn advance(&self, to: Phase) {
        // Never backwards, and whether anyone still listens does not matter.
        self.0
            .send_if_modified(|phase| to > std::mem::replace(phase, to.max(*phase)));
    }
}

// === impl Shutdown ===

impl Shutdown {
    /// Waits until the end is asked for.
    pub async fn requested(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits until an end without draining is asked for. `main` races it against everything else.
    pub async fn aborted(&self) {
        self.reached(Phase::Aborted).await;
    }

    /// Whether the end has been asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() >= Phase::Draining || self.0.has_changed().is_err()
    }

    async fn reached(&self, wanted: Phase) {
        let gone = self.0.clone().wait_for(|phase| *phase >= wanted).await.is_err();
        // A trigger that is gone asks for the end, but not for a hasty one.
        if gone && wanted > Phase::Draining {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::time::Duration;

    #[tokio::test]
    async fn the_first_drains_the_second_aborts() {
        let (trigger, shutdown) = channel();
        assert!(!shutdown.is_requested());
        assert!(shutdown.requested().now_or_never().is_none());

        trigger.drain();
        assert!(shutdown.is_requested());
        assert!(shutdown.requested().now_or_never().is_some());
        assert!(shutdown.aborted().now_or_never().is_none());

        trigger.abort();
        trigger.drain();
        assert!(shutdown.aborted().now_or_never().is_some());
    }

    #[tokio::test]
    async fn everyone_who_waits_is_woken() {
        let (trigger, shutdown) = channel();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let shutdown = shutdown.clone();
                tokio::spawn(async move { shutdown.requested().await })
            })
            .collect();
        tokio::task::yield_now().await;
        trigger.drain();
        for waiter in waiters {
            waiter.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_trigger_drains_but_does_not_abort() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        assert!(shutdown.is_requested());
        shutdown.requested().await;
        let aborted = tokio::time::timeout(Duration::from_hours(1), shutdown.aborted()).await;
        assert!(aborted.is_err());
    }
}
