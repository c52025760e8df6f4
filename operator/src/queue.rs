//! What is to be reconciled, and when. Each unit stands in it once and is never worked on twice at
//! a time, so it is as long as there are objects, and no longer.

use keystead_compile::Key;
use keystead_compile::kinds::binding::Account;
use keystead_runtime::Backoff;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Something that is reconciled as a whole.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Unit {
    /// The login at a provider and its status. First, because the others wait for it.
    Provider(String),
    /// A scope's status.
    Scope(String),
    /// The values of a Credential.
    Credential(Key),
    /// A connection to a database.
    DatabaseConnection(Key),
    /// A role of a database.
    DatabaseRole(Key),
    /// A key of the transit engine.
    EncryptionKey(String),
    /// Policy and role of a service account.
    Account(Account),
    /// A ConfigMap that bindings take templates from.
    ConfigMap(Key),
    /// The native Secret of a binding.
    Sync(Key),
    /// A binding's status, once its accounts and its Secret are done.
    Binding(Key),
}

impl Unit {
    /// The kind, for logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Provider(_) => "SecretProvider",
            Self::Scope(_) => "SecretScope",
            Self::Credential(_) => "Credential",
            Self::DatabaseConnection(_) => "DatabaseConnection",
            Self::DatabaseRole(_) => "DatabaseRole",
            Self::EncryptionKey(_) => "EncryptionKey",
            Self::Account(_) => "ServiceAccount",
            Self::ConfigMap(_) => "ConfigMap",
            Self::Sync(_) => "NativeSecret",
            Self::Binding(_) => "SecretBinding",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Provider(name) | Self::Scope(name) | Self::EncryptionKey(name) => {
                write!(f, "{kind} {name}")
            }
            Self::Credential(key)
            | Self::DatabaseConnection(key)
            | Self::DatabaseRole(key)
            | Self::ConfigMap(key)
            | Self::Sync(key)
            | Self::Binding(key) => {
                write!(f, "{kind} {}/{}", key.namespace, key.name)
            }
            Self::Account(account) => write!(
                f,
                "{kind} {}/{} at {}",
                account.namespace, account.name, account.provider
            ),
        }
    }
}

/// What a unit needs next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Nothing, until something changes.
    OnChange,
    /// Another look after this time, though all is well.
    After(Duration),
    /// Another try soon, later after each failure.
    Retry,
}

/// First and longest wait after failures.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_mins(1));

/// The queue. Shared by those who push and the one loop that works it off.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    order: BTreeSet<(Instant, Arc<Unit>)>,
    due: HashMap<Arc<Unit>, Instant>,
    running: HashSet<Arc<Unit>>,
    failures: HashMap<Arc<Unit>, u32>,
}

impl Queue {
    /// Has a unit reconciled as soon as possible. What it failed at before is forgotten: something changed.
    pub fn push(&self, unit: Unit) {
        self.with(|state| {
            state.failures.remove(&unit);
            state.push(Arc::new(unit), Instant::now());
        });
        self.changed.notify_one();
    }

    /// Has a unit reconciled after this time, or sooner.
    pub fn push_later(&self, unit: Unit, wait: Duration) {
        self.with(|state| state.push(Arc::new(unit), Instant::now() + wait));
        self.changed.notify_one();
    }

    /// The next unit that is due. It counts as running until [`Self::done`].
    pub async fn next(&self) -> Arc<Unit> {
        loop {
            let (taken, wake) = self.with(State::take);
            if let Some(unit) = taken {
                return unit;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// A unit was worked on; what comes next.
    pub fn done(&self, unit: Arc<Unit>, next: Next) {
        self.with(|state| {
            state.running.remove(&unit);
            let wait = match next {
                Next::OnChange => None,
                Next::After(wait) => Some(wait),
                Next::Retry => {
                    let failures = state.failures.entry(Arc::clone(&unit)).or_default();
                    *failures = failures.saturating_add(1);
                    Some(BACKOFF.delay(*failures))
                }
            };
            if next != Next::Retry {
                state.failures.remove(&unit);
            }
            if let Some(wait) = wait {
                state.push(unit, Instant::now() + wait);
            }
        });
        self.changed.notify_one();
    }

    /// How many units are due or under way.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        self.with(|state| {
            let due = state.order.iter().take_while(|(when, _)| *when <= now);
            state.running.len() + due.filter(|(_, unit)| !state.running.contains(unit)).count()
        })
    }

    /// How many units wait, for now or for later.
    pub fn waiting(&self) -> usize {
        self.with(|state| state.order.len())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// The earlier of two times counts.
    fn push(&mut self, unit: Arc<Unit>, when: Instant) {
        if let Some(due) = self.due.get(&unit).copied() {
            if due <= when {
                return;
            }
            self.order.remove(&(due, Arc::clone(&unit)));
        }
        self.due.insert(Arc::clone(&unit), when);
        self.order.insert((when, unit));
    }

    /// The first unit that is due and not running, or when to look again.
    fn take(&mut self) -> (Option<Arc<Unit>>, Option<Instant>) {
        let now = Instant::now();
        let waiting = self
            .order
            .iter()
            .find(|(_, unit)| !self.running.contains(unit))
            .cloned();
        match waiting {
            Some((when, unit)) if when <= now => {
                self.due.remove(&unit);
                self.running.insert(Arc::clone(&unit));
                self.order.remove(&(when, Arc::clone(&unit)));
                (Some(unit), None)
            }
            Some((when, _)) => (None, Some(when)),
            None => (None, None),
        }
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn scope(name: &str) -> Unit {
        Unit::Scope(name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_stands_in_it_once_and_runs_once_at_a_time() {
        let queue = Queue::default();
        queue.push(scope("a"));
        queue.push(scope("a"));
        assert_eq!(*queue.next().await, scope("a"));
        queue.push(scope("a"));
        assert!(queue.next().now_or_never().is_none(), "it is running");
        queue.done(Arc::new(scope("a")), Next::OnChange);
        assert_eq!(*queue.next().await, scope("a"));
        queue.done(Arc::new(scope("a")), Next::OnChange);
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_and_a_change_forgets_them() {
        let queue = Queue::default();
        queue.push(scope("a"));
        let mut waits = Vec::new();
        for _ in 0..12 {
            let unit = queue.next().await;
            queue.done(unit, Next::Retry);
            let start = Instant::now();
            let unit = queue.next().await;
            waits.push(start.elapsed());
            queue.done(unit, Next::Retry);
        }
        assert!(
            waits[0] < waits[3] && waits[11] <= Duration::from_mins(1),
            "{waits:?}"
        );
        queue.push(scope("a"));
        assert!(queue.next().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_and_what_runs_is_its_depth() {
        let queue = Queue::default();
        queue.push(scope("a"));
        queue.push(scope("b"));
        queue.push_later(scope("c"), Duration::from_secs(1));
        assert_eq!(queue.depth(), 2);
        let running = queue.next().await;
        queue.push(scope("a"));
        assert_eq!(queue.depth(), 2, "once, though it is due again");
        queue.done(running, Next::OnChange);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(queue.depth(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_overtakes_a_later_look() {
        let queue = Queue::default();
        queue.push(scope("a"));
        let unit = queue.next().await;
        queue.done(unit, Next::After(Duration::from_hours(1)));
        assert!(queue.next().now_or_never().is_none());
        queue.push(scope("a"));
        assert!(queue.next().now_or_never().is_some());
    }
}
