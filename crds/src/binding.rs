//! `SecretBinding`: which service accounts get which services, and how their pods see them.

use crate::common::{BasicStatus, NameRef};
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which service accounts of the namespace get which services, and how their pods see them.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "SecretBinding",
    plural = "secretbindings",
    shortname = "ksb",
    category = "keystead",
    namespaced,
    status = "BasicStatus",
    doc = "Which service accounts of the namespace get which services, and how their pods see them.",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Accounts", type_ = "string", json_path = ".spec.serviceAccounts"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.providerRef.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(
    validation = Rule::new("!has(self.spec.files) || self.spec.files.all(f, self.spec.secrets.exists(s, s.name == f.secret))")
        .message("spec.files: every 'secret' must be the name of an entry of spec.secrets"),
    validation = Rule::new("!has(self.spec.env) || self.spec.env.all(e, self.spec.secrets.exists(s, s.name == e.secret))")
        .message("spec.env: every 'secret' must be the name of an entry of spec.secrets"),
)]
#[serde(rename_all = "camelCase")]
pub struct SecretBindingSpec {
    /// The provider the values come from.
    pub provider_ref: NameRef,
    /// Whose pods get them: names of service accounts in this namespace.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$'))")
        .message("serviceAccounts must be names of service accounts: lower-case letters, digits, '-' and '.'"))]
    pub service_accounts: Vec<String>,
    /// Which services, each under a name that `files` and `env` use.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<BoundSecret>,
    /// Files in the pod, below `/keystead`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub files: Vec<FileSpec>,
    /// Environment variables of the pod's containers. They keep the value the container started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvSpec>,
    /// How often a pod looks for changed values.
    #[serde(default = "default_refresh")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("refreshInterval must be between 1s and 24h"))]
    pub refresh_interval: Duration,
}

/// One service that a binding asks for.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct BoundSecret {
    /// The name by which `files` and `env` of this binding mean it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The service, as Credentials name it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("service must be one path segment of lower-case letters, digits and '-'"))]
    pub service: String,
}

/// One file in the pod.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("(self.format == 'Raw') == has(self.key)")
    .message("a Raw file holds one key and needs 'key'; a Dotenv file holds all keys and has none"))]
pub struct FileSpec {
    /// Where, relative to `/keystead`: `/`-separated names, none of which begins with a dot.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$')")
        .message("path must be relative, its names made of letters, digits, '-', '_' and '.', none starting with '.'"))]
    pub path: String,
    /// What the file holds.
    pub format: FileFormat,
    /// Which entry of `secrets`.
    #[schemars(length(min = 1, max = 63))]
    pub secret: String,
    /// Which key, for `Raw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub key: Option<String>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum FileFormat {
    /// `NAME='value'` lines, one per key, the key's name in upper case.
    Dotenv,
    /// One key's value, byte by byte.
    Raw,
}

/// One environment variable.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct EnvSpec {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$') && !self.startsWith('KEYSTEAD_')")
        .message("name must be letters, digits and '_', not starting with a digit or with KEYSTEAD_"))]
    pub name: String,
    /// Which entry of `secrets`.
    #[schemars(length(min = 1, max = 63))]
    pub secret: String,
    /// Which key of it.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,
}

fn default_refresh() -> Duration {
    std::time::Duration::from_mins(1).into()
}
