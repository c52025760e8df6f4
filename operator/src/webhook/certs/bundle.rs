//! Tells the API server whom to trust.

use super::{ATTEMPTS, CallError, Error, MANAGER, call};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Writes the CA bundle of every webhook of the configuration, where it differs.
pub(super) async fn apply(client: &Client, name: &str, bundle: &[u8]) -> Result<(), Error> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let how = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for _ in 0..ATTEMPTS {
        let read = |source| Error::ReadConfiguration {
            name: name.to_owned(),
            source,
        };
        let configuration = call(api.get(name)).await.map_err(read)?;
        let Some(patch) = plan(&configuration, bundle) else {
            return Ok(());
        };
        match call(api.patch(name, &how, &Patch::Strategic(patch))).await {
            Ok(_) => {
                tracing::info!(configuration = name, "told the API server which CA to trust");
                return Ok(());
            }
            // Another replica was faster, most likely with the same.
            Err(CallError::Status(status)) if status.is_conflict() => {}
            Err(source) => {
                return Err(Error::WriteConfiguration {
                    name: name.to_owned(),
                    source,
                });
            }
        }
    }
    Err(Error::Disagreement(format!(
        "MutatingWebhookConfiguration {name}"
    )))
}

/// A strategic merge patch, which finds webhooks by name and leaves their other fields alone, the
/// ones newer than our types too. The resourceVersion makes it fail when someone was faster.
pub(super) fn plan(configuration: &MutatingWebhookConfiguration, bundle: &[u8]) -> Option<Value> {
    let bundle = ByteString(bundle.to_vec());
    let webhooks: Vec<Value> = configuration
        .webhooks
        .iter()
        .flatten()
        .filter(|webhook| webhook.client_config.ca_bundle.as_ref() != Some(&bundle))
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    let version = &configuration.metadata.resource_version;
    (!webhooks.is_empty()).then(|| json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks}))
}
