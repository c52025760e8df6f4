//! `Credential`: the keys of one service at one scope.

use crate::common::{BasicStatus, HasBasicStatus, LocalSecretKeyReference, NameRef};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of one service at one scope.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "Credential",
    plural = "credentials",
    shortname = "kcred",
    category = "keystead",
    namespaced,
    status = "CredentialStatus",
    doc = "The keys of one service at one scope.",
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
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scopeRef.name"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSpec {
    /// The scope these values are declared for.
    #[x_kube(validation = Rule::new("self == oldSelf").message("scopeRef is immutable: create another Credential"))]
    pub scope_ref: NameRef,
    /// What the credential opens, such as `hubspot`; the last segment of its path in Vault.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("service must be one path segment of lower-case letters, digits and '-'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("service is immutable: create another Credential"))]
    pub service: String,
    /// What sort of credential it is, for people and policies.
    #[serde(default)]
    pub r#type: CredentialType,
    /// The keys and where their values come from.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Vec<CredentialKey>,
}

/// What sort of credential it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum CredentialType {
    /// A key of an API.
    ApiKey,
    /// A whole connection string.
    ConnectionString,
    /// User and password of a database.
    Database,
    /// An OAuth client or refresh token.
    OAuthToken,
    /// Anything else.
    #[default]
    Opaque,
    /// Keys of an object store.
    Storage,
    /// The shared secret of a webhook.
    WebhookSecret,
}

/// One key of a service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct CredentialKey {
    /// Name of the key, such as `api_key`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_]([-._A-Za-z0-9]*[A-Za-z0-9_])?$')")
        .message("name must be letters, digits, '_', '-' and '.', e.g. api_key"))]
    pub name: String,
    /// Where the value comes from.
    pub from: ValueSource,
}

/// Where a value comes from: exactly one of the fields.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.value)")
    .message("from needs exactly one of secretKeyRef and value"))]
pub struct ValueSource {
    /// A key of a Secret in the Credential's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<LocalSecretKeyReference>,
    /// The value itself, for what is not secret (a URL, a user name): whoever reads the Credential reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub value: Option<String>,
}

/// What is known of a Credential.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// Conditions and the generation they speak of.
    #[serde(flatten)]
    pub basic: BasicStatus,
    /// Where the values are: the path in the KV engine, with its mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version in the KV engine that holds the values as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

impl HasBasicStatus for CredentialStatus {
    fn basic(&self) -> &BasicStatus {
        &self.basic
    }
}
