//! A Credential: its values in Vault, and its status.

use super::{Next, RESYNC, jitter, kubernetes};
use crate::context::Context;
use crate::status;
use crate::watch::Declared as _;
use keystead_compile::kinds::credential;
use keystead_compile::{Key, Problem, pause};
use keystead_crds::Credential;
use keystead_crds::credential::CredentialStatus;
use keystead_vault::object::{KvSecret, Object};
use kube::Api;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let (object, provider, compiled) = {
        let world = context.world();
        let Some(object) = world.credential(key).cloned() else {
            return Ok(Next::OnChange);
        };
        let provider = credential::provider_name(&world, &object)
            .unwrap_or_default()
            .to_owned();
        if world.is_foreign(&provider) {
            return Ok(Next::OnChange);
        }
        if context.waits_for(&world, &provider) {
            return Ok(Next::OnChange);
        }
        let pause = pause::check_credential(&world, &object);
        let compiled = pause.and_then(|()| credential::compile(&world, key, &object));
        (object, provider, compiled)
    };
    let outcome = match compiled {
        Ok(secret) => apply(context, &provider, secret).await,
        Err(problem) => Err(problem),
    };
    let before = object.status.clone().unwrap_or_default();
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    let written = status::report(
        context,
        api,
        &*object,
        outcome.as_ref().err(),
        None,
        |basic| match &outcome {
            Ok((path, version)) => CredentialStatus {
                basic,
                path: Some(path.clone()),
                version: *version,
            },
            // What was written last is still what is there.
            Err(_) => CredentialStatus { basic, ..before },
        },
    );
    if let Some(new) = written.await.map_err(|error| kubernetes(&error))? {
        Credential::remember(&mut context.world_mut(), key, new);
    }
    outcome.map(|_| Next::After(jitter(RESYNC)))
}

/// Answers where the values are, and in which version.
async fn apply(
    context: &Context,
    provider: &str,
    secret: KvSecret,
) -> Result<(String, Option<i64>), Problem> {
    let path = secret.path.to_string();
    let applied = context.apply(provider, &Object::KvSecret(secret)).await?;
    Ok((
        path,
        applied.version.and_then(|version| i64::try_from(version).ok()),
    ))
}
