//! `SecretScope`: where a value can be declared, and for whom it counts.

use crate::common::{BasicStatus, NameRef, Namespaces};
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
        .message("spec.id names the company or the node; a Global scope has none, the others need one"),
    validation = Rule::new("(self.spec.level == 'Company') == has(self.spec.members)")
        .message("spec.members says which namespaces belong to a Company; Global and Node serve every namespace the provider admits and have none"),
)]
#[serde(rename_all = "camelCase")]
pub struct SecretScopeSpec {
    /// The provider this scope belongs to.
    #[x_kube(validation = Rule::new("self == oldSelf").message("providerRef is immutable: create another SecretScope"))]
    pub provider_ref: NameRef,
    /// How specific the scope is. For each key the most specific scope that has it wins.
    #[x_kube(validation = Rule::new("self == oldSelf").message("level is immutable: create another SecretScope"))]
    pub level: Level,
    /// Which company, or which node (its name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("id must be one path segment: lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("id is immutable: create another SecretScope"))]
    pub id: Option<String>,
    /// Whose pods are members of this company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Namespaces>,
    /// In which namespaces Credentials may declare values for this scope.
    pub writers: Namespaces,
}

/// How specific a scope is, most specific first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Level {
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
