//! Values in the KV engine, version 2. API: <https://openbao.org/api-docs/secret/kv/kv-v2/>.
//!
//! Data and metadata are two requests. The mark goes first (whose it is, which keys are ours), then
//! the data with check-and-set; a pass repairs what a crash left between them. Keys that somebody
//! else wrote at the path stay as they are.

use crate::client::{Client, Method};
use crate::error::{Error, Request};
use crate::path::KvPath;
use crate::sensitive::Sensitive;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use zeroize::Zeroizing;

/// Versions that are kept: whoever may read a path may read every kept version of it.
const MAX_VERSIONS: u32 = 2;
/// Custom metadata: whose it is.
const OWNER: &str = "keystead-owner";
/// Custom metadata: the keys that are ours, in pieces of at most [`LONGEST_METADATA`] bytes.
const KEYS: &str = "keystead-keys-";
/// Longest value of one entry of custom metadata.
const LONGEST_METADATA: usize = 512;

/// Values of one service at one scope, as they should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KvSecret {
    /// Where.
    pub path: KvPath,
    /// Whose mark it carries.
    pub owner: Owner,
    /// Each key and where its value is to be fetched.
    pub keys: BTreeMap<String, ValueRef>,
}

/// Who declares something in Vault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// Namespace of the declaring object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Where a value is. The engine asks for it when it needs it, and forgets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ValueRef {
    /// Here: it is not secret.
    Literal(String),
    /// In a key of a Kubernetes Secret.
    SecretKey {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
        /// The key in it.
        key: String,
    },
}

/// Who fetches values.
pub trait ValueStore: Sync {
    /// The value behind a reference; an [`Error::Value`] that names it where there is none.
    fn fetch(&self, value: &ValueRef) -> impl Future<Output = Result<Sensitive<String>, Error>> + Send;
}

/// A document of values: wiped when dropped, and without `Debug`.
#[derive(Clone, Default, Deserialize, PartialEq)]
struct Document(Map<String, Value>);

/// What stands at a path.
#[derive(Default)]
pub(crate) struct Observed {
    /// Newest version; 0 where there never was one.
    version: u64,
    /// The newest version's document; none where it is deleted or never was.
    data: Option<Document>,
    /// Custom metadata; none where the path does not exist.
    marks: Option<BTreeMap<String, String>>,
    cas_required: bool,
    max_versions: u32,
}

/// What is to be done at a path.
pub(crate) struct Changes {
    /// Marks to set before the data.
    mark_first: Option<BTreeMap<String, String>>,
    /// The document to write.
    data: Option<Document>,
    /// Marks to set after the data: keys of ours are gone.
    mark_last: Option<BTreeMap<String, String>>,
    /// Check-and-set version of the data.
    version: u64,
    /// Whether nothing was there before.
    pub(crate) creates: bool,
}

impl KvSecret {
    /// Fetches what should be there.
    pub(crate) async fn fetch(
        &self,
        store: &impl ValueStore,
    ) -> Result<BTreeMap<String, Sensitive<String>>, Error> {
        let mut values = BTreeMap::new();
        for (key, value) in &self.keys {
            values.insert(key.clone(), store.fetch(value).await?);
        }
        Ok(values)
    }

    /// Reads what is there.
    pub(crate) async fn observe(&self, client: &Client) -> Result<Observed, Error> {
        #[derive(Deserialize)]
        struct Metadata {
            current_version: u64,
            #[serde(rename = "custom_metadata")]
            marks: Option<BTreeMap<String, String>>,
            #[serde(default)]
            cas_required: bool,
            #[serde(default)]
            max_versions: u32,
        }
        #[derive(Deserialize)]
        struct Version {
            data: Option<Document>,
        }
        let Some(found) = client.read_optional::<Metadata>(&self.path.metadata()).await? else {
            return Ok(Observed::default());
        };
        let newest: Option<Version> = match found.current_version {
            0 => None,
            _ => client.read_optional(&self.path.data()).await?,
        };
        Ok(Observed {
            version: found.current_version,
            data: newest.and_then(|version| version.data),
            marks: Some(found.marks.unwrap_or_default()),
            cas_required: found.cas_required,
            max_versions: found.max_versions,
        })
    }

    /// Decides what to do: pure.
    pub(crate) fn plan(
        &self,
        observed: &Observed,
        values: &BTreeMap<String, Sensitive<String>>,
    ) -> Result<Changes, Error> {
        let marks = observed.marks.clone().unwrap_or_default();
        if observed.marks.is_some() {
            self.check_owner(&marks)?;
        }
        let ours = owned_keys(&marks);
        let wanted: BTreeSet<String> = values.keys().cloned().collect();

        let mut document = observed.data.clone().unwrap_or_default();
        document
            .0
            .retain(|key, _| !ours.contains(key) || wanted.contains(key));
        for (key, value) in values {
            if document.0.get(key).and_then(Value::as_str) != Some(value.expose()) {
                document
                    .0
                    .insert(key.clone(), Value::String(value.expose().clone()));
            }
        }
        let data = (observed.data.as_ref() != Some(&document)).then_some(document);

        // Until the data is written, keys of before and keys of now are both ours.
        let before: BTreeSet<String> = if data.is_some() {
            ours.union(&wanted).cloned().collect()
        } else {
            wanted.clone()
        };
        let settled = observed.cas_required && observed.max_versions == MAX_VERSIONS;
        let mark_first = self.marks(&marks, &before);
        let mark_last = self.marks(&marks, &wanted);
        Ok(Changes {
            creates: observed.marks.is_none(),
            version: observed.version,
            mark_last: (mark_last != mark_first).then_some(mark_last),
            mark_first: (mark_first != marks || !settled || observed.marks.is_none()).then_some(mark_first),
            data,
        })
    }

    /// Does it.
    pub(crate) async fn apply(&self, client: &Client, changes: Changes) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Written {
            version: u64,
        }
        if let Some(marks) = &changes.mark_first {
            self.write_marks(client, marks).await?;
        }
        let mut version = changes.version;
        if let Some(mut data) = changes.data {
            let body = json!({ "options": { "cas": changes.version }, "data": std::mem::take(&mut data.0) });
            let answer = client
                .call::<Written>(Method::Post, &self.path.data(), Some(&body))
                .await;
            wipe(body);
            let request = || Request {
                method: "POST",
                path: self.path.data(),
            };
            let missing = || Error::Answer {
                request: request(),
                why: "no version".into(),
            };
            version = answer?.data.ok_or_else(missing)?.version;
        }
        if let Some(marks) = &changes.mark_last {
            self.write_marks(client, marks).await?;
        }
        Ok(version)
    }

    async fn write_marks(&self, client: &Client, marks: &BTreeMap<String, String>) -> Result<(), Error> {
        let body = json!({ "custom_metadata": marks, "cas_required": true, "max_versions": MAX_VERSIONS });
        client.write(&self.path.metadata(), &body).await
    }

    fn check_owner(&self, marks: &BTreeMap<String, String>) -> Result<(), Error> {
        let owner = match marks.get(OWNER) {
            Some(owner) if *owner == self.owner.to_string() => return Ok(()),
            Some(owner) => format!("it carries the mark of {owner}"),
            None => "it carries no mark of Keystead".into(),
        };
        Err(Error::Conflict {
            object: self.path.to_string(),
            owner,
        })
    }

    /// The marks there should be: ours, and whatever else stands there.
    fn marks(
        &self,
        observed: &BTreeMap<String, String>,
        keys: &BTreeSet<String>,
    ) -> BTreeMap<String, String> {
        let mut marks = observed.clone();
        marks.retain(|name, _| !name.starts_with(KEYS));
        marks.insert(OWNER.into(), self.owner.to_string());
        let mut pieces = vec![String::new()];
        for key in keys {
            let full = pieces
                .last()
                .is_some_and(|piece| piece.len() + key.len() + 1 > LONGEST_METADATA);
            if full {
                pieces.push(String::new());
            }
            if let Some(piece) = pieces.last_mut() {
                if !piece.is_empty() {
                    piece.push(',');
                }
                piece.push_str(key);
            }
        }
        marks.extend(
            pieces
                .into_iter()
                .enumerate()
                .map(|(number, piece)| (format!("{KEYS}{number}"), piece)),
        );
        marks
    }
}

impl Changes {
    /// Whether everything is as it should be.
    pub(crate) fn is_empty(&self) -> bool {
        self.mark_first.is_none() && self.data.is_none() && self.mark_last.is_none()
    }

    /// The version that holds the values, when there is nothing to do.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }
}

fn owned_keys(marks: &BTreeMap<String, String>) -> BTreeSet<String> {
    let pieces = marks.iter().filter(|(name, _)| name.starts_with(KEYS));
    pieces
        .flat_map(|(_, piece)| piece.split(','))
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

impl Drop for Document {
    fn drop(&mut self) {
        wipe(Value::Object(std::mem::take(&mut self.0)));
    }
}

/// Overwrites every string in a document.
fn wipe(body: Value) {
    match body {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests;
