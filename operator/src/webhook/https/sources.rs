//! From where connections come, and how many from each place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One that is counted until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    sources: Sources,
    source: IpAddr,
}

impl Sources {
    /// One more from there, if there are fewer than so many.
    pub(super) fn count(&self, source: IpAddr, most: usize) -> Option<Counted> {
        let mut counts = self.lock();
        let count = counts.entry(source).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        let sources = self.clone();
        Some(Counted { sources, source })
    }

    /// Nothing that holds the lock can panic between two steps.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.sources.lock();
        let rest = counts
            .get(&self.source)
            .map_or(0, |count| count.saturating_sub(1));
        if rest == 0 {
            counts.remove(&self.source);
        } else {
            counts.insert(self.source, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_number() {
        let (sources, [one, other]) = (
            Sources::default(),
            [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from),
        );
        let first = sources.count(one, 2).unwrap();
        let second = sources.count(one, 2).unwrap();
        assert!(sources.count(one, 2).is_none() && sources.count(other, 2).is_some());
        drop(first);
        let third = sources.count(one, 2).unwrap();
        assert!(sources.count(one, 2).is_none());
        drop((second, third));
        assert!(sources.lock().is_empty(), "what has ended takes no room");
    }
}
