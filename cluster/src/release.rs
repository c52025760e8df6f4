//! The way out: takes our finalizer off, so that nothing waits for an operator that is gone.

use crate::deadline::{answer, call, problem};
use crate::declared::{fill, list};
use keystead_compile as compile;
use keystead_compile::kinds::credential;
use keystead_compile::kinds::database::role;
use keystead_compile::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::names::FINALIZER;
use keystead_crds::{Credential, DatabaseConnection, DatabaseRole, EncryptionKey};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::json;
use std::fmt;

/// How often an object that changes under our hands is read anew.
const ATTEMPTS: usize = 5;

/// Something that carries our finalizer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// Of which kind.
    pub kind: HeldKind,
    /// Which one.
    pub key: Key,
    /// Whether it is deleted and waits for nothing but finalizers.
    pub deleted: bool,
}

/// The kinds that carry our finalizer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeldKind {
    /// A `Credential`.
    Credential,
    /// A `DatabaseConnection`.
    DatabaseConnection,
    /// A `DatabaseRole`.
    DatabaseRole,
    /// An `EncryptionKey`.
    EncryptionKey,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, .. } = self;
        match key.namespace.as_str() {
            "" => write!(f, "{kind:?} {}", key.name),
            namespace => write!(f, "{kind:?} {namespace}/{}", key.name),
        }
    }
}

/// What carries our finalizer: all of it, or without what is known to be of another class of providers.
pub async fn held(client: &Client, class: Option<&str>) -> Result<Vec<Held>, Problem> {
    let mut held = of_kind::<Credential>(client, HeldKind::Credential).await?;
    held.extend(of_kind::<DatabaseRole>(client, HeldKind::DatabaseRole).await?);
    held.extend(of_kind::<DatabaseConnection>(client, HeldKind::DatabaseConnection).await?);
    held.extend(of_kind::<EncryptionKey>(client, HeldKind::EncryptionKey).await?);
    if let Some(class) = class.filter(|_| !held.is_empty()) {
        let mut world = World::new("", class);
        fill(client, &mut world).await?;
        held.retain(|held| !is_foreign(&world, held));
    }
    Ok(held)
}

async fn of_kind<K: compile::Held>(client: &Client, kind: HeldKind) -> Result<Vec<Held>, Problem> {
    let all: Api<PartialObjectMeta<K>> = Api::all(client.clone());
    let found = list(&all, ListParams::default()).await?;
    let carrying = found
        .iter()
        .filter(|object| object.finalizers().iter().any(|name| name == FINALIZER));
    Ok(carrying
        .map(|object| Held {
            kind,
            key: Key::of(object),
            deleted: object.metadata.deletion_timestamp.is_some(),
        })
        .collect())
}

/// Takes it off one of them. It not being there is fine, and so is the object not being there.
pub async fn let_go(client: &Client, held: &Held) -> Result<(), Problem> {
    match held.kind {
        HeldKind::Credential => release::<Credential>(client, &held.key).await,
        HeldKind::DatabaseConnection => release::<DatabaseConnection>(client, &held.key).await,
        HeldKind::DatabaseRole => release::<DatabaseRole>(client, &held.key).await,
        HeldKind::EncryptionKey => release::<EncryptionKey>(client, &held.key).await,
    }
}

/// Takes it off an object of a kind.
pub async fn release<K: compile::Held>(client: &Client, key: &Key) -> Result<(), Problem> {
    let api = metadata_api::<K>(client, key);
    let what = format!("{} {}/{}", K::kind(&()), key.namespace, key.name);
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

/// What writes the metadata of an object of a kind, which has a namespace or none.
pub fn metadata_api<K>(client: &Client, key: &Key) -> Api<PartialObjectMeta<DynamicObject>>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    match key.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
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

/// Whether something is known to be another operator's.
fn is_foreign(world: &World, held: &Held) -> bool {
    let key = &held.key;
    let provider = match held.kind {
        HeldKind::Credential => world
            .credential(key)
            .and_then(|found| credential::provider_name(world, found)),
        HeldKind::DatabaseConnection => world
            .database_connection(key)
            .map(|found| found.spec.provider_ref.name.as_str()),
        HeldKind::DatabaseRole => world
            .database_role(key)
            .and_then(|found| role::provider_name(world, key, found)),
        HeldKind::EncryptionKey => world
            .encryption_key(&key.name)
            .map(|found| found.spec.provider_ref.name.as_str()),
    };
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
