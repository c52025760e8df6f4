//! Asks the engine what it would do.

use super::Vaults;
use super::desired::{self, Desired, Step, Subject};
use super::overlay::{Overlay, Store};
use super::show::{CONFLICT, Change, ERROR, Report, Trouble};
use crate::view::View;
use futures::stream::{self, StreamExt as _};
use keystead_cluster::Values;
use keystead_cluster::native::{self, Plan};
use keystead_compile::Problem;
use keystead_compile::kinds::sync::{self, Data, Native};
use keystead_crds::condition::Reason;
use keystead_vault::engine::{self, Action, Planned};
use keystead_vault::resolve::resolve_all;
use keystead_vault::{Client, Error};
use std::collections::{BTreeMap, BTreeSet};

/// Objects that are looked at at once.
const AT_ONCE: usize = 8;

/// One step, in one Vault.
struct Work<'a> {
    subject: Subject,
    provider: String,
    client: &'a Client,
    step: Step,
}

/// What becomes of everything that is desired, as far as it is to be looked at.
pub(super) async fn compare(
    view: &View,
    vaults: &Vaults,
    overlay: &Overlay,
    all: BTreeMap<Subject, Desired>,
) -> Report {
    let mut report = Report::default();
    let mut work = Vec::new();
    for (subject, desired) in all {
        if view.concerns(desired.provider.as_deref()) {
            sort(&mut report, &mut work, vaults, &subject, desired);
        }
    }
    let store = Store {
        overlay,
        cluster: Values::new(&view.client),
    };
    let (later, first): (Vec<_>, Vec<_>) = work
        .into_iter()
        .partition(|work| matches!(work.step, Step::Sync(..)));
    let planned: Vec<_> = stream::iter(first)
        .map(|work| async { (desired::place(&work.step), ask(work, &store).await) })
        .buffered(AT_ONCE)
        .collect()
        .await;
    // What a Secret holds follows what is in Vault, so it is looked at when that is known.
    let mut changing = BTreeSet::new();
    for (place, change) in planned {
        changing.extend(place.filter(|_| change.as_ref().is_some_and(Change::is_done)));
        report.note(change);
    }
    let planned: Vec<_> = stream::iter(later)
        .map(|work| ask_native(work, &view.client, &changing))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for change in planned {
        report.note(change);
    }
    report
}

/// What can be asked about, and what is a problem already.
fn sort<'a>(
    report: &mut Report,
    work: &mut Vec<Work<'a>>,
    vaults: &'a Vaults,
    subject: &Subject,
    desired: Desired,
) {
    let provider = desired.provider.unwrap_or_default();
    let trouble = |problem: String| Trouble {
        object: subject.to_string(),
        problem,
    };
    match (desired.steps, vaults.get(&provider)) {
        // What can't be told without its Vault is the provider's problem alone.
        (_, Some(Err(why))) => {
            if matches!(subject, Subject::Provider(_)) {
                report.problems.push(trouble(why.clone()));
            }
        }
        (Err(problem), _) if problem.reason == Reason::Paused => report.paused.push(trouble(problem.message)),
        (Err(problem), _) => report.problems.push(trouble(problem.message)),
        (Ok(steps), Some(Ok(client))) => {
            for step in steps {
                match step {
                    Step::Stay(sentence) => report.left.push(trouble(sentence)),
                    step => work.push(Work {
                        subject: subject.clone(),
                        provider: provider.clone(),
                        client,
                        step,
                    }),
                }
            }
        }
        // Without the provider there are no steps.
        (Ok(_), None) => {}
    }
}

/// What is shown of a step in Vault; nothing of one that changes nothing.
async fn ask(work: Work<'_>, store: &Store<'_>) -> Option<Change> {
    let (object, planned) = match &work.step {
        Step::Apply(object) => (object, engine::plan(work.client, store, object).await),
        Step::Remove(object, deletion) => {
            (object, engine::plan_removal(work.client, object, *deletion).await)
        }
        Step::Drop(secret) => {
            let action = Action::Delete.to_string();
            return Some(work.change(native::name(secret), action, Vec::new()));
        }
        Step::Sync(..) | Step::Stay(_) => return None,
    };
    let (action, details) = match planned {
        Ok(Planned {
            action: Action::Unchanged,
            ..
        }) => return None,
        Ok(Planned { action, details }) => (action.to_string(), details),
        Err(error @ Error::Conflict { .. }) => (CONFLICT.to_owned(), vec![error.to_string()]),
        Err(error) => (ERROR.to_owned(), vec![error.to_string()]),
    };
    Some(work.change(object.to_string(), action, details))
}

/// What is shown of a native Secret. The values at `changing` will be others.
async fn ask_native(work: Work<'_>, cluster: &kube::Client, changing: &BTreeSet<String>) -> Option<Change> {
    let Step::Sync(native, uid) = &work.step else {
        return None;
    };
    let found = look(work.client, cluster, native, uid.as_deref(), changing).await;
    let found = found.unwrap_or_else(|problem| Some((ERROR.to_owned(), vec![problem.message])));
    found.map(|(action, details)| work.change(native::name(&native.key), action, details))
}

/// An action and its details, if there is anything to do.
async fn look(
    client: &Client,
    cluster: &kube::Client,
    native: &Native,
    uid: Option<&str>,
    changing: &BTreeSet<String>,
) -> Result<Option<(String, Vec<String>)>, Problem> {
    let follows = native
        .sources
        .iter()
        .filter(|source| changing.contains(&source.path));
    let follows: Vec<String> = follows
        .map(|source| format!("follows what changes at {}", source.path))
        .collect();
    let secrets = resolve_all(client, native.sources.clone())
        .await
        .map_err(|error| Problem::new(error.reason(), error.to_string()))?;
    let (data, known) = match sync::data(native, &secrets) {
        Ok(data) => (data, true),
        // It can't be known yet what it will hold.
        Err(_) if !follows.is_empty() => (Data::new(), false),
        Err(problem) => return Err(problem),
    };
    let plan = native::plan(cluster, &native.key, uid, &data).await?;
    let (action, mut details) = match plan.map_err(|error| keystead_cluster::problem(&error))? {
        Plan::Create => (
            Action::Create,
            data.keys().map(|key| format!("key {key} is added")).collect(),
        ),
        Plan::Keep(_) if follows.is_empty() => return Ok(None),
        Plan::Replace(held) if known => (Action::Change, held.differences(&data)),
        Plan::Keep(_) | Plan::Replace(_) => (Action::Change, Vec::new()),
        Plan::Leave(owner) => {
            let why = format!("it is {owner}, and stays as it is: delete it, or choose another secretName");
            return Ok(Some((CONFLICT.to_owned(), vec![why])));
        }
    };
    details.extend(follows);
    Ok(Some((action.to_string(), details)))
}

impl Work<'_> {
    fn change(&self, object: String, action: String, details: Vec<String>) -> Change {
        Change {
            action,
            object,
            from: self.subject.to_string(),
            provider: self.provider.clone(),
            details,
        }
    }
}
