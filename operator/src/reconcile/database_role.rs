//! A DatabaseRole: how Vault makes users by it, and its status.

use super::cleanup::{self, Outcome};
use super::{Next, kubernetes, resync};
use crate::context::Context;
use crate::finalizer;
use crate::status;
use crate::watch::Declared as _;
use keystead_compile::fingerprint::of_database;
use keystead_compile::kinds::database::role;
use keystead_compile::{Held as _, Key, Problem, pause};
use keystead_crds::DatabaseRole;
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::Reason;
use keystead_crds::database::DatabaseRoleStatus;
use keystead_crds::names::RELEASE_ANNOTATION;
use keystead_vault::object::{Deletion, Object};
use kube::{Api, ResourceExt as _};
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let Some((object, provider)) = served(context, key) else {
        return Ok(Next::OnChange);
    };
    let paused = pause::check(&context.world(), &*object, &provider);
    if object.metadata.deletion_timestamp.is_some() {
        return farewell(context, key, &object, &provider, paused).await;
    }
    let before = object.status.clone().unwrap_or_default();
    if let Err(problem) = paused {
        report(context, key, &object, Some(&problem), |basic| {
            DatabaseRoleStatus { basic, ..before }
        })
        .await?;
        return Err(problem);
    }
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
    report(context, key, &object, problem.as_ref(), |basic| {
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
    let asked = object.annotations().get(RELEASE_ANNOTATION);
    let outcome = match removal {
        // Somebody thought better of it after the finalizer was set.
        _ if !object.goes() => Outcome::Clean,
        // Without its connection nothing of it can be in Vault, or nobody can tell where.
        Err(why) => written.map_or(Outcome::Clean, |path| Outcome::LeftBehind(path, why)),
        Ok(found) if asked.is_some_and(|value| value == "true") => {
            let why = format!("the annotation {RELEASE_ANNOTATION} asks for it");
            Outcome::LeftBehind(found.to_string(), Problem::new(Reason::CleanupBlocked, why))
        }
        Ok(found) => {
            let removed = match paused {
                Ok(()) => context.remove(provider, &found, Deletion::Delete).await,
                Err(paused) => Err(paused),
            };
            match removed {
                Ok(()) => Outcome::Clean,
                Err(why) => Outcome::Blocked(found.to_string(), why),
            }
        }
    };
    let Some(blocked) = cleanup::conclude(context, key, object, outcome).await? else {
        return Ok(Next::OnChange);
    };
    let before = object.status.clone().unwrap_or_default();
    report(context, key, object, Some(&blocked), |basic| DatabaseRoleStatus {
        basic,
        ..before
    })
    .await?;
    Err(blocked)
}

async fn report(
    context: &Context,
    key: &Key,
    object: &DatabaseRole,
    problem: Option<&Problem>,
    build: impl FnOnce(BasicStatus) -> DatabaseRoleStatus,
) -> Result<(), Problem> {
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    let written = status::report(context, api, object, problem, Some(&[]), build).await;
    if let Some(new) = written.map_err(|error| kubernetes(&error))? {
        DatabaseRole::remember(&mut context.world_mut(), key, new);
    }
    Ok(())
}
