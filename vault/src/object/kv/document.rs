//! The values at a path, as one document.

use super::Owner;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io;
use zeroize::Zeroizing;

/// A document of values: wiped when dropped, and without `Debug`.
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Document(pub(super) Map<String, Value>);

/// The only key of a claim: see `write`.
const CLAIM: &str = "keystead-claim";

impl Document {
    /// What stands at a path between its claim and its first values: who claims it, and no secret.
    pub(super) fn claim(owner: &Owner) -> Self {
        let mut claim = Self::default();
        claim.set(CLAIM, &owner.to_string());
        claim
    }

    /// Who claims the path, if this is a claim.
    pub(super) fn claimant(&self) -> Option<&str> {
        self.0.get(CLAIM).filter(|_| self.0.len() == 1)?.as_str()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Sets a key; a value that is the same already stays as it is.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        if self.0.get(key).and_then(Value::as_str) != Some(value) {
            let old = self.0.insert(key.to_owned(), Value::String(value.to_owned()));
            old.into_iter().for_each(wipe);
        }
    }

    /// Takes out the keys that `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let whole = std::mem::take(&mut self.0);
        for (key, value) in whole {
            if keep(&key) {
                self.0.insert(key, value);
            } else {
                wipe(value);
            }
        }
    }

    /// Its length as JSON, in bytes.
    pub(super) fn size(&self) -> usize {
        struct Count(usize);
        impl io::Write for Count {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += bytes.len();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut count = Count(0);
        // Neither counting nor a map of JSON values can fail.
        let _ = serde_json::to_writer(&mut count, &self.0);
        count.0
    }

    /// The keys in which it differs from what stood there before, as sentences without values.
    pub(super) fn differences(&self, before: Option<&Self>) -> Vec<String> {
        let old = |key: &String| before.and_then(|before| before.0.get(key));
        let here = self.0.iter().filter_map(|(key, value)| match old(key) {
            None => Some(format!("key {key} is added")),
            Some(old) if old != value => Some(format!("key {key} is changed")),
            Some(_) => None,
        });
        let gone = before.into_iter().flat_map(Self::keys);
        let gone = gone.filter(|key| !self.has(key));
        here.chain(gone.map(|key| format!("key {key} is removed")))
            .collect()
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        wipe(Value::Object(std::mem::take(&mut self.0)));
    }
}

/// Overwrites every string in a document.
pub(super) fn wipe(body: Value) {
    match body {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
