//! Which databases a provider's Vault connects to, and for whom.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which databases Vault connects to, and for whom.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Databases {
    /// The servers that DatabaseConnections may name; none where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host"]))]
    pub hosts: Vec<DatabaseHost>,
    /// The users of these servers whose passwords static DatabaseRoles may take over, and for whom; none
    /// where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["username"]))]
    pub static_users: Vec<StaticUser>,
    /// Which namespaces' DatabaseRoles may bring statements of their own, which Vault runs as the
    /// database's root; none where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_statements: Option<LabelSelector>,
}

impl Databases {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Database servers, opened to some namespaces.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.caFile) && !has(self.caBundle) || self.tls == 'Verified'").message("caFile and caBundle need tls: Verified"))]
pub struct DatabaseHost {
    /// A host name or an IPv4 address, or `*.` and a domain, which stands for all hosts below it.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^([*][.])?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("host must be a host name or an IPv4 address in lower case, or '*.' and a domain"))]
    pub host: String,
    /// The ports that they may name; the usual one of each sort of server where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 65535)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub ports: Vec<i32>,
    /// Which namespaces' DatabaseConnections may name it; the empty selector chooses all that the
    /// provider admits.
    pub namespaces: LabelSelector,
    /// How Vault knows the server.
    #[serde(default)]
    pub tls: DatabaseTls,
    /// A file on Vault's machine with the certificates of who signed the server's, for PostgreSQL, whose
    /// plugin takes no others; those that the machine trusts where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^(/[A-Za-z0-9_][-_.A-Za-z0-9]*)+$')").message("caFile must be an absolute path: names of letters, digits, '-', '_' and '.'"))]
    pub ca_file: Option<String>,
    /// PEM certificates of who signed the server's, for Redis and Valkey, whose plugins need them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
}

/// Users of databases, opened to some namespaces.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct StaticUser {
    /// A user, or the beginning of users' names and `*`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*[*]?$')")
        .message("username must be letters, digits, '-', '_' and '.', with or without a '*' at its end"))]
    pub username: String,
    /// Whose DatabaseRoles may name it; the empty selector chooses all that the provider admits.
    pub namespaces: LabelSelector,
}

/// How Vault knows a database server.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DatabaseTls {
    /// By its certificate.
    #[default]
    Verified,
    /// Not at all; the connection is encrypted.
    Unverified,
    /// Not at all, and whoever listens reads the passwords.
    Off,
}
