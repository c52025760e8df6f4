//! `EncryptionKey` → a key of Vault's transit engine.

use crate::kinds::provider;
use crate::{Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::credential::Sealed;
use keystead_crds::{Credential, EncryptionKey};
use keystead_vault::hcl::is_plain_segment;
use keystead_vault::name::Letter;
use keystead_vault::object::TransitKey;
use kube::ResourceExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What there should be in Vault; of a deleted one its name and place are what counts.
pub fn compile(world: &World, object: &EncryptionKey) -> Result<TransitKey, Problem> {
    let spec = &object.spec;
    let provider = provider::find(world, &spec.provider_ref.name)?;
    let name = object.name_any();
    // The API server sees to it at apply.
    if !is_plain_segment(&name) {
        let message = "metadata.name must be letters, digits, '-' and '.'";
        return Err(Problem::new(Reason::Invalid, message));
    }
    let mount = provider.spec.vault.mounts.transit.clone().ok_or_else(|| {
        Problem::new(
            Reason::NotPermitted,
            format!(
                "SecretProvider {} has no encryption keys: its spec.vault.mounts.transit names no engine",
                provider.name_any()
            ),
        )
    })?;
    let rotation = spec.rotation.as_ref().filter(|rotation| rotation.enabled);
    Ok(TransitKey {
        mount,
        name: provider::prefix(world, provider).cluster_wide(Letter::EncryptionKey, &name),
        key_type: spec.r#type.as_str(),
        rotate_every: rotation.map_or(Duration::ZERO, |rotation| Duration::from(rotation.every)),
        min_decryption_version: spec.min_decryption_version,
    })
}

/// The versions of a key that sealed values of a Credential.
pub fn sealing(credential: &Credential, key: &str) -> BTreeSet<i64> {
    let sealed = credential.spec.keys.iter();
    let sealed = sealed.filter_map(|found| found.from.sealed.as_ref());
    sealed
        .filter(|sealed| sealed.key_ref.name == key)
        .filter_map(Sealed::version)
        .collect()
}

/// How many Credentials each version of a key sealed values of.
pub fn sealed_by(world: &World, key: &str) -> BTreeMap<i64, i64> {
    let mut counts = BTreeMap::new();
    for (_, credential) in world.credentials() {
        for version in sealing(credential, key) {
            *counts.entry(version).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{encryption_key, provider, world};
    use serde_json::json;

    #[test]
    fn a_key_is_named_after_cluster_and_provider() {
        let mut with = provider("p");
        with.spec.vault.mounts.transit = Some("transit".into());
        let known = world([with], []);
        let seals = json!({"type": "rsa-4096", "rotation": {"every": "2160h"}, "minDecryptionVersion": 2});
        let key = compile(&known, &encryption_key("seals", &seals)).unwrap();
        assert_eq!(key.path(), "transit/keys/keystead.c1.p.k.seals");
        assert_eq!(key.rotate_every, Duration::from_hours(2160));
        assert_eq!((key.key_type, key.min_decryption_version), ("rsa-4096", Some(2)));
        let off = json!({"type": "aes256-gcm96", "rotation": {"every": "2160h", "enabled": false}});
        let key = compile(&known, &encryption_key("seals", &off)).unwrap();
        assert_eq!(key.rotate_every, Duration::ZERO, "it is switched off");

        let without = world([provider("p")], []);
        let problem = compile(&without, &encryption_key("seals", &seals)).unwrap_err();
        assert_eq!(problem.reason, Reason::NotPermitted);
        assert!(problem.message.contains("spec.vault.mounts.transit"), "{problem}");
    }
}
