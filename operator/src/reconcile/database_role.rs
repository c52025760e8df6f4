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
use keystead_vault::object::{DatabaseRole as Role, Deletion, Object};
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
    let (compiled, allowed) = {
        let world = context.world();
        let compiled = role::compile(&world, key, &object);
        (compiled, role::is_allowed(&world, key, &object))
    };
    let outcome = match compiled.and_then(|compiled| allowed.map(|allowed| (compiled, allowed))) {
        // The connection's reconcile queues this one.
        Ok((_, false)) => return Ok(Next::OnChange),
        Ok((compiled, true)) => apply(context, key, &object, &provider, compiled).await,
        Err(problem) => Err(problem),
    };
    let (status, problem) = match outcome {
        Ok(status) => (status, None),
        Err(problem) => refused(context, key, &object, &provider, problem).await,
    };
    status::report(context, api, &*object, problem.as_ref(), Some(&[]), |basic| {
        let fingerprint = status.basic.fingerprint.clone().filter(|_| problem.is_none());
        let basic = BasicStatus { fingerprint, ..basic };
        DatabaseRoleStatus { basic, ..status }
    })
    .await?;
    problem.map_or_else(|| Ok(Next::After(resync(context))), Err)
}

/// Makes it so in Vault. Answers what is known then.
async fn apply(
    context: &Context,
    key: &Key,
    object: &DatabaseRole,
    provider: &str,
    compiled: Role,
) -> Result<DatabaseRoleStatus, Problem> {
    // What is to go with it is not written before that is sure.
    finalizer::settle(&context.client, key, object).await?;
    let path = compiled.credentials();
    let compiled = Object::DatabaseRole(compiled);
    let fingerprint = of_database(&context.world(), provider, &compiled);
    context.apply(provider, &compiled).await?;
    Ok(DatabaseRoleStatus {
        basic: BasicStatus {
            fingerprint: fingerprint.map(|found| found.to_string()),
            ..BasicStatus::default()
        },
        path: Some(path),
        provider: Some(provider.to_owned()),
        ..DatabaseRoleStatus::default()
    })
}

/// What is known of one that can't be as declared. What is refused to it goes from Vault; its users end with
/// their leases, which nobody can renew then.
async fn refused(
    context: &Context,
    key: &Key,
    object: &DatabaseRole,
    provider: &str,
    problem: Problem,
) -> (DatabaseRoleStatus, Option<Problem>) {
    let before = object.status.clone().unwrap_or_default();
    let withdrawn = role::withdrawal(&context.world(), key, object, &problem);
    let Some(withdrawn) = withdrawn.filter(|_| before.path.is_some()) else {
        return (before, Some(problem));
    };
    let withdrawn = Object::DatabaseRole(withdrawn);
    match context.remove(provider, &withdrawn, Deletion::Retain).await {
        Ok(()) => (DatabaseRoleStatus { path: None, ..before }, Some(problem)),
        Err(why) => {
            let message = format!("{problem}. It is still in Vault: {why}");
            (before, Some(Problem::new(why.reason, message)))
        }
    }
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
        // Nobody can tell where it is, if anything of it is anywhere.
        Err(why) => written.map_or(Outcome::Clean, |path| Outcome::LeftBehind(path, why)),
        Ok(found) => cleanup::take_away(context, object, provider, &found, paused).await,
    };
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    cleanup::conclude(context, api, key, object, outcome).await
}
