//! Objects that are a handful of named fields, of which Vault answers more than we set.

use serde_json::{Map, Value};

/// By name.
pub(super) type Fields = Map<String, Value>;

/// The fields of an object that is written as `json!({…})`.
pub(super) fn fields(object: Value) -> Fields {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The names of the fields that are not as wanted, each in a line.
pub(super) fn differences(wanted: &Fields, found: &Fields) -> Vec<String> {
    let different = wanted
        .iter()
        .filter(|(name, wanted)| found.get(*name) != Some(*wanted));
    different.map(|(name, _)| format!("{name} is changed")).collect()
}
