//! The credentials that Vault made for this pod, or changes by itself: which there are, and when
//! something is to be done about one. Pure but for the dice of jitter: nothing here waits or asks.
//!
//! A credential is asked for once and kept. Its lease is renewed, which also tells whether it is still
//! there; before it ends another is asked for, and the old one lives on for an overlap.

mod credential;

pub(super) use credential::{Credential, Due, Hold};

use credential::renewal;
use keystead_crds::sidecar::SecretSource;
use keystead_vault::lease::Lease;
use keystead_vault::resolve::{Layer, Origin, Resolved, Secret, Secrets, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

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
    /// Whether the application has any: until then what is replaced can end at once.
    pub(super) shown: bool,
    pub(super) credentials: BTreeMap<SecretSource, Credential>,
    pub(super) retiring: Vec<Retiring>,
    /// Whether one is another than what is on disk.
    pub(super) news: bool,
    /// What was read and is neither leased nor rotated.
    plain: BTreeSet<SecretSource>,
    /// How long each lives on beside its successor.
    overlaps: BTreeMap<SecretSource, Duration>,
}

impl Held {
    pub(super) fn new(overlaps: BTreeMap<SecretSource, Duration>) -> Self {
        Self {
            overlaps,
            ..Self::default()
        }
    }

    /// When there is something to do; none where there is nothing.
    pub(super) fn next(&self) -> Option<Instant> {
        let credentials = self.credentials.values().filter(|found| !found.refused);
        let credentials = credentials.map(|found| found.next().0);
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
            at <= now && due == wanted && !found.refused
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
        source.origin == Origin::Path && !self.plain.contains(&source.secret) && !self.rotates(&source.secret)
    }

    /// Whether Vault changes it by itself.
    pub(super) fn rotates(&self, source: &SecretSource) -> bool {
        let found = self.credentials.get(source);
        found.is_some_and(|found| matches!(found.hold, Hold::Rotates { .. }))
    }

    /// Whether it is read with all else: what is not here, what costs nothing, and what Vault refused.
    pub(super) fn is_read(&self, source: &SecretSource) -> bool {
        let found = self.credentials.get(source);
        found.is_none_or(|found| found.refused) || self.rotates(source)
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
        let mut new = Credential::new(values, term, now);
        if let Some(before) = before {
            new.follow(before, now);
        }
        self.retire(&source, now);
        self.credentials.insert(source, new);
        None
    }

    /// Vault refuses another. What there is stays, until [`Self::taken_away`].
    pub(super) fn refuse(&mut self, source: &SecretSource) {
        if let Some(found) = self.credentials.get_mut(source) {
            found.refused = true;
        }
    }

    /// What was refused is not on disk any more.
    pub(super) fn taken_away(&mut self, now: Instant) {
        let refused = self.credentials.iter().filter(|(_, found)| found.refused);
        let refused: Vec<SecretSource> = refused.map(|(source, _)| source.clone()).collect();
        for source in refused {
            self.retire(&source, now);
        }
        self.written(now);
    }

    /// Forgets a credential, which is to be ended.
    pub(super) fn retire(&mut self, source: &SecretSource, now: Instant) {
        let Some(Hold::Lease { lease, .. }) = self.credentials.remove(source).map(|found| found.hold) else {
            return;
        };
        if lease.id.is_empty() {
            return;
        }
        self.retiring.push(Retiring {
            id: lease.id,
            overlap: self.overlaps.get(source).copied().unwrap_or_default(),
            at: (!self.shown).then_some(now),
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
        for found in self.credentials.values_mut() {
            // What has no lease is nobody's to end.
            if matches!(&found.hold, Hold::Lease { lease, .. } if !lease.id.is_empty()) {
                found.lose();
            }
        }
    }

    /// Whether none is waiting for another to take its place.
    pub(super) fn is_settled(&self) -> bool {
        let mut holds = self.credentials.values().map(|found| &found.hold);
        !holds.any(|hold| matches!(hold, Hold::Lease { lost: true, .. }))
    }

    /// What is held is on disk: what it replaced ends after its overlap.
    pub(super) fn written(&mut self, now: Instant) {
        (self.news, self.shown) = (false, true);
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
            // It was asked for, and this is the answer.
            if secrets.get(source).is_some_and(|found| found.refused.is_some()) {
                continue;
            }
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
