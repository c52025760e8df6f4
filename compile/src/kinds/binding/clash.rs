//! What two bindings would both put into a pod, where it can be only once.

use crate::world::is_older;
use crate::{Key, Problem, World};
use keystead_crds::SecretBinding;
use keystead_crds::binding::SecretBindingSpec;
use keystead_crds::condition::Reason;
use std::fmt;
use std::sync::Arc;

/// What two bindings both give a pod.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::kinds) enum Overlap<'a> {
    /// One path.
    File(&'a str),
    /// A path that the other has files below.
    Directory { file: &'a str, below: &'a str },
    /// One name.
    Variable(&'a str),
}

/// Why the binding can't be served beside the other bindings of its accounts: an older one gives their
/// pods the same file or variable. Of two it is the younger one's fault, so that nobody's pods break by
/// what somebody else adds later.
///
/// Bindings with different podSelectors are compared only when there is a pod that both select. The
/// binding need not be in the world; what stands there under `key` is not looked at.
pub fn clash(world: &World, key: &Key, binding: &SecretBinding) -> Option<Problem> {
    let older = |(_, other): &(&Key, &Arc<SecretBinding>)| is_older(other.as_ref(), binding);
    first(
        neighbours(world, key, binding).filter(older),
        binding,
        "is older and gives",
    )
}

/// The same with every other binding, whichever is older: for who asks before anything is changed.
pub fn clash_with_any(world: &World, key: &Key, binding: &SecretBinding) -> Option<Problem> {
    first(neighbours(world, key, binding), binding, "gives")
}

/// What two bindings both give a pod that both select, if anything.
pub(in crate::kinds) fn overlap<'a>(
    one: &'a SecretBindingSpec,
    other: &'a SecretBindingSpec,
) -> Option<Overlap<'a>> {
    let paths = |spec: &'a SecretBindingSpec| spec.files.iter().map(|file| file.path.as_str());
    let names = |spec: &'a SecretBindingSpec| spec.env.iter().map(|env| env.name.as_str());
    let mut pairs = paths(one).flat_map(|one| paths(other).map(move |other| (one, other)));
    let file = pairs.find_map(|(one, other)| same_place(one, other));
    file.or_else(|| {
        let name = names(one).find(|one| names(other).any(|other| other == *one));
        name.map(Overlap::Variable)
    })
}

/// Whether two paths can't both be files.
pub(super) fn same_place<'a>(one: &'a str, other: &'a str) -> Option<Overlap<'a>> {
    let is_below = |path: &str, file: &str| path.strip_prefix(file).is_some_and(|rest| rest.starts_with('/'));
    if one == other {
        Some(Overlap::File(one))
    } else if is_below(other, one) {
        Some(Overlap::Directory {
            file: one,
            below: other,
        })
    } else if is_below(one, other) {
        Some(Overlap::Directory {
            file: other,
            below: one,
        })
    } else {
        None
    }
}

/// The other bindings to the provider that name one of the accounts for the same pods; one that names
/// several comes up for each.
fn neighbours<'a>(
    world: &'a World,
    key: &'a Key,
    binding: &'a SecretBinding,
) -> impl Iterator<Item = (&'a Key, &'a Arc<SecretBinding>)> {
    let spec = &binding.spec;
    // Most bindings give a few files or variables, and one that gives none can't clash.
    let gives = !spec.files.is_empty() || !spec.env.is_empty();
    let accounts = spec.service_accounts.iter().filter(move |_| gives);
    let others = accounts.flat_map(|account| world.bindings_of(&key.namespace, account));
    others.filter(move |(other, found)| {
        *other != key
            && found.spec.provider_ref == spec.provider_ref
            && found.spec.pod_selector == spec.pod_selector
    })
}

fn first<'a>(
    mut others: impl Iterator<Item = (&'a Key, &'a Arc<SecretBinding>)>,
    binding: &SecretBinding,
    gives: &str,
) -> Option<Problem> {
    others.find_map(|(other, found)| {
        let overlap = overlap(&found.spec, &binding.spec)?;
        let account = shared(found, binding)?;
        let message = format!(
            "SecretBinding {} {gives} the pods of service account {account} {overlap} too: rename it in one of the two, or keep their pods apart by podSelector",
            other.name
        );
        Some(Problem::new(Reason::Conflict, message))
    })
}

/// An account that both name.
fn shared<'a>(one: &'a SecretBinding, other: &SecretBinding) -> Option<&'a String> {
    let mut names = one.spec.service_accounts.iter();
    names.find(|name| other.spec.service_accounts.contains(name))
}

impl fmt::Display for Overlap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {path}"),
            Self::Directory { file, below } => write!(f, "the file {file}, which is a directory in {below},"),
            Self::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{binding, created, provider, world};
    use serde_json::{Value, json};

    /// A binding of account web that gives these files and variables.
    fn gives(name: &str, age: Option<i64>, files: &[&str], names: &[&str]) -> SecretBinding {
        let files: Vec<Value> = files
            .iter()
            .map(|path| json!({"path": path, "format": "Dotenv", "secret": "hubspot"}))
            .collect();
        let env: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "secret": "hubspot", "key": "k"}))
            .collect();
        let mut binding = binding("shop", name, "p", "web", "hubspot");
        binding.spec.files = serde_json::from_value(json!(files)).unwrap();
        binding.spec.env = serde_json::from_value(json!(env)).unwrap();
        binding.metadata.creation_timestamp = age.map(created);
        binding
    }

    fn shop(bindings: impl IntoIterator<Item = SecretBinding>) -> World {
        let mut world = world([provider("p")], []);
        for binding in bindings {
            world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
        }
        world
    }

    fn said(world: &World, binding: &SecretBinding) -> String {
        clash(world, &Key::of(binding), binding).map_or_else(String::new, |problem| {
            assert_eq!(problem.reason, Reason::Conflict);
            problem.message
        })
    }

    #[test]
    fn the_younger_of_two_is_told_and_the_older_is_not() {
        let (old, new) = (
            gives("z", Some(1), &[], &["KEY"]),
            gives("a", Some(2), &[], &["KEY"]),
        );
        let world = shop([old.clone(), new.clone()]);
        assert_eq!(
            said(&world, &new),
            "SecretBinding z is older and gives the pods of service account web the variable KEY too: rename it in one of the two, or keep their pods apart by podSelector"
        );
        assert_eq!(said(&world, &old), "");
        let problem = clash_with_any(&world, &Key::of(&old), &old).unwrap();
        assert!(problem.message.starts_with("SecretBinding a gives"), "{problem}");
    }

    #[test]
    fn one_that_is_not_made_yet_is_the_youngest() {
        let world = shop([gives("old", Some(1), &["a/b"], &[])]);
        for (path, wanted) in [
            ("a/b", "the file a/b too"),
            ("a", "the file a, which is a directory in a/b, too"),
            ("a/b/c", "the file a/b, which is a directory in a/b/c, too"),
        ] {
            let message = said(&world, &gives("new", None, &[path], &[]));
            assert!(message.contains(wanted), "{path}: {message}");
        }
        for path in ["a/bc", "b", "a/c", "b/a"] {
            assert_eq!(said(&world, &gives("new", None, &[path], &[])), "", "{path}");
        }
        let again = gives("old", None, &["a/b"], &[]);
        assert_eq!(
            said(&world, &again),
            "",
            "the one that is there is its own former self"
        );
    }

    #[test]
    fn others_pods_are_not_looked_at() {
        let world = shop([gives("old", Some(1), &["a"], &[])]);
        let new = || gives("new", Some(2), &["a"], &[]);
        let mut selected = new();
        selected.spec.pod_selector =
            Some(serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap());
        let mut account = new();
        account.spec.service_accounts = vec!["other".into()];
        let mut elsewhere = new();
        elsewhere.metadata.namespace = Some("elsewhere".into());
        assert_ne!(said(&world, &new()), "");
        for binding in [selected, account, elsewhere] {
            assert_eq!(said(&world, &binding), "");
        }
    }
}
