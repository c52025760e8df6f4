//! `SecretProvider`: what everything else of a provider is named and placed by.

use crate::{Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_vault::name::Prefix;
use keystead_vault::path::KvBase;
use kube::ResourceExt as _;
use std::sync::Arc;

/// A provider by name, or who waits for what.
pub fn find<'a>(world: &'a World, name: &str) -> Result<&'a Arc<SecretProvider>, Problem> {
    world
        .provider(name)
        .ok_or_else(|| Problem::not_found("SecretProvider", name))
}

/// Whether the provider admits a namespace.
pub fn admit(world: &World, provider: &SecretProvider, namespace: &str) -> Result<(), Problem> {
    match &provider.spec.namespaces {
        Some(selector) if !world.selects(selector, namespace) => Err(Problem::new(
            Reason::NotPermitted,
            format!(
                "SecretProvider {} does not admit namespace {namespace}: its spec.namespaces selects other labels",
                provider.name_any()
            ),
        )),
        _ => Ok(()),
    }
}

/// Where all its values are.
pub fn kv_base(provider: &SecretProvider) -> KvBase {
    KvBase {
        mount: provider.spec.vault.mounts.kv.clone(),
        prefix: provider.spec.vault.path_prefix.clone(),
        environment: provider.spec.environment.to_string(),
    }
}

/// Where all its names begin.
pub fn prefix(world: &World, provider: &SecretProvider) -> Prefix {
    Prefix {
        cluster: world.cluster.clone(),
        provider: provider.name_any(),
    }
}
