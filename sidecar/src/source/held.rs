//! The credentials that Vault made for this pod, or changes by itself: which there are, and when
//! something is to be done about one. Pure but for the dice of jitter: nothing here waits or asks.
//!
//! A credential is asked for once and kept. Its lease is renewed, which also tells whether it is still
//! there; before it ends another is asked for, and the old one lives on for an overlap.

use keystead_crds::sidecar::SecretSource;
use keystead_runtime::Backoff;
use keystead_vault::lease::{Lease, Term};
use keystead_vault::resolve::{Layer, Origin, Resolved, Secret, Secrets, Source, Values};
use std::collections::{BTreeMap, BTreeSet};
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
const POLL: Duration = Duration::from_millis(300);
/// For how long so often.
const POLLED: Duration = Duration::from_mins(1);
/// Vault says in whole seconds when it will change a password.
const ROUNDING: Duration = Duration::from_millis(500);

/// A credential.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) values: Values,
    pub(super) hold: Hold,
    /// How often in a row it could not be renewed or replaced.
    failures: u32,
    /// Before this time it is left alone.
    not_before: Instant,
}

/// What becomes of it by itself.
#[derive(Clone, Debug)]
pub(super) enum Hold {
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
    Rotates { due: Instant },
}

/// What is to be done about a credential.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Due {
    Renew,
    Replace,
}

/// A lease that nobody uses any more.
#[derive(Clone, Debug)]
pub(super) struct Retiring {
    pub(super) id: String,
    pub(super) overlap: Duration,
    /// When it is revoked; none while what takes its place is not on disk yet.
    pub(super) at: Option<Instant>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) credentials: BTreeMap<SecretSource, Credential>,
    pub(super) retiring: Vec<Retiring>,
    /// Whether one is another than what is on disk.
    pub(super) news: bool,
    /// What was read and is neither leased nor rotated.
    plain: BTreeSet<SecretSource>,
    /// How long each lives on beside its successor.
    overlaps: BTreeMap<SecretSource, Duration>,
}

// === impl Credential ===

impl Credential {
    pub(super) fn new(values: Values, term: Term, now: Instant) -> Self {
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
            },
        };
        Self {
            values,
            hold,
            failures: 0,
            not_before: now,
        }
    }

    /// Of a lease that was to end then, and may have ended before: it is renewed before it is used.
    pub(super) fn resumed(values: Values, lease: Lease, ends: Instant, now: Instant) -> Self {
        let mut new = Self::new(values, Term::Lease(lease), now);
        match &mut new.hold {
            Hold::Lease { lease, renew, .. } if lease.renewable => *renew = now,
            Hold::Lease { end, .. } => *end = ends,
            Hold::Rotates { .. } => {}
        }
        new
    }

    /// What is next, and when.
    fn next(&self) -> (Instant, Due) {
        let (at, due) = match &self.hold {
            Hold::Lease { lost: true, .. } => (self.not_before, Due::Replace),
            Hold::Lease {
                lease,
                end,
                renew,
                lead,
                ..
            } => {
                let replace = end.checked_sub(*lead).unwrap_or(*end);
                if lease.renewable && *renew < replace {
                    (*renew, Due::Renew)
                } else {
                    (replace, Due::Replace)
                }
            }
            Hold::Rotates { due } => (*due, Due::Replace),
        };
        (at.max(self.not_before), due)
    }

    /// It did not work, and will be tried again.
    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pause = match self.hold {
            // Vault may change it at any moment, and may have.
            Hold::Rotates { due } if now < due + POLLED => POLL,
            _ => TRYING.delay(self.failures),
        };
        self.not_before = now + pause;
    }

    fn lose(&mut self) {
        if let Hold::Lease { lost, .. } = &mut self.hold {
            *lost = true;
        }
    }
}

/// When a lease of such a life is renewed: at two thirds, a little sooner or later than others.
fn renewal(left: Duration, now: Instant) -> Instant {
    let at = left.mul_f64(2.0 / 3.0).min(WATCH);
    now + at.mul_f64(0.8 + 0.15 * fastrand::f64())
}

// === impl Held ===

impl Held {
    pub(super) fn new(overlaps: BTreeMap<SecretSource, Duration>) -> Self {
        Self {
            overlaps,
            ..Self::default()
        }
    }

    /// When there is something to do; none where there is nothing.
    pub(super) fn next(&self) -> Option<Instant> {
        let credentials = self.credentials.values().map(|credential| credential.next().0);
        let retiring = self.retiring.iter().filter_map(|retiring| retiring.at);
        credentials.chain(retiring).min()
    }

    /// When the first of them ends if nothing is done; none where none does.
    pub(super) fn end(&self) -> Option<Instant> {
        let ends = self.credentials.values().filter_map(|found| match found.hold {
            Hold::Lease { end, .. } => Some(end),
            Hold::Rotates { .. } => None,
        });
        ends.min()
    }

    /// The credentials about which this is to be done now.
    pub(super) fn due(&self, wanted: Due, now: Instant) -> Vec<SecretSource> {
        let due = self.credentials.iter().filter(|(_, found)| {
            let (at, due) = found.next();
            at <= now && due == wanted
        });
        due.map(|(source, _)| source.clone()).collect()
    }

    /// The lease of a credential.
    pub(super) fn lease(&self, source: &SecretSource) -> Option<&Lease> {
        match &self.credentials.get(source)?.hold {
            Hold::Lease { lease, .. } => Some(lease),
            Hold::Rotates { .. } => None,
        }
    }

    /// Whether reading it may make something at Vault.
    pub(super) fn may_lease(&self, source: &Source) -> bool {
        source.origin == Origin::Path && !self.plain.contains(&source.secret)
    }

    /// Keeps what was read if it is leased or rotated; gives it back if not. The one that was there before
    /// is to be ended.
    pub(super) fn keep(&mut self, mut layer: Layer, now: Instant) -> Option<Layer> {
        let found = layer.found.as_mut();
        let Some((term, found)) = found.and_then(|found| Some((found.term.take()?, found))) else {
            if layer.refused.is_none() {
                self.plain.insert(layer.source.secret.clone());
            }
            return Some(layer);
        };
        let values = std::mem::take(&mut found.values);
        let source = layer.source.secret;
        let before = self.credentials.get(&source);
        self.news |= before.is_none_or(|before| before.values != values);
        self.retire(&source);
        self.credentials
            .insert(source, Credential::new(values, term, now));
        None
    }

    /// Forgets a credential, which is to be ended.
    pub(super) fn retire(&mut self, source: &SecretSource) {
        let Some(Hold::Lease { lease, .. }) = self.credentials.remove(source).map(|found| found.hold) else {
            return;
        };
        if lease.id.is_empty() {
            return;
        }
        self.retiring.push(Retiring {
            id: lease.id,
            overlap: self.overlaps.get(source).copied().unwrap_or_default(),
            at: None,
        });
    }

    /// A lease lives on for so long.
    pub(super) fn renewed(&mut self, source: &SecretSource, left: Duration, now: Instant) {
        let Some(found) = self.credentials.get_mut(source) else {
            return;
        };
        (found.failures, found.not_before) = (0, now);
        if let Hold::Lease { end, renew, .. } = &mut found.hold {
            (*end, *renew) = (now + left, renewal(left, now));
        }
    }

    /// A lease is gone, or what it stands for.
    pub(super) fn lost(&mut self, source: &SecretSource) {
        if let Some(found) = self.credentials.get_mut(source) {
            found.lose();
        }
    }

    pub(super) fn failed(&mut self, source: &SecretSource, now: Instant) {
        if let Some(found) = self.credentials.get_mut(source) {
            found.failed(now);
        }
    }

    /// They will end with the token that made them, which another has taken the place of.
    pub(super) fn outlive_token(&mut self) {
        self.credentials.values_mut().for_each(Credential::lose);
    }

    /// Whether none is waiting for another to take its place.
    pub(super) fn is_settled(&self) -> bool {
        let mut holds = self.credentials.values().map(|found| &found.hold);
        !holds.any(|hold| matches!(hold, Hold::Lease { lost: true, .. }))
    }

    /// What is held is on disk: what it replaced ends after its overlap.
    pub(super) fn written(&mut self, now: Instant) {
        self.news = false;
        for retiring in &mut self.retiring {
            retiring.at.get_or_insert(now + retiring.overlap);
        }
    }

    /// The longest overlap there is.
    pub(super) fn longest_overlap(&self) -> Duration {
        self.overlaps.values().max().copied().unwrap_or_default()
    }

    /// Adds what is held to what was read.
    pub(super) fn add_to(&self, secrets: &mut Secrets) {
        for (source, credential) in &self.credentials {
            let keys = credential.values.iter().map(|(key, value)| {
                let resolved = Resolved {
                    value: value.clone(),
                    origin: Origin::Path,
                    version: None,
                    ends: None,
                };
                (key.clone(), resolved)
            });
            let secret = Secret {
                keys: keys.collect(),
                ..Secret::default()
            };
            secrets.insert(source.clone(), secret);
        }
    }
}

#[cfg(test)]
mod tests;
