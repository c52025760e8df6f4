//! Values that were sealed outside.

use crate::kinds::encryption;
use crate::{Key, Problem, World};
use keystead_crds::Credential;
use keystead_crds::condition::Reason;
use keystead_crds::credential::{CredentialKey, Sealed};
use keystead_vault::object::ValueRef;
use keystead_vault::seal::{Place, SealedValue};

/// The value of a key that is sealed: by an RSA key of the Credential's own provider.
pub(super) fn compile(
    world: &World,
    credential: &Key,
    object: &Credential,
    key: &CredentialKey,
    sealed: &Sealed,
) -> Result<ValueRef, Problem> {
    let by = &sealed.key_ref.name;
    let field = format!("spec.keys[{}].from.sealed", key.name);
    let from = &key.from;
    let has_other = from.secret_key_ref.is_some()
        || from.value.is_some()
        || from.generate.is_some()
        || from.vault.is_some()
        || from.webhook.is_some();
    let invalid = |why: &str| Problem::new(Reason::Invalid, format!("{field}: {why}"));
    if has_other {
        return Err(invalid("from needs exactly one source"));
    }
    let found = world.encryption_key(by);
    let found = found.ok_or_else(|| Problem::not_found("EncryptionKey", by))?;
    let provider = super::provider_name(world, object);
    if provider != Some(found.spec.provider_ref.name.as_str()) {
        let why = format!("EncryptionKey {by} is of another SecretProvider than the Credential");
        return Err(invalid(&why));
    }
    if !found.spec.r#type.has_public_half() {
        return Err(invalid(&format!("EncryptionKey {by} is no RSA key")));
    }
    let transit = encryption::compile(world, found)?;
    Ok(ValueRef::Sealed(SealedValue {
        mount: transit.mount,
        key: transit.name,
        by: by.clone(),
        wrapped: sealed.wrapped_key.clone(),
        ciphertext: sealed.ciphertext.clone(),
        place: Place {
            cluster: world.cluster.clone(),
            namespace: credential.namespace.clone(),
            name: credential.name.clone(),
            key: key.name.clone(),
            scope: object.spec.scope_ref.name.clone(),
            service: object.spec.service.clone(),
        },
    }))
}
