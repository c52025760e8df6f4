//! A DatabaseRole: how Vault makes users by it, and its status.

use super::cleanup::{self, Outcome};
use super::{Next, resync};
use crate::context::Context;
use crate::finalizer;
use crate::status;
use keystead_compile::fingerprint::of_database;
use keystead_compile::kinds::database::role;
use keystead_compile::{Held as _, Key, Problem, pause};
use keystead_crds::DatabaseRole;
use keystead_crds::common::BasicStatus;
use keystead_crds::database::DatabaseRoleStatus;
use keystead_vault::object::Object;
use kube::Api;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let Some((object, provider)) = served(context, key) else {
        return Ok(Next::OnChange);
    };
    let paused = pause::check(&context.world(), &*object, &provider);
    if object.metadata.deletion_timestamp.is_some() {
        return farewell(context, key, &object, &provider, paused).await;
    }
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    if let Err(problem) = paused {
        return status::stays(context, api, &*object, problem).await;
    }
    let before = object.status.clone().unwrap_or_default();
    let (compiled, allowed) = {
        let world = context.world();
        let compiled = role::compile(&world, key, &object);
        (compiled, role::is_allowed(&world, key, &object))
    };
    let outcome = match compiled.and_then(|compiled| allowed.map(|allowed| (compiled, allowed))) {
        // The connection's reconcile queues this one.
        Ok((_, false)) => return Ok(Next::OnChange),
        Ok((compiled, true)) => {
            // What is to go with it is not written before that is sure.
            finalizer::settle(&context.client, key, &*object).await?;
            let path = compiled.credentials();
            let compiled = Object::DatabaseRole(compiled);
            let fingerprint = of_database(&context.world(), &provider, &compiled);
            let applied = context.apply(&provider, &compiled).await;
            applied.map(|_| (path, fingerprint.map(|found| found.to_string())))
        }
        Err(problem) => Err(problem),
    };
    let problem = outcome.as_ref().err().cloned();
    let (path, fingerprint) = outcome.ok().unzip();
    status::report(context, api, &*object, problem.as_ref(), Some(&[]), |basic| {
        DatabaseRoleStatus {
            basic: BasicStatus {
                fingerprint: fingerprint.flatten(),
                ..basic
            },
            path: path.or(before.path),
        }
    })
    .await?;
    problem.map_or_else(|| Ok(Next::After(resync(context))), Err)
}

/// A role that is there and this operator's, with its provider, if that is done with itself.
fn served(context: &Context, key: &Key) -> Option<(Arc<DatabaseRole>, String)> {
    let world = context.world();
    let object = world.database_role(key)?;
    let provider = role::provider_name(&world, key, object).unwrap_or_default();
    let waits = world.is_foreign(provider) || context.waits_for(&world, provider);
    (!waits).then(|| (Arc::clone(object), provider.to_owned()))
}

/// Goes with all users that it made.
async fn farewell(
    context: &Context,
    key: &Key,
    object: &DatabaseRole,
    provider: &str,
    paused: Result<(), Problem>,
) -> Result<Next, Problem> {
    if !object.is_held() {
        return Ok(Next::OnChange);
    }
    let removal = role::removal(&context.world(), key, object).map(Object::DatabaseRole);
    let written = object.status.as_ref().and_then(|status| status.path.clone());
    let outcome = match removal {
        // Somebody thought better of it after the finalizer was set.
        _ if !object.goes() => Outcome::Clean,
        // Without its connection nothing of it can be in Vault, or nobody can tell where.
        Err(why) => written.map_or(Outcome::Clean, |path| Outcome::LeftBehind(path, why)),
        Ok(found) => cleanup::take_away(context, object, provider, &found, paused).await,
    };
    cleanup::conclude(context, key, object, outcome).await
}
