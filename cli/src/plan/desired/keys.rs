//! Encryption keys.

use super::{Desired, Subject, steps};
use keystead_compile::World;
use keystead_compile::kinds::encryption;
use keystead_vault::object::Object;
use kube::ResourceExt as _;

/// What there should be because of them.
pub(super) fn desired(world: &World) -> Vec<(Subject, Desired)> {
    let keys = world.encryption_keys().map(|found| {
        let provider = found.spec.provider_ref.name.as_str();
        let key = || encryption::compile(world, found).map(Object::TransitKey);
        let steps = steps(world, provider, found.as_ref(), key, key);
        let desired = Desired::of(provider, steps);
        (Subject::EncryptionKey(found.name_any()), desired)
    });
    keys.collect()
}
