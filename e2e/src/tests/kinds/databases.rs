//! What is refused of databases.

use serde_json::{Value, json};

use super::table::{Row, provider};

/// What the bad manifests are made of.
pub(super) fn good() -> [Value; 3] {
    [connection(), dynamic(), fixed()]
}

fn connection() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "DatabaseConnection",
        "metadata": {"name": "good", "namespace": "default"},
        "spec": {
            "providerRef": {"name": "good"},
            "plugin": "PostgreSQL",
            "host": "db.example.com",
            "database": "orders",
            "username": "vault",
            "rootPasswordRef": {"name": "orders", "key": "password"},
        },
    })
}

fn dynamic() -> Value {
    role("good", &json!({"dynamic": {"preset": "readOnly"}}))
}

fn fixed() -> Value {
    role("good-static", &json!({"static": {"username": "legacy"}}))
}

fn role(name: &str, fields: &Value) -> Value {
    let mut spec = fields.clone();
    spec["connectionRef"] = json!({"name": "good"});
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "DatabaseRole",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    })
}

/// One row a line.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row> {
    let long = "a".repeat(101);
    let hosts = |entry: Value| {
        let mut entry = entry;
        entry["namespaces"] = json!({});
        json!({"hosts": [entry]})
    };
    let one = "dynamic needs exactly one of preset and creationStatements";
    vec![
        (provider, "/spec/vault/mounts/database", json!("a/"), "spec.vault.mounts.database", "must be a Vault path"),
        (provider, "/spec/databases", hosts(json!({"host": "a:5432"})), "spec.databases.hosts[0].host", "host must be a host name"),
        (provider, "/spec/databases", hosts(json!({"host": "*"})), "spec.databases.hosts[0].host", "host must be a host name"),
        (provider, "/spec/databases", hosts(json!({"host": "a", "ports": [0]})), "spec.databases.hosts[0].ports[0]", "greater than or equal to 1"),
        (provider, "/spec/databases", json!({"staticUsers": [{"username": "*", "namespaces": {}}]}), "spec.databases.staticUsers[0].username", "username must be letters"),
        (provider, "/spec/databases", hosts(json!({"host": "a", "caFile": "ca.crt"})), "caFile", "caFile must be an absolute path"),
        (provider, "/spec/databases", hosts(json!({"host": "a", "caFile": "/a&b=c"})), "caFile", "caFile must be an absolute path"),
        (provider, "/spec/databases", hosts(json!({"host": "a", "caFile": "/a", "tls": "Off"})), "spec.databases.hosts[0]", "need tls: Verified"),
        (connection, "/metadata/name", json!(long), "DatabaseConnection", "metadata.name must have at most 100 characters"),
        (connection, "/spec/plugin", json!("Redis"), "spec", "spec.database is needed for PostgreSQL, and the other plugins have none"),
        (connection, "/spec/database", Value::Null, "spec", "spec.database is needed for PostgreSQL"),
        (connection, "/spec/database", json!("a?host=b"), "spec.database", "database must be letters"),
        (connection, "/spec/host", json!("a,b"), "spec.host", "host must be a host name"),
        (connection, "/spec/host", json!("user@a"), "spec.host", "host must be a host name"),
        (connection, "/spec/port", json!(0), "spec.port", "greater than or equal to 1"),
        (connection, "/spec/username", json!("a:b"), "spec.username", "username must be letters"),
        (dynamic, "/metadata/name", json!(long), "DatabaseRole", "metadata.name must have at most 100 characters"),
        (dynamic, "/spec/dynamic", Value::Null, "spec", "spec needs exactly one of dynamic and static"),
        (dynamic, "/spec/static", json!({"username": "a"}), "spec", "spec needs exactly one of dynamic and static"),
        (dynamic, "/spec/dynamic/preset", Value::Null, "spec.dynamic", one),
        (dynamic, "/spec/dynamic/creationStatements", json!(["a"]), "spec.dynamic", one),
        (dynamic, "/spec/dynamic/revocationStatements", json!(["a"]), "spec.dynamic", "revocationStatements need creationStatements"),
        (dynamic, "/spec/dynamic", json!({"creationStatements": ["a"], "schema": "a"}), "spec.dynamic", "schema needs a preset"),
        (dynamic, "/spec/dynamic/schema", json!("a\"; --"), "spec.dynamic.schema", "schema must be letters"),
        (dynamic, "/spec/dynamic/schema", json!("pg_catalog"), "spec.dynamic.schema", "schema must not be one of the server's own"),
        (dynamic, "/spec/dynamic/schema", json!("information_schema"), "spec.dynamic.schema", "schema must not be one of the server's own"),
        (dynamic, "/spec/dynamic/defaultTtl", json!("25h"), "spec.dynamic", "defaultTtl must not be longer than maxTtl"),
        (dynamic, "/spec/dynamic/defaultTtl", json!("1s"), "spec.dynamic.defaultTtl", "defaultTtl must be between"),
        (dynamic, "/spec/dynamic/maxTtl", json!("9000h"), "spec.dynamic.maxTtl", "maxTtl must be between"),
        (fixed, "/spec/static/username", json!("a b"), "spec.static.username", "username must be letters"),
        (fixed, "/spec/static/rotationPeriod", json!("1s"), "spec.static.rotationPeriod", "rotationPeriod must be between"),
    ]
}
