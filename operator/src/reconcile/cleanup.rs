//! A deleted object: what it has in Vault goes as it declares, and then the finalizer. What can't be taken
//! away is said, and never holds up a namespace for ever.

use super::Next;
use crate::context::Context;
use crate::events;
use crate::status;
use crate::watch::Declared;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::{call, release};
use keystead_compile::kinds::credential::{self, Fate, Removal};
use keystead_compile::{Held, Key, Problem};
use keystead_crds::Credential;
use keystead_crds::common::HasBasicStatus;
use keystead_crds::condition::Reason;
use keystead_crds::names::RELEASE_ANNOTATION;
use keystead_vault::object::{Deletion, Object};
use kube::core::object::HasStatus;
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use std::time::Duration;

/// Reason of the event that says what is left behind.
const LEFT_BEHIND: &str = "LeftBehind";

/// What becomes of a deleted object.
pub(super) enum Outcome {
    /// Nothing of it is left that should not be.
    Clean,
    /// It goes, though something may be left at a path, and why.
    LeftBehind(String, Problem),
    /// It stays for now, for the sake of what is at a path, and why.
    Blocked(String, Problem),
}

pub(super) async fn reconcile(context: &Context, key: &Key, object: &Credential) -> Result<Next, Problem> {
    if !object.is_held() {
        return Ok(Next::OnChange);
    }
    let outcome = clean(context, key, object).await;
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    conclude(context, api, key, object, outcome).await
}

/// Lets an object go when nothing of it is left that should not be; else says why it can't go yet.
pub(super) async fn conclude<K>(
    context: &Context,
    api: Api<K>,
    key: &Key,
    object: &K,
    outcome: Outcome,
) -> Result<Next, Problem>
where
    K: Held + Declared + HasStatus,
    K::Status: HasBasicStatus + Clone + Default + PartialEq + Serialize,
{
    let outcome = match outcome {
        Outcome::Blocked(path, problem) if is_overdue(context, key).await? => {
            let why = format!(
                "namespace {} is being deleted and does not wait for ever: {problem}",
                key.namespace
            );
            Outcome::LeftBehind(path, Problem::new(problem.reason, why))
        }
        outcome => outcome,
    };
    match outcome {
        Outcome::Clean => {}
        Outcome::LeftBehind(path, why) => tell(context, key, object, &path, &why).await,
        Outcome::Blocked(path, why) => {
            return status::stays(context, api, object, blocked::<K>(key, &path, &why)).await;
        }
    }
    release::release::<K>(&context.client, key).await?;
    Ok(Next::OnChange)
}

/// Takes away the one thing that it has in Vault, unless something stands in the way, or somebody asks to
/// let it go.
pub(super) async fn take_away(
    context: &Context,
    object: &impl Held,
    provider: &str,
    found: &Object,
    free: Result<(), Problem>,
) -> Outcome {
    let asked = object.annotations().get(RELEASE_ANNOTATION);
    if asked.is_some_and(|value| value == "true") {
        let why = format!("the annotation {RELEASE_ANNOTATION} asks for it");
        return Outcome::LeftBehind(found.to_string(), Problem::new(Reason::CleanupBlocked, why));
    }
    let removed = match free {
        Ok(()) => context.remove(provider, found, Deletion::Delete).await,
        Err(why) => Err(why),
    };
    removed.map_or_else(
        |why| Outcome::Blocked(found.to_string(), why),
        |()| Outcome::Clean,
    )
}

/// Takes away what it has in Vault, as far as that can be done.
async fn clean(context: &Context, key: &Key, object: &Credential) -> Outcome {
    let fate = credential::fate(&context.world(), key, object);
    let Removal {
        provider,
        secret,
        deletion,
    } = match fate {
        Fate::Nothing | Fate::Retained(_) => return Outcome::Clean,
        Fate::LeftBehind(path, why) => return Outcome::LeftBehind(path, why),
        Fate::Waiting(path, why) => return Outcome::Blocked(path, why),
        Fate::Goes(removal) => *removal,
    };
    let path = secret.path.to_string();
    let written = object.status.as_ref().and_then(|status| status.path.clone());
    match context
        .remove(&provider, &Object::KvSecret(secret), deletion)
        .await
    {
        Ok(()) => Outcome::Clean,
        // Somebody else's now, or always.
        Err(problem) if problem.reason == Reason::Conflict => match written {
            Some(path) => Outcome::LeftBehind(path, problem),
            None => Outcome::Clean,
        },
        Err(problem) => Outcome::Blocked(path, problem),
    }
}

/// Whether the namespace has been waiting to go for so long that it is let go.
async fn is_overdue(context: &Context, key: &Key) -> Result<bool, Problem> {
    if key.namespace.is_empty() {
        return Ok(false);
    }
    let api: Api<Namespace> = Api::all(context.client.clone());
    let what = format!("Namespace {}", key.namespace);
    let found = call(&what, api.get_metadata_opt(&key.namespace)).await?;
    let since = found.and_then(|namespace| namespace.metadata.deletion_timestamp);
    Ok(since.is_some_and(|since| {
        let waited = Timestamp::now().duration_since(since.0);
        Duration::try_from(waited).is_ok_and(|waited| waited >= context.release_after)
    }))
}

async fn tell<K: Held>(context: &Context, key: &Key, object: &K, path: &str, why: &Problem) {
    tracing::warn!(
        kind = %K::kind(&()),
        namespace = key.namespace,
        name = key.name,
        path,
        %why,
        "a deleted object goes without what it has in Vault, which is left behind"
    );
    let note = format!(
        "deleted without its {}, which are left behind in Vault at {path}: {why}",
        K::WHAT
    );
    let regarding = object.object_ref(&());
    events::publish(&context.client, regarding, true, LEFT_BEHIND, &note).await;
}

fn blocked<K: Held>(key: &Key, path: &str, why: &Problem) -> Problem {
    let Key { namespace, name } = key;
    let (what, kind) = (K::WHAT, K::kind(&()).to_lowercase());
    let option = if namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {namespace}")
    };
    let message = format!(
        "its {what} at {path} can't be taken away yet: {why}. This is tried again; to let it go and leave them behind: \
         kubectl annotate {kind} {name}{option} {RELEASE_ANNOTATION}=true"
    );
    Problem::new(Reason::CleanupBlocked, message)
}
