//! A binding's status: whether it can work, and how the reconciles of its accounts and its Secret went.

use super::Next;
use crate::context::Context;
use crate::queue::Unit;
use crate::status::{self, Finding};
use crate::sync::Outcome;
use keystead_compile::fingerprint::of_binding;
use keystead_compile::kinds::binding;
use keystead_compile::{Key, Problem, pause};
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::{NODE_SCOPES, Reason};
use kube::Api;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let (object, check, nodes) = {
        let world = context.world();
        let Some(object) = world.binding(key).cloned() else {
            return Ok(Next::OnChange);
        };
        if world.is_foreign(&object.spec.provider_ref.name) {
            return Ok(Next::OnChange);
        }
        let pause = pause::check(&world, &*object, &object.spec.provider_ref.name);
        let check = pause.and_then(|()| binding::check(&world, key, &object));
        let check = match check.map(|()| binding::check_sources(&world, key, &object)) {
            // The ConfigMap's own unit queues this one when it has read it.
            Ok(None) => return Ok(Next::OnChange),
            Ok(Some(checked)) => checked,
            Err(problem) => Err(problem),
        };
        let nodes = binding::unserved_nodes(&world, &object);
        (object, check, nodes)
    };
    let mut fingerprint = None;
    let result = if let Err(problem) = check {
        Err(problem)
    } else {
        let generation = object.metadata.generation;
        let done: Option<Vec<_>> = binding::accounts(key, &object)
            .map(|account| context.account(&account, key, generation))
            .collect();
        // An account that is not done yet queues this binding again when it is.
        let Some(done) = done else {
            return Ok(Next::OnChange);
        };
        let (fingerprints, results): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let fingerprints: Option<Vec<_>> = fingerprints.into_iter().collect();
        fingerprint = fingerprints.map(|all| of_binding(&all).to_string());
        match object
            .spec
            .sync
            .as_ref()
            .map(|_| context.syncs.outcome(key, generation))
        {
            // Nor is one whose Secret is not done yet, or was left alone while the binding could not work.
            Some(None) => return Ok(Next::OnChange),
            Some(Some(Outcome::Skipped)) => {
                context.queue.push(Unit::Sync(key.clone()));
                return Ok(Next::OnChange);
            }
            Some(Some(Outcome::Done(synced))) => results.into_iter().chain([synced]).collect(),
            None => results.into_iter().collect::<Result<(), Problem>>(),
        }
    };
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    let findings: Vec<Finding> = nodes.map(unserved_nodes).into_iter().collect();
    let problem = result.as_ref().err();
    let fingerprint = fingerprint.filter(|_| problem.is_none());
    let build = |basic| BasicStatus { fingerprint, ..basic };
    status::report(context, api, &*object, problem, Some(&findings), build).await?;
    Ok(Next::OnChange)
}

/// The scopes themselves say what is wrong with them, so nobody is warned of it here.
fn unserved_nodes(message: String) -> Finding {
    Finding {
        type_: NODE_SCOPES,
        holds: false,
        reason: Reason::NeedsJwt,
        message,
        warns: false,
    }
}
