//! Objects found by what they have in common.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Objects by what they have in common. It is nearly always few, so a list takes least memory.
pub(crate) struct Index<P, E>(HashMap<P, Vec<E>>);

impl<P: Eq + Hash, E: Ord> Index<P, E> {
    /// Once, even if it is there already.
    pub(crate) fn insert(&mut self, place: P, entry: E) {
        let entries = self.0.entry(place).or_default();
        if let Err(position) = entries.binary_search(&entry) {
            entries.reserve_exact(1);
            entries.insert(position, entry);
        }
    }

    pub(crate) fn remove<Q>(&mut self, place: &Q, entry: &E)
    where
        P: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Some(entries) = self.0.get_mut(place) else {
            return;
        };
        entries.retain(|found| found != entry);
        if entries.is_empty() {
            self.0.remove(place);
        }
    }

    pub(crate) fn at<Q>(&self, place: &Q) -> &[E]
    where
        P: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(place).map_or(&[], Vec::as_slice)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<P, E> Default for Index<P, E> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
