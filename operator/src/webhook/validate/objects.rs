//! Decides about one of our own objects. Pure.

use super::super::wire::{FORBIDDEN, INVALID};
use super::{Request, Verdict};
use keystead_compile::admit::{self, Admit, Findings};
use keystead_compile::{Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decides about an object as it would stand in the world; without one nothing is known.
pub(super) fn decide(world: Option<&World>, request: &Request) -> Verdict {
    if !matches!(request.operation.as_str(), "CREATE" | "UPDATE") || is_settled(request) {
        return Verdict::allow();
    }
    let Some(world) = world else {
        return Verdict::Allow(vec![
            "Keystead is starting and has not looked at this; its conditions will say what is wrong"
                .to_owned(),
        ]);
    };
    match request.kind.kind.as_str() {
        "SecretProvider" => look::<SecretProvider>(world, request),
        "Credential" => look::<Credential>(world, request),
        "SecretBinding" => look::<SecretBinding>(world, request),
        "DatabaseConnection" => look::<DatabaseConnection>(world, request),
        "EncryptionKey" => look::<EncryptionKey>(world, request),
        "DatabaseRole" => look::<DatabaseRole>(world, request),
        "SecretScope" => look::<SecretScope>(world, request),
        _ => Verdict::allow(),
    }
}

/// Whether nothing changes that is looked at. Nothing stands in the way of status, finalizers and
/// labels, nor of what is being deleted.
fn is_settled(request: &Request) -> bool {
    let (new, old) = (&request.object, &request.old_object);
    let deleted = new.pointer("/metadata/deletionTimestamp");
    request.operation == "UPDATE"
        && (new.get("spec") == old.get("spec") || deleted.is_some_and(|time| !time.is_null()))
}

fn look<K: Admit + Resource + DeserializeOwned>(world: &World, request: &Request) -> Verdict {
    let Some(object) = typed::<K>(request, &request.object) else {
        return Verdict::unread();
    };
    let before = typed::<K>(request, &request.old_object);
    let Findings { new, old } = admit::admit(world, &object, before.as_ref());
    let warnings = old.into_iter().map(|problem| problem.message).collect();
    if new.is_empty() {
        return Verdict::Allow(warnings);
    }
    let forbidden = new.iter().all(|problem| problem.reason == Reason::NotPermitted);
    Verdict::Refuse {
        code: if forbidden { FORBIDDEN } else { INVALID },
        message: sentence(&new),
        warnings,
    }
}

/// An object by its type. One made by `generateName` has no name yet.
fn typed<K: Resource + DeserializeOwned>(request: &Request, object: &Value) -> Option<K> {
    let mut object: K = serde::Deserialize::deserialize(object).ok()?;
    let meta = object.meta_mut();
    if !request.namespace.is_empty() {
        meta.namespace = Some(request.namespace.clone());
    }
    Some(object)
}

fn sentence(problems: &[Problem]) -> String {
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    messages.join("; ")
}
