//! What a provider needs to be mounted in its Vault: the engines, and the pods' auth method with the
//! cluster's signing keys.

use crate::context::Context;
use keystead_cluster::Values;
use keystead_cluster::keys::{self, Published};
use keystead_compile::Problem;
use keystead_compile::kinds::provider;
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_crds::provider::WorkloadMethod;
use keystead_vault::engine::{self, Action};
use keystead_vault::mounted::{self, Mounted};
use keystead_vault::object::{Mount, MountKind, Object, SigningKeys};
use keystead_vault::{Client, Error};

/// Sees that everything is mounted. Answers the accessor of the pods' jwt mount, where that is how they
/// log in.
pub(super) async fn check(
    context: &Context,
    client: &Client,
    object: &SecretProvider,
) -> Result<Option<String>, Problem> {
    let (vault, workloads) = (&object.spec.vault, &object.spec.workload_auth);
    for mounted in provider::mounts(object) {
        if vault.manage_mounts {
            mount(context, client, mounted).await?;
        } else {
            engine_is_there(client, &mounted).await?;
        }
    }
    if workloads.method == WorkloadMethod::Kubernetes {
        return Ok(None);
    }
    let mount = &workloads.mount;
    let missing = "there is no such auth mount in Vault, or the operator's policy does not know it; run kubectl keystead bootstrap";
    let found = find(client, "workloadAuth.mount", &format!("auth/{mount}"), missing).await?;
    keep_keys(context, client, mount).await?;
    Ok(Some(found.accessor))
}

/// Mounts an engine where it is missing.
async fn mount(context: &Context, client: &Client, mount: Mount) -> Result<(), Problem> {
    let field = field(&mount);
    let object = Object::Mount(mount);
    let applied = engine::apply(client, &Values::new(&context.client), &object).await;
    let applied = applied.map_err(|error| {
        let problem = Problem::from(error);
        Problem::new(problem.reason, format!("spec.{field}: {problem}"))
    })?;
    if applied.action != Action::Unchanged {
        tracing::info!(%object, "mounted a secret engine in Vault");
    }
    Ok(())
}

/// Holds that somebody else has mounted an engine.
async fn engine_is_there(client: &Client, mount: &Mount) -> Result<(), Problem> {
    let missing = "there is no such secret engine in Vault, or the operator's policy does not know it; run kubectl keystead bootstrap, or let the operator mount it (spec.vault.manageMounts)";
    let field = field(mount);
    let found = find(client, field, &mount.path, missing).await?;
    found.check(mount.kind).map_err(|why| {
        let message = format!("spec.{field}: {} is {why}", mount.path);
        Problem::new(Reason::Conflict, message)
    })
}

/// The field that names an engine.
const fn field(mount: &Mount) -> &'static str {
    match mount.kind {
        MountKind::Database => "vault.mounts.database",
        MountKind::Kv2 => "vault.mounts.kv",
        MountKind::Transit => "vault.mounts.transit",
    }
}

/// A mount that a field of the spec names.
async fn find(client: &Client, field: &str, path: &str, missing: &str) -> Result<Mounted, Problem> {
    match mounted::at(client, path).await {
        Ok(found) => Ok(found),
        Err(Error::Denied { .. } | Error::NotFound { .. }) => Err(Problem::new(
            Reason::VaultDenied,
            format!("spec.{field}: {path}: {missing}"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Brings the cluster's signing keys into its jwt mount.
async fn keep_keys(context: &Context, client: &Client, mount: &str) -> Result<(), Problem> {
    let Published { issuer, keys } = keys::published(&context.client).await?;
    let object = Object::SigningKeys(SigningKeys {
        mount: mount.to_owned(),
        keys,
        issuer,
    });
    let applied = engine::apply(client, &Values::new(&context.client), &object).await?;
    if applied.action != Action::Unchanged {
        tracing::info!(mount, "wrote the cluster's signing keys to Vault");
    }
    Ok(())
}
