//! What a deleted Credential leaves in Vault.

use super::{owner, path, place};
use crate::{Key, Problem, World};
use keystead_crds::Credential;
use keystead_crds::condition::Reason;
use keystead_crds::credential::DeletionPolicy;
use keystead_vault::object::{Adoption, Deletion, KvSecret};
use std::collections::BTreeMap;

/// What is to go from Vault, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removal {
    /// Whose Vault it is in.
    pub provider: String,
    /// What carries the Credential's mark there.
    pub secret: KvSecret,
    /// How it goes.
    pub deletion: Deletion,
}

/// What is to go with a deleted Credential. It does not matter any more who may declare what: only
/// what carries this Credential's mark goes. A problem means that nothing says where to look.
pub fn removal(world: &World, key: &Key, credential: &Credential) -> Result<Removal, Problem> {
    let (scope, provider) = place(world, credential)?;
    let path = path(provider, scope, credential);
    let written = credential.status.as_ref().and_then(|status| status.path.as_ref());
    if let Some(written) = written.filter(|written| **written != path.to_string()) {
        return Err(Problem::new(
            Reason::NotFound,
            format!(
                "SecretScope {} was made anew and says {path} now, where values were written to {written} before",
                credential.spec.scope_ref.name
            ),
        ));
    }
    Ok(Removal {
        provider: scope.spec.provider_ref.name.clone(),
        secret: KvSecret {
            path,
            owner: owner(world, key),
            keys: BTreeMap::new(),
            adoption: Adoption::Refuse,
            active: true,
            known: true,
        },
        deletion: match credential.spec.deletion_policy {
            DeletionPolicy::Retain => Deletion::Retain,
            DeletionPolicy::Delete => Deletion::Delete,
            DeletionPolicy::Destroy => Deletion::Destroy,
        },
    })
}
