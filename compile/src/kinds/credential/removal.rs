//! What a deleted Credential leaves in Vault.

use super::{owner, path, place};
use crate::{Held as _, Key, Problem, World, pause};
use keystead_crds::Credential;
use keystead_crds::condition::Reason;
use keystead_crds::credential::DeletionPolicy;
use keystead_crds::names::RELEASE_ANNOTATION;
use keystead_vault::object::{Adoption, Deletion, KvSecret};
use kube::ResourceExt as _;
use std::collections::BTreeMap;

/// What becomes of the values of a deleted Credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// As far as anybody knows, there are none.
    Nothing,
    /// They stay at this path, as its deletion policy says.
    Retained(String),
    /// They stay at this path though they should go, and why.
    LeftBehind(String, Problem),
    /// They stay at this path until somebody does something, and why.
    Waiting(String, Problem),
    /// They go.
    Goes(Box<Removal>),
}

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

/// What becomes of a deleted Credential's values.
pub fn fate(world: &World, key: &Key, credential: &Credential) -> Fate {
    let written = credential.status.as_ref().and_then(|status| status.path.clone());
    if credential.spec.deletion_policy == DeletionPolicy::Retain {
        return written.map_or(Fate::Nothing, Fate::Retained);
    }
    if !credential.is_held() {
        return Fate::Nothing;
    }
    let left_behind = |why| match written {
        Some(path) => Fate::LeftBehind(path, why),
        // Nobody came to say how the first write ended.
        None if credential.status.is_none() => Fate::LeftBehind(somewhere(credential), why),
        // It never had anything there.
        None => Fate::Nothing,
    };
    let asked = credential.annotations().get(RELEASE_ANNOTATION);
    if asked.is_some_and(|value| value == "true") {
        let why = format!("the annotation {RELEASE_ANNOTATION} asks for it");
        return left_behind(Problem::new(Reason::CleanupBlocked, why));
    }
    match (
        removal(world, key, credential),
        pause::check_credential(world, credential),
    ) {
        (Err(nowhere), _) => left_behind(nowhere),
        (Ok(removal), Err(paused)) => Fate::Waiting(removal.secret.path.to_string(), paused),
        (Ok(removal), Ok(())) => Fate::Goes(Box::new(removal)),
    }
}

/// Where values may be whose path is not known.
fn somewhere(credential: &Credential) -> String {
    let spec = &credential.spec;
    format!(
        "the path of service {} at SecretScope {}, if it was written at all",
        spec.service, spec.scope_ref.name
    )
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
            rotation: None,
            asked: None,
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
