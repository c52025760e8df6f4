//! Our finalizer on Credentials whose values go with them: it is on before anything is written to
//! Vault. How it goes is shared with those who let go of it without an operator.

use keystead_cluster::{call, problem, release};
use keystead_compile::kinds::credential::is_held;
use keystead_compile::{Key, Problem};
use keystead_crds::Credential;
use keystead_crds::credential::DeletionPolicy;
use keystead_crds::names::FINALIZER;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Puts it on or takes it off, as the Credential's deletion policy wants it.
pub(crate) async fn settle(client: &Client, key: &Key, credential: &Credential) -> Result<(), Problem> {
    if is_settled(credential) {
        return Ok(());
    }
    match credential.spec.deletion_policy {
        DeletionPolicy::Retain => release::release(client, key).await,
        DeletionPolicy::Delete | DeletionPolicy::Destroy => put_on(client, key, credential).await,
    }
}

/// Whether it is on, or off, as the deletion policy wants it.
pub(crate) fn is_settled(credential: &Credential) -> bool {
    is_held(credential) == (credential.spec.deletion_policy != DeletionPolicy::Retain)
}

async fn put_on(client: &Client, key: &Key, credential: &Credential) -> Result<(), Problem> {
    let api: Api<Credential> = Api::namespaced(client.clone(), &key.namespace);
    let patch = serde_json::from_value(plan(credential)).map(Patch::Json::<()>);
    let patch = patch.map_err(|error| problem(&kube::Error::SerdeError(error)))?;
    let what = format!("finalizer of Credential {}/{}", key.namespace, key.name);
    call(&what, api.patch(&key.name, &PatchParams::default(), &patch))
        .await
        .map(drop)
}

/// The patch, for this very object as it was seen: others have finalizers too.
fn plan(credential: &Credential) -> Value {
    let finalizers = credential.metadata.finalizers.as_deref();
    let others = finalizers.into_iter().flatten().map(String::as_str);
    let new: Vec<&str> = others.chain([FINALIZER]).collect();
    json!([
        { "op": "test", "path": "/metadata/uid", "value": credential.metadata.uid },
        { "op": "test", "path": "/metadata/finalizers", "value": finalizers },
        { "op": "add", "path": "/metadata/finalizers", "value": new },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

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
