//! Whom a command is about.

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use keystead_cluster::call;
use keystead_crds::names::INJECTED_ANNOTATION;
use kube::{Api, Client, ResourceExt as _};
use std::collections::BTreeMap;
use std::fmt;

/// A service account, and where a pod of it runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subject {
    /// The namespace of both.
    pub(crate) namespace: String,
    /// The pod, where one was named.
    pub(crate) pod: Option<String>,
    /// The service account.
    pub(crate) account: String,
    /// The pod's labels; none without a pod.
    pub(crate) labels: BTreeMap<String, String>,
    /// The pod's annotations; none without a pod.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The pod's node, once it has one.
    pub(crate) node: Option<String>,
    /// Whether the pod has our sidecar.
    pub(crate) injected: Option<bool>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace, account, ..
        } = self;
        match &self.pod {
            Some(pod) => write!(f, "pod {namespace}/{pod}"),
            None => write!(f, "service account {namespace}/{account}"),
        }
    }
}

/// Finds what a text means: `pod/NAME`, `serviceaccount/NAME`, `sa/NAME`, or a name alone.
pub(crate) async fn find(client: &Client, namespace: &str, text: &str) -> anyhow::Result<Subject> {
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (Some(kind), name),
        None => (None, text),
    };
    let (pods, accounts) = match kind {
        None => (true, true),
        Some("pod" | "pods" | "po") => (true, false),
        Some("serviceaccount" | "serviceaccounts" | "sa") => (false, true),
        Some(kind) => bail!("{kind}/{name}: expected pod/NAME, serviceaccount/NAME or a name alone"),
    };
    if pods && let Some(subject) = pod(client, namespace, name).await? {
        return Ok(subject);
    }
    if accounts && account(client, namespace, name).await? {
        return Ok(Subject {
            namespace: namespace.to_owned(),
            pod: None,
            account: name.to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            node: None,
            injected: None,
        });
    }
    let what = match (pods, accounts) {
        (true, true) => "neither a pod nor a service account",
        (true, false) => "no pod",
        _ => "no service account",
    };
    bail!("there is {what} {name} in namespace {namespace}")
}

async fn pod(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<Subject>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let Some(pod) = call("pod", pods.get_opt(name)).await? else {
        return Ok(None);
    };
    let injected = pod.annotations().contains_key(INJECTED_ANNOTATION);
    let spec = pod.spec.context("a pod without a spec")?;
    Ok(Some(Subject {
        namespace: namespace.to_owned(),
        pod: Some(name.to_owned()),
        account: spec.service_account_name.unwrap_or_else(|| "default".into()),
        labels: pod.metadata.labels.unwrap_or_default(),
        annotations: pod.metadata.annotations.unwrap_or_default(),
        node: spec.node_name,
        injected: Some(injected),
    }))
}

async fn account(client: &Client, namespace: &str, name: &str) -> anyhow::Result<bool> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    Ok(call("service account", accounts.get_opt(name)).await?.is_some())
}
