//! What we note in a path's custom metadata: whose it is, which of its keys are ours, which of these
//! were generated, and up to which version it was given up. Custom metadata is 64 entries of at most
//! 128 and 512 bytes, so lists are cut into pieces.

use super::Owner;
use crate::digest::short;
use std::collections::{BTreeMap, BTreeSet};

/// Whose it is.
const OWNER: &str = "keystead-owner";
/// The keys that are ours.
const KEYS: &str = "keystead-keys-";
/// The keys whose values were generated, each with the token that last asked for a new one.
const GENERATED: &str = "keystead-generated-";
/// The newest version at the time when its owner gave the path up: it and those before are no more.
const RELEASED: &str = "keystead-released";
/// Longest value of one entry.
const LONGEST: usize = 512;

/// The custom metadata of a path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Marks(pub(super) BTreeMap<String, String>);

/// Generated keys, and the [`token`] of each: empty where nobody asked for a new value yet.
pub(super) type Generated = BTreeMap<String, String>;

impl Marks {
    pub(super) fn owner(&self) -> Option<&str> {
        self.0.get(OWNER).map(String::as_str)
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.list(KEYS).map(str::to_owned).collect()
    }

    pub(super) fn generated(&self) -> Generated {
        let entry = |entry: &str| {
            let (key, token) = entry.split_once('=').unwrap_or((entry, ""));
            (key.to_owned(), token.to_owned())
        };
        self.list(GENERATED).map(entry).collect()
    }

    pub(super) fn released(&self) -> Option<u64> {
        self.0.get(RELEASED)?.parse().ok()
    }

    /// Ours, with these keys; what others noted stays.
    pub(super) fn owned(&self, owner: &Owner, keys: &BTreeSet<String>, generated: &Generated) -> Self {
        let mut marks = self.of_others();
        marks.0.insert(OWNER.into(), owner.to_string());
        marks.add(KEYS, keys.iter().cloned());
        let entries = generated.iter().map(|(key, token)| match token.as_str() {
            "" => key.clone(),
            token => format!("{key}={token}"),
        });
        marks.add(GENERATED, entries);
        // What was given up stays so, whoever has the path now.
        let released = self.0.get_key_value(RELEASED);
        marks
            .0
            .extend(released.map(|(name, version)| (name.clone(), version.clone())));
        marks
    }

    /// Nobody's; what others noted stays.
    pub(super) fn given_up(&self, version: u64) -> Self {
        let mut marks = self.of_others();
        marks.0.insert(RELEASED.into(), version.to_string());
        marks
    }

    fn of_others(&self) -> Self {
        let mut marks = self.clone();
        marks.0.retain(|name, _| {
            name != OWNER && name != RELEASED && !name.starts_with(KEYS) && !name.starts_with(GENERATED)
        });
        marks
    }

    fn list(&self, prefix: &'static str) -> impl Iterator<Item = &str> {
        let pieces = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        pieces
            .flat_map(|(_, piece)| piece.split(','))
            .filter(|entry| !entry.is_empty())
    }

    fn add(&mut self, prefix: &str, entries: impl Iterator<Item = String>) {
        // Without entries there is no piece: an empty one is refused.
        let mut pieces: Vec<String> = Vec::new();
        for entry in entries {
            match pieces.last_mut() {
                Some(piece) if piece.len() + 1 + entry.len() <= LONGEST => {
                    piece.push(',');
                    piece.push_str(&entry);
                }
                _ => pieces.push(entry),
            }
        }
        let pieces = pieces.into_iter().enumerate();
        self.0
            .extend(pieces.map(|(number, piece)| (format!("{prefix}{number}"), piece)));
    }
}

/// What a person wrote to ask for a new value, in a form that always fits.
pub(super) fn token(text: &str) -> String {
    format!("{:016x}", short(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_long_keys_fit_into_the_marks() {
        let owner = Owner {
            cluster: "c".repeat(63),
            namespace: "n".repeat(63),
            name: "a".repeat(253),
        };
        let keys: BTreeSet<String> = (0..64).map(|number| format!("{number:0>128}")).collect();
        let generated: Generated = keys.iter().map(|key| (key.clone(), token(key))).collect();
        let marks = Marks::default().owned(&owner, &keys, &generated);
        // Some are left for rotation and for others.
        assert!(marks.0.len() <= 50, "{}", marks.0.len());
        assert!(marks.0.values().all(|mark| mark.len() <= LONGEST));
        assert_eq!((marks.keys(), marks.generated()), (keys, generated));
        assert_eq!(marks.owner(), Some(owner.to_string().as_str()));
    }

    #[test]
    fn what_others_noted_stays() {
        let theirs = Marks([("team".to_owned(), "blue".to_owned())].into());
        let owner = Owner {
            cluster: "c1".into(),
            namespace: "n".into(),
            name: "a".into(),
        };
        let ours = theirs.owned(&owner, &["k".to_owned()].into(), &Generated::default());
        assert_eq!(ours.0["team"], "blue");
        let free = ours.given_up(3);
        assert_eq!((free.owner(), free.released()), (None, Some(3)));
        assert_eq!(free.0["team"], "blue");
        assert!(free.keys().is_empty());
    }
}
