//! What we note in a path's custom metadata: whose it is, which of its keys are ours, which of these
//! Keystead came by itself, when they were replaced, and up to which version it was given up. Custom metadata is 64 entries of at most
//! 128 and 512 bytes, so lists are cut into pieces.

use super::Owner;
use super::rotation::{Begun, Noted, PREVIOUS};
use crate::digest::short;
use std::collections::{BTreeMap, BTreeSet};

/// Whose it is.
const OWNER: &str = "keystead-owner";
/// The keys that are ours, each with a [`AND_PREVIOUS`] where so is the value it had before.
const KEYS: &str = "keystead-keys-";
/// See [`KEYS`].
const AND_PREVIOUS: char = '+';
/// The keys whose values were made or fetched for nobody else has them.
const GENERATED: &str = "keystead-generated-";
/// When the values were replaced last, in seconds as RFC 3339 has them.
const ROTATED_AT: &str = "rotation-timestamp";
/// How often they were.
const ROTATIONS: &str = "rotation-count";
/// The version that held what people had brought, when that was counted last.
const ROTATED_VERSION: &str = "rotation-version";
/// The [`token`] of who asked last for a rotation that was done.
const FOLLOWED: &str = "keystead-rotate-followed";
/// A rotation that has begun.
const BEGUN: &str = "keystead-rotate-begun";
/// All of these.
const ROTATION: [&str; 5] = [ROTATED_AT, ROTATIONS, ROTATED_VERSION, FOLLOWED, BEGUN];
/// The newest version at the time when its owner gave the path up: it and those before are no more.
const RELEASED: &str = "keystead-released";
/// Longest value of one entry.
const LONGEST: usize = 512;

/// The custom metadata of a path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Marks(pub(super) BTreeMap<String, String>);

impl Marks {
    pub(super) fn owner(&self) -> Option<&str> {
        self.0.get(OWNER).map(String::as_str)
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for entry in self.list(KEYS) {
            let key = entry.trim_end_matches(AND_PREVIOUS);
            keys.extend((key != entry).then(|| format!("{key}{PREVIOUS}")));
            keys.insert(key.to_owned());
        }
        keys
    }

    pub(super) fn generated(&self) -> BTreeSet<String> {
        self.list(GENERATED).map(str::to_owned).collect()
    }

    pub(super) fn rotation(&self) -> Noted {
        let get = |name: &str| self.0.get(name).map(String::as_str);
        Noted {
            at: get(ROTATED_AT).and_then(|at| at.parse().ok()),
            count: get(ROTATIONS).and_then(|count| count.parse().ok()).unwrap_or(0),
            version: get(ROTATED_VERSION).and_then(|version| version.parse().ok()),
            followed: get(FOLLOWED).map(str::to_owned),
            begun: get(BEGUN).and_then(Begun::parse),
        }
    }

    pub(super) fn released(&self) -> Option<u64> {
        self.0.get(RELEASED)?.parse().ok()
    }

    /// Ours, with these keys; what others noted stays.
    pub(super) fn owned(
        &self,
        owner: &Owner,
        keys: &BTreeSet<String>,
        generated: &BTreeSet<String>,
        noted: &Noted,
    ) -> Self {
        let mut marks = self.of_others();
        marks.0.insert(OWNER.into(), owner.to_string());
        let alone = keys.iter().filter(|key| !is_of_another(keys, key));
        let entries = alone.map(|key| {
            if keys.contains(&format!("{key}{PREVIOUS}")) {
                format!("{key}{AND_PREVIOUS}")
            } else {
                key.clone()
            }
        });
        marks.add(KEYS, entries);
        marks.add(GENERATED, generated.iter().cloned());
        marks.note(noted);
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
            let is_list = name.starts_with(KEYS) || name.starts_with(GENERATED);
            name != OWNER && name != RELEASED && !is_list && !ROTATION.contains(&name.as_str())
        });
        marks
    }

    fn note(&mut self, noted: &Noted) {
        let count = (noted.count > 0).then(|| noted.count.to_string());
        let entries = [
            (ROTATED_AT, noted.at.map(|at| at.to_string())),
            (ROTATIONS, count),
            (ROTATED_VERSION, noted.version.map(|version| version.to_string())),
            (FOLLOWED, noted.followed.clone()),
            (BEGUN, noted.begun.as_ref().map(ToString::to_string)),
        ];
        for (name, value) in entries {
            self.0.extend(value.map(|value| (name.to_owned(), value)));
        }
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

/// Whether a key is noted with the one whose value before it is. One that is itself noted so takes none with it.
fn is_of_another(keys: &BTreeSet<String>, key: &str) -> bool {
    let other = key.strip_suffix(PREVIOUS).filter(|other| keys.contains(*other));
    other.is_some_and(|other| !is_of_another(keys, other))
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
        // Each twice: with the value before.
        let made: BTreeSet<String> = (0..64).map(|number| format!("{number:0>128}")).collect();
        let keys: BTreeSet<String> = made
            .iter()
            .flat_map(|key| [key.clone(), format!("{key}_previous")])
            .collect();
        let noted = Noted {
            at: "2026-11-22T10:00:00Z".parse().ok(),
            count: u64::MAX,
            version: Some(u64::MAX),
            followed: Some(token("asked")),
            begun: Begun::parse("00112233445566778899aabbccddeeff 7 6 0123456789abcdef"),
        };
        assert!(noted.begun.is_some());
        let marks = Marks::default().owned(&owner, &keys, &made, &noted);
        // Some are left for rotation and for others.
        assert!(marks.0.len() <= 50, "{}", marks.0.len());
        assert!(marks.0.values().all(|mark| mark.len() <= LONGEST));
        assert_eq!((marks.keys(), marks.generated()), (keys, made));
        assert_eq!(marks.rotation(), noted);
        assert_eq!(marks.owner(), Some(owner.to_string().as_str()));
    }

    #[test]
    fn every_key_is_noted_whatever_it_is_called() {
        let owner = Owner {
            cluster: "c".into(),
            namespace: "n".into(),
            name: "a".into(),
        };
        for names in [
            &["a", "a_previous"][..],
            &["a_previous", "b"],
            &["a", "a_previous", "a_previous_previous"],
            &[
                "a_previous",
                "a_previous_previous",
                "a_previous_previous_previous",
            ],
        ] {
            let keys: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            let marks = Marks::default().owned(&owner, &keys, &BTreeSet::new(), &Noted::default());
            assert_eq!(marks.keys(), keys);
        }
    }

    #[test]
    fn what_others_noted_stays() {
        let theirs = Marks([("team".to_owned(), "blue".to_owned())].into());
        let owner = Owner {
            cluster: "c1".into(),
            namespace: "n".into(),
            name: "a".into(),
        };
        let ours = theirs.owned(
            &owner,
            &["k".to_owned()].into(),
            &BTreeSet::new(),
            &Noted::default(),
        );
        assert_eq!(ours.0["team"], "blue");
        let free = ours.given_up(3);
        assert_eq!((free.owner(), free.released()), (None, Some(3)));
        assert_eq!(free.0["team"], "blue");
        assert!(free.keys().is_empty());
    }
}
