//! `DatabaseConnection` and `DatabaseRole` → connections and roles of Vault's database engine.

pub mod connection;
mod presets;
pub mod role;

use crate::Problem;
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
