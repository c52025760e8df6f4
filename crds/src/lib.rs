//! The contract between Keystead's parts and its users: resource types, labels and annotations,
//! condition types and reasons, and the config file the webhook hands to the sidecar.
//!
//! Nothing here does I/O, and nothing here depends on another room.

#![allow(
    clippy::duplicated_attributes,
    reason = "kube's attributes of one kind repeat the same keys"
)]
#![expect(
    unreachable_pub,
    reason = "kube's KubeSchema derive repeats each struct in a scope of its own"
)]

pub mod binding;
pub mod common;
pub mod condition;
pub mod credential;
pub mod database;
pub mod encryption;
pub mod names;
pub mod provider;
#[cfg(any(test, feature = "crdgen"))]
pub mod reference;
pub mod scope;
pub mod sidecar;

pub use binding::{SecretBinding, SecretBindingSpec};
pub use credential::{Credential, CredentialSpec};
pub use database::{DatabaseConnection, DatabaseConnectionSpec, DatabaseRole, DatabaseRoleSpec};
pub use encryption::{EncryptionKey, EncryptionKeySpec};
pub use provider::{SecretProvider, SecretProviderSpec};
pub use scope::{Level, SecretScope, SecretScopeSpec};

/// Every kind's definition, in the order they are documented.
pub fn definitions()
-> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> {
    use kube::CustomResourceExt as _;
    vec![
        SecretProvider::crd(),
        SecretScope::crd(),
        Credential::crd(),
        SecretBinding::crd(),
        DatabaseConnection::crd(),
        DatabaseRole::crd(),
        EncryptionKey::crd(),
    ]
}

/// Every kind's schema as the types give it, before it is made fit for a definition: it still says what the
/// values of enums mean.
#[cfg(any(test, feature = "crdgen"))]
pub fn schemas() -> Vec<serde_json::Value> {
    vec![
        schemars::schema_for!(SecretProvider).to_value(),
        schemars::schema_for!(SecretScope).to_value(),
        schemars::schema_for!(Credential).to_value(),
        schemars::schema_for!(SecretBinding).to_value(),
        schemars::schema_for!(DatabaseConnection).to_value(),
        schemars::schema_for!(DatabaseRole).to_value(),
        schemars::schema_for!(EncryptionKey).to_value(),
    ]
}
