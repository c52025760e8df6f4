//! What ours ask the node for and may use, so that the pod stays what it is: of its class of service,
//! within its namespace's quota, and measurable by an autoscaler.

use super::pod::{Container, Pod};
use super::{Refusal, Settings};
use keystead_compile::kinds::defaults::{Effective, Volumes, larger};
use keystead_compile::quantity::{self, bytes, in_binary};
use serde_json::{Map, Value, json};

/// The resources of a container of ours; none where the pod itself says all of it.
///
/// - Requests always: an autoscaler compares use with them, and measures no pod that lacks one.
/// - A limit where every other container has one: a quota on limits lets no container in without.
/// - The two alike where the pod is Guaranteed, which it would not be otherwise.
/// - None of what the pod as a whole has: that bounds the sum of its containers' requests, and ours
///   might not fit.
pub(super) fn of(pod: &Pod<'_>, held: &Effective, settings: &Settings) -> Option<Value> {
    let (usual, is_guaranteed) = (&settings.guaranteed, pod.all_containers().all(is_guaranteed));
    // Files that somebody wants room for get it.
    let files = held.files_size.value.as_deref().and_then(bytes).unwrap_or(0);
    let memory = in_binary(Volumes::limit(files));
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for (name, request, limit, usual) in [
        ("cpu", &held.cpu.value, &held.cpu_limit.value, &usual.cpu),
        (
            "memory",
            &held.memory.value,
            &held.memory_limit.value,
            larger(&usual.memory, &memory),
        ),
    ] {
        if pod.own(name) != (None, None) {
            continue;
        }
        let is_limited = || pod.all_containers().all(|container| is_limited(container, name));
        let limit = limit.as_ref().or_else(|| is_limited().then_some(usual));
        let limit = limit.map(|limit| larger(limit, request));
        let request = limit.filter(|_| is_guaranteed).unwrap_or(request);
        requests.insert(name.to_owned(), json!(request));
        limits.extend(limit.map(|limit| (name.to_owned(), json!(limit))));
    }
    match (requests.is_empty(), limits.is_empty()) {
        (true, _) => None,
        (false, true) => Some(json!({"requests": requests})),
        (false, false) => Some(json!({"requests": requests, "limits": limits})),
    }
}

/// Refuses a pod that would be Guaranteed without ours and can't be with them: where it says as a whole what it
/// asks for and no limit, the sum of its containers' limits is that.
pub(super) fn admit(pod: &Pod<'_>) -> Result<(), Refusal> {
    let is_open = |name| matches!(pod.own(name), (Some(_), None));
    let open = ["cpu", "memory"].into_iter().find(|name| is_open(name));
    match open.filter(|_| pod.all_containers().all(is_guaranteed)) {
        None => Ok(()),
        Some(name) => Err(Refusal(format!(
            "the pod's resources ask for {name} and have no limit of it, so with Keystead's sidecar it would not be \
             Guaranteed any more: set spec.resources.limits.{name} too"
        ))),
    }
}

/// Whether the container alone would make a Guaranteed pod: both limits, and requests that are left
/// out or equal.
fn is_guaranteed(container: &Container<'_>) -> bool {
    ["cpu", "memory"].into_iter().all(|name| {
        let (request, limit) = container.resource(name);
        // As quantities, so that `1` is `1000m`.
        let is_equal = |request: &str| quantity::parse(request) == limit.and_then(quantity::parse);
        is_limited(container, name) && request.is_none_or(is_equal)
    })
}

/// A limit of nothing counts as none.
fn is_limited(container: &Container<'_>, name: &'static str) -> bool {
    let (_, limit) = container.resource(name);
    limit.and_then(quantity::parse).is_some_and(|limit| limit > 0)
}
