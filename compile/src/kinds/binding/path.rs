//! `secrets[].path`: existing paths in Vault, as far as the provider opens them to the namespace.

use crate::{Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_vault::path::{ApiPath, is_within};
use kube::ResourceExt as _;

/// A path that bindings of the namespace may name, or why they may not.
pub(super) fn permitted(
    world: &World,
    provider: &SecretProvider,
    namespace: &str,
    text: &str,
) -> Result<ApiPath, Problem> {
    let path = ApiPath::parse(text).map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    if let Some(keeper) = keeper(world, provider, &path) {
        return Err(Problem::new(
            Reason::NotPermitted,
            format!(
                "{path} is where Keystead keeps the values of SecretProvider {}, and scopes say who gets those: name the service instead of the path",
                keeper.name_any()
            ),
        ));
    }
    let mut allowed = provider.spec.allowed_paths.iter();
    if allowed.any(|allowed| path.is_within(&allowed.prefix) && world.selects(&allowed.namespaces, namespace))
    {
        return Ok(path);
    }
    Err(Problem::new(
        Reason::NotPermitted,
        format!(
            "SecretProvider {} does not open {path} to namespace {namespace}: its spec.allowedPaths needs an entry whose prefix is this path or one above it, and whose namespaces select this one",
            provider.name_any()
        ),
    ))
}

/// The provider whose values a path leads to, by whatever endpoint of the KV engine: read by path they
/// would be read past the scopes. Two addresses may be one server, so they don't count; a Vault
/// namespace does, and a path may lead into one below.
fn keeper<'a>(world: &'a World, provider: &SecretProvider, path: &ApiPath) -> Option<&'a SecretProvider> {
    let place = absolute(provider, path.as_str());
    let mut providers = world.providers().map(AsRef::as_ref);
    providers.find(|other: &&SecretProvider| {
        let vault = &other.spec.vault;
        let below = place.strip_prefix(&absolute(other, &vault.mounts.kv));
        let below = below.and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
        below.is_some_and(|(_endpoint, below)| is_within(below, &vault.path_prefix))
    })
}

/// A path of a provider, from Vault's root namespace.
fn absolute(provider: &SecretProvider, path: &str) -> String {
    match provider.spec.vault.namespace.as_deref() {
        Some(namespace) => format!("{}/{path}", namespace.trim_matches('/')),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
