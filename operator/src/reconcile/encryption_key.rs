//! An EncryptionKey: the key in Vault, and its status.

use super::cleanup::{self, Outcome};
use super::{Next, resync};
use crate::context::Context;
use crate::{finalizer, status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_compile::kinds::encryption;
use keystead_compile::{Held as _, Key, Problem, pause};
use keystead_crds::EncryptionKey;
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::Reason;
use keystead_crds::encryption::{EncryptionKeyStatus, PublicKey, SHOWN_VERSIONS, SealedBy};
use keystead_vault::object::{Object, TransitKey, TransitState};
use kube::Api;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, name: &str) -> Result<Next, Problem> {
    let Some(object) = served(context, name) else {
        return Ok(Next::OnChange);
    };
    let paused = pause::check(&context.world(), &*object, &object.spec.provider_ref.name);
    if object.metadata.deletion_timestamp.is_some() {
        return farewell(context, name, &object, paused).await;
    }
    let api = Api::all(context.client.clone());
    if let Err(problem) = paused {
        return status::stays(context, api, &*object, problem).await;
    }
    let compiled = encryption::compile(&context.world(), &object);
    let outcome = match compiled {
        Ok(compiled) => apply(context, name, &object, compiled).await,
        Err(problem) => Err(problem),
    };
    let problem = outcome.as_ref().err().cloned();
    let before = || object.status.clone().unwrap_or_default();
    let status = outcome.unwrap_or_else(|_| before());
    let sealed_by = encryption::sealed_by(&context.world(), name);
    let sealed_by = sealed_by
        .into_iter()
        .map(|(version, credentials)| SealedBy { version, credentials });
    let sealed_by = sealed_by.collect();
    status::report(context, api, &*object, problem.as_ref(), Some(&[]), |basic| {
        EncryptionKeyStatus {
            basic,
            sealed_by,
            ..status
        }
    })
    .await?;
    problem.map_or_else(|| Ok(Next::After(resync(context))), Err)
}

/// Makes it so in Vault, and answers what is known then.
async fn apply(
    context: &Context,
    name: &str,
    object: &EncryptionKey,
    compiled: TransitKey,
) -> Result<EncryptionKeyStatus, Problem> {
    let provider = &object.spec.provider_ref.name;
    // What is to go with it is not written before that is sure.
    finalizer::settle(&context.client, &Key::new("", name), object).await?;
    let key = Object::TransitKey(compiled.clone());
    context.apply(provider, &key).await?;
    let vault = context.providers.client(provider)?;
    let state = compiled.state(&vault).await;
    let state = state.map_err(|error| context.suspect(provider, error))?;
    Ok(said(compiled.path(), state))
}

/// The status, but for what every kind reports.
fn said(path: String, state: Option<TransitState>) -> EncryptionKeyStatus {
    let path = Some(path);
    let Some(state) = state else {
        return EncryptionKeyStatus {
            path,
            ..EncryptionKeyStatus::default()
        };
    };
    let made_at = state
        .made_at
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let too_many = state.public_keys.len().saturating_sub(SHOWN_VERSIONS);
    let shown = state.public_keys.into_iter().skip(too_many);
    EncryptionKeyStatus {
        basic: BasicStatus::default(),
        path,
        latest_version: Some(state.latest),
        rotated_at: made_at.map(Time),
        min_decryption_version: Some(state.oldest),
        public_keys: shown.map(|(version, pem)| PublicKey { version, pem }).collect(),
        sealed_by: Vec::new(),
    }
}

/// A key that is there and this operator's, if its provider is done with itself.
fn served(context: &Context, name: &str) -> Option<Arc<EncryptionKey>> {
    let world = context.world();
    let object = world.encryption_key(name)?;
    let provider = &object.spec.provider_ref.name;
    let waits = world.is_foreign(provider) || context.waits_for(&world, provider);
    (!waits).then(|| Arc::clone(object))
}

/// Goes with all that was encrypted by it, if it says so.
async fn farewell(
    context: &Context,
    name: &str,
    object: &EncryptionKey,
    paused: Result<(), Problem>,
) -> Result<Next, Problem> {
    if !object.is_held() {
        return Ok(Next::OnChange);
    }
    let removal = encryption::compile(&context.world(), object);
    let outcome = match removal {
        // Somebody thought better of it after the finalizer was set.
        _ if !object.goes() => Outcome::Clean,
        Err(why) => {
            let path = object.status.as_ref().and_then(|status| status.path.clone());
            path.map_or(Outcome::Clean, |path| Outcome::LeftBehind(path, why))
        }
        Ok(key) => {
            let count: i64 = encryption::sealed_by(&context.world(), name).values().sum();
            let free = if count == 0 {
                paused
            } else {
                let why =
                    format!("Credentials are still sealed by it ({count}): seal them by another key first");
                Err(Problem::new(Reason::CleanupBlocked, why))
            };
            let provider = &object.spec.provider_ref.name;
            cleanup::take_away(context, object, provider, &Object::TransitKey(key), free).await
        }
    };
    let api = Api::all(context.client.clone());
    cleanup::conclude(context, api, &Key::new("", name), object, outcome).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_versions_are_shown() {
        let many: Vec<(i64, String)> = (1..=40).map(|version| (version, version.to_string())).collect();
        let state = TransitState {
            latest: 40,
            made_at: Some(0),
            oldest: 1,
            public_keys: many,
        };
        let shown = said("transit/keys/k".into(), Some(state)).public_keys;
        let ends = [shown.first(), shown.last()].map(|key| key.unwrap().version);
        assert_eq!((shown.len(), ends), (SHOWN_VERSIONS, [25, 40]));
    }
}
