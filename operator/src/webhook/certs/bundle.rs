//! Tells the API server whom to trust.

use super::{ATTEMPTS, CallError, Error, MANAGER, call};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Either kind of webhook configuration.
pub(super) trait Configuration: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned {
    /// Each webhook's name and how it is called.
    fn webhooks(&self) -> impl Iterator<Item = (&str, &WebhookClientConfig)>;
}

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> impl Iterator<Item = (&str, &WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (webhook.name.as_str(), &webhook.client_config))
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> impl Iterator<Item = (&str, &WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (webhook.name.as_str(), &webhook.client_config))
    }
}

/// Writes the CA bundle of every webhook of the configuration, where it differs.
pub(super) async fn apply<K: Configuration>(client: &Client, name: &str, bundle: &[u8]) -> Result<(), Error> {
    let api: Api<K> = Api::all(client.clone());
    let full_name = || format!("{} {name}", K::kind(&()));
    let how = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for _ in 0..ATTEMPTS {
        let read = |source| Error::ReadConfiguration {
            name: full_name(),
            source,
        };
        let configuration = call(api.get(name)).await.map_err(read)?;
        let Some(patch) = plan(&configuration, bundle) else {
            return Ok(());
        };
        match call(api.patch(name, &how, &Patch::Strategic(patch))).await {
            Ok(_) => {
                tracing::info!(
                    configuration = full_name(),
                    "told the API server which CA to trust"
                );
                return Ok(());
            }
            // Another replica was faster, most likely with the same.
            Err(CallError::Status(status)) if status.is_conflict() => {}
            Err(source) => {
                return Err(Error::WriteConfiguration {
                    name: full_name(),
                    source,
                });
            }
        }
    }
    Err(Error::Disagreement(full_name()))
}

/// A strategic merge patch, which finds webhooks by name and leaves their other fields alone, the
/// ones newer than our types too. The resourceVersion makes it fail when someone was faster.
pub(super) fn plan(configuration: &impl Configuration, bundle: &[u8]) -> Option<Value> {
    let bundle = ByteString(bundle.to_vec());
    let webhooks: Vec<Value> = configuration
        .webhooks()
        .filter(|(_, how)| how.ca_bundle.as_ref() != Some(&bundle))
        .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    let version = &configuration.meta().resource_version;
    (!webhooks.is_empty()).then(|| json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks}))
}
