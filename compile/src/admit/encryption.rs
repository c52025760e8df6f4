//! `EncryptionKey`: of a provider that has an engine for it.

use super::Admit;
use crate::kinds::encryption;
use crate::{Problem, World};
use keystead_crds::EncryptionKey;
use keystead_crds::condition::Reason;

impl Admit for EncryptionKey {
    fn problems(&self, world: &World) -> Vec<Problem> {
        // Another operator's webhook sees to its own.
        if world.is_foreign(&self.spec.provider_ref.name) {
            return Vec::new();
        }
        let problem = encryption::compile(world, self).err();
        // It may wait for its provider.
        problem
            .filter(|problem| problem.reason != Reason::NotFound)
            .into_iter()
            .collect()
    }
}
