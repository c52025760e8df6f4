//! What is decided, against a model of Vault that carries it out and may crash after any request.

use super::plan::Changes;
use super::removal::{Removal, Step};
use super::*;
use crate::engine::Action;
use marks::Marks;
use serde_json::{Value, json};

mod deletion;
mod generated;
mod merge;
mod rotation;

fn secret() -> KvSecret {
    KvSecret {
        path: KvPath {
            mount: "kv".into(),
            path: "keystead/production/global/all/hubspot".into(),
        },
        owner: Owner {
            cluster: "c1".into(),
            namespace: "shared".into(),
            name: "hubspot".into(),
        },
        keys: BTreeMap::new(),
        adoption: Adoption::Refuse,
        active: true,
        rotation: None,
        asked: None,
        known: false,
    }
}

fn wanted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Values<'a> {
    let exactly = |(key, value)| (key, Wanted::Exactly(Sensitive::from(value)));
    of(pairs.into_iter().map(exactly).collect())
}

fn of<'a>(keys: BTreeMap<&'a str, Wanted<'a>>) -> Values<'a> {
    Values {
        keys,
        answers: None,
        now: Timestamp::UNIX_EPOCH,
    }
}

fn document(pairs: &[(&str, &str)]) -> Document {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
    Document(pairs.collect())
}

/// A path as a person leaves it.
fn theirs(pairs: &[(&str, &str)]) -> Observed {
    Observed {
        version: 1,
        versions: [(1, false)].into(),
        data: Some(document(pairs)),
        marks: Some(Marks::default()),
        ..Observed::default()
    }
}

fn text(observed: &Observed, key: &str) -> Option<String> {
    let document = observed.data.as_ref()?;
    document.0.get(key)?.as_str().map(str::to_owned)
}

/// What a person does at a path.
fn by_hand(observed: &mut Observed, key: &str, value: &Value) {
    let mut data = observed.data.clone().unwrap_or_default();
    data.0.insert(key.to_owned(), value.clone());
    push(observed, data);
}

fn push(observed: &mut Observed, data: Document) {
    observed.marks.get_or_insert_default();
    observed.version += 1;
    observed.versions.insert(observed.version, false);
    observed.data = Some(data);
    if observed.versions.len() > 2 {
        observed.versions.pop_first();
    }
}

/// Carries a plan out, as far as `steps` requests go. `hidden` is what a hidden version holds.
fn carry_out(observed: &mut Observed, hidden: &mut Option<Document>, changes: Changes, steps: usize) {
    let mut left = steps;
    let mut step = || {
        let go = left > 0;
        left = left.saturating_sub(1);
        go
    };
    if let Some(marks) = changes.mark_first
        && step()
    {
        // As the server does.
        assert!(
            marks.0.values().all(|mark| (1..=512).contains(&mark.len())),
            "{marks:?}"
        );
        note_begun(observed, &marks);
        observed.marks = Some(marks);
        observed.cas_required = true;
        observed.max_versions = MAX_VERSIONS;
    }
    if let Some(visible) = changes.visible
        && step()
    {
        if visible {
            observed.data = hidden.take();
        } else {
            *hidden = observed.data.take();
        }
    }
    if let Some(data) = changes.data
        && step()
    {
        assert_eq!(changes.version, observed.version, "check-and-set");
        push(observed, data);
    }
    if let Some(marks) = changes.mark_last
        && step()
    {
        note_begun(observed, &marks);
        observed.marks = Some(marks);
    }
}

/// What an observation would read of the version that a rotation began from.
fn note_begun(observed: &mut Observed, marks: &Marks) {
    let from = marks.rotation().begun.map(|begun| begun.from);
    observed.begun_at = observed.data.clone().filter(|_| from == Some(observed.version));
}

/// Passes until nothing is left to do; answers what each did.
fn settle(
    secret: &KvSecret,
    observed: &mut Observed,
    hidden: &mut Option<Document>,
    values: &Values<'_>,
) -> Vec<Action> {
    let mut done = Vec::new();
    loop {
        let changes = secret.plan(observed, values).unwrap();
        if changes.is_empty() {
            assert_eq!(changes.planned, crate::engine::Planned::default());
            return done;
        }
        assert!(!changes.planned.details.is_empty(), "a change says what it is");
        done.push(changes.planned.action);
        assert!(done.len() < 4, "it does not settle: {done:?}");
        carry_out(observed, hidden, changes, usize::MAX);
    }
}
