//! A service account: its policy and its role in Vault. Its bindings report how it went.

use super::{Next, resync};
use crate::affected;
use crate::context::{Context, Reconciled, Sources};
use keystead_compile::fingerprint::of_account;
use keystead_compile::kinds::binding::{self, Account};
use keystead_compile::{Problem, pause};
use keystead_vault::object::Deletion;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, account: &Account) -> Result<Next, Problem> {
    if !binding::can_exist(account) {
        return Ok(Next::OnChange);
    }
    let (compiled, fingerprint, from, readable) = {
        let world = context.world();
        if world.is_foreign(&account.provider) || context.waits_for(&world, &account.provider) {
            return Ok(Next::OnChange);
        }
        let readable = binding::readable(&world, account);
        let settled = pause::check_account(&world, account).and_then(|()| readable.clone());
        let compiled = settled.and_then(|()| binding::compile(&world, account));
        let objects = compiled.as_ref().ok().and_then(Option::as_ref);
        let fingerprint = objects.map(|objects| of_account(&world, account, objects));
        let from = Sources::of(&world, account);
        (compiled, fingerprint, from, readable.is_ok())
    };
    let (result, exists) = match compiled {
        Ok(Some(objects)) => (apply(context, account, &objects).await, true),
        Ok(None) => (remove(context, account).await, false),
        // Nothing names it, and there is no Vault to clean.
        Err(_) if from.is_empty() && readable => (Ok(()), false),
        Err(problem) => (Err(problem), true),
    };
    // An account that is gone and clean is forgotten, unless a binding waits to hear of it.
    let keep = exists || result.is_err() || !from.is_empty();
    let reconciled = keep.then(|| Reconciled {
        from,
        fingerprint,
        result: result.clone(),
    });
    if context.note_account(account, reconciled) {
        for unit in affected::bindings_of(&context.world(), account) {
            context.queue.push(unit);
        }
    }
    result.map(|()| {
        if exists {
            Next::After(resync(context))
        } else {
            Next::OnChange
        }
    })
}

async fn apply(
    context: &Context,
    account: &Account,
    objects: &[keystead_vault::object::Object],
) -> Result<(), Problem> {
    for object in objects {
        context.apply(&account.provider, object).await?;
    }
    Ok(())
}

async fn remove(context: &Context, account: &Account) -> Result<(), Problem> {
    // Without its provider there is no Vault to clean; what it left there, its names tell.
    let Ok(objects) = binding::removal(&context.world(), account) else {
        return Ok(());
    };
    for object in &objects {
        context
            .remove(&account.provider, object, Deletion::Retain)
            .await?;
    }
    Ok(())
}
