//! What is said and counted of rotations.

use crate::context::Context;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_compile::Key;
use keystead_compile::kinds::credential::{self, Standing};
use keystead_crds::Credential;
use keystead_crds::credential::RotationStatus;
use keystead_vault::engine::Rotated;
use std::time::Duration;

/// The soonest that something due is looked at again.
const SOON: Duration = Duration::from_secs(1);

/// What is known after a pass, which followed who asked, if there is anything to know.
pub(super) fn status(
    key: &Key,
    object: &Credential,
    rotated: Rotated,
    followed: Option<String>,
    now: Timestamp,
) -> Option<RotationStatus> {
    let waits = credential::waits(object, now).filter(|_| followed.is_none());
    let due = rotated.at.and_then(|at| credential::due(key, object, at).ok()?);
    let found = RotationStatus {
        last: rotated.at.map(Time),
        count: i64::try_from(rotated.count).unwrap_or(i64::MAX),
        due: waits.into_iter().chain(due).min().map(Time),
        followed: followed.or_else(|| before(object)?.followed.clone()),
    };
    (found != RotationStatus::default()).then_some(found)
}

/// How the rotation stands, by what was found in this pass or else known before.
pub(super) fn standing(
    key: &Key,
    object: &Credential,
    found: Option<&RotationStatus>,
    now: Timestamp,
) -> Option<Standing> {
    let known = found.or_else(|| before(object))?;
    let count = u64::try_from(known.count).unwrap_or(0);
    credential::standing(key, object, (known.last.as_ref()?.0, count), now)
}

/// Counts what was done, and who is to be reminded.
pub(super) fn count(
    context: &Context,
    key: &Key,
    object: &Credential,
    found: Option<&RotationStatus>,
    standing: Option<&Standing>,
) {
    let is_due = standing.is_some_and(|standing| standing.is_due);
    context.metrics.remind(key, is_due);
    let (Some(before), Some(found)) = (before(object), found) else {
        return;
    };
    let rotation = object.spec.rotation.as_ref();
    let method = rotation.map(|rotation| rotation.method).unwrap_or_default();
    if let Ok(new @ 1..) = u64::try_from(found.count - before.count) {
        let rotations = &context.metrics.rotations;
        rotations.with_label_values(&[&format!("{method:?}")]).inc_by(new);
    }
}

/// How long until something of it turns by itself: values are due, or those of before go.
pub(super) fn turns_in(
    object: &Credential,
    found: Option<&RotationStatus>,
    now: Timestamp,
) -> Option<Duration> {
    let found = found?;
    let until = |then: Timestamp| Duration::try_from(then.duration_since(now)).ok();
    // Where it was known before, this pass did what was due, or could not.
    let is_news = before(object).is_none_or(|before| before.last != found.last);
    let due = found.due.as_ref().map(|due| until(due.0));
    let due = due.and_then(|wait| wait.or_else(|| is_news.then_some(SOON)));
    let keep = object.spec.rotation.as_ref()?.keep_previous.map(Duration::from);
    let last = found.last.as_ref().zip(keep);
    let goes = last.and_then(|(last, keep)| until(last.0.checked_add(keep).ok()?));
    due.into_iter().chain(goes).min().map(|wait| wait.max(SOON))
}

fn before(object: &Credential) -> Option<&RotationStatus> {
    object.status.as_ref()?.rotation.as_ref()
}
