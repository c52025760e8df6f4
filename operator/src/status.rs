//! Status tells the truth: one `Ready` condition from what a reconcile found, written only when it
//! says something new, with an event when the answer to "is it fine, and why not" changes.

use crate::context::Context;
use crate::events;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use keystead_compile::Problem;
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

/// Writes what a reconcile found. `build` adds what the kind reports beyond conditions. Answers the
/// object as it is afterwards, where it was written.
pub(crate) async fn report<K>(
    context: &Context,
    api: Api<K>,
    object: &K,
    problem: Option<&Problem>,
    build: impl FnOnce(BasicStatus) -> K::Status,
) -> Result<Option<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + HasStatus + Clone + DeserializeOwned + Debug,
    K::Status: HasBasicStatus + PartialEq + Serialize,
{
    let before = object.status();
    let basic = plan(
        before.map(HasBasicStatus::basic),
        object.meta().generation,
        problem,
        Timestamp::now(),
    );
    let news = news(before.map(HasBasicStatus::basic), &basic);
    let status = build(basic);
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
    if let Some((warning, reason, message)) = news {
        let name = object.name_any();
        tracing::info!(kind = %K::kind(&()), namespace = object.namespace(), name, reason, message, "condition changed");
        events::publish(
            &context.client,
            object.object_ref(&()),
            warning,
            &reason,
            &message,
        )
        .await;
    }
    Ok(Some(written))
}

/// The status there should be. The time of the last transition moves only when the answer does.
fn plan(
    before: Option<&BasicStatus>,
    generation: Option<i64>,
    problem: Option<&Problem>,
    now: Timestamp,
) -> BasicStatus {
    let (status, reason, message) = match problem {
        None => ("True", Reason::Synced, "everything is as declared"),
        Some(problem) => ("False", problem.reason, problem.message.as_str()),
    };
    let old = before.and_then(ready);
    let since = old
        .filter(|old| old.status == status)
        .map_or(Time(now), |old| old.last_transition_time.clone());
    let condition = Condition {
        type_: READY.into(),
        status: status.into(),
        reason: reason.as_str().into(),
        message: message.into(),
        last_transition_time: since,
        observed_generation: generation,
    };
    BasicStatus {
        observed_generation: generation,
        conditions: vec![condition],
    }
}

/// What people should be told: whether it is a warning, the reason and the message. The first
/// success is no news.
fn news(before: Option<&BasicStatus>, after: &BasicStatus) -> Option<(bool, String, String)> {
    let old = before.and_then(ready);
    let new = ready(after)?;
    let same = old.is_some_and(|old| {
        (&old.status, &old.reason, &old.message) == (&new.status, &new.reason, &new.message)
    });
    if same || (old.is_none() && new.status == "True") {
        return None;
    }
    Some((new.status != "True", new.reason.clone(), new.message.clone()))
}

fn ready(status: &BasicStatus) -> Option<&Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == READY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_same_finding_changes_nothing() {
        let first = plan(None, Some(1), None, at(1));
        assert_eq!(plan(Some(&first), Some(1), None, at(2)), first);
        assert_eq!(news(None, &first), None);
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let problem = Problem::not_found("SecretScope", "acme");
        let broken = plan(None, Some(1), Some(&problem), at(1));
        let other = plan(
            Some(&broken),
            Some(1),
            Some(&Problem::not_found("SecretScope", "globex")),
            at(2),
        );
        assert_eq!(ready(&other).unwrap().last_transition_time, Time(at(1)));
        assert!(news(Some(&broken), &other).is_some_and(|(warning, ..)| warning));
        let mended = plan(Some(&other), Some(2), None, at(3));
        assert_eq!(ready(&mended).unwrap().last_transition_time, Time(at(3)));
        assert_eq!(
            news(Some(&other), &mended).map(|(warning, ..)| warning),
            Some(false)
        );
    }
}
