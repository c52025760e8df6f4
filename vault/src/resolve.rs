//! Scopes → values: for each key the most specific scope that has it wins.

use crate::client::Client;
use crate::error::Error;
use crate::path::KvPath;
use crate::sensitive::Sensitive;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use keystead_crds::scope::Level;
use serde::Deserialize;
use serde_json::Value;
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

/// One service at one scope, to be read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The service.
    pub service: String,
    /// The scope.
    pub scope: ScopeName,
    /// Where its values are.
    pub path: KvPath,
}

/// The values of one service at one scope.
pub type Values = BTreeMap<String, Sensitive<String>>;

/// A value and the scope that served it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolved {
    /// The value.
    pub value: Sensitive<String>,
    /// Who declared it.
    pub scope: ScopeName,
}

/// The keys of one service as a caller sees them, and where they were looked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Service {
    /// The keys that some scope has.
    pub keys: BTreeMap<String, Resolved>,
    /// The scopes that were searched, most specific first.
    pub searched: Vec<ScopeName>,
}

/// Reads every source, some at once, and resolves each service. The sources of one service stand
/// most specific first. Only "not there" makes a scope fall through: any error is the whole's.
pub async fn resolve_all(client: &Client, sources: Vec<Source>) -> Result<BTreeMap<String, Service>, Error> {
    let layers: Vec<(Source, Option<Values>)> = futures::stream::iter(sources)
        .map(|source| async move {
            let values = read(client, &source.path).await?;
            Ok::<_, Error>((source, values))
        })
        .buffered(PARALLEL_READS)
        .try_collect()
        .await?;
    Ok(resolve(layers))
}

/// The pure part: layers in, services out.
pub fn resolve(layers: Vec<(Source, Option<Values>)>) -> BTreeMap<String, Service> {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for (source, values) in layers {
        let service = services.entry(source.service).or_default();
        for (key, value) in values.into_iter().flatten() {
            let scope = source.scope.clone();
            service.keys.entry(key).or_insert(Resolved { value, scope });
        }
        service.searched.push(source.scope);
    }
    services
}

/// The newest values at a path; none where there never were any or the newest version is deleted.
async fn read(client: &Client, path: &KvPath) -> Result<Option<Values>, Error> {
    #[derive(Deserialize)]
    struct Document {
        data: Option<BTreeMap<String, Text>>,
    }
    let document: Option<Document> = client.read_optional(&path.data()).await?;
    let data = document.and_then(|document| document.data);
    Ok(data.map(|data| data.into_iter().map(|(key, Text(value))| (key, value)).collect()))
}

/// A value as text: strings as they are, anything else as its JSON.
struct Text(Sensitive<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Sensitive::new(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(service: &str, level: Level) -> Source {
        let id = (level != Level::Global).then(|| "x".to_owned());
        let path = KvPath {
            mount: "kv".into(),
            path: format!("{level}/{service}"),
        };
        Source {
            service: service.into(),
            scope: ScopeName { level, id },
            path,
        }
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Sensitive::from(*value)))
            .collect()
    }

    #[test]
    fn a_company_overrides_one_key_and_inherits_the_other() {
        let services = resolve(vec![
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
        let keys = &services["hubspot"].keys;
        assert_eq!(keys["api_key"].value.expose(), "acme");
        assert_eq!(keys["api_key"].scope.to_string(), "company x");
        assert_eq!(keys["base_url"].scope.to_string(), "global");
        assert_eq!(services["hubspot"].searched.len(), 3);
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
            for key in ["a", "b", "c"] {
                let expected = layers.iter().flatten().find_map(|layer| layer.get(key));
                let actual = resolved.get("s").and_then(|service| service.keys.get(key));
                prop_assert_eq!(expected, actual.map(|found| found.value.expose()));
            }
        }
    }
}
