//! `secrets[].path`: existing paths in Vault, as far as the provider opens them to the namespace.

use crate::kinds::provider;
use crate::{Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::binding::PathMethod;
use keystead_crds::condition::Reason;
use keystead_vault::path::ApiPath;
use kube::ResourceExt as _;

/// A path that bindings of the namespace may name, or why they may not.
pub(super) fn permitted(
    world: &World,
    provider: &SecretProvider,
    namespace: &str,
    text: &str,
    method: PathMethod,
) -> Result<ApiPath, Problem> {
    let path = ApiPath::parse(text).map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    if let Some(keeper) = provider::keeper(world, provider, path.as_str()) {
        return Err(Problem::new(
            Reason::NotPermitted,
            format!(
                "{path} is where Keystead keeps the values of SecretProvider {}, and scopes say who gets those: name the service instead of the path",
                keeper.name_any()
            ),
        ));
    }
    // Beside values an engine has settings, and what is written there holds for everybody's.
    if let Some(keeper) = provider::engine_keeper(world, provider, path.as_str()).filter(|_| !method.is_get())
    {
        return Err(Problem::new(
            Reason::NotPermitted,
            format!(
                "{path} is in an engine of SecretProvider {}, where only Keystead writes: a Post is for other engines",
                keeper.name_any()
            ),
        ));
    }
    let allowed = provider.spec.allowed_paths.iter();
    let mut allowed = allowed
        .filter(|allowed| path.is_within(&allowed.prefix) && world.selects(&allowed.namespaces, namespace))
        .peekable();
    let is_open = allowed.peek().is_some();
    if allowed.any(|allowed| allowed.allows(method)) {
        return Ok(path);
    }
    if is_open {
        return Err(Problem::new(
            Reason::NotPermitted,
            format!(
                "SecretProvider {} does not open {path} to namespace {namespace} by method {method:?}: the entry of its \
                 spec.allowedPaths needs {method:?} among its methods",
                provider.name_any()
            ),
        ));
    }
    Err(Problem::new(
        Reason::NotPermitted,
        format!(
            "SecretProvider {} does not open {path} to namespace {namespace}: its spec.allowedPaths needs an entry whose prefix is this path or one above it, and whose namespaces select this one",
            provider.name_any()
        ),
    ))
}

#[cfg(test)]
mod tests;
