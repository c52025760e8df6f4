//! Manifests, laid over what is declared in the cluster.

use super::desired::Subject;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::Values;
use keystead_compile::kinds::binding;
use keystead_compile::{Key, World};
use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use keystead_vault::object::ValueStore;
use keystead_vault::{Error, Sensitive};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// What manifests say.
#[derive(Default)]
pub(crate) struct Overlay {
    /// The objects they declare, and the accounts that their bindings name.
    pub(crate) subjects: BTreeSet<Subject>,
    /// The values in their Secrets.
    secrets: BTreeMap<Key, BTreeMap<String, Sensitive<String>>>,
}

impl Overlay {
    /// Lays a file's objects over the world; `-` is standard input. Kinds that are nothing to us are
    /// passed over.
    pub(crate) fn lay(&mut self, file: &Path, namespace: &str, world: &mut World) -> anyhow::Result<()> {
        let text = if file == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(file)
        };
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            // Its words quote the text, which may have values in it.
            .map_err(|_| anyhow::anyhow!("{} is neither YAML nor JSON", file.display()))?;
        for document in documents {
            let items = match document {
                Value::Object(mut list) if list.get("kind") == Some(&"List".into()) => list
                    .remove("items")
                    .and_then(|items| items.as_array().cloned())
                    .unwrap_or_default(),
                other => vec![other],
            };
            for item in items {
                let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let kind = item["kind"].as_str().unwrap_or_default().to_owned();
                self.lay_one(item, namespace, world)
                    .with_context(|| format!("{}: {kind} {name}", file.display()))?;
            }
        }
        Ok(())
    }

    fn lay_one(&mut self, item: Value, namespace: &str, world: &mut World) -> anyhow::Result<()> {
        let of = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        match (of("apiVersion").as_str(), of("kind").as_str()) {
            ("v1", "Namespace") => {
                let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let texts = |field: &str| -> BTreeMap<String, String> {
                    serde_json::from_value(item["metadata"][field].clone()).unwrap_or_default()
                };
                let mut labels = texts("labels");
                // The API server adds it.
                labels.insert("kubernetes.io/metadata.name".into(), name.clone());
                world.set_namespace(&name, Some(labels));
                world.set_annotations(&name, texts("annotations"));
            }
            ("v1", "Secret") => {
                let (key, values) = secret(&item, namespace)?;
                self.secrets.insert(key, values);
            }
            ("keystead.dev/v1alpha1", "SecretProvider") => {
                let new: SecretProvider = read(item, None)?;
                let old = world.provider(&new.name_any()).cloned();
                self.subjects.insert(Subject::Provider(new.name_any()));
                world.set_provider(&new.name_any(), Some(Arc::new(after(new, old.as_deref()))));
            }
            ("keystead.dev/v1alpha1", "SecretScope") => {
                let new: SecretScope = read(item, None)?;
                let old = world.scope(&new.name_any()).cloned();
                self.subjects.insert(Subject::Scope(new.name_any()));
                world.set_scope(&new.name_any(), Some(Arc::new(after(new, old.as_deref()))));
            }
            ("keystead.dev/v1alpha1", "Credential") => {
                let new: Credential = read(item, Some(namespace))?;
                let key = Key::of(&new);
                let old = world.credential(&key).cloned();
                let mut new = after(new, old.as_deref());
                // What is there already is told by its status.
                new.status = old.and_then(|old| old.status.clone());
                self.subjects.insert(Subject::Credential(key.clone()));
                world.set_credential(key, Some(Arc::new(new)));
            }
            ("keystead.dev/v1alpha1", "SecretBinding") => {
                let new: SecretBinding = read(item, Some(namespace))?;
                let key = Key::of(&new);
                let old = world.binding(&key).cloned();
                let new = after(new, old.as_deref());
                self.subjects
                    .extend(binding::accounts(&key, &new).map(Subject::Account));
                self.subjects.insert(Subject::Binding(key.clone()));
                world.set_binding(key, Some(Arc::new(new)));
            }
            ("keystead.dev/v1alpha1", "DatabaseConnection") => {
                let new: DatabaseConnection = read(item, Some(namespace))?;
                let key = Key::of(&new);
                let old = world.database_connection(&key).cloned();
                let mut new = after(new, old.as_deref());
                new.status = old.and_then(|old| old.status.clone());
                self.subjects.insert(Subject::DatabaseConnection(key.clone()));
                world.set_database_connection(key, Some(Arc::new(new)));
            }
            ("keystead.dev/v1alpha1", "DatabaseRole") => {
                let new: DatabaseRole = read(item, Some(namespace))?;
                let key = Key::of(&new);
                let old = world.database_role(&key).cloned();
                let new = after(new, old.as_deref());
                self.subjects.insert(Subject::DatabaseRole(key.clone()));
                world.set_database_role(key, Some(Arc::new(new)));
            }
            ("keystead.dev/v1alpha1", "EncryptionKey") => {
                let new: EncryptionKey = read(item, None)?;
                let name = new.name_any();
                let old = world.encryption_key(&name).cloned();
                self.subjects.insert(Subject::EncryptionKey(name.clone()));
                world.set_encryption_key(&name, Some(Arc::new(after(new, old.as_deref()))));
            }
            (version, _) if version.starts_with("keystead.dev/") => {
                anyhow::bail!("this tool knows no such kind in {version}")
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a Secret's value is in the manifests.
    pub(crate) fn has_secret(&self, namespace: &str, name: &str) -> bool {
        let key = Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.secrets.contains_key(&key)
    }
}

fn read<K: Resource + DeserializeOwned>(item: Value, namespace: Option<&str>) -> anyhow::Result<K> {
    let mut object: K = serde_json::from_value(item)?;
    if let Some(namespace) = namespace {
        object
            .meta_mut()
            .namespace
            .get_or_insert_with(|| namespace.to_owned());
    }
    Ok(object)
}

/// The object as it would be once it is applied: one that is there keeps its age, is still being deleted
/// if it was, and keeps the annotations that others gave it. A new one is the youngest.
fn after<K: Resource>(mut new: K, old: Option<&K>) -> K {
    let before = old.map(|old| old.meta().clone()).unwrap_or_default();
    let meta = new.meta_mut();
    meta.creation_timestamp = before.creation_timestamp.or_else(|| Some(Time(Timestamp::now())));
    meta.uid = before.uid;
    meta.deletion_timestamp = before.deletion_timestamp;
    meta.finalizers = before.finalizers;
    let mut annotations = before.annotations.unwrap_or_default();
    annotations.extend(meta.annotations.take().unwrap_or_default());
    meta.annotations = Some(annotations);
    new
}

/// The values of a Secret. No error repeats one.
fn secret(item: &Value, namespace: &str) -> anyhow::Result<(Key, BTreeMap<String, Sensitive<String>>)> {
    let metadata = &item["metadata"];
    let key = Key {
        namespace: metadata["namespace"].as_str().unwrap_or(namespace).to_owned(),
        name: metadata["name"].as_str().unwrap_or_default().to_owned(),
    };
    let mut values = BTreeMap::new();
    for (name, value) in item["data"].as_object().into_iter().flatten() {
        let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.with_context(|| format!("data.{name} is not the base64 of a text"))?;
        values.insert(name.clone(), Sensitive::from(text));
    }
    for (name, value) in item["stringData"].as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .with_context(|| format!("stringData.{name} is not a text"))?;
        values.insert(name.clone(), Sensitive::from(text));
    }
    Ok((key, values))
}

/// The values of the manifests' Secrets, then those of the cluster's.
pub(crate) struct Store<'a> {
    /// What goes first.
    pub(crate) overlay: &'a Overlay,
    /// The rest.
    pub(crate) cluster: Values<'a>,
}

impl ValueStore for Store<'_> {
    async fn secret_key(&self, namespace: &str, name: &str, key: &str) -> Result<Sensitive<String>, Error> {
        let place = Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let Some(values) = self.overlay.secrets.get(&place) else {
            return self.cluster.secret_key(namespace, name, key).await;
        };
        let value = values.get(key).cloned();
        value.ok_or_else(|| Error::Value(format!("Secret {namespace}/{name} has no key {key}")))
    }
}
