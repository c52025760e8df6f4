//! A binding's native Secret: its values from Vault, written where it differs. The binding reports it.

use super::{Next, jitter};
use crate::context::Context;
use crate::queue::Unit;
use crate::sync::{Outcome, native};
use keystead_compile::kinds::binding;
use keystead_compile::kinds::sync::{self, Native};
use keystead_compile::{Key, Problem, pause};
use keystead_crds::SecretBinding;
use keystead_crds::condition::Reason;
use keystead_vault::Error;
use keystead_vault::resolve::{Origin, resolve_all};
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let (object, compiled) = {
        let world = context.world();
        let Some(object) = world.binding(key).cloned() else {
            // What it had goes with it: the cluster's garbage collector sees to that.
            context.syncs.forget(key);
            return Ok(Next::OnChange);
        };
        let provider = &object.spec.provider_ref.name;
        if world.is_foreign(provider) || context.waits_for(&world, provider) {
            return Ok(Next::OnChange);
        }
        let works =
            pause::check(&world, &*object, provider).and_then(|()| binding::check(&world, key, &object));
        let compiled = works.map(|()| sync::compile(&world, key, &object));
        (object, compiled)
    };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        // Of a binding that can't work nothing is changed, unless access was taken away; its own status
        // says why.
        Err(problem) => {
            if matches!(problem.reason, Reason::Ambiguous | Reason::NotPermitted) {
                tidy(context, &object, None).await?;
            }
            note(context, key, &object, Outcome::Skipped);
            return Ok(Next::OnChange);
        }
    };
    let native = match compiled {
        Ok(native) => native,
        Err(problem) => {
            note(context, key, &object, Outcome::Done(Err(problem.clone())));
            return Err(problem);
        }
    };
    tidy(context, &object, native.as_ref()).await?;
    let Some(native) = native else {
        context.syncs.forget(key);
        return Ok(Next::OnChange);
    };
    let result = write(context, key, &object, &native).await;
    if let Err(problem) = &result
        && is_outage(problem)
        && context.syncs.outcome(key, object.metadata.generation) == Some(Outcome::Done(Ok(())))
    {
        // What the Secret holds stays as good as it was; whoever asks about Vault asks the provider.
        return Err(problem.clone());
    }
    note(context, key, &object, Outcome::Done(result.clone()));
    match result {
        // Somebody may write what is missing into Vault, where nobody tells us.
        Err(problem) if !matches!(problem.reason, Reason::NotFound | Reason::Invalid) => Err(problem),
        _ => Ok(Next::After(jitter(native.refresh))),
    }
}

/// Takes away what the binding had under other names.
async fn tidy(context: &Context, object: &SecretBinding, native: Option<&Native>) -> Result<(), Problem> {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    for (secret, version) in context.syncs.of(uid) {
        if native.is_none_or(|native| native.key != secret) {
            native::delete(&context.client, &secret, &version).await?;
        }
    }
    Ok(())
}

async fn write(context: &Context, key: &Key, object: &SecretBinding, native: &Native) -> Result<(), Problem> {
    let vault = context.providers.client(&native.provider)?;
    let secrets = resolve_all(&vault, native.sources.clone())
        .await
        .map_err(|error| explain(context, native, error))?;
    let data = sync::data(native, &secrets)?;
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let print = context.syncs.print(&data);
    if context.syncs.is_as_left(&native.key, &uid, print) {
        return Ok(());
    }
    let known = context.syncs.is_there(&native.key);
    let version = native::write(&context.client, &native.key, object, &data, known).await?;
    context
        .syncs
        .left(native.key.clone(), key.clone(), uid, version, print);
    Ok(())
}

/// The operator's own policy has what Keystead keeps, and no existing path.
fn explain(context: &Context, native: &Native, error: Error) -> Problem {
    if let Error::Denied { request } = &error
        && let Some(source) = native.sources.iter().find(|source| source.path == request.path)
        && source.origin == Origin::Path
    {
        let message = format!(
            "spec.sync: the operator itself may not read {}: give its role in Vault a policy with read on that path, or leave the path to the pods",
            source.path
        );
        return Problem::new(Reason::VaultDenied, message);
    }
    context.suspect(&native.provider, error)
}

fn is_outage(problem: &Problem) -> bool {
    matches!(problem.reason, Reason::VaultSealed | Reason::VaultUnreachable)
}

fn note(context: &Context, key: &Key, object: &SecretBinding, outcome: Outcome) {
    if context.syncs.note(key, object.metadata.generation, outcome) {
        context.queue.push(Unit::Binding(key.clone()));
    }
}
