//! `SecretProvider`: what everything else of a provider is named and placed by.

use crate::{Key, Problem, World};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_crds::names::is_dns_label;
use keystead_crds::provider::{RoleLogin, WorkloadMethod};
use keystead_vault::hcl::{self, OperatorPolicy, is_plain_path, is_plain_segment};
use keystead_vault::name::Prefix;
use keystead_vault::object::{Mount, MountKind};
use keystead_vault::path::{KvBase, is_within};
use keystead_vault::rights::Right;
use kube::ResourceExt as _;
use std::iter;
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
    let has_odd = |mount: Option<&String>| mount.is_some_and(|path| !is_plain_path(path));
    let wrong = if !is_dns_label(&provider.name_any()) {
        "metadata.name must be a DNS label: lower-case letters, digits and '-'"
    } else if !is_plain_segment(&vault.path_prefix) {
        "spec.vault.pathPrefix must be one path segment"
    } else if !is_plain_path(&vault.mounts.kv) {
        "spec.vault.mounts.kv must be a Vault path"
    } else if has_odd(vault.mounts.database.as_ref()) {
        "spec.vault.mounts.database must be a Vault path"
    } else if has_odd(vault.mounts.transit.as_ref()) {
        "spec.vault.mounts.transit must be a Vault path"
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

/// The secret engines that it needs.
pub fn mounts(provider: &SecretProvider) -> impl Iterator<Item = Mount> {
    let mounts = &provider.spec.vault.mounts;
    let values = Mount {
        path: mounts.kv.clone(),
        kind: MountKind::Kv2,
    };
    let databases = mounts.database.clone().map(|path| Mount {
        path,
        kind: MountKind::Database,
    });
    let keys = mounts.transit.clone().map(|path| Mount {
        path,
        kind: MountKind::Transit,
    });
    iter::once(values).chain(databases).chain(keys)
}

/// The provider whose values a path leads to, by whatever endpoint of the KV engine: read by path they
/// would be read past the scopes. The same of users of its databases, which are for one namespace, and of its
/// encryption keys. Two addresses may be one server, so they don't count; a Vault namespace does, and a path may
/// lead into one below.
pub(crate) fn keeper<'a>(
    world: &'a World,
    provider: &'a SecretProvider,
    path: &str,
) -> Option<&'a SecretProvider> {
    let place = absolute(provider, path);
    all(world, provider).find(|other| {
        let vault = &other.spec.vault;
        let below = |mount: &str| {
            let below = place.strip_prefix(&absolute(other, mount))?;
            below
                .strip_prefix('/')?
                .split_once('/')
                .map(|(_endpoint, below)| below)
        };
        let ours = |below: &str| below.to_ascii_lowercase().starts_with("keystead.");
        let named = [&vault.mounts.database, &vault.mounts.transit];
        let mut named = named.into_iter().filter_map(|mount| mount.as_deref());
        below(&vault.mounts.kv).is_some_and(|below| is_within(below, &vault.path_prefix))
            || named.any(|mount| below(mount).is_some_and(ours))
    })
}

/// The provider, of all that there are, in one of whose engines the path is, wherever in it.
pub(crate) fn engine_keeper<'a>(
    world: &'a World,
    provider: &'a SecretProvider,
    path: &str,
) -> Option<&'a SecretProvider> {
    let place = absolute(provider, path);
    all(world, provider).find(|other| {
        let mounts = &other.spec.vault.mounts;
        let named = [
            Some(&mounts.kv),
            mounts.database.as_ref(),
            mounts.transit.as_ref(),
        ];
        let mut named = named.into_iter().flatten();
        named.any(|mount| is_within(&place, &absolute(other, mount)))
    })
}

/// This provider as it is given, and then all others.
fn all<'a>(world: &'a World, provider: &'a SecretProvider) -> impl Iterator<Item = &'a SecretProvider> {
    let others = world.providers().map(AsRef::as_ref);
    // An earlier state of it may stand in the world.
    let others = others.filter(|other: &&SecretProvider| other.name_any() != provider.name_any());
    iter::once(provider).chain(others)
}

/// A path of a provider, from Vault's root namespace.
fn absolute(provider: &SecretProvider, path: &str) -> String {
    match provider.spec.vault.namespace.as_deref() {
        Some(namespace) => format!("{}/{path}", namespace.trim_matches('/')),
        None => path.to_owned(),
    }
}

/// Where all its names begin.
pub fn prefix(world: &World, provider: &SecretProvider) -> Prefix {
    Prefix {
        cluster: world.cluster.clone(),
        provider: provider.name_any(),
    }
}

/// Whether the operator's login can work: never by the mount whose keys it keeps, because nobody could
/// mend a wrong key there.
pub fn check_auth(provider: &SecretProvider) -> Result<(), Problem> {
    let (auth, workloads) = (&provider.spec.vault.auth, &provider.spec.workload_auth);
    for (method, login) in [("kubernetes", &auth.kubernetes), ("jwt", &auth.jwt)] {
        let kept = method == "jwt" || workloads.method == WorkloadMethod::Jwt;
        let mount = login.as_ref().map(|login| login_mount(method, login));
        // Vault folds the case of mounts' paths.
        if let Some(mount) = mount.filter(|mount| kept && mount.eq_ignore_ascii_case(&workloads.mount)) {
            return Err(Problem::new(
                Reason::Invalid,
                format!(
                    "spec.vault.auth.{method}.mount: {mount} is spec.workloadAuth.mount too, and the operator keeps that mount's keys; give the operator a mount of its own"
                ),
            ));
        }
    }
    Ok(())
}

/// The auth mount of a login: its method's usual one where it names none.
pub fn login_mount<'a>(method: &'a str, login: &'a RoleLogin) -> &'a str {
    login.mount.as_deref().unwrap_or(method)
}

/// The Secrets that it names.
pub fn secrets(provider: &SecretProvider) -> impl Iterator<Item = Key> {
    let vault = &provider.spec.vault;
    let app_role = vault.auth.app_role.as_ref().map(|login| &login.secret_id_ref);
    let keys = [
        vault.ca_secret_ref.as_ref(),
        app_role,
        vault.auth.token_secret_ref.as_ref(),
    ];
    let secrets = keys.into_iter().flatten().map(|key| &key.secret);
    let secrets = secrets.chain(&vault.client_certificate_ref);
    secrets.map(|secret| Key::new(&secret.namespace, &secret.name))
}

/// What the operator's token must be allowed to do.
pub fn rights(world: &World, provider: &SecretProvider) -> Vec<Right> {
    let (vault, workloads) = (&provider.spec.vault, &provider.spec.workload_auth);
    let mut rights = hcl::operator_rights(&OperatorPolicy {
        cluster: &world.cluster,
        workload_mount: &workloads.mount,
        kv_mount: &vault.mounts.kv,
        prefix: &vault.path_prefix,
        database_mount: vault.mounts.database.as_deref(),
        transit_mount: vault.mounts.transit.as_deref(),
        manage_mounts: vault.manage_mounts,
    });
    if workloads.method == WorkloadMethod::Kubernetes {
        // There are no keys to keep.
        let config = format!("auth/{}/config", workloads.mount);
        rights.retain(|right| right.path != config);
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use serde_json::{Value, json};

    fn provider(vault: &Value, method: &str) -> SecretProvider {
        let mut spec = json!({
            "environment": "production",
            "vault": { "address": "https://vault:8200" },
            "workloadAuth": { "method": method, "mount": "pods" },
        });
        for (name, value) in vault.as_object().unwrap() {
            spec["vault"][name] = value.clone();
        }
        SecretProvider::new("p", serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn the_operator_has_a_mount_of_its_own() {
        let check = |auth: Value, method| check_auth(&provider(&json!({ "auth": auth }), method));
        for (auth, method) in [
            (json!({"jwt": {"mount": "pods", "role": "r"}}), "Jwt"),
            (json!({"jwt": {"mount": "Pods", "role": "r"}}), "Kubernetes"),
            (json!({"kubernetes": {"mount": "pods", "role": "r"}}), "Jwt"),
        ] {
            let problem = check(auth, method).unwrap_err();
            assert_eq!(problem.reason, Reason::Invalid);
            assert!(
                problem.message.contains("give the operator a mount of its own"),
                "{problem}"
            );
        }
        for auth in [
            json!({"jwt": {"role": "r"}}),
            json!({"kubernetes": {"role": "r"}}),
            json!({"appRole": {"mount": "pods", "roleId": "r", "secretIdRef": {"namespace": "n", "name": "s", "key": "k"}}}),
        ] {
            assert_eq!(check(auth, "Jwt"), Ok(()));
        }
        let shared = json!({"kubernetes": {"mount": "pods", "role": "r"}});
        assert_eq!(check(shared, "Kubernetes"), Ok(()));
    }

    #[test]
    fn every_secret_is_known() {
        let key = |name: &str| json!({"namespace": "n", "name": name, "key": "k"});
        let provider = |auth: Value| {
            provider(
                &json!({
                    "auth": auth,
                    "caSecretRef": key("ca"),
                    "clientCertificateRef": {"namespace": "n", "name": "tls"},
                }),
                "Jwt",
            )
        };
        for (auth, own) in [
            (
                json!({"appRole": {"roleId": "r", "secretIdRef": key("id")}}),
                "id",
            ),
            (json!({"tokenSecretRef": key("token")}), "token"),
        ] {
            let names: Vec<String> = secrets(&provider(auth)).map(|key| key.name).collect();
            assert_eq!(names, ["ca", own, "tls"]);
        }
    }

    #[test]
    fn rights_are_those_of_the_method() {
        let world = fixtures::world([], []);
        let has = |mut vault: Value, method, path: &str| {
            vault["auth"] = json!({"jwt": {"role": "r"}});
            let rights = rights(&world, &provider(&vault, method));
            rights.iter().any(|right| right.path == path)
        };
        assert!(has(json!({}), "Jwt", "auth/pods/config"));
        assert!(!has(json!({}), "Kubernetes", "auth/pods/config"));
        assert!(has(json!({"pathPrefix": "ks"}), "Jwt", "kv/data/ks/*"));
        assert!(has(json!({"manageMounts": true}), "Jwt", "sys/mounts/kv"));
        assert!(!has(json!({}), "Jwt", "sys/mounts/kv"));
    }
}
