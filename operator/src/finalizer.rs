//! Our finalizer on what has something in Vault that goes with it: it is on before anything is written
//! there. How it goes is shared with those who let go of it without an operator.

use keystead_cluster::{call, problem, release};
use keystead_compile::{Held, Key, Problem};
use keystead_crds::names::FINALIZER;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// Puts it on or takes it off, as the object's deletion policy wants it.
pub(crate) async fn settle<K: Held>(client: &Client, key: &Key, object: &K) -> Result<(), Problem> {
    if is_settled(object) {
        return Ok(());
    }
    if object.goes() {
        put_on(client, key, object).await
    } else {
        release::release::<K>(client, key).await
    }
}

/// Whether it is on, or off, as the deletion policy wants it.
pub(crate) fn is_settled<K: Held>(object: &K) -> bool {
    object.is_held() == object.goes()
}

async fn put_on<K: Held>(client: &Client, key: &Key, object: &K) -> Result<(), Problem> {
    let api = release::metadata_api::<K>(client, key);
    let patch = serde_json::from_value(plan(object)).map(Patch::Json::<()>);
    let patch = patch.map_err(|error| problem(&kube::Error::SerdeError(error)))?;
    let what = format!("finalizer of {} {}/{}", K::kind(&()), key.namespace, key.name);
    call(&what, api.patch(&key.name, &PatchParams::default(), &patch))
        .await
        .map(drop)
}

/// The patch, for this very object as it was seen: others have finalizers too.
fn plan<K: Held>(object: &K) -> Value {
    let finalizers = object.meta().finalizers.as_deref();
    let others = finalizers.into_iter().flatten().map(String::as_str);
    let new: Vec<&str> = others.chain([FINALIZER]).collect();
    json!([
        { "op": "test", "path": "/metadata/uid", "value": object.meta().uid },
        { "op": "test", "path": "/metadata/finalizers", "value": finalizers },
        { "op": "add", "path": "/metadata/finalizers", "value": new },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_crds::Credential;

    fn credential(uid: &str, finalizers: Option<&[&str]>) -> Value {
        let spec = json!({"scopeRef": {"name": "s"}, "service": "s", "keys": []});
        json!({"metadata": {"name": "c", "uid": uid, "finalizers": finalizers}, "spec": spec})
    }

    fn patched(seen: &Value, mut now: Value) -> Option<Value> {
        let object: Credential = serde_json::from_value(seen.clone()).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(plan(&object)).unwrap();
        json_patch::patch(&mut now, &patch).ok()?;
        Some(now["metadata"]["finalizers"].take())
    }

    #[test]
    fn it_stands_beside_those_of_others() {
        let others = credential("u", Some(&["example.com/other"]));
        let wanted = json!(["example.com/other", FINALIZER]);
        assert_eq!(patched(&others, others.clone()), Some(wanted));
        let none = credential("u", None);
        assert_eq!(patched(&none, none.clone()), Some(json!([FINALIZER])));
    }

    #[test]
    fn what_changed_meanwhile_is_not_overwritten() {
        let seen = credential("u", None);
        assert_eq!(
            patched(&seen, credential("u", Some(&["example.com/other"]))),
            None
        );
        assert_eq!(patched(&seen, credential("v", None)), None);
    }
}
