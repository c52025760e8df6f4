//! `SecretProvider`: a place of its own, and no way around its own rules.

use super::{Admit, collect, readable};
use crate::kinds::provider::{check_auth, keeper};
use crate::{Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_crds::provider::AllowedPath;
use keystead_vault::client::holds_certificates;
use kube::ResourceExt as _;

impl Admit for SecretProvider {
    fn problems(&self, world: &World) -> Vec<Problem> {
        // Another operator's provider: its webhook sees to it.
        if self.spec.class != world.class {
            return Vec::new();
        }
        let mut problems = collect([
            check_auth(self),
            certificates(self),
            readable("spec.namespaces", self.spec.namespaces.as_ref()),
            own_place(world, self),
        ]);
        for path in &self.spec.allowed_paths {
            let field = format!("spec.allowedPaths[{}]", path.prefix);
            problems.extend(collect([
                readable(&format!("{field}.namespaces"), Some(&path.namespaces)),
                no_values_of_ours(world, self, path),
            ]));
        }
        problems
    }
}

fn certificates(provider: &SecretProvider) -> Result<(), Problem> {
    match &provider.spec.vault.ca_bundle {
        Some(bundle) if !holds_certificates(bundle) => Err(Problem::new(
            Reason::Invalid,
            "spec.vault.caBundle holds no certificate: expected one or more PEM blocks 'BEGIN CERTIFICATE'",
        )),
        _ => Ok(()),
    }
}

/// No other provider has the same values.
fn own_place(world: &World, provider: &SecretProvider) -> Result<(), Problem> {
    let (spec, vault) = (&provider.spec, &provider.spec.vault);
    let same = |other: &&SecretProvider| {
        other.spec.environment == spec.environment
            && other.spec.vault.mounts.kv == vault.mounts.kv
            && other.spec.vault.path_prefix == vault.path_prefix
    };
    match neighbours(world, provider).find(same) {
        None => Ok(()),
        Some(other) => Err(Problem::new(
            Reason::Conflict,
            format!(
                "spec.vault: SecretProvider {} has the same address, namespace, mounts.kv, pathPrefix and environment, and \
                 both would write the same paths: use that one, or another pathPrefix",
                other.name_any()
            ),
        )),
    }
}

/// No path leads to what scopes keep apart; an entry for it would only promise that.
fn no_values_of_ours(world: &World, provider: &SecretProvider, path: &AllowedPath) -> Result<(), Problem> {
    match keeper(world, provider, &path.prefix) {
        None => Ok(()),
        Some(owner) => Err(Problem::new(
            Reason::Invalid,
            format!(
                "spec.allowedPaths[{}].prefix: {}/data/{} is where SecretProvider {} keeps its values, which bindings name \
                 as services: give a path outside of it",
                path.prefix,
                owner.spec.vault.mounts.kv,
                owner.spec.vault.path_prefix,
                owner.name_any()
            ),
        )),
    }
}

/// The other providers of the same server and Vault namespace.
fn neighbours<'a>(
    world: &'a World,
    provider: &'a SecretProvider,
) -> impl Iterator<Item = &'a SecretProvider> {
    let vault = &provider.spec.vault;
    world.providers().map(AsRef::as_ref).filter(move |other| {
        other.name_any() != provider.name_any()
            && other.spec.vault.address.eq_ignore_ascii_case(&vault.address)
            && other.spec.vault.namespace == vault.namespace
    })
}

#[cfg(test)]
mod tests;
