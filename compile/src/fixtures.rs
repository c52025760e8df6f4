//! Small worlds for tests.

use crate::{Key, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_crds::provider::DEFAULT_CLASS;
use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn world(
    providers: impl IntoIterator<Item = SecretProvider>,
    scopes: impl IntoIterator<Item = SecretScope>,
) -> World {
    let mut world = World::new("c1", DEFAULT_CLASS);
    for provider in providers {
        world.set_provider(&provider.metadata.name.clone().unwrap(), Some(Arc::new(provider)));
    }
    for scope in scopes {
        world.set_scope(&scope.metadata.name.clone().unwrap(), Some(Arc::new(scope)));
    }
    world
}

pub(crate) fn provider(name: &str) -> SecretProvider {
    object(
        SecretProvider::new,
        name,
        json!({
            "environment": "production",
            "vault": { "address": "https://vault:8200", "auth": { "kubernetes": { "role": "keystead-operator" } } },
            "workloadAuth": { "method": "Jwt", "mount": "jwt-c1" },
        }),
    )
}

pub(crate) fn global(name: &str, provider: &str) -> SecretScope {
    object(
        SecretScope::new,
        name,
        json!({
            "providerRef": { "name": provider },
            "level": "Global",
            "writers": { "namespaceSelector": { "matchLabels": { "writes": "global" } } },
        }),
    )
}

pub(crate) fn node(name: &str, provider: &str, id: &str) -> SecretScope {
    object(
        SecretScope::new,
        name,
        json!({
            "providerRef": { "name": provider },
            "level": "Node",
            "id": id,
            "writers": { "namespaceSelector": {} },
        }),
    )
}

/// Members carry the label `company: <id>`, writers `writes: <id>`.
pub(crate) fn company(name: &str, provider: &str, id: &str, age: i64) -> SecretScope {
    let mut scope = object(
        SecretScope::new,
        name,
        json!({
            "providerRef": { "name": provider },
            "level": "Company",
            "id": id,
            "members": { "namespaceSelector": { "matchLabels": { "company": id } } },
            "writers": { "namespaceSelector": { "matchLabels": { "writes": id } } },
        }),
    );
    scope.metadata.creation_timestamp = Some(created(age));
    scope
}

pub(crate) fn credential(namespace: &str, name: &str, scope: &str, service: &str, age: i64) -> Credential {
    let mut credential = object(
        Credential::new,
        name,
        json!({
            "scopeRef": { "name": scope },
            "service": service,
            "keys": [
                { "name": "api_key", "from": { "secretKeyRef": { "name": "s", "key": "k" } } },
                { "name": "base_url", "from": { "value": "https://api.example" } },
            ],
        }),
    );
    credential.metadata.namespace = Some(namespace.into());
    credential.metadata.creation_timestamp = Some(created(age));
    credential
}

pub(crate) fn binding(
    namespace: &str,
    name: &str,
    provider: &str,
    account: &str,
    service: &str,
) -> SecretBinding {
    let mut binding = object(
        SecretBinding::new,
        name,
        json!({
            "providerRef": { "name": provider },
            "serviceAccounts": [account],
            "secrets": [{ "name": service, "service": service }],
        }),
    );
    binding.metadata.namespace = Some(namespace.into());
    binding
}

fn object<S: serde::de::DeserializeOwned, K>(new: fn(&str, S) -> K, name: &str, spec: Value) -> K {
    new(name, serde_json::from_value(spec).unwrap())
}

pub(crate) fn created(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap())
}

/// A provider with databases, and a connection to one in the namespace shop. Static users are `legacy` and, in
/// that namespace, `app-…`.
pub(crate) fn database_world() -> World {
    let mut provider = provider("p");
    provider.spec.vault.mounts.database = Some("database".into());
    let hosts = json!([{"host": "db.example.com", "namespaces": {}}]);
    provider.spec.databases.hosts = serde_json::from_value(hosts).unwrap();
    let users = json!([{"username": "legacy", "namespaces": {}}, {"username": "app-*", "namespaces": {"matchLabels": {"name": "shop"}}}]);
    provider.spec.databases.static_users = serde_json::from_value(users).unwrap();
    let mut world = world([provider], []);
    for namespace in ["shop", "hr"] {
        world.set_namespace(
            namespace,
            Some([("name".to_owned(), namespace.to_owned())].into()),
        );
    }
    let connection = database_connection("shop", "orders");
    world.set_database_connection(Key::of(&connection), Some(Arc::new(connection)));
    world
}

/// A connection to the server of [`database_world`].
pub(crate) fn database_connection(namespace: &str, name: &str) -> DatabaseConnection {
    let spec = json!({
        "providerRef": {"name": "p"},
        "plugin": "PostgreSQL",
        "host": "db.example.com",
        "database": "orders",
        "username": "root",
        "rootPasswordRef": {"name": "orders-root", "key": "password"},
    });
    let mut connection = object(DatabaseConnection::new, name, spec);
    connection.metadata.namespace = Some(namespace.into());
    connection
}

/// A role of a connection, with these fields.
pub(crate) fn database_role(namespace: &str, name: &str, connection: &str, fields: &Value) -> DatabaseRole {
    let mut spec = fields.clone();
    spec["connectionRef"] = json!({ "name": connection });
    let mut role = object(DatabaseRole::new, name, spec);
    role.metadata.namespace = Some(namespace.into());
    role
}

/// A key of the provider p, with these fields.
pub(crate) fn encryption_key(name: &str, fields: &Value) -> EncryptionKey {
    let mut spec = fields.clone();
    spec["providerRef"] = json!({"name": "p"});
    object(EncryptionKey::new, name, spec)
}
