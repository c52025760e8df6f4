//! `SecretProvider`: what everything else of a provider is named and placed by.

use crate::{Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_crds::names::is_dns_label;
use keystead_vault::hcl::{is_plain_path, is_plain_segment};
use keystead_vault::name::Prefix;
use keystead_vault::path::KvBase;
use kube::ResourceExt as _;
use std::sync::Arc;

/// A provider by name, or who waits for what.
pub fn find<'a>(world: &'a World, name: &str) -> Result<&'a Arc<SecretProvider>, Problem> {
    let provider = world.provider(name);
    let provider = provider.ok_or_else(|| Problem::not_found("SecretProvider", name))?;
    check(provider)?;
    Ok(provider)
}

/// Whether names and paths can be made of what it says. The API server sees to it at apply; in a
/// policy or a request any other text would mean something else than itself.
fn check(provider: &SecretProvider) -> Result<(), Problem> {
    let vault = &provider.spec.vault;
    let wrong = if !is_dns_label(&provider.name_any()) {
        "metadata.name must be a DNS label: lower-case letters, digits and '-'"
    } else if !is_plain_segment(&vault.path_prefix) {
        "spec.vault.pathPrefix must be one path segment"
    } else if !is_plain_path(&vault.mounts.kv) {
        "spec.vault.mounts.kv must be a Vault path"
    } else if !is_plain_path(&provider.spec.workload_auth.mount) {
        "spec.workloadAuth.mount must be a Vault path"
    } else {
        return Ok(());
    };
    let name = provider.name_any();
    Err(Problem::new(
        Reason::Invalid,
        format!("SecretProvider {name}: {wrong}"),
    ))
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
