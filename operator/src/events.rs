//! Kubernetes events. kube's own recorder keeps the first note of a reason for minutes, and ours
//! say what is the matter now; so each change of a condition makes its own event.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::{Api, Client};
use serde_json::json;

/// Longest note the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// What is done with all objects of ours.
const RECONCILE: &str = "Reconcile";

/// Tells people of a change. In a namespace that is being deleted no event can be made: there it is
/// one of the namespace itself, which stands in `default`. An event that can't be published is logged,
/// and nothing else.
pub(crate) async fn publish(
    client: &Client,
    regarding: ObjectReference,
    warning: bool,
    reason: &str,
    note: &str,
) {
    let mut created = create(client, &regarding, RECONCILE, warning, reason, note).await;
    if let (Err(kube::Error::Api(status)), Some(namespace)) = (&created, &regarding.namespace)
        && is_terminating(status)
    {
        let [kind, name] = [&regarding.kind, &regarding.name].map(|text| text.as_deref().unwrap_or_default());
        let note = format!("{kind} {name}: {note}");
        created = create(
            client,
            &of_namespace(namespace),
            RECONCILE,
            warning,
            reason,
            &note,
        )
        .await;
    }
    if let Err(error) = created {
        tracing::warn!(%error, reason, "an event could not be published");
    }
}

/// Makes one event. `action` is what was being done.
pub(crate) async fn create(
    client: &Client,
    regarding: &ObjectReference,
    action: &str,
    warning: bool,
    reason: &str,
    note: &str,
) -> Result<Event, kube::Error> {
    let namespace = regarding.namespace.as_deref().unwrap_or("default");
    let event = Event {
        metadata: ObjectMeta {
            generate_name: Some("keystead-".into()),
            ..ObjectMeta::default()
        },
        action: Some(action.to_owned()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(cut(note)),
        reason: Some(reason.to_owned()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some("keystead.dev/operator".into()),
        reporting_instance: Some("keystead-operator".into()),
        type_: Some(if warning { "Warning" } else { "Normal" }.into()),
        ..Event::default()
    };
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &event).await
}

/// Says that an event has happened again, so many times in all.
pub(crate) async fn repeat(
    client: &Client,
    namespace: &str,
    name: &str,
    times: i32,
) -> Result<(), kube::Error> {
    let last = MicroTime(Timestamp::now());
    let again = json!({"series": {"count": times, "lastObservedTime": last}});
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let patched = api
        .patch(name, &PatchParams::default(), &Patch::Merge(again))
        .await;
    patched.map(drop)
}

/// Whether the API server refused an object because its namespace is being deleted.
pub(crate) fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

fn of_namespace(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Namespace".into()),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

fn cut(note: &str) -> String {
    let mut end = note.len().min(LONGEST_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(600)), "é".repeat(512));
        assert_eq!(cut(&format!("x{}", "é".repeat(600))).len(), 1023);
    }
}
