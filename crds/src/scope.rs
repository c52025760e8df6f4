//! `SecretScope`: where a value can be declared, and for whom it counts.

use crate::common::{BasicStatus, NameRef, Namespaces};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where values can be declared, and for whom they count.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "SecretScope",
    plural = "secretscopes",
    shortname = "kss",
    category = "keystead",
    status = "BasicStatus",
    doc = "Where values can be declared, and for whom they count.",
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
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.level"),
    printcolumn(name = "Id", type_ = "string", json_path = ".spec.id"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.providerRef.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(
    validation = Rule::new("(self.spec.level == 'Global') == !has(self.spec.id)")
        .message("spec.id names the company, the node or the user; a Global scope has none, the others need one"),
    validation = Rule::new("self.spec.level != 'Company' || (has(self.spec.members) && has(self.spec.members.namespaceSelector))")
        .message("spec.members.namespaceSelector says which namespaces belong to a Company, which needs it"),
    validation = Rule::new("!has(self.spec.members) || !has(self.spec.members.namespaceSelector) || self.spec.level == 'Company'")
        .message("spec.members.namespaceSelector belongs to a Company; Global and Node serve every namespace the provider admits, a User has no namespaces"),
    validation = Rule::new("!has(self.spec.members) || self.spec.level in ['Company', 'User']")
        .message("spec.members belongs to Company and User; Global and Node serve every namespace the provider admits and have none"),
    validation = Rule::new("!has(self.spec.id) || self.spec.level == 'User' || self.spec.id.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("spec.id must be one path segment: lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"),
)]
#[serde(rename_all = "camelCase")]
pub struct SecretScopeSpec {
    /// The provider this scope belongs to.
    #[x_kube(validation = Rule::new("self == oldSelf").message("providerRef is immutable: create another SecretScope"))]
    pub provider_ref: NameRef,
    /// How specific the scope is. For each key the most specific scope that has it wins.
    #[x_kube(validation = Rule::new("self == oldSelf").message("level is immutable: create another SecretScope"))]
    pub level: Level,
    /// Which company, which node (its name), or which user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-._@a-z0-9]*[a-z0-9])?$')")
        .message("id must be one path segment: lower-case letters, digits, '-', '.' and for a User also '_' and '@', starting and ending with a letter or digit"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("id is immutable: create another SecretScope"))]
    pub id: Option<String>,
    /// Who is a member: of a Company its namespaces, and users and groups of the HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Members>,
    /// In which namespaces Credentials may declare values for this scope. Of a Company never those that
    /// are members of another.
    pub writers: Namespaces,
}

/// Who is a member of a scope.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Whose pods are members: which namespaces. The empty selector chooses all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Names of users, as the API server knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub users: Vec<String>,
    /// Names of groups, as the API server knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,
}

/// How specific a scope is, most specific first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Level {
    /// One user of the HTTP API; pods have none.
    User,
    /// One node of the cluster; only under `workloadAuth.method: Jwt`.
    Node,
    /// One company (tenant).
    Company,
    /// Everyone the provider admits.
    Global,
}

impl Level {
    /// The level as a path segment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Node => "node",
            Self::Company => "company",
            Self::Global => "global",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
