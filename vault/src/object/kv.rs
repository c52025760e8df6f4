//! Values in the KV engine, version 2. API: <https://openbao.org/api-docs/secret/kv/kv-v2/>.
//!
//! Data and metadata are two requests. The mark goes first (whose it is, which keys are ours), then
//! the data with check-and-set; a pass repairs what a crash left between them. Keys that somebody
//! else wrote at the path stay as they are.

mod document;
mod generate;
mod marks;
mod merge;
mod plan;
mod removal;
mod rotation;
mod write;

pub use rotation::{Asked, PREVIOUS, Request as RotationRequest, RotatedBy, Rotation, Subject, Webhook};

use crate::client::Client;
use crate::error::Error;
use crate::path::KvPath;
use crate::seal::SealedValue;
use crate::sensitive::Sensitive;
use document::Document;
use jiff::Timestamp;
use marks::Marks;
use rotation::Answers;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

/// Versions that are kept: whoever may read a path may read every kept version of it.
const MAX_VERSIONS: u32 = 2;
/// Longest document, in bytes of JSON: what raft takes as one entry (1 MiB), less what the server
/// puts around it.
const LARGEST: usize = (1 << 20) - 1024;

/// Values of one service at one scope, as they should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KvSecret {
    /// Where.
    pub path: KvPath,
    /// Whose mark it carries.
    pub owner: Owner,
    /// Each key and where its value is to be fetched.
    pub keys: BTreeMap<String, ValueRef>,
    /// What to do with a path that others have written.
    pub adoption: Adoption,
    /// Whether the values are served; where not, the newest version is hidden and nothing is written.
    pub active: bool,
    /// When and how values are replaced; never where there is none, but for who asks.
    pub rotation: Option<Rotation>,
    /// Who asks for new values of what was made or fetched, with a text that was not followed yet.
    pub asked: Option<Asked>,
    /// Whether its owner knows that it was written before. Then generated values that are not there
    /// are lost, even where the whole path is gone.
    pub known: bool,
}

/// What to do with a path that others have written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Adoption {
    /// Leave it alone: an [`Error::Conflict`].
    #[default]
    Refuse,
    /// Take it over, unless it carries the mark of another owner; keys that are not declared stay.
    Adopt,
}

/// What happens to values that are declared no more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Deletion {
    /// They stay, and so does the mark.
    #[default]
    Retain,
    /// Every version is deleted; whoever may undelete can bring them back.
    Delete,
    /// Every version is destroyed, and the path with them.
    Destroy,
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
    /// Nowhere yet: it is made once, and then kept as it stands in Vault. One that was lost is an
    /// [`Error::Lost`].
    Generate {
        /// Characters of the value.
        length: usize,
        /// The characters to choose from.
        alphabet: String,
        /// Sets of characters of which one each must be in the value.
        classes: Vec<String>,
    },
    /// Nowhere yet: an endpoint is asked once ([`RotatedBy::Webhook`]), and then it is kept as it stands in
    /// Vault.
    Webhook,
    /// In Vault already, written by people: it is never written, and an [`Error::Value`] where it is
    /// missing.
    InVault,
    /// Here, encrypted: Vault opens it.
    Sealed(SealedValue),
}

/// Who fetches values.
pub trait ValueStore: Sync {
    /// The value of a key of a Kubernetes Secret; an [`Error::Value`] that names it where there is
    /// none.
    fn secret_key(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> impl Future<Output = Result<Sensitive<String>, Error>> + Send;

    /// New values from an endpoint; an [`Error::Webhook`] that says why there are none.
    fn new_values(
        &self,
        request: &RotationRequest,
    ) -> impl Future<Output = Result<BTreeMap<String, Sensitive<String>>, Error>> + Send {
        let why = format!("{}: only the operator asks for new values", request.webhook.url);
        async move { Err(Error::Webhook(why)) }
    }
}

/// A key's value as far as it is known before Vault is looked at.
#[derive(Clone)]
enum Wanted<'a> {
    /// This one.
    Exactly(Sensitive<String>),
    /// This one, and it is not secret.
    Plainly(&'a str),
    /// The one that stands there, or a new one: by a recipe, or from an endpoint.
    Made(Option<generate::Recipe<'a>>),
    /// The one that stands there.
    InVault,
}

/// What a pass goes by.
struct Values<'a> {
    keys: BTreeMap<&'a str, Wanted<'a>>,
    /// What an endpoint gave in this pass.
    answers: Option<Answers>,
    now: Timestamp,
}

/// What stands at a path.
#[derive(Clone, Default)]
struct Observed {
    /// Newest version; 0 where there never was one.
    version: u64,
    /// Every version there is, and whether it is destroyed.
    versions: BTreeMap<u64, bool>,
    /// The newest version's document; none where it is deleted or never was.
    data: Option<Document>,
    /// Custom metadata; none where the path does not exist.
    marks: Option<Marks>,
    /// Version of the metadata, from servers that count it.
    metadata_version: Option<u64>,
    cas_required: bool,
    max_versions: u32,
    /// The document that stood there when a rotation began that is noted as under way; none where nothing
    /// was written since, or more than is kept.
    begun_at: Option<Document>,
}

impl Observed {
    /// The newest version's document, unless it is a claim, which is nobody's values.
    fn document(&self) -> Option<&Document> {
        self.data.as_ref().filter(|data| data.claimant().is_none())
    }

    /// Whether the newest version is deleted and could be undeleted.
    fn is_hidden(&self) -> bool {
        self.data.is_none() && self.versions.get(&self.version) == Some(&false)
    }
}

impl KvSecret {
    /// What should be there; nothing is fetched for values that are not to be served.
    async fn fetch<'a>(&'a self, client: &Client, store: &impl ValueStore) -> Result<Values<'a>, Error> {
        let mut values = BTreeMap::new();
        for (key, value) in self.keys.iter().filter(|_| self.active) {
            let wanted = match value {
                ValueRef::Literal(text) => Wanted::Plainly(text),
                ValueRef::SecretKey { namespace, name, key } => {
                    Wanted::Exactly(store.secret_key(namespace, name, key).await?)
                }
                ValueRef::Generate {
                    length,
                    alphabet,
                    classes,
                } => Wanted::Made(Some(generate::Recipe {
                    length: *length,
                    alphabet,
                    classes,
                })),
                ValueRef::Webhook => Wanted::Made(None),
                ValueRef::InVault => Wanted::InVault,
                ValueRef::Sealed(sealed) => Wanted::Exactly(sealed.open(client).await?),
            };
            values.insert(key.as_str(), wanted);
        }
        Ok(Values {
            keys: values,
            answers: None,
            now: now(),
        })
    }

    /// Reads what is there.
    async fn observe(&self, client: &Client) -> Result<Observed, Error> {
        #[derive(Deserialize)]
        struct Metadata {
            current_version: u64,
            #[serde(rename = "custom_metadata")]
            marks: Option<BTreeMap<String, String>>,
            #[serde(default)]
            cas_required: bool,
            #[serde(default)]
            max_versions: u32,
            #[serde(default)]
            versions: BTreeMap<String, Known>,
            current_metadata_version: Option<u64>,
        }
        #[derive(Deserialize)]
        struct Known {
            #[serde(default)]
            destroyed: bool,
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
        let marks = Marks(found.marks.unwrap_or_default());
        let begun = marks.rotation().begun.map(|begun| begun.from);
        let begun_at: Option<Version> = match begun.filter(|from| (1..found.current_version).contains(from)) {
            Some(from) => client.read_version(&self.path.data(), from).await?,
            None => None,
        };
        let versions = found.versions.iter();
        Ok(Observed {
            begun_at: begun_at.and_then(|version| version.data),
            version: found.current_version,
            versions: versions
                .filter_map(|(number, known)| Some((number.parse().ok()?, known.destroyed)))
                .collect(),
            data: newest.and_then(|version| version.data),
            marks: Some(marks),
            metadata_version: found.current_metadata_version,
            cas_required: found.cas_required,
            max_versions: found.max_versions,
        })
    }

    /// Something of others stands at the path.
    fn conflict(&self, owner: String) -> Error {
        Error::Conflict {
            object: self.path.to_string(),
            owner,
        }
    }

    fn conflict_with(&self, marks: &Marks) -> Error {
        self.conflict(match marks.owner() {
            Some(owner) => format!("it carries the mark of {owner}"),
            None => "it carries no mark of Keystead".into(),
        })
    }

    fn is_ours(&self, marks: &Marks) -> bool {
        marks.owner() == Some(self.owner.to_string().as_str())
    }

    /// Whether the path is claimed by us and not marked yet: a crash came between.
    fn has_claimed(&self, observed: &Observed, marks: &Marks) -> bool {
        let claimant = observed.data.as_ref().and_then(Document::claimant);
        marks.owner().is_none() && claimant == Some(self.owner.to_string().as_str())
    }
}

/// The time, in whole seconds, as marks have it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests;
