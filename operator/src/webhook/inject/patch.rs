//! A JSON patch, written directly: making it from two pods by diff takes three times as long.

use serde::Serialize;
use serde_json::Value;

/// One operation of a JSON patch. Injection only ever adds; to a command it adds what stands before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Inserts into a list, or sets a field.
    Add {
        /// Where, as a JSON pointer.
        path: String,
        /// What.
        value: Value,
    },
}

/// Operations in the order they are applied.
#[derive(Debug, Default)]
pub(super) struct Patch(Vec<Operation>);

impl Patch {
    pub(super) fn add(&mut self, path: String, value: Value) {
        self.0.push(Operation::Add { path, value });
    }

    /// Puts values into a list from this place on, or makes one of them where there is none.
    pub(super) fn insert(&mut self, parent: &str, field: &str, place: Option<usize>, values: Vec<Value>) {
        let Some(place) = place else {
            return self.add(format!("{parent}/{field}"), Value::Array(values));
        };
        for (index, value) in values.into_iter().enumerate() {
            self.add(format!("{parent}/{field}/{}", place + index), value);
        }
    }

    /// Puts values at the end of a list, which is made where there is none.
    pub(super) fn append(&mut self, parent: &str, field: &str, exists: bool, values: Vec<Value>) {
        if !exists {
            return self.add(format!("{parent}/{field}"), Value::Array(values));
        }
        for value in values {
            self.add(format!("{parent}/{field}/-"), value);
        }
    }

    pub(super) fn finish(self) -> Vec<Operation> {
        self.0
    }
}

/// One step of a JSON pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
