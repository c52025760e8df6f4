//! `DatabaseConnection` and `DatabaseRole` → connections and roles of Vault's database engine.

pub mod connection;
mod fixed;
mod presets;
pub mod role;

use crate::{Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use kube::ResourceExt as _;

/// The database engine of a provider.
fn mount(provider: &SecretProvider) -> Result<&str, Problem> {
    provider.spec.vault.mounts.database.as_deref().ok_or_else(|| {
        Problem::new(
            Reason::NotPermitted,
            format!(
                "SecretProvider {} has no databases: its spec.vault.mounts.database names no engine",
                provider.name_any()
            ),
        )
    })
}

/// Whether a problem is that somebody else has a say, and says no: what is in Vault is taken back then. Not
/// before the namespace's labels are known.
fn is_refusal(world: &World, namespace: &str, problem: &Problem) -> bool {
    world.knows(namespace) && matches!(problem.reason, Reason::NotPermitted | Reason::Conflict)
}
