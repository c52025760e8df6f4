//! Scopes → values: for each key the most specific scope that has it wins. An existing path has none.

mod database;
mod show;

pub use show::{Missing, Shown, show};

use crate::client::{Client, Method};
use crate::error::Error;
use crate::lease::{self, Term};
use crate::object::PREVIOUS;
use crate::path::{ApiPath, KvBase, KvPath, NotAPath};
use crate::sensitive::Sensitive;
use futures::stream::{Stream, StreamExt as _, TryStreamExt as _};
use keystead_crds::scope::Level;
use keystead_crds::sidecar::SecretSource;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Requests at once; more cost TLS handshakes and bring nothing.
const PARALLEL_READS: usize = 4;

/// A scope as messages name it: `node n1`, `company acme`, `global`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeName {
    /// How specific.
    pub level: Level,
    /// Which one; none for Global.
    pub id: Option<String>,
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} {id}", self.level),
            None => write!(f, "{}", self.level),
        }
    }
}

/// Where a value can be found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// At a scope, under the name of its service.
    Scope(ScopeName),
    /// At an existing path.
    Path,
}

/// One place to be read, for one secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// What it is read for.
    pub secret: SecretSource,
    /// What kind of place it is.
    pub origin: Origin,
    /// Where, as Vault's API has it.
    pub path: String,
}

/// The values at one place.
pub type Values = BTreeMap<String, Sensitive<String>>;

/// What one place has.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The place.
    pub source: Source,
    /// The newest values there; none where there never were any or the newest version is deleted.
    pub found: Option<Found>,
    /// Why Vault does not let the caller read them; none where it does.
    pub refused: Option<Error>,
}

/// Values, and which they are.
#[derive(Clone, Debug)]
pub struct Found {
    /// By key.
    pub values: Values,
    /// The version; none where the engine keeps no versions.
    pub version: Option<u64>,
    /// When Vault will delete it, as Vault writes it (RFC 3339); none where it will not.
    pub ends: Option<String>,
    /// How long they are good, where they were made for who asks or change by themselves.
    pub term: Option<Term>,
}

/// A value and who served it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolved {
    /// The value.
    pub value: Sensitive<String>,
    /// Where it was found.
    pub origin: Origin,
    /// The version of the values there; none where the engine keeps no versions.
    pub version: Option<u64>,
    /// When Vault will delete them, as Vault writes it (RFC 3339); none where it will not.
    pub ends: Option<String>,
}

/// The keys of one secret as a caller sees them, and where they were looked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Secret {
    /// Why Vault lets the caller read none of it; none where it does.
    pub refused: Option<Error>,
    /// The keys that some place has.
    pub keys: BTreeMap<String, Resolved>,
    /// The scopes that were searched, most specific first; none for a path.
    pub searched: Vec<ScopeName>,
}

/// Secrets by what they were asked for.
pub type Secrets = BTreeMap<SecretSource, Secret>;

impl Source {
    /// A service at a scope.
    pub fn at_scope(base: &KvBase, service: &str, scope: ScopeName) -> Self {
        Self {
            secret: SecretSource::Service(service.to_owned()),
            path: KvPath::new(base, scope.level, scope.id.as_deref(), service).data(),
            origin: Origin::Scope(scope),
        }
    }

    /// An existing path.
    pub fn at_path(path: &ApiPath) -> Self {
        Self::of(SecretSource::Path(path.to_string()), path)
    }

    fn of(secret: SecretSource, path: &ApiPath) -> Self {
        Self {
            secret,
            path: path.to_string(),
            origin: Origin::Path,
        }
    }
}

/// Where these secrets are: a service at every scope, in the scopes' order, and a path as it is; each
/// place once, however many ask for it.
pub fn sources<'a>(
    base: &KvBase,
    scopes: &[ScopeName],
    asked: impl IntoIterator<Item = &'a SecretSource>,
) -> Result<Vec<Source>, NotAPath> {
    let mut sources = Vec::new();
    for secret in asked.into_iter().collect::<BTreeSet<_>>() {
        if let SecretSource::Service(service) = secret {
            let scopes = scopes.iter().cloned();
            sources.extend(scopes.map(|scope| Source::at_scope(base, service, scope)));
        }
        if let Some(path) = secret.path() {
            sources.push(Source::of(secret.clone(), &ApiPath::parse(path)?));
        }
    }
    Ok(sources)
}

/// Reads every source, some at once, and resolves each secret. The sources of one secret stand
/// most specific first. Only "not there" makes a scope fall through: any error is the whole's.
pub async fn resolve_all(client: &Client, sources: Vec<Source>) -> Result<Secrets, Error> {
    read_all(client, sources).await.map(resolve)
}

/// The same without resolving, for who tells what was passed over.
pub async fn read_all(client: &Client, sources: Vec<Source>) -> Result<Vec<Layer>, Error> {
    let mut layers = read_allowed(client, sources).await?;
    match layers.iter_mut().find_map(|layer| layer.refused.take()) {
        Some(error) => Err(error),
        None => Ok(layers),
    }
}

/// The layers of these sources. What Vault refuses is said of its layer.
async fn read_allowed(client: &Client, sources: Vec<Source>) -> Result<Vec<Layer>, Error> {
    each(client, sources).try_collect().await
}

/// The same, with an outcome for each: what one of them made at Vault is known whatever becomes of the
/// others.
pub async fn read_each(client: &Client, sources: Vec<Source>) -> Vec<Result<Layer, Error>> {
    each(client, sources).collect().await
}

/// Values are read each time, and not their metadata first: that is as many requests, and one more for
/// each value that has changed.
fn each(client: &Client, sources: Vec<Source>) -> impl Stream<Item = Result<Layer, Error>> {
    futures::stream::iter(sources)
        .map(move |source| async move {
            let (found, refused) = match read(client, &source).await {
                Ok(found) => (found, None),
                Err(error) if error.is_denied() => (None, Some(error)),
                Err(error) => return Err(error),
            };
            Ok(Layer {
                source,
                found,
                refused,
            })
        })
        .buffered(PARALLEL_READS)
}

/// The pure part: layers in, secrets out.
pub fn resolve(layers: Vec<Layer>) -> Secrets {
    let mut secrets = Secrets::new();
    for layer in layers {
        let Layer {
            source,
            found,
            refused,
        } = layer;
        let secret = secrets.entry(source.secret).or_default();
        secret.refused = secret.refused.take().or(refused);
        if let Some(Found {
            values,
            version,
            ends,
            ..
        }) = found
        {
            for (key, value) in values {
                secret.keys.entry(key).or_insert_with(|| Resolved {
                    value,
                    origin: source.origin.clone(),
                    version,
                    ends: ends.clone(),
                });
            }
        }
        if let Origin::Scope(scope) = source.origin {
            secret.searched.push(scope);
        }
    }
    // What a less specific scope has must not pass for what nobody may see.
    for secret in secrets.values_mut().filter(|secret| secret.refused.is_some()) {
        secret.keys.clear();
    }
    for secret in secrets.values_mut() {
        leave_strangers(&mut secret.keys);
    }
    secrets
}

/// Takes out what a key was before at another scope than the one that serves the key now: it is another
/// value's past.
fn leave_strangers(keys: &mut BTreeMap<String, Resolved>) {
    let stranger = |(key, before): (&String, &Resolved)| {
        let now = keys.get(key.strip_suffix(PREVIOUS)?)?;
        (now.origin != before.origin).then(|| key.clone())
    };
    let strangers: Vec<String> = keys.iter().filter_map(stranger).collect();
    for stranger in strangers {
        keys.remove(&stranger);
    }
}

async fn read(client: &Client, source: &Source) -> Result<Option<Found>, Error> {
    let made = match &source.secret {
        SecretSource::Made(made) => Some(json!(made.parameters)),
        _ => None,
    };
    let method = if made.is_some() { Method::Post } else { Method::Get };
    let answer = match client.call(method, &source.path, made.as_ref()).await {
        Ok(answer) => answer,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let data: Option<Map<String, Value>> = answer.data;
    let Some(mut data) = data else { return Ok(None) };
    if source.origin == Origin::Path && !is_versioned(&data) {
        let term = answer
            .lease
            .map(Term::Lease)
            .or_else(|| lease::rotation(&data))
            .or_else(|| made.and_then(|_| lease::expiry(&data)));
        let mut values = texts(data);
        if let SecretSource::Database(at) = &source.secret {
            database::complete(&mut values, at);
        }
        return Ok(Some(Found {
            values,
            version: None,
            ends: None,
            term,
        }));
    }
    let (version, ends) = (version(&data), ends(&data));
    Ok(match data.remove("data") {
        Some(Value::Object(values)) => Some(Found {
            values: texts(values),
            version,
            ends,
            term: None,
        }),
        _ => None,
    })
}

/// Whether an answer is a KV engine's of version 2: the values and what it knows of their version.
fn is_versioned(answer: &Map<String, Value>) -> bool {
    let data = answer.get("data");
    version(answer).is_some() && data.is_some_and(|data| data.is_object() || data.is_null())
}

fn version(answer: &Map<String, Value>) -> Option<u64> {
    answer.get("metadata")?.get("version")?.as_u64()
}

/// When the engine will delete this version.
fn ends(answer: &Map<String, Value>) -> Option<String> {
    let time = answer.get("metadata")?.get("deletion_time")?.as_str()?;
    (!time.is_empty()).then(|| time.to_owned())
}

fn texts(values: Map<String, Value>) -> Values {
    let texts = values.into_iter().map(|(key, value)| (key, text(value)));
    texts.collect()
}

/// A value as text: strings as they are, anything else as its JSON.
fn text(value: Value) -> Sensitive<String> {
    Sensitive::new(match value {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests;
