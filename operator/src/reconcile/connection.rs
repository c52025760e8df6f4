//! A DatabaseConnection: what Vault knows of the server, its root password, and its status.

use super::cleanup::{self, Outcome};
use super::{Next, resync};
use crate::context::Context;
use crate::queue::Unit;
use crate::status::{self, Finding};
use crate::{affected, finalizer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_compile::fingerprint::of_database;
use keystead_compile::kinds::database::connection;
use keystead_compile::{Held as _, Key, Problem, pause};
use keystead_crds::DatabaseConnection;
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::{ROOT_ROTATED, Reason};
use keystead_crds::database::ConnectionStatus;
use keystead_crds::names::ROOT_PASSWORD_ANNOTATION;
use keystead_vault::object::{DatabaseConnection as Connection, Object, Root};
use kube::{Api, ResourceExt as _};
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let Some(object) = served(context, key) else {
        return Ok(Next::OnChange);
    };
    let provider = &object.spec.provider_ref.name;
    let paused = pause::check(&context.world(), &*object, provider);
    if object.metadata.deletion_timestamp.is_some() {
        return farewell(context, key, &object, paused).await;
    }
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    if let Err(problem) = paused {
        return status::stays(context, api, &*object, problem).await;
    }
    let before = object.status.clone().unwrap_or_default();
    let (compiled, roles) = {
        let world = context.world();
        let roles = connection::roles(&world, key).map(|role| role.name.clone());
        let compiled = connection::compile(&world, key, &object);
        (compiled, roles.collect::<Vec<_>>())
    };
    let outcome = match compiled {
        Ok(compiled) => apply(context, key, &object, compiled).await,
        Err(problem) => Err(problem),
    };
    let (status, problem) = match outcome {
        Ok(status) => (ConnectionStatus { roles, ..status }, None),
        Err(problem) => refused(context, key, &object, before.clone(), problem).await,
    };
    let findings = [rotation(&object, &status)];
    let findings = problem.is_none().then_some(&findings[..]);
    let has_news = (&status.roles, &status.root_rotated_at) != (&before.roles, &before.root_rotated_at);
    status::report(context, api, &*object, problem.as_ref(), findings, |basic| {
        let fingerprint = status.basic.fingerprint.clone().filter(|_| problem.is_none());
        let basic = BasicStatus { fingerprint, ..basic };
        ConnectionStatus { basic, ..status }
    })
    .await?;
    if has_news {
        // They wait for it.
        let units = affected::by_database_connection(&context.world(), key);
        let own = Unit::DatabaseConnection(key.clone());
        let others = units.into_iter().filter(|unit| *unit != own);
        others.for_each(|unit| context.queue.push(unit));
    }
    problem.map_or_else(|| Ok(Next::After(resync(context))), Err)
}

/// Makes it so in Vault. Answers what is known then, but for the roles.
async fn apply(
    context: &Context,
    key: &Key,
    object: &DatabaseConnection,
    mut compiled: Connection,
) -> Result<ConnectionStatus, Problem> {
    let provider = &object.spec.provider_ref.name;
    // What is to go with it is not written before that is sure.
    finalizer::settle(&context.client, key, object).await?;
    context
        .apply(provider, &Object::DatabaseConnection(compiled.clone()))
        .await?;
    let status = object.status.as_ref();
    let known = status.and_then(|status| status.root_rotated_at.clone());
    let known = known.filter(|_| compiled.root == Root::Rotated);
    let root_rotated_at = if compiled.rotate {
        known.or_else(|| Some(Time(Timestamp::now())))
    } else {
        known
    };
    // As it will be compiled the next time.
    compiled.root = if root_rotated_at.is_some() {
        Root::Rotated
    } else {
        Root::Given
    };
    let compiled = Object::DatabaseConnection(compiled);
    let fingerprint = of_database(&context.world(), provider, &compiled);
    Ok(ConnectionStatus {
        basic: BasicStatus {
            fingerprint: fingerprint.map(|found| found.to_string()),
            ..BasicStatus::default()
        },
        root_rotated_at,
        root_password: object.annotations().get(ROOT_PASSWORD_ANNOTATION).cloned(),
        roles: Vec::new(),
    })
}

/// What is known of one that can't be as declared. What is refused to it is closed in Vault.
async fn refused(
    context: &Context,
    key: &Key,
    object: &DatabaseConnection,
    before: ConnectionStatus,
    problem: Problem,
) -> (ConnectionStatus, Option<Problem>) {
    let closed = connection::closed(&context.world(), key, object, &problem);
    let Some(closed) = closed.map(Object::ClosedConnection) else {
        return (before, Some(problem));
    };
    match context.apply(&object.spec.provider_ref.name, &closed).await {
        Ok(_) => {
            let roles = Vec::new();
            (ConnectionStatus { roles, ..before }, Some(problem))
        }
        Err(why) => {
            let message = format!("{problem}. It is still open in Vault: {why}");
            (before, Some(Problem::new(why.reason, message)))
        }
    }
}

/// A connection that is there and this operator's, if its provider is done with itself.
fn served(context: &Context, key: &Key) -> Option<Arc<DatabaseConnection>> {
    let world = context.world();
    let object = world.database_connection(key)?;
    let provider = &object.spec.provider_ref.name;
    let waits = world.is_foreign(provider) || context.waits_for(&world, provider);
    (!waits).then(|| Arc::clone(object))
}

/// Who knows the root password.
fn rotation(object: &DatabaseConnection, status: &ConnectionStatus) -> Finding {
    let spec = &object.spec;
    let (user, secret) = (&spec.username, &spec.root_password_ref.name);
    let (holds, reason, message) = match &status.root_rotated_at {
        Some(_) => (
            true,
            Reason::Rotated,
            format!(
                "Vault has given {user} a password that nobody else knows; Secret {secret} is of no use any more and can be deleted"
            ),
        ),
        None => (
            false,
            Reason::NotRotated,
            format!("spec.rotateRoot is false: whoever reads Secret {secret} can log in as {user}"),
        ),
    };
    Finding {
        type_: ROOT_ROTATED,
        holds,
        reason,
        message,
        warns: false,
    }
}

/// Goes when its roles are gone: their users could not be taken away without it.
async fn farewell(
    context: &Context,
    key: &Key,
    object: &DatabaseConnection,
    paused: Result<(), Problem>,
) -> Result<Next, Problem> {
    if !object.is_held() {
        return Ok(Next::OnChange);
    }
    let (removal, role) = {
        let world = context.world();
        let role = world
            .database_roles_of(key)
            .next()
            .map(|(role, _)| role.name.clone());
        (connection::removal(&world, key, object), role)
    };
    let outcome = match removal {
        // Somebody thought better of it after the finalizer was set.
        _ if !object.goes() => Outcome::Clean,
        Err(why) => Outcome::LeftBehind("an unknown path".into(), why),
        Ok(found) => {
            let found = Object::DatabaseConnection(found);
            let provider = &object.spec.provider_ref.name;
            let free = role.map_or(paused, |role| {
                let why = format!("DatabaseRole {role} still names it: delete it first");
                Err(Problem::new(Reason::CleanupBlocked, why))
            });
            cleanup::take_away(context, object, provider, &found, free).await
        }
    };
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    cleanup::conclude(context, api, key, object, outcome).await
}
