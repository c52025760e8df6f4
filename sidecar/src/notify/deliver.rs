//! When a receiver is told: once for changes that come close together, and again for a while where it
//! did not work.

use super::Error;
use crate::metrics::Metrics;
use keystead_runtime::Backoff;
use std::fmt::Display;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long nothing must have changed before it is told.
const QUIET: Duration = Duration::from_secs(1);
/// Longest time that changes which follow each other put it off.
const LONGEST: Duration = Duration::from_secs(10);
/// Longest time for one try.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// How often it is tried.
const TRIES: u32 = 5;
/// Between tries.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));

/// Something to tell; shown as what is done for it.
pub(super) trait Message: Clone + Display + Send + Sync {
    /// Tries once.
    fn tell(&self) -> impl Future<Output = Result<Outcome, Error>> + Send;
}

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Somebody knows.
    Told,
    /// Nobody was there who would have to know.
    Nobody,
}

/// Tells the newest message whenever there is one, until there is nobody left to send any.
pub(super) async fn serve<M: Message>(mut messages: watch::Receiver<Option<M>>, metrics: &Metrics) {
    while messages.changed().await.is_ok() {
        settle(&mut messages).await;
        for tried in 1..=TRIES {
            // One that comes while another is retried is told in its place.
            let Some(message) = messages.borrow_and_update().clone() else {
                break;
            };
            let told = timeout(DEADLINE, message.tell()).await;
            let Err(error) = told
                .unwrap_or(Err(Error::Late))
                .map(|outcome| done(&message, outcome, metrics))
            else {
                break;
            };
            if tried == TRIES || !error.may_pass() {
                tracing::error!(%error, what = %message, "the application was not told that its files have changed");
                metrics.not_notified();
                break;
            }
            tracing::warn!(%error, what = %message, "the application was not told that its files have changed, trying again");
            sleep(BACKOFF.delay(tried)).await;
        }
    }
}

/// Waits until nothing more changes, but not for ever.
async fn settle<M>(messages: &mut watch::Receiver<M>) {
    let latest = Instant::now() + LONGEST;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        if !matches!(timeout_at(quiet, messages.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn done(message: &impl Message, outcome: Outcome, metrics: &Metrics) {
    match outcome {
        Outcome::Told => {
            tracing::info!(what = %message, "the application was told that its files have changed");
            metrics.notified();
        }
        // It has the new files when it starts.
        Outcome::Nobody => tracing::info!(what = %message, "nobody runs there who has the old files"),
    }
}

#[cfg(test)]
mod tests;
