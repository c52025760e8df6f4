//! Which version each Secret of the cluster is in: a few bytes a Secret, so that all can be kept.

use keystead_compile::Key;
use keystead_vault::digest::short;
use kube::ResourceExt;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The versions of all Secrets.
#[derive(Default)]
pub(crate) struct Versions {
    known: Mutex<Known>,
    hasher: RandomState,
}

#[derive(Default)]
struct Known {
    /// By a hash of the Secret's place; with the list that had it last.
    secrets: HashMap<u64, (u64, u32)>,
    /// Which list it is.
    list: u32,
}

impl Versions {
    /// A list of all begins.
    pub(crate) fn begin_list(&self) {
        let mut known = self.known();
        known.list = known.list.wrapping_add(1);
    }

    /// It is complete: what was not in it is gone.
    pub(crate) fn end_list(&self) {
        let mut known = self.known();
        let now = known.list;
        known.secrets.retain(|_, (_, list)| *list == now);
    }

    /// A Secret is there.
    pub(crate) fn see(&self, secret: &impl ResourceExt) {
        let version = format!("{:?} {:?}", secret.uid(), secret.resource_version());
        let place = self.place(&Key::of(secret));
        let mut known = self.known();
        let list = known.list;
        known.secrets.insert(place, (short(&version), list));
    }

    /// A Secret is gone.
    pub(crate) fn lose(&self, secret: &Key) {
        let place = self.place(secret);
        self.known().secrets.remove(&place);
    }

    /// The version of a Secret, as a number that means nothing else; none where it is not there.
    pub(crate) fn of(&self, secret: &Key) -> Option<u64> {
        let place = self.place(secret);
        self.known().secrets.get(&place).map(|(version, _)| *version)
    }

    fn place(&self, secret: &Key) -> u64 {
        self.hasher.hash_one(secret)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;
    use kube::core::ObjectMeta;

    fn secret(name: &str, version: &str) -> Secret {
        Secret {
            metadata: ObjectMeta {
                namespace: Some("shop".into()),
                name: Some(name.into()),
                uid: Some("u".into()),
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        }
    }

    #[test]
    fn what_is_gone_has_none_and_what_changed_has_another() {
        let versions = Versions::default();
        let of = |name: &str| versions.of(&Key::new("shop", name));
        versions.see(&secret("a", "1"));
        versions.see(&secret("b", "1"));
        let first = of("a");
        assert!(first.is_some());
        versions.see(&secret("a", "1"));
        assert_eq!(of("a"), first);
        versions.see(&secret("a", "2"));
        assert!(of("a").is_some() && of("a") != first);
        versions.lose(&Key::new("shop", "a"));
        assert_eq!(of("a"), None);
        versions.begin_list();
        assert!(of("b").is_some(), "a list is not complete yet");
        versions.see(&secret("c", "1"));
        versions.end_list();
        assert!(of("b").is_none() && of("c").is_some());
    }
}
