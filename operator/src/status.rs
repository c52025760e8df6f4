//! Status tells the truth: a `Ready` condition from what a reconcile found, and whatever else a kind
//! has to say; written only when it says something new, with an event when an answer changes.

use crate::context::Context;
use crate::events;
use crate::queue::Next;
use crate::watch::Declared;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use keystead_compile::{Key, Problem};
use keystead_crds::common::{BasicStatus, HasBasicStatus};
use keystead_crds::condition::{READY, Reason};
use kube::api::{Patch, PatchParams};
use kube::core::object::HasStatus;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Owner of the status fields.
const MANAGER: &str = "keystead-operator";

/// A condition as a reconcile found it. One of type `Ready` says more of a success than that all is as
/// declared.
pub(crate) struct Finding {
    /// The condition's type.
    pub(crate) type_: &'static str,
    /// Whether it holds.
    pub(crate) holds: bool,
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Whether people should be warned of it.
    pub(crate) warns: bool,
}

/// What people are told of a condition that changed.
#[derive(Debug, Eq, PartialEq)]
struct News {
    warns: bool,
    reason: String,
    message: String,
}

/// Writes what a reconcile found. `findings` are all conditions beside `Ready`; none leaves them as
/// they were. `build` adds what the kind reports beyond conditions. The world knows it then, too.
pub(crate) async fn report<K>(
    context: &Context,
    api: Api<K>,
    object: &K,
    problem: Option<&Problem>,
    findings: Option<&[Finding]>,
    build: impl FnOnce(BasicStatus) -> K::Status,
) -> Result<(), Problem>
where
    K: Declared + HasStatus,
    K::Status: HasBasicStatus + PartialEq + Serialize,
{
    let written = write(context, api, object, problem, findings, build).await;
    if let Some(new) = written.map_err(|error| keystead_cluster::problem(&error))? {
        K::remember(&mut context.world_mut(), &Key::of(object), new);
    }
    Ok(())
}

/// Says of an object only why nothing is done with it; whatever else is known of it stays. Answers that
/// reason.
pub(crate) async fn stays<K>(
    context: &Context,
    api: Api<K>,
    object: &K,
    problem: Problem,
) -> Result<Next, Problem>
where
    K: Declared + HasStatus,
    K::Status: HasBasicStatus + Clone + Default + PartialEq + Serialize,
{
    let build = |basic| {
        let mut status = object.status().cloned().unwrap_or_default();
        *status.basic_mut() = basic;
        status
    };
    report(context, api, object, Some(&problem), None, build).await?;
    Err(problem)
}

/// Answers the object as it is afterwards, where it was written.
async fn write<K>(
    context: &Context,
    api: Api<K>,
    object: &K,
    problem: Option<&Problem>,
    findings: Option<&[Finding]>,
    build: impl FnOnce(BasicStatus) -> K::Status,
) -> Result<Option<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + HasStatus + Clone + DeserializeOwned + Debug,
    K::Status: HasBasicStatus + PartialEq + Serialize,
{
    let before = object.status();
    let basic = before.map(HasBasicStatus::basic);
    let after = plan(
        basic,
        object.meta().generation,
        problem,
        findings,
        Timestamp::now(),
    );
    let news = news(basic, &after, findings.unwrap_or_default());
    let status = build(after);
    if before == Some(&status) {
        return Ok(None);
    }
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // One made anew under the same name does not get the old one's status.
        "metadata": { "uid": object.meta().uid },
        "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    let written = match api
        .patch_status(&object.name_any(), &parameters, &Patch::Apply(patch))
        .await
    {
        Ok(written) => written,
        // It was deleted meanwhile, or made anew: nobody will read this status.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => return Ok(None),
        Err(error) => return Err(error),
    };
    for News {
        warns,
        reason,
        message,
    } in news
    {
        let name = object.name_any();
        tracing::info!(kind = %K::kind(&()), namespace = object.namespace(), name, reason, message, "condition changed");
        events::publish(&context.client, object.object_ref(&()), warns, &reason, &message).await;
    }
    Ok(Some(written))
}

/// The status there should be. The time of a condition's last transition moves only when its answer
/// does. While an object is paused it is as ready as it was, and so is what it was made of.
fn plan(
    before: Option<&BasicStatus>,
    generation: Option<i64>,
    problem: Option<&Problem>,
    findings: Option<&[Finding]>,
    now: Timestamp,
) -> BasicStatus {
    let paused = problem.is_some_and(is_pause);
    let generation = if paused {
        before.and_then(|before| before.observed_generation)
    } else {
        generation
    };
    let condition = |type_: &str, status: &str, reason: Reason, message: &str| {
        let same = before.and_then(|before| find(before, type_));
        let same = same.filter(|old| old.status == status);
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.as_str().into(),
            message: message.into(),
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
            observed_generation: generation,
        }
    };
    let said = |finding: &Finding| {
        let status = if finding.holds { "True" } else { "False" };
        condition(finding.type_, status, finding.reason, &finding.message)
    };
    let ready = match problem {
        None => findings
            .into_iter()
            .flatten()
            .find(|finding| finding.type_ == READY)
            .map_or_else(
                || condition(READY, "True", Reason::Synced, "everything is as declared"),
                said,
            ),
        Some(problem) => {
            let was = before.and_then(|before| find(before, READY));
            let was = was.map_or("Unknown", |old| old.status.as_str());
            let status = if paused { was } else { "False" };
            condition(READY, status, problem.reason, &problem.message)
        }
    };
    let mut conditions = vec![ready];
    if let Some(findings) = findings {
        let others = findings.iter().filter(|finding| finding.type_ != READY);
        conditions.extend(others.map(said));
    } else {
        let old = before.into_iter().flat_map(|before| &before.conditions);
        conditions.extend(old.filter(|old| old.type_ != READY).cloned());
    }
    BasicStatus {
        observed_generation: generation,
        conditions,
        fingerprint: None,
    }
}

/// What people should be told: of each condition that changed. A first one is news if it warns.
fn news(before: Option<&BasicStatus>, after: &BasicStatus, findings: &[Finding]) -> Vec<News> {
    let tell = |new: &Condition| {
        let finding = findings.iter().find(|finding| finding.type_ == new.type_);
        let warns = finding.map_or(new.status == "False", |finding| finding.warns);
        let old = before.and_then(|before| find(before, &new.type_));
        let same = old.is_some_and(|old| {
            (&old.status, &old.reason, &old.message) == (&new.status, &new.reason, &new.message)
        });
        (!same && (warns || old.is_some())).then(|| News {
            warns,
            reason: new.reason.clone(),
            message: new.message.clone(),
        })
    };
    after.conditions.iter().filter_map(tell).collect()
}

fn is_pause(problem: &Problem) -> bool {
    problem.reason == Reason::Paused
}

fn find<'a>(status: &'a BasicStatus, type_: &str) -> Option<&'a Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

#[cfg(test)]
mod tests;
