//! `DatabaseConnection` and `DatabaseRole`: users of databases, made by Vault.

mod connection;
mod role;

pub use connection::{
    ConnectionStatus, DatabaseConnection, DatabaseConnectionSpec, DatabasePlugin, default_port,
};
pub use role::{DatabaseRole, DatabaseRoleSpec, DatabaseRoleStatus, DynamicRole, Preset, StaticRole};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of what stands in Vault when the object is deleted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DatabaseDeletion {
    /// It stays.
    Retain,
    /// It goes.
    Delete,
}
