//! Scopes → values: for each key the most specific scope that has it wins. An existing path has none.

mod show;

pub use show::{Missing, Shown, show};

use crate::client::Client;
use crate::error::Error;
use crate::path::{ApiPath, KvBase, KvPath, NotAPath};
use crate::sensitive::Sensitive;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use keystead_crds::scope::Level;
use keystead_crds::sidecar::SecretSource;
use serde_json::{Map, Value};
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
#[derive(Clone, Debug)]
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
}

/// A value and who served it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolved {
    /// The value.
    pub value: Sensitive<String>,
    /// Where it was found.
    pub origin: Origin,
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
        Self {
            secret: SecretSource::Path(path.to_string()),
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
        match secret {
            SecretSource::Service(service) => {
                let scopes = scopes.iter().cloned();
                sources.extend(scopes.map(|scope| Source::at_scope(base, service, scope)));
            }
            SecretSource::Path(path) => sources.push(Source::at_path(&ApiPath::parse(path)?)),
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

/// The same, but for what Vault refuses: that is said of the secrets that need it, and they alone lack
/// their keys.
pub async fn resolve_allowed(client: &Client, sources: Vec<Source>) -> Result<Secrets, Error> {
    read_allowed(client, sources).await.map(resolve)
}

/// Values are read each time, and not their metadata first: that is as many requests, and one more for
/// each value that has changed.
async fn read_allowed(client: &Client, sources: Vec<Source>) -> Result<Vec<Layer>, Error> {
    futures::stream::iter(sources)
        .map(|source| async move {
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
        .try_collect()
        .await
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
        for (key, value) in found.into_iter().flat_map(|found| found.values) {
            let origin = source.origin.clone();
            secret.keys.entry(key).or_insert(Resolved { value, origin });
        }
        if let Origin::Scope(scope) = source.origin {
            secret.searched.push(scope);
        }
    }
    // What a less specific scope has must not pass for what nobody may see.
    for secret in secrets.values_mut().filter(|secret| secret.refused.is_some()) {
        secret.keys.clear();
    }
    secrets
}

async fn read(client: &Client, source: &Source) -> Result<Option<Found>, Error> {
    let answer: Option<Map<String, Value>> = client.read_optional(&source.path).await?;
    let found = answer.and_then(|answer| match source.origin {
        Origin::Path if !is_versioned(&answer) => Some((answer, None)),
        Origin::Path | Origin::Scope(_) => newest(answer),
    });
    Ok(found.map(|(values, version)| Found {
        values: values
            .into_iter()
            .map(|(key, value)| (key, text(value)))
            .collect(),
        version,
    }))
}

/// Whether an answer is a KV engine's of version 2: the values and what it knows of their version.
fn is_versioned(answer: &Map<String, Value>) -> bool {
    let data = answer.get("data");
    version(answer).is_some() && data.is_some_and(|data| data.is_object() || data.is_null())
}

fn version(answer: &Map<String, Value>) -> Option<u64> {
    answer.get("metadata")?.get("version")?.as_u64()
}

/// The values in such an answer, and their version.
fn newest(mut answer: Map<String, Value>) -> Option<(Map<String, Value>, Option<u64>)> {
    let version = version(&answer);
    match answer.remove("data") {
        Some(Value::Object(values)) => Some((values, version)),
        _ => None,
    }
}

/// A value as text: strings as they are, anything else as its JSON.
fn text(value: Value) -> Sensitive<String> {
    Sensitive::new(match value {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Answer, Fake};
    use proptest::prelude::*;
    use serde_json::json;

    fn source(service: &str, level: Level) -> Source {
        let base = KvBase {
            mount: "kv".into(),
            prefix: "keystead".into(),
            environment: "production".into(),
        };
        let id = (level != Level::Global).then(|| "x".to_owned());
        Source::at_scope(&base, service, ScopeName { level, id })
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Sensitive::from(*value)))
            .collect()
    }

    fn at(level: Level, values: Option<Values>) -> Layer {
        Layer {
            source: source("hubspot", level),
            found: values.map(|values| Found {
                values,
                version: Some(1),
            }),
            refused: None,
        }
    }

    #[test]
    fn a_company_overrides_one_key_and_inherits_the_other() {
        let all = values(&[("api_key", "all"), ("base_url", "https://x")]);
        let secrets = resolve(vec![
            at(Level::Node, None),
            at(Level::Company, Some(values(&[("api_key", "acme")]))),
            at(Level::Global, Some(all)),
        ]);
        let hubspot = &secrets[&SecretSource::Service("hubspot".into())];
        let keys = &hubspot.keys;
        assert_eq!(keys["api_key"].value.expose(), "acme");
        let company = ScopeName {
            level: Level::Company,
            id: Some("x".into()),
        };
        assert_eq!(keys["api_key"].origin, Origin::Scope(company));
        assert_eq!(keys["base_url"].value.expose(), "https://x");
        assert_eq!(hubspot.searched.len(), 3);
    }

    #[tokio::test]
    async fn a_path_is_read_as_what_it_answers() {
        let server = Fake::start(|asked| match asked.path.as_str() {
            "/v1/secret/data/app" => Answer::ok(json!({"data": {
                "data": {"user": "u", "port": 5432}, "metadata": {"version": 3, "deletion_time": ""},
            }})),
            "/v1/kv1/app" => {
                Answer::ok(json!({"data": {"data": "d", "metadata": "m"}, "lease_duration": 60}))
            }
            _ => Answer::refused(404, ""),
        })
        .await;
        let paths = ["secret/data/app", "kv1/app", "kv1/none"];
        let sources = paths.map(|path| Source::at_path(&ApiPath::parse(path).unwrap()));
        let layers = read_all(&server.client(), sources.into()).await.unwrap();
        let found = layers.iter().map(|layer| layer.found.as_ref());
        let versions: Vec<_> = found.map(|found| found.and_then(|found| found.version)).collect();
        assert_eq!(versions, [Some(3), None, None]);
        let secrets = resolve(layers);
        let keys = |path: &str| {
            let secret = &secrets[&SecretSource::Path(path.into())];
            let pairs = secret
                .keys
                .iter()
                .map(|(key, found)| format!("{key}={}", found.value.expose()));
            pairs.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(paths.map(keys), ["port=5432 user=u", "data=d metadata=m", ""]);
    }

    #[tokio::test]
    async fn a_refusal_is_of_one_secret_and_an_outage_of_all() {
        let server = Fake::start(|asked| match asked.path.as_str() {
            "/v1/kv1/a" | "/v1/kv1/b" => Answer::ok(json!({"data": {"key": "value"}})),
            "/v1/kv1/refused" => Answer::refused(403, "permission denied"),
            _ => Answer::refused(503, "Vault is sealed"),
        })
        .await;
        let sources = |paths: &[&str]| {
            let sources = paths
                .iter()
                .map(|path| Source::at_path(&ApiPath::parse(path).unwrap()));
            sources.collect::<Vec<_>>()
        };
        let client = server.client();
        let asked = sources(&["kv1/a", "kv1/refused", "kv1/b"]);
        let secrets = resolve_allowed(&client, asked.clone()).await.unwrap();
        let of = |path: &str| &secrets[&SecretSource::Path(path.into())];
        assert!(of("kv1/a").refused.is_none() && of("kv1/a").keys.len() == 1);
        assert!(of("kv1/b").refused.is_none() && of("kv1/b").keys.len() == 1);
        let refused = of("kv1/refused").refused.as_ref().unwrap();
        assert_eq!(refused.to_string(), "permission denied: GET kv1/refused");
        assert!(resolve_all(&client, asked).await.unwrap_err().is_denied());
        let asked = sources(&["kv1/refused", "kv1/sealed"]);
        let error = resolve_allowed(&client, asked).await.unwrap_err();
        assert!(matches!(error, Error::Sealed { .. }), "{error}");
    }

    #[test]
    fn a_refused_scope_is_no_reason_to_fall_through() {
        let denied = || Error::Denied {
            request: crate::error::Request {
                method: "GET",
                path: "kv/data/x".into(),
            },
        };
        let refused = |level| Layer {
            refused: Some(denied()),
            ..at(level, None)
        };
        let allowed = |level| at(level, Some(values(&[("api_key", "all")])));
        for layers in [
            [refused(Level::Company), allowed(Level::Global)],
            [allowed(Level::Company), refused(Level::Global)],
        ] {
            let secrets = resolve(layers.into());
            let hubspot = &secrets[&SecretSource::Service("hubspot".into())];
            assert_eq!(hubspot.refused, Some(denied()));
            assert!(hubspot.keys.is_empty());
            assert_eq!(hubspot.searched.len(), 2);
        }
    }

    proptest! {
        /// The plain rule, said another way: look through the layers in order for each key.
        #[test]
        fn the_first_layer_that_has_a_key_serves_it(
            layers in proptest::collection::vec(proptest::option::of(
                proptest::collection::btree_map("[abc]", "[0-9]{1,3}", 0..3)), 0..4)
        ) {
            let input = layers.iter().map(|layer| {
                let values = layer.as_ref().map(|map| map.iter()
                    .map(|(key, value)| (key.clone(), Sensitive::from(value.as_str()))).collect());
                at(Level::Company, values)
            }).collect();
            let resolved = resolve(input);
            let service = resolved.get(&SecretSource::Service("hubspot".into()));
            for key in ["a", "b", "c"] {
                let expected = layers.iter().flatten().find_map(|layer| layer.get(key));
                let actual = service.and_then(|service| service.keys.get(key));
                prop_assert_eq!(expected, actual.map(|found| found.value.expose()));
            }
        }
    }
}
