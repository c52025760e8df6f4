//! All that is declared, read once: a [`World`] for those who don't watch.

use crate::deadline::{answer, problem};
use crate::texts;
use k8s_openapi::api::core::v1::Namespace;
use keystead_compile::kinds::binding;
use keystead_compile::{Key, Problem, World};
use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use kube::api::ListParams;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;

/// Objects per page of a list.
const PAGE: u32 = 200;

/// An object that is there and can't be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// Its kind.
    pub kind: String,
    /// Which one.
    pub key: Key,
    /// Why not.
    pub why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, .. } = self;
        match key.namespace.as_str() {
            "" => write!(f, "{kind} {}", key.name),
            namespace => write!(f, "{kind} {namespace}/{}", key.name),
        }
    }
}

/// Puts all that is declared into a world; answers what can't be read.
pub async fn fill(client: &Client, world: &mut World) -> Result<Vec<Unreadable>, Problem> {
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    for namespace in list(&namespaces, ListParams::default()).await? {
        world.set_namespace(&namespace.name_any(), Some(namespace.labels().clone()));
        world.set_annotations(&namespace.name_any(), namespace.annotations().clone());
    }
    let mut unreadable = Vec::new();
    for (key, object) in all::<SecretProvider>(client, &mut unreadable).await? {
        world.set_provider(&key.name, Some(object));
    }
    let scopes = unreadable.len();
    for (key, object) in all::<SecretScope>(client, &mut unreadable).await? {
        world.set_scope(&key.name, Some(object));
    }
    for scope in unreadable.iter().skip(scopes) {
        world.set_unreadable_scope(&scope.key.name, true);
    }
    for (key, object) in all::<Credential>(client, &mut unreadable).await? {
        world.set_credential(key, Some(object));
    }
    for (key, object) in all::<DatabaseConnection>(client, &mut unreadable).await? {
        world.set_database_connection(key, Some(object));
    }
    for (key, object) in all::<DatabaseRole>(client, &mut unreadable).await? {
        world.set_database_role(key, Some(object));
    }
    for (key, object) in all::<EncryptionKey>(client, &mut unreadable).await? {
        world.set_encryption_key(&key.name, Some(object));
    }
    let bindings = unreadable.len();
    for (key, object) in all::<SecretBinding>(client, &mut unreadable).await? {
        world.set_binding(key, Some(object));
    }
    let named = world.bindings();
    let named: BTreeSet<Key> = named
        .flat_map(|(key, found)| binding::config_maps(key, found))
        .collect();
    for config_map in named {
        let keys = binding::wanted(world, &config_map);
        // Only what pods are shown depends on it, so what can't be read is said there.
        let texts = texts::read(client, &config_map, keys).await.unwrap_or_else(Err);
        world.set_texts(&config_map, Some(texts));
    }
    for binding in unreadable.iter().skip(bindings) {
        world.set_unreadable_binding(&binding.key, true);
    }
    Ok(unreadable)
}

async fn all<K>(client: &Client, unreadable: &mut Vec<Unreadable>) -> Result<Vec<(Key, Arc<K>)>, Problem>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    readable(&Api::all(client.clone()), ListParams::default(), unreadable).await
}

/// Every object of a kind that these choose and that can be read; those that can't are noted. None where the
/// kind is not installed.
pub async fn readable<K>(
    api: &Api<DeserializeGuard<K>>,
    chosen: ListParams,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Vec<(Key, Arc<K>)>, Problem>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let mut objects = Vec::new();
    for guard in list(api, chosen).await? {
        let key = Key::of(&guard);
        match guard.0 {
            Ok(object) => objects.push((key, Arc::new(object))),
            Err(error) => unreadable.push(Unreadable {
                kind: K::kind(&()).into_owned(),
                key,
                why: error.error,
            }),
        }
    }
    Ok(objects)
}

/// Every object of a kind that these choose, page by page; none where the kind is not installed. Of a
/// `PartialObjectMeta` the API server sends no more.
pub(crate) async fn list<K>(api: &Api<K>, chosen: ListParams) -> Result<Vec<K>, Problem>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let what = format!("list of {}", K::plural(&()));
    let mut objects = Vec::new();
    let mut page = chosen.limit(PAGE);
    loop {
        let found = match answer(&what, api.list(&page)).await? {
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(objects),
            found => found.map_err(|error| problem(&error))?,
        };
        objects.extend(found.items);
        match found.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(objects),
        }
    }
}
