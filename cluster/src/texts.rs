//! The templates that bindings take from ConfigMaps, read when they are needed.

use crate::deadline::{answer, problem};
use k8s_openapi::api::core::v1::ConfigMap;
use keystead_compile::world::Texts;
use keystead_compile::{Key, Problem};
use kube::{Api, Client};
use std::collections::BTreeSet;

/// Reads these keys of a ConfigMap. The error is the API server's; that there is no ConfigMap is a finding.
pub async fn read(client: &Client, config_map: &Key, keys: BTreeSet<String>) -> Result<Texts, Problem> {
    let Key { namespace, name } = config_map;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = answer(&format!("ConfigMap {namespace}/{name}"), api.get_opt(name)).await?;
    let Some(found) = found.map_err(|error| problem(&error))? else {
        return Ok(Err(Problem::not_found("ConfigMap", name)));
    };
    let mut data = found.data.unwrap_or_default();
    let texts = keys.into_iter().map(|key| {
        let text = data.remove(&key);
        (key, text)
    });
    Ok(Ok(texts.collect()))
}
