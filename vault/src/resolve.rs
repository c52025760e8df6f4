//! Scopes → values: for each key the most specific scope that has it wins. An existing path has none.

mod show;

pub use show::{Missing, Shown, show};

use crate::client::Client;
use crate::error::Error;
use crate::path::{ApiPath, KvBase, KvPath};
use crate::sensitive::Sensitive;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use keystead_crds::scope::Level;
use keystead_crds::sidecar::SecretSource;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
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

/// Reads every source, some at once, and resolves each secret. The sources of one secret stand
/// most specific first. Only "not there" makes a scope fall through: any error is the whole's.
pub async fn resolve_all(client: &Client, sources: Vec<Source>) -> Result<Secrets, Error> {
    let layers: Vec<(Source, Option<Values>)> = futures::stream::iter(sources)
        .map(|source| async move {
            let values = read(client, &source).await?;
            Ok::<_, Error>((source, values))
        })
        .buffered(PARALLEL_READS)
        .try_collect()
        .await?;
    Ok(resolve(layers))
}

/// The pure part: layers in, secrets out.
pub fn resolve(layers: Vec<(Source, Option<Values>)>) -> Secrets {
    let mut secrets = Secrets::new();
    for (source, values) in layers {
        let secret = secrets.entry(source.secret).or_default();
        for (key, value) in values.into_iter().flatten() {
            let origin = source.origin.clone();
            secret.keys.entry(key).or_insert(Resolved { value, origin });
        }
        if let Origin::Scope(scope) = source.origin {
            secret.searched.push(scope);
        }
    }
    secrets
}

/// The newest values of a source; none where there never were any or the newest version is deleted.
async fn read(client: &Client, source: &Source) -> Result<Option<Values>, Error> {
    let answer: Option<Map<String, Value>> = client.read_optional(&source.path).await?;
    let values = answer.and_then(|answer| match source.origin {
        Origin::Path if !is_versioned(&answer) => Some(answer),
        Origin::Path | Origin::Scope(_) => newest(answer),
    });
    Ok(values.map(|values| {
        values
            .into_iter()
            .map(|(key, value)| (key, text(value)))
            .collect()
    }))
}

/// Whether an answer is a KV engine's of version 2: the values and what it knows of their version.
fn is_versioned(answer: &Map<String, Value>) -> bool {
    let version = answer
        .get("metadata")
        .and_then(|metadata| metadata.get("version"));
    let data = answer.get("data");
    version.is_some_and(Value::is_u64) && data.is_some_and(|data| data.is_object() || data.is_null())
}

/// The values in such an answer.
fn newest(mut answer: Map<String, Value>) -> Option<Map<String, Value>> {
    match answer.remove("data") {
        Some(Value::Object(values)) => Some(values),
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

    #[test]
    fn a_company_overrides_one_key_and_inherits_the_other() {
        let secrets = resolve(vec![
            (source("hubspot", Level::Node), None),
            (
                source("hubspot", Level::Company),
                Some(values(&[("api_key", "acme")])),
            ),
            (
                source("hubspot", Level::Global),
                Some(values(&[("api_key", "all"), ("base_url", "https://x")])),
            ),
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
        let secrets = resolve_all(&server.client(), sources.into()).await.unwrap();
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
                (source("s", Level::Company), values)
            }).collect();
            let resolved = resolve(input);
            let service = resolved.get(&SecretSource::Service("s".into()));
            for key in ["a", "b", "c"] {
                let expected = layers.iter().flatten().find_map(|layer| layer.get(key));
                let actual = service.and_then(|service| service.keys.get(key));
                prop_assert_eq!(expected, actual.map(|found| found.value.expose()));
            }
        }
    }
}
