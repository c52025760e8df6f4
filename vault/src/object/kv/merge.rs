//! What stands at a path and what is wanted there, as one document.

use super::document::Document;
use super::marks::Marks;
use super::rotation::{Noted, PREVIOUS, Turn};
use super::{KvSecret, Observed, Values, Wanted};
use crate::error::Error;
use crate::sensitive::Sensitive;
use serde_json::Value;
use std::collections::BTreeSet;

/// The document as it should be, and what its marks will say.
pub(super) struct Merged {
    pub(super) document: Document,
    pub(super) ours: BTreeSet<String>,
    /// The keys that were made or fetched.
    pub(super) generated: BTreeSet<String>,
    /// Whether values were replaced in a rotation.
    pub(super) replaced: bool,
    pub(super) noted: Noted,
    /// The keys that an endpoint is to be asked for first.
    pub(super) asks: Option<Vec<String>>,
    pub(super) lacking: Option<Error>,
}

/// What became of values that nobody else has.
#[derive(Default)]
struct Made<'a> {
    all: BTreeSet<String>,
    /// Those that were there and are others now.
    replaced: bool,
    /// Those that are there for the first time.
    first: bool,
    /// Those that an endpoint is to be asked for.
    asks: Vec<String>,
    lost: Vec<&'a str>,
    failed: Option<Error>,
}

/// Keeps the value that a key had before, or the one kept already; answers under which name.
fn keep_previous(
    document: &mut Document,
    before: &Document,
    owned: &BTreeSet<String>,
    key: &str,
) -> Option<String> {
    let name = format!("{key}{PREVIOUS}");
    let is_another = document.get(key) != before.get(key);
    let value = before
        .get(if is_another { key } else { &name })
        .and_then(Value::as_str);
    // What others wrote under that name stays.
    let is_free = owned.contains(&name) || !before.has(&name);
    let value = value.filter(|_| is_free)?;
    document.set(&name, value);
    Some(name)
}

/// What an endpoint gave for a key, if it was asked for this rotation.
fn answer(key: &str, values: &Values<'_>, turn: &Turn) -> Option<Result<Sensitive<String>, Error>> {
    let answers = values
        .answers
        .as_ref()
        .filter(|answers| answers.id == turn.begun.id)?;
    Some(match &answers.values {
        Err(why) => Err(why.clone()),
        Ok(given) => given
            .get(key)
            .cloned()
            .ok_or_else(|| Error::Webhook(format!("the answer has no value for {key}, which was asked for"))),
    })
}

impl KvSecret {
    pub(super) fn merge(
        &self,
        observed: &Observed,
        marks: &Marks,
        values: &Values<'_>,
        turn: &Turn,
    ) -> Result<Merged, Error> {
        let owned = marks.keys();
        let before = observed.document().cloned().unwrap_or_default();
        let mut document = before.clone();
        document.retain(|key| !owned.contains(key) || values.keys.contains_key(key));
        let mut ours = BTreeSet::new();
        let mut missing = Vec::new();
        let mut brought = false;
        for (&key, wanted) in &values.keys {
            match wanted {
                Wanted::InVault if !document.has(key) => missing.push(key),
                Wanted::InVault | Wanted::Made(_) => {}
                Wanted::Plainly(value) => document.set(key, value),
                Wanted::Exactly(value) => {
                    document.set(key, value.expose());
                    let other = before.has(key) && before.get(key) != document.get(key);
                    brought |= other && self.replaces(wanted);
                }
            }
            if !matches!(wanted, Wanted::InVault) {
                ours.insert(key.to_owned());
            }
        }
        let made = self.make(&mut document, observed, marks, values, turn)?;
        let replaced = made.replaced || brought;
        let noted = if replaced || made.first {
            turn.done(replaced, values.now)
        } else {
            turn.rest(made.failed.is_some())
        };
        ours.extend(made.all.iter().cloned());
        // Nothing of before is kept by a rotation that is to drop it.
        if (turn.keeps || !replaced) && self.keeps_previous(&noted, values.now) {
            for (&key, _) in values.keys.iter().filter(|(_, wanted)| self.replaces(wanted)) {
                ours.extend(keep_previous(&mut document, &before, &owned, key));
            }
        }
        let lacking = made.failed.or_else(|| self.lost(&made.lost));
        Ok(Merged {
            document,
            ours,
            generated: made.all,
            replaced,
            noted,
            asks: (!made.asks.is_empty()).then_some(made.asks),
            lacking: lacking.or_else(|| self.missing(&missing, observed)),
        })
    }

    /// Makes values that nobody has, and those that are to be replaced.
    fn make<'a>(
        &self,
        document: &mut Document,
        observed: &Observed,
        marks: &Marks,
        values: &Values<'a>,
        turn: &Turn,
    ) -> Result<Made<'a>, Error> {
        let known = marks.generated();
        let mut made = Made::default();
        for (&key, wanted) in &values.keys {
            let Wanted::Made(recipe) = wanted else { continue };
            let was_made = known.contains(key) || (self.known && observed.marks.is_none());
            let is_there = document.has(key);
            // What was lost is replaced for who asks, and not because its time has come.
            let rotates = if is_there {
                turn.rotates && self.replaces(wanted)
            } else {
                turn.asked && was_made
            };
            made.all.insert(key.to_owned());
            if !rotates && is_there {
                continue;
            }
            if !rotates && was_made {
                made.lost.push(key);
                continue;
            }
            let value = match recipe {
                Some(recipe) => recipe.make().map_err(|why| {
                    Error::Value(format!("the value of key {key} can't be generated: {why}"))
                })?,
                None => match answer(key, values, turn) {
                    Some(Ok(value)) => value,
                    Some(Err(why)) => {
                        made.failed = Some(why);
                        // It was not made, so it is not lost.
                        if !was_made {
                            made.all.remove(key);
                        }
                        continue;
                    }
                    None => {
                        made.asks.push(key.to_owned());
                        continue;
                    }
                },
            };
            document.set(key, value.expose());
            made.replaced |= rotates;
            made.first |= !rotates;
        }
        Ok(made)
    }

    fn lost(&self, keys: &[&str]) -> Option<Error> {
        (!keys.is_empty()).then(|| Error::Lost {
            path: self.path.to_string(),
            keys: keys.join(", "),
        })
    }

    fn missing(&self, keys: &[&str], observed: &Observed) -> Option<Error> {
        let first = keys.first()?;
        let verb = if observed.document().is_some() {
            "patch"
        } else {
            "put"
        };
        Some(Error::Value(format!(
            "{} has no key {}, which people write there: run vault kv {verb} -mount={} -cas={} {} {first}=…",
            self.path,
            keys.join(", "),
            self.path.mount,
            observed.version,
            self.path.path,
        )))
    }
}
