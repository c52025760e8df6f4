//! `SecretProvider`: one place secrets live, in one environment.

use crate::common::{BasicStatus, SecretKeyReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One place secrets live (a Vault or OpenBao server), in one environment.
///
/// Everything Keystead keeps there is under `<mounts.kv>/<pathPrefix>/<environment>/`.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "SecretProvider",
    plural = "secretproviders",
    shortname = "ksp",
    category = "keystead",
    status = "BasicStatus",
    doc = "One place secrets live (a Vault or OpenBao server), in one environment.",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.vault.address"),
    printcolumn(name = "Workloads", type_ = "string", json_path = ".spec.workloadAuth.method"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label (lower-case letters, digits and '-', at most 63): it becomes part of names in Vault, where dots separate"),
)]
#[serde(rename_all = "camelCase")]
pub struct SecretProviderSpec {
    /// Which environment this provider serves. Environments never share a path, a policy or a role.
    #[x_kube(validation = Rule::new("self == oldSelf").message("environment is immutable: create another SecretProvider"))]
    pub environment: Environment,
    /// Which operator serves this provider: the one started with the same `--class`.
    #[serde(default = "default_class")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("class is immutable: create another SecretProvider"))]
    pub class: String,
    /// The server and how the operator talks to it.
    pub vault: VaultConnection,
    /// How pods log in.
    pub workload_auth: WorkloadAuth,
    /// Which namespaces may use this provider; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
}

/// Deployment stage of a provider.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// For developers.
    Development,
    /// For tests.
    Testing,
    /// For customers.
    Production,
}

/// The server and how the operator talks to it.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.caBundle) && has(self.caSecretRef))").message("caBundle and caSecretRef exclude each other: keep one"))]
pub struct VaultConnection {
    /// Scheme, host and port, such as `https://vault.vault.svc:8200`; without a path.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+$')")
        .message("address must be http(s)://host[:port] without a path, query or user, e.g. https://vault.vault.svc:8200"))]
    pub address: String,
    /// PEM certificates of the authorities that may have signed the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
    /// A Secret that holds those certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// How the operator itself logs in.
    pub auth: OperatorAuth,
    /// Where the secret engines are mounted.
    #[serde(default)]
    pub mounts: Mounts,
    /// First segment of every path that Keystead writes in the KV engine.
    #[serde(default = "default_prefix")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("pathPrefix must be one path segment of lower-case letters, digits and '-'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("pathPrefix is immutable: values would be left behind"))]
    pub path_prefix: String,
}

/// How the operator itself logs in.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct OperatorAuth {
    /// By its own service account token and a TokenReview.
    pub kubernetes: KubernetesLogin,
}

/// A login through Vault's `kubernetes` auth method.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct KubernetesLogin {
    /// Path of the auth mount, without `auth/`.
    #[serde(default = "default_operator_mount")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("mount must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    pub mount: String,
    /// The role to log in with.
    #[schemars(length(min = 1, max = 253))]
    pub role: String,
}

/// Where the secret engines are mounted.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct Mounts {
    /// A KV engine of version 2.
    #[serde(default = "default_kv")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("kv must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("mounts.kv is immutable: values would be left behind"))]
    pub kv: String,
}

/// How pods log in.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadAuth {
    /// `Kubernetes`: Vault asks the API server about each token. `Jwt`: Vault checks the token's
    /// signature itself and needs no way back to the cluster; scopes of level `Node` need it.
    #[x_kube(validation = Rule::new("self == oldSelf").message("workloadAuth.method is immutable: roles would be left behind; create another SecretProvider"))]
    pub method: WorkloadMethod,
    /// Path of the auth mount, without `auth/`. A `Jwt` mount must serve this cluster alone.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("mount must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("workloadAuth.mount is immutable: roles would be left behind; create another SecretProvider"))]
    pub mount: String,
    /// Audience of the pods' projected tokens.
    #[serde(default = "default_audience")]
    #[schemars(length(min = 1, max = 256))]
    pub audience: String,
    /// How long a pod's Vault token lives between renewals.
    #[serde(default = "default_token_ttl")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message("tokenTtl must be between 10s and 24h"))]
    pub token_ttl: Duration,
}

/// Vault's auth method for pods.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WorkloadMethod {
    /// Vault's `jwt` method, with the cluster's public keys.
    Jwt,
    /// Vault's `kubernetes` method, with a TokenReview.
    Kubernetes,
}

// === defaults ===

/// The class that a provider without one belongs to, and an operator without `--class` serves.
pub const DEFAULT_CLASS: &str = "keystead";

fn default_class() -> String {
    DEFAULT_CLASS.into()
}

fn default_prefix() -> String {
    "keystead".into()
}

fn default_operator_mount() -> String {
    "kubernetes".into()
}

fn default_kv() -> String {
    "kv".into()
}

fn default_audience() -> String {
    "vault".into()
}

fn default_token_ttl() -> Duration {
    std::time::Duration::from_mins(15).into()
}

// === impl Environment ===

impl Environment {
    /// The environment as a path segment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Testing => "testing",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Mounts ===

impl Default for Mounts {
    fn default() -> Self {
        Self { kv: default_kv() }
    }
}
