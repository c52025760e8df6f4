//! Which replica writes: a Lease, as client-go's leader election keeps it.
//!
//! Whether another replica still holds it is judged by when we last saw its record change on our own
//! clock, never by comparing clocks of two nodes. Every write carries the resourceVersion it decided
//! on, so of two that try at once one gets a conflict. Who loses the lease ends: another has begun.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use keystead_runtime::Shutdown;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A record that has not changed for this long is nobody's.
const LIFE: Duration = Duration::from_secs(15);
/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(4);
/// Without a renewal for this long the holder gives up: well before others may take over.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How often the others look.
const LOOK: Duration = Duration::from_secs(2);
/// Longest time for one call.
const CALL: Duration = Duration::from_secs(3);

/// One replica's view of the lease.
pub(crate) struct Election {
    api: Api<Lease>,
    name: String,
    me: String,
    /// The record as it was last seen, and when it was first seen like that.
    seen: Option<(Record, Instant)>,
}

/// What is compared to tell whether a holder lives.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Record {
    holder: Option<String>,
    renewed: Option<MicroTime>,
}

/// What to do about a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Decision {
    /// It is free, or its holder is gone.
    Take,
    /// It is ours.
    Keep,
    /// Another holds it.
    Leave,
}

impl Election {
    pub(crate) fn new(client: Client, namespace: &str, name: String, me: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            me,
            seen: None,
        }
    }

    /// Waits until the lease is ours; not, if the end comes first.
    pub(crate) async fn win(&mut self, shutdown: &Shutdown) -> bool {
        loop {
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(lease = self.name, "this replica writes from now on");
                    return true;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = self.name, %error, "the lease can't be read or written"),
            }
            tokio::select! {
                () = sleep(LOOK.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
                () = shutdown.requested() => return false,
            }
        }
    }

    /// Keeps the lease; returns when it is lost.
    pub(crate) async fn keep(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < GIVE_UP {
            sleep(RENEW.min(GIVE_UP.saturating_sub(renewed.elapsed()))).await;
            // Others count from the write, which is no earlier than this.
            let begin = Instant::now();
            let left = GIVE_UP.saturating_sub(renewed.elapsed());
            match timeout(left, self.attempt())
                .await
                .unwrap_or(Err(Failure::Deadline))
            {
                Ok(true) => renewed = begin,
                Ok(false) => return,
                Err(error) => tracing::warn!(lease = self.name, %error, "the lease can't be renewed"),
            }
        }
    }

    /// Gives the lease back, so that another replica need not wait for its end.
    pub(crate) async fn release(&mut self) {
        let given = async {
            let mut lease = self.api.get(&self.name).await?;
            if record(&lease).holder.as_deref() == Some(self.me.as_str()) {
                lease.spec.get_or_insert_default().holder_identity = None;
                self.api
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Ok(())) = timeout(CALL, given).await {
            tracing::info!(lease = self.name, "gave the lease back");
        } else {
            tracing::warn!(
                lease = self.name,
                "the lease is not given back; it ends by itself"
            );
        }
    }

    /// One look, and what follows from it; whether the lease is ours afterwards.
    async fn attempt(&mut self) -> Result<bool, Failure> {
        let found = timeout(CALL, self.api.get_opt(&self.name))
            .await
            .map_err(|_| Failure::Deadline)??;
        let decision = match &found {
            None => Decision::Take,
            Some(lease) => {
                let record = record(lease);
                if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
                    self.seen = Some((record.clone(), Instant::now()));
                }
                let unchanged = self
                    .seen
                    .as_ref()
                    .map_or(Duration::ZERO, |(_, since)| since.elapsed());
                decide(&record, &self.me, unchanged)
            }
        };
        if decision == Decision::Leave {
            return Ok(false);
        }
        let written = timeout(CALL, self.write(found, decision))
            .await
            .map_err(|_| Failure::Deadline)?;
        match written {
            Ok(lease) => {
                self.seen = Some((record(&lease), Instant::now()));
                Ok(true)
            }
            // Another was faster.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, found: Option<Lease>, decision: Decision) -> kube::Result<Lease> {
        let now = MicroTime(Timestamp::now());
        let exists = found.is_some();
        let mut lease = found.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec::default()),
        });
        let spec = lease.spec.get_or_insert_default();
        if decision == Decision::Take {
            spec.holder_identity = Some(self.me.clone());
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + 1);
            spec.lease_duration_seconds = i32::try_from(LIFE.as_secs()).ok();
        }
        spec.renew_time = Some(now);
        let how = PostParams::default();
        if exists {
            // With the resourceVersion that the decision was made on.
            self.api.replace(&self.name, &how, &lease).await
        } else {
            self.api.create(&how, &lease).await
        }
    }
}

/// Why the lease could not be looked at.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer within {} s", CALL.as_secs())]
    Deadline,
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
}

/// Pure. `unchanged` is how long the record has looked like this to us.
fn decide(record: &Record, me: &str, unchanged: Duration) -> Decision {
    match record.holder.as_deref() {
        Some(holder) if holder == me => Decision::Keep,
        Some(holder) if !holder.is_empty() && unchanged < LIFE => Decision::Leave,
        _ => Decision::Take,
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        renewed: spec.and_then(|spec| spec.renew_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: Option<&str>) -> Record {
        Record {
            holder: holder.map(str::to_owned),
            renewed: None,
        }
    }

    #[test]
    fn a_live_holder_is_left_alone() {
        assert_eq!(
            decide(&held_by(Some("other")), "me", Duration::ZERO),
            Decision::Leave
        );
        assert_eq!(
            decide(&held_by(Some("other")), "me", LIFE.mul_f64(0.99)),
            Decision::Leave
        );
        assert_eq!(decide(&held_by(Some("other")), "me", LIFE), Decision::Take);
    }

    #[test]
    fn what_is_free_is_taken_and_what_is_ours_is_kept() {
        assert_eq!(decide(&held_by(None), "me", Duration::ZERO), Decision::Take);
        assert_eq!(decide(&held_by(Some("")), "me", Duration::ZERO), Decision::Take);
        assert_eq!(
            decide(&held_by(Some("me")), "me", Duration::from_mins(1)),
            Decision::Keep
        );
    }

    #[test]
    fn the_holder_gives_up_before_others_take_over() {
        // Whatever a last attempt does, it ends within GIVE_UP; others wait for LIFE.
        assert!(GIVE_UP + RENEW < LIFE && RENEW + CALL + CALL <= GIVE_UP);
    }
}
