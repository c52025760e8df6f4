//! `DatabaseConnection` and `DatabaseRole`: users of databases, made by Vault.

mod connection;
mod role;

pub use connection::{
    ConnectionStatus, DatabaseConnection, DatabaseConnectionSpec, DatabasePlugin, default_port,
};
pub use role::{DatabaseRole, DatabaseRoleSpec, DatabaseRoleStatus, DynamicRole, Preset, StaticRole};
