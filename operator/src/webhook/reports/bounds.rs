//! How much, how often, for how long.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;
use tokio::time::Instant;

/// So many at once, and then one every so often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) every: Duration,
}

/// What was taken of a [`Rate`]: when it will all be given back. A new one has it all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket(Option<Instant>);

impl Rate {
    /// Takes one, if there is one.
    pub(super) fn take(self, bucket: &mut Bucket, now: Instant) -> bool {
        let may = self.has(*bucket, now);
        if may {
            bucket.0 = Some(self.less_one(*bucket, now));
        }
        may
    }

    /// Whether there is one to take.
    pub(super) fn has(self, bucket: Bucket, now: Instant) -> bool {
        self.less_one(bucket, now) - now <= self.every * self.burst
    }

    fn less_one(self, bucket: Bucket, now: Instant) -> Instant {
        bucket.0.map_or(now, |full| full.max(now)) + self.every
    }
}

/// What is remembered for a while, and of no more than so many.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: HashMap<K, (Instant, V)>,
    capacity: usize,
    life: Duration,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(capacity: usize, life: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            life,
        }
    }

    /// What was put in less than its life ago.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<&V> {
        let (since, value) = self.entries.get(key)?;
        (now < *since + self.life).then_some(value)
    }

    /// Remembers it, in place of what is too old, else of the oldest.
    pub(super) fn put(&mut self, key: K, value: V, now: Instant) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let life = self.life;
            self.entries.retain(|_, (since, _)| now < *since + life);
        }
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (since, _))| *since);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| self.entries.remove(&key));
        }
        self.entries.insert(key, (now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_one_every_so_often() {
        let rate = Rate {
            burst: 3,
            every: 10 * SECOND,
        };
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let mut taken = |seconds: u32| rate.take(&mut bucket, start + seconds * SECOND);
        assert!((0..3).all(|_| taken(0)));
        assert!(!taken(0) && !taken(9), "a refusal costs nothing");
        assert!(taken(10) && !taken(10));
        assert!(
            taken(1000) && taken(1000) && taken(1000) && !taken(1000),
            "no more than a burst is saved up"
        );
    }

    #[test]
    fn what_is_remembered_ends_and_is_bounded() {
        let (mut recent, start) = (Recent::new(3, 10 * SECOND), Instant::now());
        for n in 0..5_u32 {
            recent.put(n, n, start + n * SECOND);
        }
        let now = start + 5 * SECOND;
        let known: Vec<u32> = (0..5).filter(|n| recent.get(n, now).is_some()).collect();
        assert_eq!((known, recent.entries.len()), (vec![2, 3, 4], 3));
        recent.put(4, 7, now);
        assert_eq!(recent.get(&2, now), Some(&2), "one that is known takes no room");
        assert_eq!(recent.get(&2, start + 12 * SECOND), None);
        recent.put(9, 9, start + 13 * SECOND);
        assert_eq!(recent.entries.len(), 2, "those that have ended make room first");
    }
}
