//! What to do next, and when. Pure but for the dice of jitter: nothing here waits or writes.

use keystead_runtime::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// Between the tries of a start: quick, because a whole pod waits, and often enough to be there
/// within seconds of Vault's return.
const STARTING: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// Between tries while the application runs on what it has.
const SERVING: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// How much refreshes vary, so that pods that started together don't come together for ever.
const JITTER: f64 = 0.1;
/// A token that Vault refuses is given up at once, and one that came after it only when it is this
/// old: it is the rights that are missing then, and each login would leave a token at Vault.
const REFUSED_TOKEN_AGE: Duration = Duration::from_mins(5);
/// Least time between two looks at the token, whatever life Vault says it has.
const KEEP_PAUSE: Duration = Duration::from_secs(1);

/// What the loop does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Renew or replace the token.
    Keep,
    /// Read, render, write.
    Refresh,
    /// Renew, replace and end credentials.
    Tend,
    /// Nothing before this time.
    Wait(Instant),
}

/// What the loop does about a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// Give the token up, and try again at once with a new one.
    LogInAnew,
    /// Keep everything as it is, and try again later.
    TryAgain,
    /// Access was taken away: so is what needs it. And try again later.
    TakeAway,
}

/// Where the sidecar stands.
#[derive(Debug)]
pub struct Plan {
    interval: Duration,
    started: bool,
    failures: u32,
    /// When the values are to be read, for the first time or anew.
    refresh: Instant,
    /// Before this time the token is left alone.
    keep_after: Instant,
    /// Since when something is refused.
    refused: Option<Instant>,
    /// Since when the token in use is the answer to a refusal.
    renewed: Option<Instant>,
}

impl Plan {
    /// A start, due now.
    pub const fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            started: false,
            failures: 0,
            refresh: now,
            keep_after: now,
            refused: None,
            renewed: None,
        }
    }

    /// Whether the application has had its files once.
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// What to do now. `due` is when the token wants attention, `tend` when credentials do, whose own pauses
    /// are in that.
    pub fn next(&self, due: Instant, tend: Option<Instant>, now: Instant) -> Step {
        if now >= self.refresh {
            // It looks after the token first, so there is nothing to do twice.
            return Step::Refresh;
        }
        let keep = (self.failures == 0).then(|| due.max(self.keep_after));
        // A new token comes first: with the old one its credentials end.
        if keep.is_some_and(|at| now >= at) {
            return Step::Keep;
        }
        let tend = tend.filter(|_| self.started);
        if tend.is_some_and(|at| now >= at) {
            return Step::Tend;
        }
        let dates = keep.into_iter().chain(tend);
        Step::Wait(dates.fold(self.refresh, Instant::min))
    }

    /// Everything is to be read at once.
    pub fn hurry(&mut self, now: Instant) {
        self.refresh = now;
    }

    /// Everything is on disk as it is at Vault.
    pub fn refreshed(&mut self, now: Instant) {
        self.started = true;
        self.failures = 0;
        self.refused = None;
        self.renewed = None;
        self.refresh = now
            + self
                .interval
                .mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64());
    }

    /// The token is good for a while.
    pub fn kept(&mut self, now: Instant) {
        self.keep_after = now + KEEP_PAUSE;
    }

    /// Something did not work, and will be tried again.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let backoff = if self.started { SERVING } else { STARTING };
        self.refresh = now + backoff.delay(self.failures);
    }

    /// Vault answered, and refuses something. It may be the token, which has ended: a new one tells. And
    /// it may be that Vault was restored and the operator is about to put things right: so a refusal counts
    /// when it is still there after a refresh interval.
    pub fn refused(&mut self, now: Instant) -> Remedy {
        let since = *self.refused.get_or_insert(now);
        if self.renewed.is_none_or(|since| now >= since + REFUSED_TOKEN_AGE) {
            self.renewed = Some(now);
            self.refresh = now;
            return Remedy::LogInAnew;
        }
        self.failed(now);
        if now >= since + self.interval {
            Remedy::TakeAway
        } else {
            Remedy::TryAgain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn started(now: Instant) -> Plan {
        let mut plan = Plan::new(MINUTE, now);
        plan.refreshed(now);
        plan
    }

    #[test]
    fn a_start_reads_at_once() {
        let now = Instant::now();
        let plan = Plan::new(MINUTE, now);
        assert_eq!(plan.next(now, None, now), Step::Refresh);
        assert!(!plan.is_started());
    }

    #[test]
    fn refreshes_vary_by_a_tenth() {
        let now = Instant::now();
        let far = now + Duration::from_hours(1);
        let mut waits: Vec<Duration> = (0..1000)
            .map(|_| match started(now).next(far, None, now) {
                Step::Wait(until) => until - now,
                other => panic!("{other:?}"),
            })
            .collect();
        waits.sort();
        assert!(
            waits[0] >= Duration::from_secs(54) && waits[0] < Duration::from_secs(56),
            "{:?}",
            waits[0]
        );
        assert!(
            waits[999] <= Duration::from_secs(66) && waits[999] > Duration::from_secs(64),
            "{:?}",
            waits[999]
        );
    }

    #[test]
    fn the_token_is_kept_between_refreshes() {
        let now = Instant::now();
        let mut plan = started(now);
        let due = now + Duration::from_secs(10);
        assert_eq!(plan.next(due, None, now), Step::Wait(due));
        assert_eq!(plan.next(due, None, due), Step::Keep);
        // A token that is always due must not make the loop spin.
        plan.kept(due);
        assert_eq!(plan.next(due, None, due), Step::Wait(due + KEEP_PAUSE));
    }

    #[test]
    fn a_failing_start_tries_again_within_five_seconds() {
        let now = Instant::now();
        let mut plan = Plan::new(MINUTE, now);
        for failures in 1..50 {
            plan.failed(now);
            // No token is always due, and must not undercut the wait.
            let Step::Wait(until) = plan.next(now, None, now) else {
                panic!("no wait after failure {failures}")
            };
            assert!(
                until > now && until <= now + Duration::from_secs(5),
                "{:?}",
                until - now
            );
            assert_eq!(plan.next(now, None, until), Step::Refresh);
        }
        let first = {
            let mut plan = Plan::new(MINUTE, now);
            plan.failed(now);
            plan.refresh - now
        };
        assert!(first <= Duration::from_millis(200), "{first:?}");
    }

    #[test]
    fn later_failures_are_retried_before_the_next_refresh_would_be() {
        let now = Instant::now();
        let mut plan = started(now);
        for _ in 0..50 {
            plan.failed(now);
            assert!(plan.refresh - now <= Duration::from_secs(30));
        }
        assert!(plan.is_started(), "a failure does not undo a start");
        plan.refreshed(now);
        assert_eq!(plan.failures, 0);
    }

    #[test]
    fn a_refused_token_is_replaced_once_and_then_rarely() {
        let now = Instant::now();
        let mut plan = started(now);
        assert_eq!(plan.refused(now), Remedy::LogInAnew);
        assert_eq!(plan.next(now, None, now), Step::Refresh, "at once");
        assert_eq!(plan.refused(now), Remedy::TryAgain);
        assert!(matches!(plan.next(now, None, now), Step::Wait(_)));
        let later = now + REFUSED_TOKEN_AGE;
        assert_eq!(plan.refused(later - MINUTE), Remedy::TakeAway);
        assert_eq!(plan.refused(later), Remedy::LogInAnew);
        plan.refreshed(later);
        assert_eq!(plan.refused(later), Remedy::LogInAnew, "success ends the streak");
    }

    #[test]
    fn a_refusal_counts_when_a_new_token_and_an_interval_have_not_mended_it() {
        let now = Instant::now();
        let mut plan = started(now);
        assert_eq!(plan.refused(now), Remedy::LogInAnew);
        assert_eq!(plan.refused(now + MINUTE / 2), Remedy::TryAgain);
        assert_eq!(plan.refused(now + MINUTE), Remedy::TakeAway);
        // An outage in between says nothing about access.
        plan.failed(now + MINUTE);
        assert_eq!(plan.refused(now + MINUTE), Remedy::TakeAway);
        plan.refreshed(now + MINUTE);
        assert_eq!(plan.refused(now + 2 * MINUTE), Remedy::LogInAnew);
        assert_eq!(plan.refused(now + 2 * MINUTE), Remedy::TryAgain, "a new streak");
    }
}
