//! What is to be done at a path: pure, but for the values that are made.

use super::document::Document;
use super::marks::Marks;
use super::rotation::{Begun, Noted, Request, RotatedBy};
use super::{Adoption, KvSecret, LARGEST, MAX_VERSIONS, Observed, Values};
use crate::engine::{Action, Planned};
use crate::error::Error;
use std::collections::BTreeSet;

/// What is to be done at a path.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) planned: Planned,
    /// Whose the path was.
    pub(super) was: Was,
    /// Marks to set before the data.
    pub(super) mark_first: Option<Marks>,
    /// Whether the newest version is to be hidden or shown. When it is shown, the rest is planned
    /// anew: what it holds was not to be seen before.
    pub(super) visible: Option<bool>,
    /// The document to write.
    pub(super) data: Option<Document>,
    /// Marks to set after the data: keys of ours are gone, or values were made.
    pub(super) mark_last: Option<Marks>,
    /// Check-and-set version of the data.
    pub(super) version: u64,
    /// Version of the metadata, from servers that count it.
    pub(super) metadata_version: Option<u64>,
    /// What an endpoint is to be asked for once the rest is done; then all is planned anew.
    pub(super) asks: Option<Request>,
    /// What is noted of rotations then.
    pub(super) noted: Noted,
    /// What is to be reported once the rest is done.
    pub(super) lacking: Option<Error>,
}

/// Whose a path was before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Was {
    /// It was not there.
    #[default]
    Nowhere,
    /// Its owner gave it up, and nobody wrote since.
    Free,
    /// Claimed by us, and nothing more.
    Claimed,
    /// Ours.
    Ours,
    /// Somebody's who uses no marks, and it is to be adopted.
    Theirs,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.mark_first.is_none()
            && self.visible.is_none()
            && self.data.is_none()
            && self.mark_last.is_none()
            && self.asks.is_none()
    }
}

impl KvSecret {
    /// Decides what to do.
    pub(super) fn plan(&self, observed: &Observed, values: &Values<'_>) -> Result<Changes, Error> {
        let was = self.whose(observed)?;
        let changes = Changes {
            was,
            version: observed.version,
            metadata_version: observed.metadata_version,
            noted: observed.marks.as_ref().map(Marks::rotation).unwrap_or_default(),
            ..Changes::default()
        };
        let mut changes = if !self.active {
            self.hide(changes, observed)
        } else if was == Was::Ours && is_hidden_by_owner(observed) {
            show(changes)
        } else {
            self.write(changes, observed, values)?
        };
        changes.planned.action = match was {
            _ if changes.is_empty() => Action::Unchanged,
            Was::Nowhere | Was::Free | Was::Claimed => Action::Create,
            Was::Ours => Action::Change,
            Was::Theirs => Action::Adopt,
        };
        Ok(changes)
    }

    fn whose(&self, observed: &Observed) -> Result<Was, Error> {
        let Some(marks) = &observed.marks else {
            return Ok(Was::Nowhere);
        };
        match (marks.owner(), self.adoption) {
            (Some(_), _) if self.is_ours(marks) => Ok(Was::Ours),
            (None, _) if self.has_claimed(observed, marks) => Ok(Was::Claimed),
            (None, _) if is_free(observed, marks) => Ok(Was::Free),
            (None, Adoption::Adopt) => Ok(Was::Theirs),
            _ => Err(self.conflict_with(marks)),
        }
    }

    fn hide(&self, mut changes: Changes, observed: &Observed) -> Changes {
        let details = &mut changes.planned.details;
        if observed.document().is_none() || matches!(changes.was, Was::Nowhere | Was::Free) {
            return changes;
        }
        if changes.was == Was::Theirs {
            let marks = observed.marks.clone().unwrap_or_default();
            changes.mark_first =
                Some(marks.owned(&self.owner, &BTreeSet::new(), &BTreeSet::new(), &Noted::default()));
            details.push("the path is marked".into());
        }
        changes.visible = Some(false);
        details.push(format!("version {} is hidden", observed.version));
        changes
    }

    fn write(
        &self,
        mut changes: Changes,
        observed: &Observed,
        values: &Values<'_>,
    ) -> Result<Changes, Error> {
        let marks = observed.marks.clone().unwrap_or_default();
        let turn = self.turn(observed, &marks, values)?;
        let merged = self.merge(observed, &marks, values, &turn)?;
        if let Some(keys) = merged.asks {
            return Ok(self.ask(changes, observed, &marks, &turn.begun, keys));
        }
        let before = observed.document();
        // A path of which every key is written by people has no document of ours to begin with.
        let wanted = before.is_some() || !merged.document.is_empty();
        let differs = wanted && before != Some(&merged.document);

        // Until the data is written, keys of before and keys of now are both ours, and what is made
        // is not made yet.
        let first = if differs {
            let keys = marks.keys().union(&merged.ours).cloned().collect();
            let begun = merged.replaced.then(|| turn.begun.clone());
            let noted = Noted {
                begun: begun.or_else(|| turn.noted.begun.clone()),
                ..turn.noted.clone()
            };
            marks.owned(&self.owner, &keys, &marks.generated(), &noted)
        } else {
            marks.owned(&self.owner, &merged.ours, &merged.generated, &merged.noted)
        };
        let last = marks.owned(&self.owner, &merged.ours, &merged.generated, &merged.noted);
        let settled = observed.cas_required && observed.max_versions == MAX_VERSIONS;
        let details = &mut changes.planned.details;
        if changes.was == Was::Theirs {
            details.push("the path is marked".into());
        }
        if merged.replaced {
            details.push(format!("rotation {}", merged.noted.count));
        }
        if differs {
            let size = merged.document.size();
            if size > LARGEST {
                return Err(Error::TooLarge {
                    path: self.path.to_string(),
                    size,
                    largest: LARGEST,
                });
            }
            details.extend(merged.document.differences(before));
        }
        changes.mark_last = (last != first).then_some(last);
        changes.mark_first = (observed.marks.as_ref() != Some(&first) || !settled).then_some(first);
        changes.data = differs.then_some(merged.document);
        if details.is_empty() && changes.mark_first.is_some() {
            details.push("marks and settings of the path are put right".into());
        }
        changes.lacking = merged.lacking;
        changes.noted = merged.noted;
        Ok(changes)
    }

    /// Asks an endpoint, once it is noted under which id.
    fn ask(
        &self,
        mut changes: Changes,
        observed: &Observed,
        marks: &Marks,
        begun: &Begun,
        keys: Vec<String>,
    ) -> Changes {
        let noted = Noted {
            begun: Some(begun.clone()),
            ..marks.rotation()
        };
        let first = marks.owned(&self.owner, &marks.keys(), &marks.generated(), &noted);
        let rotation = self.rotation.as_ref().map(|rotation| &rotation.by);
        if let Some(RotatedBy::Webhook(webhook)) = rotation {
            let names = keys.join(", ");
            changes
                .planned
                .details
                .push(format!("{} is asked for {names}", webhook.url));
            changes.asks = Some(Request {
                webhook: webhook.clone(),
                id: begun.id.clone(),
                rotation: begun.number,
                keys,
            });
        }
        changes.mark_first = (observed.marks.as_ref() != Some(&first)).then_some(first);
        changes
    }
}

fn show(mut changes: Changes) -> Changes {
    changes.visible = Some(true);
    let detail = format!("version {} is shown again", changes.version);
    changes.planned.details.push(detail);
    changes
}

/// Whether the newest version is deleted, by us while it was inactive or by somebody's mistake. Not
/// so where it was deleted together with an owner of before.
fn is_hidden_by_owner(observed: &Observed) -> bool {
    let released = observed.marks.as_ref().and_then(Marks::released);
    observed.is_hidden() && released.is_none_or(|released| released < observed.version)
}

/// Whether there is nothing that anybody could lose: what stood there was deleted with its owner, and
/// nobody wrote since.
fn is_free(observed: &Observed, marks: &Marks) -> bool {
    marks.released() == Some(observed.version) && observed.document().is_none()
}
