//! Where the operator is installed, as its Deployment says.

use k8s_openapi::api::apps::v1::Deployment;
use keystead_cluster::call;
use keystead_compile::Problem;
use keystead_crds::provider::DEFAULT_CLASS;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use std::collections::BTreeMap;

/// What the chart gives the operator's Deployment.
const LABELS: &str = "app.kubernetes.io/name=keystead,app.kubernetes.io/component=operator";

/// An operator, as far as its arguments tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Installation {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its Deployment.
    pub(crate) name: String,
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The service by which the API server calls its webhook.
    pub(crate) service: String,
    /// The Secret with the webhook's certificates.
    pub(crate) tls_secret: String,
    /// Its `MutatingWebhookConfiguration`.
    pub(crate) webhook_configuration: String,
    /// Its `ValidatingWebhookConfiguration`, where it has one.
    pub(crate) validating_webhook_configuration: Option<String>,
}

impl Installation {
    /// The operator that serves a class of providers.
    pub(crate) async fn find(client: &Client, class: &str) -> Result<Option<Self>, Problem> {
        let api: Api<Deployment> = Api::all(client.clone());
        let labelled = ListParams::default().labels(LABELS);
        let found = call("list of Deployments", api.list(&labelled)).await?;
        Ok(found.iter().find_map(|deployment| Self::of(deployment, class)))
    }

    fn of(deployment: &Deployment, class: &str) -> Option<Self> {
        let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
        let arguments: BTreeMap<&str, &str> = pod
            .containers
            .iter()
            .flat_map(|container| container.args.iter().flatten())
            .filter_map(|argument| argument.split_once('='))
            .collect();
        let optional = |name: &str| arguments.get(name).map(|&value| value.to_owned());
        let value = |name: &str| optional(name).unwrap_or_default();
        let serves = arguments.get("--class").copied().unwrap_or(DEFAULT_CLASS);
        (serves == class).then(|| Self {
            namespace: deployment.namespace().unwrap_or_default(),
            name: deployment.name_any(),
            cluster: value("--cluster"),
            service: value("--service"),
            tls_secret: value("--tls-secret"),
            webhook_configuration: value("--webhook-configuration"),
            validating_webhook_configuration: optional("--validating-webhook-configuration"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn its_arguments_tell() {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "keystead", "namespace": "keystead-system"},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "operator", "args": [
                "--cluster=c1", "--class=keystead", "--service=keystead", "--tls-secret=t", "--webhook-configuration=w",
            ]}]}}},
        }))
        .unwrap();
        let found = Installation::of(&deployment, "keystead").unwrap();
        assert_eq!((found.cluster.as_str(), found.tls_secret.as_str()), ("c1", "t"));
        assert_eq!(Installation::of(&deployment, "other"), None);
    }
}
