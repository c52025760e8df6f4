//! The database engine's connections and roles. What makes them ours is their names, which have our
//! prefix. API: <https://openbao.org/api-docs/secret/databases/>.

mod closed;
mod connection;
mod role;

pub use closed::ClosedConnection;
pub use connection::{Authority, DatabaseConnection, DatabaseServer, Root, SecretKey, Tls};
pub use role::{DatabaseRole, PasswordState, RoleKind};
