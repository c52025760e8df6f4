//! The database engine's connections and roles. What makes them ours is their names, which have our
//! prefix. API: <https://openbao.org/api-docs/secret/databases/>.

mod connection;
mod role;

pub use connection::{Authority, DatabaseConnection, DatabaseServer, Root, SecretKey, Tls};
pub use role::{DatabaseRole, RoleKind};

use serde_json::{Map, Value};

/// The names of the fields that are not as wanted, each in a line.
fn differences(wanted: &Map<String, Value>, found: &Map<String, Value>) -> Vec<String> {
    let different = wanted
        .iter()
        .filter(|(name, wanted)| found.get(*name) != Some(*wanted));
    different.map(|(name, _)| format!("{name} is changed")).collect()
}

/// The fields of an object that is written as `json!({…})`.
fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
