//! The typed objects that Keystead keeps in Vault. Each file reads, diffs, writes and deletes one
//! kind; `engine` decides which of these happens.

mod database;
mod fields;
mod keys;
mod kv;
mod mount;
mod policy;
mod role;
mod transit;

pub use database::{
    Authority, ClosedConnection, DatabaseConnection, DatabaseRole, DatabaseServer, PasswordState, RoleKind,
    Root, SecretKey, Tls,
};
pub use keys::SigningKeys;
pub use kv::{
    Adoption, Asked, Deletion, KvSecret, Owner, PREVIOUS, RotatedBy, Rotation, RotationRequest, Subject,
    ValueRef, ValueStore, Webhook,
};
pub use mount::{Mount, MountKind};
pub use policy::Policy;
pub use role::{AuthRole, RoleMethod};
pub use transit::{TransitKey, TransitState};

use std::fmt;

/// One thing in Vault, as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Object {
    /// A connection of the database engine that no role may use.
    ClosedConnection(ClosedConnection),
    /// A connection of the database engine.
    DatabaseConnection(DatabaseConnection),
    /// A role of the database engine.
    DatabaseRole(DatabaseRole),
    /// Values of one service at one scope.
    KvSecret(KvSecret),
    /// A secret engine.
    Mount(Mount),
    /// An ACL policy.
    Policy(Policy),
    /// A role of an auth mount.
    Role(AuthRole),
    /// The keys of a jwt mount.
    SigningKeys(SigningKeys),
    /// A key of the transit engine.
    TransitKey(TransitKey),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedConnection(ClosedConnection { mount, name })
            | Self::DatabaseConnection(DatabaseConnection { mount, name, .. }) => {
                write!(f, "database connection {mount}/{name}")
            }
            Self::DatabaseRole(role) => write!(f, "database role {}/{}", role.mount, role.name),
            Self::KvSecret(secret) => write!(f, "values {}", secret.path),
            Self::Mount(mount) => write!(f, "mount {}", mount.path),
            Self::Policy(policy) => write!(f, "policy {}", policy.name),
            Self::Role(role) => write!(f, "role auth/{}/role/{}", role.mount, role.name),
            Self::SigningKeys(keys) => write!(f, "signing keys {}", keys.path()),
            Self::TransitKey(key) => write!(f, "encryption key {}", key.path()),
        }
    }
}
