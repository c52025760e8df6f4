//! `DatabaseRole`: how Vault makes users of a database, or whose password it rotates.

use crate::common::{BasicStatus, Disposal, HasBasicStatus, NameRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How Vault makes users of a database, or whose password it rotates.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "DatabaseRole",
    plural = "databaseroles",
    shortname = "kdbr",
    category = "keystead",
    namespaced,
    status = "DatabaseRoleStatus",
    doc = "How Vault makes users of a database, or whose password it rotates.",
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
    printcolumn(name = "Connection", type_ = "string", json_path = ".spec.connectionRef.name"),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.dynamic.preset"),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.static.username"),
    printcolumn(name = "Rotated", type_ = "date", json_path = ".status.rotatedAt"),
    printcolumn(name = "Due", type_ = "string", json_path = ".status.due"),
    printcolumn(name = "Held By", type_ = "string", json_path = ".status.heldBy"),
    printcolumn(
        name = "Path",
        type_ = "string",
        json_path = ".status.path",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.dynamic) != has(self.spec.static)")
        .message("spec needs exactly one of dynamic and static"),
    validation = Rule::new("has(self.spec.dynamic) == has(oldSelf.spec.dynamic)")
        .message("whether it is dynamic or static is immutable: create another DatabaseRole"),
    validation = Rule::new("size(self.metadata.name) <= 100")
        .message("metadata.name must have at most 100 characters: it becomes part of names in Vault")
)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseRoleSpec {
    /// The DatabaseConnection, in this namespace.
    #[x_kube(validation = Rule::new("self == oldSelf").message("connectionRef is immutable: create another DatabaseRole"))]
    pub connection_ref: NameRef,
    /// A user for each who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<DynamicRole>,
    /// One user that is there, for all who ask; Vault rotates its password, for the first time at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#static: Option<StaticRole>,
    /// What becomes of the role in Vault when this is deleted. With a dynamic one go all the users that it
    /// made, at once.
    #[serde(default = "delete")]
    pub deletion_policy: Disposal,
}

/// A user for each who asks.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.preset) != has(self.creationStatements)").message("dynamic needs exactly one of preset and creationStatements"))]
#[x_kube(validation = Rule::new("!has(self.preset) || !has(self.revocationStatements)").message("revocationStatements need creationStatements: a preset has its own"))]
#[x_kube(validation = Rule::new("has(self.preset) || !has(self.schema)").message("schema needs a preset"))]
#[x_kube(validation = Rule::new("duration(self.defaultTtl) <= duration(self.maxTtl)").message("defaultTtl must not be longer than maxTtl"))]
pub struct DynamicRole {
    /// What a user may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The schema that a preset is about, for PostgreSQL; `public` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')").message("schema must be letters, digits and '_'"))]
    #[x_kube(validation = Rule::new("!self.startsWith('pg_') && self != 'information_schema'").message("schema must not be one of the server's own (pg_… and information_schema), which may hold what opens it"))]
    pub schema: Option<String>,
    /// How a user is made, in the words of Vault's plugin. Vault runs them as the database's root, so the
    /// provider has to allow it to the namespace (`databases.freeStatements`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 8192)))]
    pub creation_statements: Vec<String>,
    /// How a user is taken away; the plugin's own way where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 8192)))]
    pub revocation_statements: Vec<String>,
    /// Life of a user between renewals. It never outlives the token by which it was asked for.
    #[serde(default = "hour")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('720h')").message("defaultTtl must be between 10s and 720h"))]
    pub default_ttl: Duration,
    /// Longest life of a user, renewals included.
    #[serde(default = "day")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('8760h')").message("maxTtl must be between 10s and 8760h"))]
    pub max_ttl: Duration,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Preset {
    /// Read everything: all tables and sequences of the schema; every key.
    ReadOnly,
    /// Read and write everything; make nothing.
    ReadWrite,
    /// Everything: make tables too, which are all such users' together. For Redis and Valkey every
    /// command that is not the administrator's.
    Owner,
}

/// One user that is there.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticRole {
    /// The user: one that the provider's `databases.staticUsers` opens to this namespace. It must be there
    /// already, and nobody else may set its password.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*$')").message("username must be letters, digits, '-', '_' and '.'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("username is immutable: create another DatabaseRole"))]
    pub username: String,
    /// How often its password is rotated.
    #[serde(default = "day")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('8760h')").message("rotationPeriod must be between 5s and 8760h"))]
    pub rotation_period: Duration,
}

/// What is known of a role.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseRoleStatus {
    /// Conditions and the generation they speak of.
    #[serde(flatten)]
    pub basic: BasicStatus,
    /// Where Vault gives the credentials to those whose SecretBindings name this role, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The SecretProvider of its connection: where it is taken away if the connection is deleted first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Of a static role: when Vault rotated the password last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// Of a static role: when Vault is to rotate it next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// Which service accounts' bindings name the role: how many, and the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

const fn delete() -> Disposal {
    Disposal::Delete
}

fn hour() -> Duration {
    std::time::Duration::from_hours(1).into()
}

fn day() -> Duration {
    std::time::Duration::from_hours(24).into()
}

impl HasBasicStatus for DatabaseRoleStatus {
    fn basic(&self) -> &BasicStatus {
        &self.basic
    }

    fn basic_mut(&mut self) -> &mut BasicStatus {
        &mut self.basic
    }
}
