//! What is known of the native Secrets that bindings keep: whose they are and how they were left, by
//! the watch of metadata and by our own writes. No value is kept; of what a Secret held there is only a
//! fingerprint, by a key that no other process has.

pub(crate) mod native;

use k8s_openapi::api::core::v1::Secret;
use keystead_cluster::native::owner;
use keystead_compile::kinds::sync::Data;
use keystead_compile::{Key, Problem};
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of all of them.
#[derive(Default)]
pub(crate) struct Syncs {
    known: Mutex<Known>,
    hasher: RandomState,
}

#[derive(Default)]
struct Known {
    /// Each Secret that carries our mark.
    held: HashMap<Key, Held>,
    /// How each binding's last sync ended, and of which generation.
    results: HashMap<Key, (Option<i64>, Outcome)>,
}

/// One Secret.
#[derive(Clone, Debug)]
struct Held {
    /// The binding it says it is of.
    binding: Key,
    /// That binding's uid.
    uid: String,
    version: String,
    /// What it held in this version, where it was read or written.
    print: Option<u64>,
}

/// How a sync ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The Secret is as it should be, or why not.
    Done(Result<(), Problem>),
    /// The binding can't work, so nothing was done.
    Skipped,
}

impl Syncs {
    /// Notes a Secret as the watch has it; answers the binding that should look at it, if that is news.
    pub(crate) fn see(&self, secret: &PartialObjectMeta<Secret>) -> Option<Key> {
        let key = Key::of(secret);
        let Some((binding, uid)) = owner(secret) else {
            return self.lose(&key);
        };
        let version = secret.resource_version().unwrap_or_default();
        let held = &mut self.known().held;
        let as_left = held
            .get(&key)
            .filter(|held| held.version == version && held.uid == uid);
        if as_left.is_some_and(|held| held.print.is_some()) {
            return None;
        }
        let new = Held {
            binding: binding.clone(),
            uid,
            version,
            print: None,
        };
        held.insert(key, new);
        Some(binding)
    }

    /// Notes that a Secret is gone, or not ours any more; answers the binding that should look.
    pub(crate) fn lose(&self, secret: &Key) -> Option<Key> {
        self.known().held.remove(secret).map(|held| held.binding)
    }

    /// Every Secret that is known; for who finds out which of them are gone.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.known().held.keys().cloned().collect()
    }

    /// The bindings that have, or had, a Secret.
    pub(crate) fn bindings(&self) -> Vec<Key> {
        self.known()
            .held
            .values()
            .map(|held| held.binding.clone())
            .collect()
    }

    /// The Secrets of a binding, each in the version it was seen in.
    pub(crate) fn of(&self, uid: &str) -> Vec<(Key, String)> {
        let known = self.known();
        let owned = known.held.iter().filter(|(_, held)| held.uid == uid);
        owned
            .map(|(key, held)| (key.clone(), held.version.clone()))
            .collect()
    }

    /// Whether a Secret with our mark is there.
    pub(crate) fn is_there(&self, secret: &Key) -> bool {
        self.known().held.contains_key(secret)
    }

    /// Whether a Secret is the binding's and nobody has touched it since it held this.
    pub(crate) fn is_as_left(&self, secret: &Key, uid: &str, print: u64) -> bool {
        let known = self.known();
        let held = known.held.get(secret);
        held.is_some_and(|held| held.uid == uid && held.print == Some(print))
    }

    /// Notes how a Secret was left.
    pub(crate) fn left(&self, secret: Key, binding: Key, uid: String, version: String, print: u64) {
        let held = Held {
            binding,
            uid,
            version,
            print: Some(print),
        };
        self.known().held.insert(secret, held);
    }

    /// What tells one content from another, in this process only.
    pub(crate) fn print(&self, data: &Data<'_>) -> u64 {
        let pairs: Vec<(&str, &str)> = data
            .iter()
            .map(|(key, value)| (*key, value.expose().as_str()))
            .collect();
        self.hasher.hash_one(pairs)
    }

    /// Notes how a binding's sync ended; answers whether that is news.
    pub(crate) fn note(&self, binding: &Key, generation: Option<i64>, outcome: Outcome) -> bool {
        let new = (generation, outcome);
        let results = &mut self.known().results;
        results.insert(binding.clone(), new.clone()).as_ref() != Some(&new)
    }

    /// How the sync of this generation of a binding ended; none if it has not.
    pub(crate) fn outcome(&self, binding: &Key, generation: Option<i64>) -> Option<Outcome> {
        let known = self.known();
        let (of, outcome) = known.results.get(binding)?;
        (*of == generation).then(|| outcome.clone())
    }

    /// A binding is gone, or has no sync any more.
    pub(crate) fn forget(&self, binding: &Key) {
        self.known().results.remove(binding);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_crds::names::SYNCED_LABEL;
    use keystead_vault::Sensitive;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key {
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    fn seen(version: &str, labels: &serde_json::Value) -> PartialObjectMeta<Secret> {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "native", "namespace": "shop", "resourceVersion": version, "labels": labels,
                "ownerReferences": [{
                    "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretBinding", "name": "web", "uid": "u1", "controller": true,
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_somebody_else_did_is_news() {
        let syncs = Syncs::default();
        let mark = json!({SYNCED_LABEL: "true"});
        assert_eq!(syncs.see(&seen("1", &json!({}))), None, "not ours");
        assert_eq!(
            syncs.see(&seen("1", &mark)),
            Some(key("web")),
            "left by another process"
        );
        assert!(syncs.is_there(&key("native")) && !syncs.is_as_left(&key("native"), "u1", 7));
        syncs.left(key("native"), key("web"), "u1".into(), "2".into(), 7);
        assert_eq!(syncs.see(&seen("2", &mark)), None, "our own write");
        assert!(syncs.is_as_left(&key("native"), "u1", 7));
        assert!(
            !syncs.is_as_left(&key("native"), "u2", 7),
            "a binding made anew has another uid"
        );
        assert_eq!(syncs.see(&seen("3", &mark)), Some(key("web")), "somebody wrote");
        assert!(!syncs.is_as_left(&key("native"), "u1", 7));
        assert_eq!(syncs.of("u1"), [(key("native"), "3".to_owned())]);
        assert_eq!(
            syncs.see(&seen("4", &json!({}))),
            Some(key("web")),
            "the mark was taken off"
        );
        assert_eq!(syncs.see(&seen("5", &json!({}))), None);
        assert!(syncs.of("u1").is_empty());
    }

    #[test]
    fn a_fingerprint_tells_contents_apart_and_means_nothing_elsewhere() {
        let (one, other) = (Sensitive::from("a"), Sensitive::from("b"));
        let syncs = Syncs::default();
        let print = syncs.print(&Data::from([("k", &one)]));
        assert_eq!(print, syncs.print(&Data::from([("k", &one)])));
        assert_ne!(print, syncs.print(&Data::from([("k", &other)])));
        assert_ne!(print, syncs.print(&Data::from([("l", &one)])));
        assert_ne!(print, Syncs::default().print(&Data::from([("k", &one)])));
    }

    #[test]
    fn an_outcome_is_of_one_generation() {
        let syncs = Syncs::default();
        let done = || Outcome::Done(Ok(()));
        assert!(syncs.note(&key("web"), Some(1), done()));
        assert!(!syncs.note(&key("web"), Some(1), done()));
        assert_eq!(syncs.outcome(&key("web"), Some(1)), Some(done()));
        assert_eq!(syncs.outcome(&key("web"), Some(2)), None);
        syncs.forget(&key("web"));
        assert_eq!(syncs.outcome(&key("web"), Some(1)), None);
    }
}
