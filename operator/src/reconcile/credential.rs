//! A Credential: its values in Vault, and its status.

mod rotation;

use super::{Next, cleanup, jitter, resync};
use crate::context::Context;
use crate::status::{self, Finding};
use crate::{finalizer, settled};
use k8s_openapi::jiff::Timestamp;
use keystead_compile::fingerprint::Fingerprint;
use keystead_compile::kinds::credential::{self, Expiry, Standing};
use keystead_compile::kinds::holders;
use keystead_compile::{Key, Problem, pause};
use keystead_crds::Credential;
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::{EXPIRING, READY, ROTATION_DUE, Reason};
use keystead_crds::credential::CredentialStatus;
use keystead_vault::engine::Applied;
use keystead_vault::object::{Adoption, KvSecret, Object};
use kube::Api;
use std::sync::Arc;
use std::time::Duration;

/// How often Vault is looked at for values that people are to write there.
const PEOPLE: Duration = Duration::from_secs(30);

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let Some((object, provider)) = served(context, key) else {
        context.metrics.remind(key, false);
        return Ok(Next::OnChange);
    };
    if object.metadata.deletion_timestamp.is_some() {
        return cleanup::reconcile(context, key, &object).await;
    }
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    let paused = pause::check_credential(&context.world(), &object);
    if let Err(problem) = paused {
        return status::stays(context, api, &*object, problem).await;
    }
    // What is to go with the Credential is not written before that is sure.
    finalizer::settle(&context.client, key, &*object).await?;
    let now = Timestamp::now();
    let Meant {
        compiled,
        fingerprint,
        held_by,
    } = meant(context, key, &object, &provider, now);
    let known = compiled.as_ref().ok();
    let path = known.map(|secret| secret.path.to_string());
    let followed = known.and_then(|secret| secret.asked.as_ref().map(|asked| asked.text.clone()));
    let outcome = match compiled {
        Ok(secret) => apply(context, &provider, secret).await,
        Err(problem) => Err(problem),
    };
    let rotated = outcome.as_ref().ok().and_then(|applied| applied.rotation);
    let rotation = rotated.and_then(|rotated| rotation::status(key, &object, rotated, followed, now));
    let expiry = credential::expiry(&object, now);
    let standing = rotation::standing(key, &object, rotation.as_ref(), now);
    rotation::count(context, key, &object, rotation.as_ref(), standing.as_ref());
    let findings = findings(&object, outcome.is_ok(), expiry.as_ref(), standing.as_ref());
    // What is not ours is not where its values are.
    let path = path.filter(|_| !matches!(&outcome, Err(problem) if problem.reason == Reason::Conflict));
    let version = outcome.as_ref().ok().and_then(|applied| applied.version);
    let fingerprint = fingerprint
        .filter(|_| outcome.is_ok())
        .map(|found| found.to_string());
    let before = object.status.clone().unwrap_or_default();
    let turns_in = expiry.and_then(|expiry| expiry.turns_in);
    let turns_in = turns_in
        .into_iter()
        .chain(rotation::turns_in(&object, rotation.as_ref(), now))
        .min();
    let problem = outcome.as_ref().err();
    status::report(context, api, &*object, problem, Some(&findings), |basic| {
        let found = CredentialStatus {
            basic: BasicStatus { fingerprint, ..basic },
            path,
            version: version.and_then(|version| i64::try_from(version).ok()),
            rotation,
            held_by,
        };
        say(before, found)
    })
    .await?;
    let wait = match outcome {
        Ok(_) => resync(context),
        Err(problem) if problem.reason == Reason::NotFound && is_for_people(&object) => jitter(PEOPLE),
        Err(problem) => return Err(problem),
    };
    Ok(Next::After(wait.min(turns_in.unwrap_or(Duration::MAX))))
}

/// What a Credential means as the world is.
struct Meant {
    compiled: Result<KvSecret, Problem>,
    /// Tells the state of all that it is made from.
    fingerprint: Option<Fingerprint>,
    held_by: Option<String>,
}

fn meant(context: &Context, key: &Key, object: &Credential, provider: &str, now: Timestamp) -> Meant {
    let world = context.world();
    let compiled = credential::compile(&world, key, object, now);
    let secret = compiled.as_ref().ok();
    Meant {
        fingerprint: secret.and_then(|secret| settled::of_values(context, &world, provider, object, secret)),
        held_by: holders::of_credential(&world, object),
        compiled,
    }
}

/// A Credential that is there and this operator's, with its provider, if that is done with itself.
fn served(context: &Context, key: &Key) -> Option<(Arc<Credential>, String)> {
    let world = context.world();
    let object = Arc::clone(world.credential(key)?);
    let provider = credential::provider_name(&world, &object).unwrap_or_default();
    let waits = world.is_foreign(provider) || context.waits_for(&world, provider);
    (!waits).then(|| (Arc::clone(&object), provider.to_owned()))
}

async fn apply(context: &Context, provider: &str, secret: KvSecret) -> Result<Applied, Problem> {
    let refuses = secret.adoption == Adoption::Refuse;
    let applied = context.apply(provider, &Object::KvSecret(secret)).await;
    applied.map_err(|mut problem| {
        if problem.reason == Reason::Conflict && refuses {
            problem
                .message
                .push_str(": move it away, or take over what nobody has marked with spec.adoption: Adopt");
        }
        problem
    })
}

/// What there is to say beside whether it is as declared.
fn findings(
    object: &Credential,
    is_done: bool,
    expiry: Option<&Expiry>,
    standing: Option<&Standing>,
) -> Vec<Finding> {
    let inactive = (is_done && !object.spec.active).then(|| Finding {
        type_: READY,
        holds: true,
        reason: Reason::Inactive,
        message: "spec.active is false: nobody is served; the values are hidden in Vault until it is true"
            .into(),
        warns: false,
    });
    let expiring = expiry.map(|expiry| Finding {
        type_: EXPIRING,
        holds: expiry.is_near(),
        reason: expiry.reason,
        message: expiry.message.clone(),
        warns: expiry.is_near(),
    });
    let rotating = standing.map(|standing| Finding {
        type_: ROTATION_DUE,
        holds: standing.is_due,
        reason: if standing.is_due {
            Reason::Due
        } else {
            Reason::NotYet
        },
        message: standing.message.clone(),
        warns: standing.is_due,
    });
    inactive.into_iter().chain(expiring).chain(rotating).collect()
}

/// The status: what was written last is still what is there, unless the path is another one now.
fn say(before: CredentialStatus, found: CredentialStatus) -> CredentialStatus {
    let same = found.path.is_none() || found.path == before.path;
    CredentialStatus {
        version: found.version.or_else(|| before.version.filter(|_| same)),
        path: found.path.or(before.path),
        rotation: found.rotation.or(before.rotation),
        ..found
    }
}

fn is_for_people(object: &Credential) -> bool {
    object.spec.keys.iter().any(|key| key.from.vault.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_is_still_there() {
        let before = CredentialStatus {
            path: Some("kv/a".into()),
            version: Some(3),
            ..CredentialStatus::default()
        };
        let said = |path: Option<&str>, version| {
            let found = CredentialStatus {
                path: path.map(Into::into),
                version,
                ..CredentialStatus::default()
            };
            let new = say(before.clone(), found);
            (new.path, new.version)
        };
        assert_eq!(said(None, None), (Some("kv/a".into()), Some(3)), "not compiled");
        assert_eq!(said(Some("kv/a"), None), (Some("kv/a".into()), Some(3)), "hidden");
        assert_eq!(said(Some("kv/a"), Some(4)), (Some("kv/a".into()), Some(4)));
        assert_eq!(
            said(Some("kv/b"), None),
            (Some("kv/b".into()), None),
            "elsewhere now"
        );
    }
}
