//! A DatabaseRole: how Vault makes users by it, and its status.

use super::cleanup::{self, Outcome};
use super::{Next, jitter, resync};
use crate::context::Context;
use crate::finalizer;
use crate::status;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_compile::fingerprint::of_database;
use keystead_compile::kinds::database::role;
use keystead_compile::kinds::holders;
use keystead_compile::{Held as _, Key, Problem, pause};
use keystead_crds::DatabaseRole;
use keystead_crds::common::BasicStatus;
use keystead_crds::database::DatabaseRoleStatus;
use keystead_vault::object::{DatabaseRole as Role, Deletion, Object};
use kube::Api;
use std::sync::Arc;
use std::time::Duration;

/// How long after a rotation was due it is looked at: Vault may take a moment.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// The soonest second look at a password.
const SOONEST: Duration = Duration::from_secs(10);

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
    let held_by = holders::of_role(&context.world(), key);
    let (status, problem) = match outcome {
        Ok(status) => (status, None),
        Err(problem) => refused(context, key, &object, &provider, problem).await,
    };
    let due = status.due.as_ref().map(|due| due.0);
    status::report(context, api, &*object, problem.as_ref(), Some(&[]), |basic| {
        let fingerprint = status.basic.fingerprint.clone().filter(|_| problem.is_none());
        let basic = BasicStatus { fingerprint, ..basic };
        DatabaseRoleStatus {
            basic,
            held_by,
            ..status
        }
    })
    .await?;
    let wait = resync(context);
    let wait = due.map_or(wait, |due| wait.min(until_rotated(due, Timestamp::now())));
    problem.map_or(Ok(Next::After(wait)), Err)
}

/// How long until Vault has rotated a password that is due then; no look is sooner than is worth it.
fn until_rotated(due: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    left.saturating_add(jitter(AFTERWARDS)).max(SOONEST)
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
    let declared = Object::DatabaseRole(compiled.clone());
    let fingerprint = of_database(&context.world(), provider, &declared);
    context.apply(provider, &declared).await?;
    let vault = context.providers.client(provider)?;
    let password = compiled.password(&vault).await;
    let password = password.map_err(|error| context.suspect(provider, error))?;
    let time = |seconds: i64| Timestamp::from_second(seconds).ok().map(Time);
    Ok(DatabaseRoleStatus {
        basic: BasicStatus {
            fingerprint: fingerprint.map(|found| found.to_string()),
            ..BasicStatus::default()
        },
        path: Some(path),
        provider: Some(provider.to_owned()),
        rotated_at: password.and_then(|password| time(password.rotated_at)),
        due: password.and_then(|password| time(password.due)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_looked_at_when_it_was_rotated() {
        let due = Timestamp::from_second(1_000_000).unwrap();
        let seconds = |now: i64| until_rotated(due, Timestamp::from_second(now).unwrap()).as_secs();
        assert!((1004..=1005).contains(&seconds(999_000)), "{}", seconds(999_000));
        assert_eq!(seconds(999_999), 10, "no request a second");
        assert_eq!(seconds(1_000_500), 10, "Vault is late");
    }
}
