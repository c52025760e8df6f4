//! Where the engine gets values from: Secrets are read when they are needed, and dropped.

use crate::deadline::DEADLINE;
use k8s_openapi::api::core::v1::Secret;
use keystead_vault::object::ValueStore;
use keystead_vault::{Error, Sensitive};
use kube::{Api, Client};
use std::collections::HashMap;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroize as _;

/// Reads each Secret once for as long as it lives: one reconcile, one command.
pub struct Values<'a> {
    client: &'a Client,
    read: Mutex<HashMap<(String, String), Secret>>,
}

impl<'a> Values<'a> {
    /// Nothing is read yet.
    pub fn new(client: &'a Client) -> Self {
        Self {
            client,
            read: Mutex::default(),
        }
    }
}

impl ValueStore for Values<'_> {
    async fn secret_key(&self, namespace: &str, name: &str, key: &str) -> Result<Sensitive<String>, Error> {
        let place = (namespace.to_owned(), name.to_owned());
        let mut read = self.read.lock().await;
        if !read.contains_key(&place) {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
            let secret = timeout(DEADLINE, api.get(name))
                .await
                .map_err(|_| unanswered(namespace, name))?
                .map_err(|error| explain(&error, namespace, name))?;
            read.insert(place.clone(), secret);
        }
        let data = read.get(&place).and_then(|secret| secret.data.as_ref());
        let bytes = data
            .and_then(|data| data.get(key))
            .ok_or_else(|| Error::Value(format!("Secret {namespace}/{name} has no key {key}")))?;
        let text = std::str::from_utf8(&bytes.0).map_err(|_| {
            Error::Value(format!("Secret {namespace}/{name}: the value of {key} is not UTF-8 text, which Vault's KV engine needs"))
        })?;
        Ok(Sensitive::from(text))
    }
}

impl Drop for Values<'_> {
    fn drop(&mut self) {
        for secret in self.read.get_mut().values_mut() {
            for bytes in secret.data.iter_mut().flat_map(|data| data.values_mut()) {
                bytes.0.zeroize();
            }
        }
    }
}

/// What the API server said, without anything of the answer's body but its status.
fn explain(error: &kube::Error, namespace: &str, name: &str) -> Error {
    match error {
        kube::Error::Api(status) if status.is_not_found() => {
            Error::Value(format!("Secret {namespace}/{name} not found"))
        }
        kube::Error::Api(status) => Error::Source(format!(
            "cannot read Secret {namespace}/{name}: {} ({})",
            status.reason, status.code
        )),
        _ => unanswered(namespace, name),
    }
}

fn unanswered(namespace: &str, name: &str) -> Error {
    Error::Source(format!(
        "cannot read Secret {namespace}/{name}: the API server did not answer"
    ))
}
