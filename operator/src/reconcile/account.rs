//! A service account: its policy and its role in Vault. Its bindings report how it went.

use super::{Next, RESYNC, jitter};
use crate::affected;
use crate::context::Context;
use keystead_compile::Problem;
use keystead_compile::kinds::binding::{self, Account};
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, account: &Account) -> Result<Next, Problem> {
    let compiled = {
        let world = context.world();
        if world.is_foreign(&account.provider) {
            return Ok(Next::OnChange);
        }
        if world.provider(&account.provider).is_some() && context.providers.is_pending(&account.provider) {
            return Ok(Next::OnChange);
        }
        binding::compile(&world, account)
    };
    let (result, exists) = match compiled {
        Ok(Some(objects)) => (apply(context, account, &objects).await, true),
        Ok(None) => (remove(context, account).await, false),
        Err(problem) => (Err(problem), true),
    };
    // An account that is gone and clean is forgotten.
    let keep = exists || result.is_err();
    if context.note_account(account, keep.then(|| result.clone())) {
        for unit in affected::bindings_of(&context.world(), account) {
            context.queue.push(unit);
        }
    }
    result.map(|()| {
        if exists {
            Next::After(jitter(RESYNC))
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
        context.remove(&account.provider, object).await?;
    }
    Ok(())
}
