//! Asks the engine what it would do.

use super::Vaults;
use super::desired::{Desired, Step, Subject};
use super::overlay::{Overlay, Store};
use super::show::{CONFLICT, Change, ERROR, Report, Trouble};
use crate::view::View;
use futures::stream::{self, StreamExt as _};
use keystead_cluster::Values;
use keystead_crds::condition::Reason;
use keystead_vault::engine::{self, Action, Planned};
use keystead_vault::{Client, Error};
use std::collections::BTreeMap;

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
    let planned: Vec<_> = stream::iter(work)
        .map(|work| ask(work, &store))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for change in planned {
        match change {
            Some(change) => report.changes.push(change),
            None => report.unchanged += 1,
        }
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
        (Ok(steps), Some(Ok(client))) => work.extend(steps.into_iter().map(|step| Work {
            subject: subject.clone(),
            provider: provider.clone(),
            client,
            step,
        })),
        // Without the provider there are no steps.
        (Ok(_), None) => {}
    }
}

/// What is shown of a step; nothing of one that changes nothing.
async fn ask(work: Work<'_>, store: &Store<'_>) -> Option<Change> {
    let (object, planned) = match &work.step {
        Step::Apply(object) => (object, engine::plan(work.client, store, object).await),
        Step::Remove(object, deletion) => {
            (object, engine::plan_removal(work.client, object, *deletion).await)
        }
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
    Some(Change {
        action,
        object: object.to_string(),
        from: work.subject.to_string(),
        provider: work.provider,
        details,
    })
}
