//! One credential: when something is to be done about it.

use keystead_runtime::Backoff;
use keystead_vault::lease::{Lease, Term};
use keystead_vault::resolve::Values;
use std::time::Duration;
use tokio::time::Instant;

/// A lease is renewed at the latest after this time: a renewal is what notices that it was revoked, or that
/// its user was dropped.
const WATCH: Duration = Duration::from_secs(25);
/// How long before its end a lease is replaced, as a part of its life: a third, or a little more, so that what
/// came together does not go together. Until then a renewal may make it live on.
const LEAD: (f64, f64) = (1.0 / 3.0, 0.03);
/// Between tries, while a credential can't be renewed or replaced.
const TRYING: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
/// How often a password is read that Vault is about to change: until that is seen, the old one is shown.
pub(super) const POLL: Duration = Duration::from_millis(300);
/// For how long so often; and how often then, because Vault can't change it now.
const POLLED: Duration = Duration::from_mins(1);
const LATE: Duration = Duration::from_secs(5);
/// Least time between two renewals, and between two credentials of one sort, however short their lives are said to be.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const LEAST_LIFE: Duration = Duration::from_secs(5);
/// Vault says in whole seconds when it will change a password.
const ROUNDING: Duration = Duration::from_millis(500);

/// A credential.
#[derive(Clone, Debug)]
pub(in crate::source) struct Credential {
    pub(in crate::source) values: Values,
    pub(in crate::source) hold: Hold,
    /// How often in a row it could not be renewed or replaced.
    pub(super) failures: u32,
    /// When it came.
    since: Instant,
    /// Before this time it is left alone.
    pub(super) not_before: Instant,
    /// Whether Vault refuses another. What there is stays until that is sure, and it is asked for with all else.
    pub(super) refused: bool,
}

/// What becomes of it by itself.
#[derive(Clone, Debug)]
pub(in crate::source) enum Hold {
    /// It ends.
    Lease {
        lease: Lease,
        end: Instant,
        /// When it is renewed.
        renew: Instant,
        /// How long before its end it is replaced.
        lead: Duration,
        /// Whether another is needed at once, because it is gone or ends with its token.
        lost: bool,
    },
    /// Vault changes it.
    Rotates {
        due: Instant,
        /// Since when that is late.
        late: Option<Instant>,
    },
}

/// What is to be done about a credential.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::source) enum Due {
    Renew,
    Replace,
}

impl Credential {
    pub(in crate::source) fn new(values: Values, term: Term, now: Instant) -> Self {
        let hold = match term {
            Term::Lease(lease) => Hold::Lease {
                end: now + lease.life,
                renew: renewal(lease.life, now),
                lead: lease.life.mul_f64(LEAD.0 + LEAD.1 * fastrand::f64()),
                lost: false,
                lease,
            },
            Term::Rotates(left) => Hold::Rotates {
                due: now + left.saturating_sub(ROUNDING).max(POLL),
                late: left.is_zero().then_some(now),
            },
        };
        Self {
            values,
            hold,
            failures: 0,
            since: now,
            not_before: now,
            refused: false,
        }
    }

    /// Of a lease that was to end then, and may have ended before: it is renewed before it is used.
    pub(in crate::source) fn resumed(values: Values, lease: Lease, ends: Instant, now: Instant) -> Self {
        let mut new = Self::new(values, Term::Lease(lease), now);
        match &mut new.hold {
            Hold::Lease { lease, renew, .. } if lease.renewable => *renew = now,
            Hold::Lease { end, .. } => *end = ends,
            Hold::Rotates { .. } => {}
        }
        new
    }

    /// What is next, and when.
    pub(super) fn next(&self) -> (Instant, Due) {
        let (at, due) = match &self.hold {
            Hold::Lease { lost: true, .. } => (self.not_before, Due::Replace),
            Hold::Lease {
                lease,
                end,
                renew,
                lead,
                ..
            } => {
                let replace = end
                    .checked_sub(*lead)
                    .unwrap_or(*end)
                    .max(self.since + LEAST_LIFE);
                if lease.renewable && *renew < replace {
                    (*renew, Due::Renew)
                } else {
                    (replace, Due::Replace)
                }
            }
            Hold::Rotates { due, .. } => (*due, Due::Replace),
        };
        (at.max(self.not_before), due)
    }

    /// It did not work, and will be tried again.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pause = match self.hold {
            // Vault may change it at any moment, and may have.
            Hold::Rotates { due, .. } if now < due + POLLED => POLL,
            _ => TRYING.delay(self.failures),
        };
        self.not_before = now + pause;
    }

    pub(super) fn lose(&mut self) {
        if let Hold::Lease { lost, .. } = &mut self.hold {
            *lost = true;
        }
    }

    /// It is the one that was there before, which Vault should have changed.
    pub(super) fn follow(&mut self, before: &Self, now: Instant) {
        let (
            Hold::Rotates { due, late },
            Hold::Rotates {
                late: Some(since), ..
            },
        ) = (&mut self.hold, &before.hold)
        else {
            return;
        };
        if late.is_some() && before.values == self.values {
            *late = Some(*since);
            if now >= *since + POLLED {
                *due = now + LATE;
            }
        }
    }
}

/// When a lease of such a life is renewed: at two thirds, a little sooner or later than others.
pub(super) fn renewal(left: Duration, now: Instant) -> Instant {
    let at = left.mul_f64(2.0 / 3.0).min(WATCH);
    now + at.mul_f64(0.8 + 0.15 * fastrand::f64()).max(LEAST_PAUSE)
}
