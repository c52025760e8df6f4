//! The way out: takes our finalizer off, so that nothing waits for an operator that is gone.

use crate::deadline::{answer, call, problem};
use crate::declared::{fill, list};
use keystead_compile::kinds::credential;
use keystead_compile::{Key, Problem, World};
use keystead_crds::Credential;
use keystead_crds::condition::Reason;
use keystead_crds::names::FINALIZER;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// How often a Credential that changes under our hands is read anew.
const ATTEMPTS: usize = 5;

/// A Credential that carries our finalizer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// Which one.
    pub key: Key,
    /// Whether it is deleted and waits for nothing but finalizers.
    pub deleted: bool,
}

/// The Credentials that carry our finalizer: all of them, or without those that are known to be
/// of another class of providers.
pub async fn held(client: &Client, class: Option<&str>) -> Result<Vec<Held>, Problem> {
    let found = list::<PartialObjectMeta<Credential>>(client, ListParams::default()).await?;
    let mut held: Vec<Held> = found
        .iter()
        .filter(|credential| credential.finalizers().iter().any(|name| name == FINALIZER))
        .map(|credential| Held {
            key: Key::of(credential),
            deleted: credential.metadata.deletion_timestamp.is_some(),
        })
        .collect();
    if let Some(class) = class.filter(|_| !held.is_empty()) {
        let mut world = World::new("", class);
        fill(client, &mut world).await?;
        held.retain(|held| !is_foreign(&world, &held.key));
    }
    Ok(held)
}

/// Takes it off one of them. It not being there is fine, and so is the Credential not being there.
pub async fn release(client: &Client, key: &Key) -> Result<(), Problem> {
    let api: Api<PartialObjectMeta<Credential>> = Api::namespaced(client.clone(), &key.namespace);
    let what = format!("Credential {}/{}", key.namespace, key.name);
    for _ in 0..ATTEMPTS {
        let Some(found) = call(&what, api.get_opt(&key.name)).await? else {
            return Ok(());
        };
        let Some(patch) = plan(found.finalizers()) else {
            return Ok(());
        };
        match answer(&what, api.patch(&key.name, &PatchParams::default(), &patch)).await? {
            Ok(_) => return Ok(()),
            // Gone, or changed since it was read.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {}
            Err(error) => return Err(problem(&error)),
        }
    }
    Err(Problem::new(
        Reason::Conflict,
        format!("{what} changed {ATTEMPTS} times while its finalizer was taken off; try again"),
    ))
}

/// Takes ours away, if it still stands where it was seen.
fn plan(finalizers: &[String]) -> Option<Patch<()>> {
    let index = finalizers.iter().position(|name| name == FINALIZER)?;
    let place = format!("/metadata/finalizers/{index}");
    let steps = json!([
        { "op": "test", "path": place, "value": FINALIZER },
        { "op": "remove", "path": place },
    ]);
    serde_json::from_value(steps).ok().map(Patch::Json)
}

/// Whether a Credential is known to be another operator's.
fn is_foreign(world: &World, key: &Key) -> bool {
    let credential = world.credential(key);
    let provider = credential.and_then(|found| credential::provider_name(world, found));
    provider.is_some_and(|provider| world.is_foreign(provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ours_is_taken_off() {
        let finalizers = ["example.com/other", FINALIZER].map(str::to_owned);
        let Some(Patch::Json::<()>(patch)) = plan(&finalizers) else {
            panic!()
        };
        let mut object = json!({ "metadata": { "finalizers": finalizers } });
        json_patch::patch(&mut object, &patch).unwrap();
        assert_eq!(object["metadata"]["finalizers"], json!(["example.com/other"]));
        assert!(json_patch::patch(&mut object, &patch).is_err(), "it is gone");
        assert!(plan(&finalizers[..1]).is_none());
    }
}
