//! The one loop: what is due → compile → engine → status. Kinds differ only in their own file.

mod account;
mod binding;
mod cleanup;
mod config_map;
mod connection;
mod credential;
mod database_role;
mod encryption_key;
mod provider;
mod scope;
mod sync;

use crate::context::Context;
use crate::queue::{Next, Unit};
use futures::stream::{FuturesUnordered, StreamExt as _};
use keystead_compile::Problem;
use keystead_crds::condition::Reason;
use keystead_runtime::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

/// Units worked on at once; more bring nothing and cost memory.
const AT_ONCE: usize = 16;
/// Longest time for one unit; every call in it has a shorter deadline of its own.
const DEADLINE: Duration = Duration::from_mins(1);
/// How long it is, in the mean, until what is in order is looked at again, in case an event was missed
/// or somebody changed Vault by hand.
const RESYNC: Duration = Duration::from_mins(15);
/// The least time, in the mean, between two such looks: with so many objects that it counts they come
/// later, so that what has nothing to do costs a server as little with 10,000 objects as with 4,500.
const LOOK: Duration = Duration::from_millis(200);
/// The longest it may be, in such means.
const LONGEST_RESYNC: f64 = 4.0;
/// A look at what waits for somebody else.
const RECHECK: Duration = Duration::from_mins(5);

/// Works the queue off until the end is asked for, and finishes what is under way.
pub(crate) async fn run(context: Arc<Context>, shutdown: Shutdown) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            unit = context.queue.next(), if running.len() < AT_ONCE && !shutdown.is_requested() => {
                // All lines of one reconcile belong together.
                let request = fastrand::u32(..);
                let span = tracing::info_span!("reconcile", request = %format_args!("{request:08x}"), %unit);
                running.push(work(&context, unit).instrument(span));
            }
            Some(()) = running.next() => {}
            () = shutdown.requested(), if !shutdown.is_requested() => {}
            else => return,
        }
        if shutdown.is_requested() && running.is_empty() {
            return;
        }
    }
}

async fn work(context: &Arc<Context>, unit: Arc<Unit>) {
    let start = Instant::now();
    let result = timeout(DEADLINE, dispatch(context, &unit))
        .await
        .unwrap_or_else(|_| {
            tracing::warn!("gave up a reconcile that did not end; it is tried again");
            Err(Problem::new(
                Reason::KubernetesError,
                format!("no end after {} s", DEADLINE.as_secs()),
            ))
        });
    let kind = unit.kind();
    context
        .metrics
        .durations
        .with_label_values(&[kind])
        .observe(start.elapsed().as_secs_f64());
    let next = match result {
        Ok(next) => next,
        Err(problem) => {
            context
                .metrics
                .problems
                .with_label_values(&[kind, problem.reason.as_str()])
                .inc();
            tracing::debug!(reason = problem.reason.as_str(), %problem, "not reconciled");
            retry(&problem)
        }
    };
    context.queue.done(unit, next);
}

async fn dispatch(context: &Arc<Context>, unit: &Unit) -> Result<Next, Problem> {
    if !context.is_leading() {
        return match unit {
            Unit::Provider(name) => provider::observe(context, name).await,
            Unit::ConfigMap(key) => config_map::observe(context, key).await,
            _ => Ok(Next::OnChange),
        };
    }
    match unit {
        Unit::Provider(name) => provider::reconcile(context, name).await,
        Unit::Scope(name) => scope::reconcile(context, name).await,
        Unit::Credential(key) => credential::reconcile(context, key).await,
        Unit::DatabaseConnection(key) => connection::reconcile(context, key).await,
        Unit::DatabaseRole(key) => database_role::reconcile(context, key).await,
        Unit::EncryptionKey(name) => encryption_key::reconcile(context, name).await,
        Unit::Account(account) => account::reconcile(context, account).await,
        Unit::ConfigMap(key) => config_map::observe(context, key).await,
        Unit::Sync(key) => sync::reconcile(context, key).await,
        Unit::Binding(key) => binding::reconcile(context, key).await,
    }
}

/// Errors are sorted once: who waits for a change looks again rarely, who waits for a server soon.
fn retry(problem: &Problem) -> Next {
    match problem.reason {
        Reason::Ambiguous
        | Reason::Conflict
        | Reason::Due
        | Reason::Expired
        | Reason::ExpiresSoon
        | Reason::Inactive
        | Reason::Invalid
        | Reason::Lost
        | Reason::NeedsJwt
        | Reason::NotFound
        | Reason::NotPermitted
        | Reason::NotRotated
        | Reason::NotYet
        | Reason::Paused
        | Reason::Permitted
        | Reason::Rotated => Next::After(jitter(RECHECK)),
        Reason::CleanupBlocked
        | Reason::KubernetesError
        | Reason::Synced
        | Reason::VaultDenied
        | Reason::VaultError
        | Reason::VaultSealed
        | Reason::VaultUnreachable
        | Reason::WebhookFailed => Next::Retry,
    }
}

/// How long until the next look at what is in order. The time is exponentially distributed, so that there are as many
/// looks in each second as in any other, even though all began when this process did.
fn resync(context: &Context) -> Duration {
    let means = -(1.0 - fastrand::f64()).ln();
    let all = u32::try_from(context.queue.waiting()).unwrap_or(u32::MAX);
    RESYNC
        .max(LOOK.saturating_mul(all))
        .mul_f64(means.min(LONGEST_RESYNC))
}

/// Between nine and eleven tenths of a period.
fn jitter(period: Duration) -> Duration {
    period.mul_f64(0.9 + 0.2 * fastrand::f64())
}
