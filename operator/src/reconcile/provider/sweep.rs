//! What was undeclared while nobody looked goes, by the reconciles of its accounts.

use crate::context::Context;
use crate::queue::Unit;
use keystead_compile::Problem;
use keystead_compile::kinds::binding::Account;
use keystead_compile::kinds::provider;
use keystead_crds::SecretProvider;
use keystead_vault::name::Letter;
use kube::ResourceExt as _;
use std::collections::BTreeSet;

/// Has every account reconciled that has something of this provider in Vault.
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

/// Accounts that have a policy or a role of this provider in Vault: by their names they are ours,
/// and whichever no binding names any more is removed by its own reconcile.
async fn left_behind(context: &Context, object: &SecretProvider) -> Result<BTreeSet<Unit>, Problem> {
    let client = context.providers.client(&object.name_any())?;
    let prefix = provider::prefix(&context.world(), object);
    let mut names = client.list("sys/policies/acl").await?;
    names.extend(
        client
            .list(&format!("auth/{}/role", object.spec.workload_auth.mount))
            .await?,
    );
    let accounts = names
        .iter()
        .filter_map(|name| prefix.parse(Letter::ServiceAccount, name));
    Ok(accounts
        .map(|(namespace, name)| {
            Unit::Account(Account {
                provider: object.name_any(),
                namespace: namespace.into(),
                name: name.into(),
            })
        })
        .collect())
}
