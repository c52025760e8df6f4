//! What was undeclared while nobody looked goes, by the reconciles of its accounts.

use crate::context::{Context, Sources};
use crate::queue::Unit;
use keystead_compile::Problem;
use keystead_compile::kinds::binding::Account;
use keystead_compile::kinds::provider;
use keystead_crds::SecretProvider;
use keystead_vault::left;
use kube::ResourceExt as _;
use std::collections::BTreeSet;

/// Has every account reconciled that has something of this provider in Vault, and that no binding names.
pub(super) async fn sweep(context: &Context, object: &SecretProvider) {
    match left_behind(context, object).await {
        Ok(units) => {
            for unit in units {
                context.queue.push(unit);
            }
            context.providers.note_swept(&object.name_any());
        }
        Err(problem) => {
            tracing::warn!(provider = object.name_any(), %problem, "what is left behind in Vault can't be listed yet");
        }
    }
}

/// Accounts that have a policy or a role of this provider in Vault, and no binding: by their names they
/// are ours, and their own reconciles remove what they have.
async fn left_behind(context: &Context, object: &SecretProvider) -> Result<BTreeSet<Unit>, Problem> {
    let client = context.providers.client(&object.name_any())?;
    let prefix = provider::prefix(&context.world(), object);
    let accounts = left::accounts(&client, &prefix, &object.spec.workload_auth.mount).await?;
    let account = |(namespace, name)| Account {
        provider: object.name_any(),
        namespace,
        name,
    };
    let world = context.world();
    let accounts = accounts.into_iter().map(account);
    let unnamed = accounts.filter(|account| Sources::of(&world, account).is_empty());
    Ok(unnamed.map(Unit::Account).collect())
}
