//! `DatabaseConnection`: a database server, and the user by whom Vault makes others there.

use crate::common::{BasicStatus, Disposal, HasBasicStatus, LocalSecretKeyReference, NameRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A database server, and the user by whom Vault makes others there.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "DatabaseConnection",
    plural = "databaseconnections",
    shortname = "kdbc",
    category = "keystead",
    namespaced,
    status = "ConnectionStatus",
    doc = "A database server, and the user by whom Vault makes others there.",
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
    printcolumn(name = "Plugin", type_ = "string", json_path = ".spec.plugin"),
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.host"),
    printcolumn(name = "Database", type_ = "string", json_path = ".spec.database"),
    printcolumn(
        name = "Root-Rotated",
        type_ = "date",
        json_path = ".status.rootRotatedAt"
    ),
    printcolumn(
        name = "Provider",
        type_ = "string",
        json_path = ".spec.providerRef.name",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("(self.spec.plugin == 'PostgreSQL') == has(self.spec.database)")
        .message("spec.database is needed for PostgreSQL, and the other plugins have none"),
    validation = Rule::new("size(self.metadata.name) <= 100")
        .message("metadata.name must have at most 100 characters: it becomes part of names in Vault")
)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseConnectionSpec {
    /// The provider whose Vault connects.
    #[x_kube(validation = Rule::new("self == oldSelf").message("providerRef is immutable: create another DatabaseConnection"))]
    pub provider_ref: NameRef,
    /// What sort of server. `Valkey` is a plugin of OpenBao, which works with Redis too; Vault has `Redis`.
    #[x_kube(validation = Rule::new("self == oldSelf").message("plugin is immutable: create another DatabaseConnection"))]
    pub plugin: DatabasePlugin,
    /// Its host name or IPv4 address, as Vault finds it: one that the provider's `databases.hosts` opens to
    /// this namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')").message("host must be a host name or an IPv4 address in lower case, without a port"))]
    pub host: String,
    /// Its port; the usual one of its sort where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    pub port: Option<u16>,
    /// The database to connect to, for PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*$')").message("database must be letters, digits, '-', '_' and '.'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("database is immutable: create another DatabaseConnection"))]
    pub database: Option<String>,
    /// The user by whom Vault makes others. It should be Vault's alone.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*$')").message("username must be letters, digits, '-', '_' and '.'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("username is immutable: create another DatabaseConnection"))]
    pub username: String,
    /// Its first password, in a Secret of this namespace. It is sent to Vault once, when Vault does not
    /// know this connection, and again for each new value of the annotation `keystead.dev/root-password`.
    pub root_password_ref: LocalSecretKeyReference,
    /// Whether Vault gives the user another password at once, which nobody else knows.
    #[serde(default = "yes")]
    pub rotate_root: bool,
    /// What becomes of the connection in Vault when this is deleted. With it goes a password that nobody
    /// else knows.
    #[serde(default = "retain")]
    pub deletion_policy: Disposal,
}

impl DatabaseConnectionSpec {
    /// Host and port of its server.
    pub fn server(&self) -> (&str, u16) {
        let usual = default_port(self.plugin);
        (&self.host, self.port.unwrap_or(usual))
    }
}

/// What sort of server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DatabasePlugin {
    /// PostgreSQL.
    #[serde(rename = "PostgreSQL")]
    PostgreSql,
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    /// Conditions and the generation they speak of.
    #[serde(flatten)]
    pub basic: BasicStatus,
    /// When Vault gave the root user a password that nobody else knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_rotated_at: Option<Time>,
    /// The value of the annotation `keystead.dev/root-password` for which the password was sent last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_password: Option<String>,
    /// The DatabaseRoles that may use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub roles: Vec<String>,
}

/// The usual port of a sort of server.
pub const fn default_port(plugin: DatabasePlugin) -> u16 {
    match plugin {
        DatabasePlugin::PostgreSql => 5432,
        DatabasePlugin::Redis | DatabasePlugin::Valkey => 6379,
    }
}

const fn yes() -> bool {
    true
}

const fn retain() -> Disposal {
    Disposal::Retain
}

impl HasBasicStatus for ConnectionStatus {
    fn basic(&self) -> &BasicStatus {
        &self.basic
    }

    fn basic_mut(&mut self) -> &mut BasicStatus {
        &mut self.basic
    }
}
