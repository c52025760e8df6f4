//! Takes values away as their owner wants it. Each step is decided by what stands there and leads to
//! the next, so it can be interrupted anywhere and repeated; the mark goes last.

use super::document::Document;
use super::marks::Marks;
use super::{Deletion, KvSecret, Observed};
use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use serde_json::json;
use std::collections::BTreeSet;

/// More steps than any removal has, others writing in between included.
const STEPS: usize = 12;

/// One step of a removal.
#[derive(Clone)]
pub(super) enum Step {
    /// To see whether keys of others stand in it.
    Show(u64),
    /// The newest version again, with the keys of others alone.
    Rewrite(Document, u64),
    Delete(Vec<u64>),
    Destroy(Vec<u64>),
    /// The mark is taken away, so that others may use the path.
    GiveUp(Marks),
    /// The path itself goes.
    Erase,
}

/// A removal under way: what it does not ask for a second time.
#[derive(Default)]
pub(super) struct Removal {
    deleted: BTreeSet<u64>,
}

impl KvSecret {
    /// What a removal would do.
    pub(crate) async fn preview_removal(
        &self,
        client: &Client,
        deletion: Deletion,
    ) -> Result<Planned, Error> {
        let mut observed = self.observe(client).await?;
        let mut planned = Planned::default();
        let mut removal = Removal::default();
        while let Some(step) = removal.next(self, &observed, deletion)? {
            planned.action = Action::Delete;
            planned.details.push(step.to_string());
            observed.after(&step);
        }
        Ok(planned)
    }

    /// Removes the values; answers what was done, step by step.
    pub(crate) async fn remove(&self, client: &Client, deletion: Deletion) -> Result<Vec<String>, Error> {
        let mut shown = None;
        let removed = self.steps(client, deletion, &mut shown).await;
        if removed.is_err()
            && let Some(version) = shown
        {
            // It was hidden before, and what should have followed may be long in coming. Where this fails,
            // too, the error that is answered says why.
            drop(self.take(client, Step::Delete(vec![version]), None).await);
        }
        removed
    }

    /// The same; `shown` is the version that is readable only to be looked at, while there is one.
    async fn steps(
        &self,
        client: &Client,
        deletion: Deletion,
        shown: &mut Option<u64>,
    ) -> Result<Vec<String>, Error> {
        let mut removal = Removal::default();
        let mut done = Vec::new();
        for _ in 0..STEPS {
            let observed = self.observe(client).await?;
            let Some(step) = removal.next(self, &observed, deletion)? else {
                return Ok(done);
            };
            let (said, bares) = (step.to_string(), matches!(step, Step::Show(_)));
            match self.take(client, step, observed.metadata_version).await {
                Ok(()) => done.push(said),
                Err(error) if error.is_stale() => continue,
                Err(error) => return Err(error),
            }
            *shown = bares.then_some(observed.version);
        }
        Err(self.conflict("others write there all the time".into()))
    }

    async fn take(&self, client: &Client, step: Step, metadata_version: Option<u64>) -> Result<(), Error> {
        match step {
            Step::Show(version) => self.set_versions(client, "undelete", &[version]).await,
            Step::Rewrite(document, cas) => self.write_data(client, document, cas).await.map(drop),
            Step::Delete(versions) => self.set_versions(client, "delete", &versions).await,
            Step::Destroy(versions) => self.set_versions(client, "destroy", &versions).await,
            Step::GiveUp(marks) => {
                let body = json!({ "custom_metadata": marks.0, "cas_required": false, "max_versions": 0 });
                self.write_metadata(client, body, metadata_version).await
            }
            Step::Erase => client.delete(&self.path.metadata()).await,
        }
    }
}

impl Removal {
    /// The next step; none where nothing is left to do.
    pub(super) fn next(
        &mut self,
        secret: &KvSecret,
        observed: &Observed,
        deletion: Deletion,
    ) -> Result<Option<Step>, Error> {
        let Some(marks) = &observed.marks else {
            return Ok(None);
        };
        if !secret.is_ours(marks) {
            return not_marked(secret, observed, marks, deletion);
        }
        if deletion == Deletion::Retain {
            return Ok(None);
        }
        let ours = marks.keys();
        let keys = || observed.data.iter().flat_map(Document::keys);
        let of_others = keys().any(|key| !ours.contains(key));
        if deletion == Deletion::Destroy && observed.is_hidden() {
            return Ok(Some(Step::Show(observed.version)));
        }
        if of_others && keys().any(|key| ours.contains(key)) {
            let mut rest = observed.data.clone().unwrap_or_default();
            rest.retain(|key| !ours.contains(key));
            return Ok(Some(Step::Rewrite(rest, observed.version)));
        }
        let kept = |version: u64| of_others && version == observed.version;
        let versions = observed.versions.iter();
        let there: Vec<u64> = versions
            .filter(|(version, destroyed)| !**destroyed && !kept(**version))
            .map(|(version, _)| *version)
            .collect();
        Ok(Some(match deletion {
            Deletion::Destroy if !there.is_empty() => Step::Destroy(there),
            Deletion::Destroy if !of_others => Step::Erase,
            // A version with a date to come is readable until then, so dates do not count.
            Deletion::Delete if there.iter().any(|version| !self.deleted.contains(version)) => {
                self.deleted.extend(&there);
                Step::Delete(there)
            }
            _ => Step::GiveUp(marks.given_up(observed.version)),
        }))
    }
}

/// What is left of a path that is not marked as ours.
fn not_marked(
    secret: &KvSecret,
    observed: &Observed,
    marks: &Marks,
    deletion: Deletion,
) -> Result<Option<Step>, Error> {
    let claimed = secret.has_claimed(observed, marks);
    let given_up = marks.released() == Some(observed.version);
    if claimed && !given_up && deletion != Deletion::Retain {
        return Ok(Some(Step::GiveUp(marks.given_up(observed.version))));
    }
    // Given up already, whatever became of it since.
    if claimed || (marks.owner().is_none() && marks.released().is_some()) {
        return Ok(None);
    }
    Err(secret.conflict_with(marks))
}

impl Observed {
    /// What will stand there after a step, as far as it can be known.
    pub(super) fn after(&mut self, step: &Step) {
        match step {
            // What it holds can't be known; it is taken for ours alone.
            Step::Show(_) => self.data = Some(Document::default()),
            Step::Rewrite(document, cas) => {
                self.version = cas + 1;
                self.versions.insert(self.version, false);
                // The oldest goes by itself.
                let kept = usize::try_from(self.max_versions).unwrap_or(usize::MAX);
                while self.versions.len() > kept {
                    self.versions.pop_first();
                }
                self.data = Some(document.clone());
            }
            Step::Delete(versions) => self.unless_newest(versions),
            Step::Destroy(versions) => {
                self.unless_newest(versions);
                self.versions
                    .extend(versions.iter().map(|version| (*version, true)));
            }
            Step::GiveUp(marks) => self.marks = Some(marks.clone()),
            Step::Erase => *self = Self::default(),
        }
    }

    fn unless_newest(&mut self, versions: &[u64]) {
        if versions.contains(&self.version) {
            self.data = None;
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |versions: &[u64]| {
            let texts: Vec<String> = versions.iter().map(ToString::to_string).collect();
            texts.join(", ")
        };
        match self {
            Self::Show(version) => write!(f, "version {version} is shown, to see what others wrote in it"),
            Self::Rewrite(..) => f.write_str("our keys are taken out; those of others stay readable"),
            Self::Delete(versions) => write!(f, "deleted: version {}", list(versions)),
            Self::Destroy(versions) => write!(f, "destroyed: version {}", list(versions)),
            Self::GiveUp(_) => f.write_str("the mark is taken away: others may use the path"),
            Self::Erase => f.write_str("the path is erased"),
        }
    }
}
