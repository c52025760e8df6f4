//! `SecretProvider`: one place secrets live, in one environment.

mod databases;
mod paths;

pub use databases::{DatabaseHost, DatabaseTls, Databases, StaticUser};
pub use paths::{AllowedPath, RotationWebhooks};

use crate::common::{
    BasicStatus, HasBasicStatus, Resources, SecretKeyReference, SecretReference, SidecarMode,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
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
    status = "ProviderStatus",
    doc = "One place secrets live (a Vault or OpenBao server), in one environment.",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.vault.address"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Permitted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Permitted\")].status", priority = 1),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.reachableSince"),
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
    /// Existing paths in Vault that bindings may name (`secrets[].path`), and from which namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["prefix"]))]
    pub allowed_paths: Vec<AllowedPath>,
    /// Which databases Vault connects to, and for whom. They need `vault.mounts.database`.
    #[serde(default, skip_serializing_if = "Databases::is_empty")]
    pub databases: Databases,
    /// Endpoints that Credentials may name for new values (`rotation.webhook`), and from which namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["prefix"]))]
    pub rotation_webhooks: Vec<RotationWebhooks>,
    /// What holds for bindings that say nothing else, and for namespaces without an annotation for it.
    #[serde(default, skip_serializing_if = "Defaults::is_empty")]
    pub defaults: Defaults,
}

/// What holds where nobody says otherwise.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// How often a pod looks for changed values; 1m where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("refreshInterval must be between 1s and 24h"))]
    pub refresh_interval: Option<Duration>,
    /// The sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<SidecarDefaults>,
}

/// How sidecars are where nobody says otherwise.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarDefaults {
    /// What they ask for; 10m and 16Mi where it is left out.
    #[serde(flatten)]
    pub resources: Resources,
    /// The size of the volume in memory that holds the files, such as `32Mi`, two versions of them at every
    /// change; what is in it counts on the sidecar's memory. As a binding's
    /// `sidecar.filesSize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('64Ki')) >= 0").message("filesSize must be a quantity of at least 64Ki, such as 32Mi"))]
    pub files_size: Option<String>,
    /// How pods get their secrets, as a binding's `sidecar.mode`; `Sidecar` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SidecarMode>,
    /// Whether they come before all other containers, as a binding's `sidecar.first`; `true` where it is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<bool>,
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
#[x_kube(validation = Rule::new("(!has(self.tlsServerName) && !has(self.clientCertificateRef)) || self.address.startsWith('https://')")
    .message("tlsServerName and clientCertificateRef need an address that begins with https://"))]
#[x_kube(validation = Rule::new("has(self.namespace) == has(oldSelf.namespace)").field_path(".namespace")
    .message("namespace is immutable: values would be left behind; create another SecretProvider"))]
pub struct VaultConnection {
    /// Scheme, host and port, such as `https://vault.vault.svc:8200`; without a path.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+$')")
        .message("address must be http(s)://host[:port] without a path, query or user, e.g. https://vault.vault.svc:8200"))]
    pub address: String,
    /// The Vault namespace that everything of this provider is in, such as `team-a/production`; none
    /// where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*(/[A-Za-z0-9_][-_.A-Za-z0-9]*)*$')")
        .message("namespace must be a Vault namespace: segments of letters, digits, '-', '_' and '.' between single '/', without one at the ends"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("namespace is immutable: values would be left behind; create another SecretProvider"))]
    pub namespace: Option<String>,
    /// PEM certificates of the authorities that may have signed the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
    /// A Secret that holds those certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// The name to expect in the server's certificate, where it is not the address's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?$')").message("tlsServerName must be a host name"))]
    pub tls_server_name: Option<String>,
    /// A Secret of type kubernetes.io/tls whose certificate the operator shows to the server. Pods
    /// don't get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretReference>,
    /// The HTTP proxy between the operator and the server, `http(s)://host:port`. Pods don't use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+$')").message("proxy must be http(s)://host[:port] without a path, query or user"))]
    pub proxy: Option<String>,
    /// How the operator itself logs in.
    pub auth: OperatorAuth,
    /// Where the secret engines are mounted.
    #[serde(default)]
    pub mounts: Mounts,
    /// Whether the operator mounts a secret engine that is missing. Auth mounts are `bootstrap`'s.
    #[serde(default)]
    pub manage_mounts: bool,
    /// First segment of every path that Keystead writes in the KV engine.
    #[serde(default = "default_prefix")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("pathPrefix must be one path segment of lower-case letters, digits and '-'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("pathPrefix is immutable: values would be left behind"))]
    pub path_prefix: String,
}

/// How the operator itself logs in: exactly one of the fields.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.kubernetes), has(self.jwt), has(self.appRole), has(self.tokenSecretRef)].filter(given, given).size() == 1")
    .message("auth needs exactly one of kubernetes, jwt, appRole and tokenSecretRef"))]
pub struct OperatorAuth {
    /// By its own service account token and a TokenReview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<RoleLogin>,
    /// By its own service account token and the cluster's public keys. Never the mount that pods log in
    /// by, because the operator keeps that one's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<RoleLogin>,
    /// By a role id and a secret id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<AppRoleLogin>,
    /// By a token that somebody made for it. The operator renews it and never revokes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyReference>,
}

/// A login by service account token.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct RoleLogin {
    /// Path of the auth mount, without `auth/`; `kubernetes` or `jwt`, as the method, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("mount must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    pub mount: Option<String>,
    /// The role to log in with.
    #[schemars(length(min = 1, max = 253))]
    pub role: String,
}

/// A login through Vault's `approle` auth method.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppRoleLogin {
    /// Path of the auth mount, without `auth/`.
    #[serde(default = "default_app_role_mount")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("mount must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    pub mount: String,
    /// The role's id.
    #[schemars(length(min = 1, max = 253))]
    pub role_id: String,
    /// The Secret that holds the secret id.
    pub secret_id_ref: SecretKeyReference,
}

/// Where the secret engines are mounted.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("!has(oldSelf.database) || (has(self.database) && self.database == oldSelf.database)").message("mounts.database is immutable once it is set: connections would be left behind"))]
#[x_kube(validation = Rule::new("!has(oldSelf.transit) || (has(self.transit) && self.transit == oldSelf.transit)").message("mounts.transit is immutable once it is set: keys would be left behind"))]
pub struct Mounts {
    /// A KV engine of version 2.
    #[serde(default = "default_kv")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("kv must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("mounts.kv is immutable: values would be left behind"))]
    pub kv: String,
    /// A database engine; no databases where it is left out. The operator's policy has to know of it:
    /// `kubectl keystead bootstrap --database PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("database must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    pub database: Option<String>,
    /// A transit engine, for EncryptionKeys; none where it is left out. The operator's policy has to know of
    /// it: `kubectl keystead bootstrap --transit PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$')").message("transit must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    pub transit: Option<String>,
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

/// What is known of a provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// Conditions and the generation they speak of. `Permitted` says what the operator's token may not
    /// do though it should.
    #[serde(flatten)]
    pub basic: BasicStatus,
    /// The server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is sealed; left out while it can't be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// Since when the operator works with it; left out while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable_since: Option<Time>,
}

impl HasBasicStatus for ProviderStatus {
    fn basic(&self) -> &BasicStatus {
        &self.basic
    }

    fn basic_mut(&mut self) -> &mut BasicStatus {
        &mut self.basic
    }
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

fn default_app_role_mount() -> String {
    "approle".into()
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

// === impl Defaults ===

impl Defaults {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Mounts ===

impl Default for Mounts {
    fn default() -> Self {
        Self {
            kv: default_kv(),
            database: None,
            transit: None,
        }
    }
}
