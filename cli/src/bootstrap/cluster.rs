//! The cluster's side of a bootstrap: its signing keys, and a service account by which Vault asks
//! the API server about tokens.

use crate::args::Bootstrap;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use keystead_cluster::connect;
use keystead_cluster::keys::{self, Published};
use keystead_vault::Sensitive;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

/// The reviewer's service account, its Secret and (with the namespace) its binding.
pub(crate) const REVIEWER: &str = "keystead-vault-reviewer";
/// Whose fields the reviewer's are, in server-side apply.
pub(crate) const FIELD_MANAGER: &str = "kubectl-keystead";
/// Longest wait for the control plane to fill the reviewer's Secret.
const TOKEN_DEADLINE: Duration = Duration::from_secs(30);

/// A cluster, as the person at the keyboard.
pub(crate) struct Cluster {
    client: Client,
    host: String,
    ca: String,
    namespace: String,
}

/// What Vault must know of a cluster.
#[derive(Default)]
pub(crate) struct ClusterFacts {
    /// Address of the API server.
    pub(crate) host: String,
    /// PEM certificates of who signed its certificate.
    pub(crate) ca: String,
    /// Issuer of service account tokens.
    pub(crate) issuer: String,
    /// PEM public keys that sign them.
    pub(crate) keys: Vec<String>,
}

impl Cluster {
    pub(crate) async fn connect(args: &Bootstrap) -> anyhow::Result<Self> {
        let config = connect::config(args.context.as_deref()).await?;
        let host = match &args.kubernetes_host {
            Some(host) => host.clone(),
            None => config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        };
        let ca = config.root_cert.iter().flatten().map(|der| pem(der)).collect();
        let client = connect::client(config)?;
        Ok(Self {
            client,
            host,
            ca,
            namespace: args.operator_namespace.clone(),
        })
    }

    pub(crate) async fn facts(&self) -> anyhow::Result<ClusterFacts> {
        let Published { issuer, keys } = keys::published(&self.client).await?;
        Ok(ClusterFacts {
            host: self.host.clone(),
            ca: self.ca.clone(),
            issuer,
            keys,
        })
    }

    /// Whether the reviewer is there already.
    pub(crate) async fn has_reviewer(&self) -> anyhow::Result<bool> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(api.get_opt(REVIEWER).await?.is_some())
    }

    /// Makes the reviewer where it is missing, and answers its token.
    pub(crate) async fn reviewer_token(&self) -> anyhow::Result<Sensitive<String>> {
        let namespace = self.namespace.as_str();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let [ours, account, binding, secret] = reviewer(namespace);
        if namespaces.get_opt(namespace).await?.is_none() {
            ensure(&namespaces, ours).await?;
        }
        ensure(&accounts, account).await?;
        ensure(&bindings, binding).await?;
        ensure(&secrets, secret).await?;
        tokio::time::timeout(TOKEN_DEADLINE, token(&secrets)).await.with_context(|| {
            format!("no token in Secret {namespace}/{REVIEWER} after {} s: is the controller manager running?", TOKEN_DEADLINE.as_secs())
        })?
    }
}

/// The namespace, the service account by which Vault asks, its right to ask, and the Secret for its token.
pub(crate) fn reviewer(namespace: &str) -> [Value; 4] {
    [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": REVIEWER, "namespace": namespace },
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": format!("{namespace}:{REVIEWER}") },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator" },
            "subjects": [{ "kind": "ServiceAccount", "name": REVIEWER, "namespace": namespace }],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": REVIEWER,
                "namespace": namespace,
                "annotations": { "kubernetes.io/service-account.name": REVIEWER },
            },
        }),
    ]
}

/// Server-side apply of an object of ours.
async fn ensure<K>(api: &Api<K>, object: Value) -> anyhow::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(object))
        .await
        .with_context(|| format!("cannot apply {kind} {name}"))?;
    Ok(())
}

/// Waits until the control plane has filled the Secret.
async fn token(secrets: &Api<Secret>) -> anyhow::Result<Sensitive<String>> {
    let mut poll = tokio::time::interval(Duration::from_millis(100));
    loop {
        poll.tick().await;
        let data = secrets.get(REVIEWER).await?.data.unwrap_or_default();
        if let Some(token) = data.get("token") {
            return Ok(Sensitive::new(
                String::from_utf8(token.0.clone()).context("the token is not text")?,
            ));
        }
    }
}

/// A certificate as text, RFC 7468.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
