//! What a pod is shown: the bindings of its service account → the sidecar's config.

use super::binding::{self, Account};
use super::{provider, scope};
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::sidecar::{
    CONFIG_VERSION, Config, EnvConfig, FileConfig, ScopeConfig, SecretConfig, SecretSource, VaultConfig,
};
use keystead_crds::{Level, SecretBinding, SecretProvider};
use keystead_vault::name::Letter;
use std::time::Duration;

/// What a pod of an account gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodSecrets {
    /// The sidecar's config; its file mode is for the webhook to decide, who knows the pod.
    pub config: Config,
    /// Audience of the projected token.
    pub audience: String,
    /// The bindings it comes from.
    pub bindings: Vec<String>,
}

/// What the bindings of an account say of its pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bound {
    /// No binding names the account.
    No,
    /// Only bindings to another operator's providers do.
    Elsewhere,
    /// What it depends on is not known yet.
    NotYet,
    /// This is what a pod gets.
    Yes(Box<PodSecrets>),
}

/// What a pod of the account gets.
pub fn compile(world: &World, namespace: &str, service_account: &str) -> Result<Bound, Problem> {
    let (foreign, bindings): (Vec<_>, Vec<_>) = world
        .bindings_in(namespace)
        .filter(|(_, binding)| {
            binding
                .spec
                .service_accounts
                .iter()
                .any(|name| name == service_account)
        })
        .map(|(key, binding)| (key, binding.as_ref()))
        .partition(|(_, binding)| world.is_foreign(&binding.spec.provider_ref.name));
    let Some((_, first)) = bindings.first() else {
        return Ok(if foreign.is_empty() {
            Bound::No
        } else {
            Bound::Elsewhere
        });
    };
    let name = &first.spec.provider_ref.name;
    if !world.knows(namespace) || (world.provider(name).is_some() && world.facts(name).is_none()) {
        return Ok(Bound::NotYet);
    }
    let mut others = bindings.iter().chain(&foreign);
    if let Some((key, other)) = others.find(|(_, binding)| binding.spec.provider_ref.name != *name) {
        return Err(Problem::new(
            Reason::Invalid,
            format!(
                "the SecretBindings of service account {service_account} name two providers ({name} and, in {}, {}); a pod has one: use two service accounts",
                key.name, other.spec.provider_ref.name
            ),
        ));
    }
    check_together(&bindings)?;
    for (key, binding) in &bindings {
        binding::check(world, key, binding).map_err(|problem| {
            Problem::new(
                problem.reason,
                format!("SecretBinding {}: {}", key.name, problem.message),
            )
        })?;
    }
    let account = Account {
        provider: name.clone(),
        namespace: namespace.into(),
        name: service_account.into(),
    };
    secrets_of(world, &account, &bindings).map(|secrets| Bound::Yes(Box::new(secrets)))
}

fn secrets_of(
    world: &World,
    account: &Account,
    bindings: &[(&Key, &SecretBinding)],
) -> Result<PodSecrets, Problem> {
    let provider = provider::find(world, &account.provider)?;
    let config = Config {
        version: CONFIG_VERSION,
        vault: vault(world, provider, account)?,
        secrets: bindings
            .iter()
            .flat_map(|(key, binding)| secrets(key, binding))
            .collect(),
        files: bindings
            .iter()
            .flat_map(|(key, found)| files(key, found))
            .collect(),
        env: bindings.iter().flat_map(|(key, found)| env(key, found)).collect(),
        file_mode: 0,
        refresh_millis: refresh(bindings),
    };
    Ok(PodSecrets {
        config,
        audience: provider.spec.workload_auth.audience.clone(),
        bindings: bindings.iter().map(|(key, _)| key.name.clone()).collect(),
    })
}

fn vault(world: &World, provider: &SecretProvider, account: &Account) -> Result<VaultConfig, Problem> {
    let spec = &provider.spec;
    let facts = world.facts(&account.provider).cloned().unwrap_or_default();
    let mut scopes = Vec::new();
    if spec.workload_auth.method == WorkloadMethod::Jwt {
        scopes.push(ScopeConfig {
            level: Level::Node,
            id: None,
        });
    }
    if let Some(id) = scope::company(world, &account.provider, &account.namespace)? {
        scopes.push(ScopeConfig {
            level: Level::Company,
            id: Some(id.to_owned()),
        });
    }
    scopes.push(ScopeConfig {
        level: Level::Global,
        id: None,
    });
    Ok(VaultConfig {
        address: spec.vault.address.clone(),
        namespace: spec.vault.namespace.clone(),
        server_name: spec.vault.tls_server_name.clone(),
        ca: facts.ca,
        auth_mount: spec.workload_auth.mount.clone(),
        role: provider::prefix(world, provider).name(
            Letter::ServiceAccount,
            &account.namespace,
            &account.name,
        ),
        kv_mount: spec.vault.mounts.kv.clone(),
        path_prefix: spec.vault.path_prefix.clone(),
        environment: spec.environment.to_string(),
        scopes,
    })
}

fn secrets(key: &Key, binding: &SecretBinding) -> impl Iterator<Item = SecretConfig> {
    let secrets = binding.spec.secrets.iter();
    secrets.map(|secret| SecretConfig {
        name: unique(key, &secret.name),
        from: match (&secret.service, &secret.path) {
            (Some(service), _) => SecretSource::Service(service.clone()),
            (None, path) => SecretSource::Path(path.clone().unwrap_or_default()),
        },
        keys: secret.keys.clone(),
        optional: secret.optional,
    })
}

fn files(key: &Key, binding: &SecretBinding) -> impl Iterator<Item = FileConfig> {
    let files = binding.spec.files.iter();
    files.map(|file| FileConfig {
        path: file.path.clone(),
        format: file.format,
        secret: unique(key, &file.secret),
        key: file.key.clone(),
    })
}

fn env(key: &Key, binding: &SecretBinding) -> impl Iterator<Item = EnvConfig> {
    let env = binding.spec.env.iter();
    env.map(|variable| EnvConfig {
        name: variable.name.clone(),
        secret: unique(key, &variable.secret),
        key: variable.key.clone(),
    })
}

/// Refuses what two bindings would both put into the pod.
fn check_together(bindings: &[(&Key, &SecretBinding)]) -> Result<(), Problem> {
    for (index, (key, binding)) in bindings.iter().enumerate() {
        for (other, found) in bindings.iter().take(index) {
            if let Some(overlap) = binding::overlap(&found.spec, &binding.spec) {
                let message = format!(
                    "SecretBindings {} and {} both give the pod {overlap}: rename one",
                    other.name, key.name
                );
                return Err(Problem::new(Reason::Conflict, message));
            }
        }
    }
    Ok(())
}

fn refresh(bindings: &[(&Key, &SecretBinding)]) -> u64 {
    let intervals = bindings
        .iter()
        .filter_map(|(_, binding)| binding.spec.refresh_interval.map(Duration::from));
    let shortest = intervals
        .min()
        .unwrap_or(Duration::from_mins(1))
        .max(Duration::from_secs(1));
    u64::try_from(shortest.as_millis()).unwrap_or(u64::MAX)
}

/// Two bindings may use one name for different services.
fn unique(key: &Key, secret: &str) -> String {
    format!("{}/{secret}", key.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProviderFacts;
    use crate::fixtures::{binding, company, global, provider, world};
    use keystead_crds::binding::EnvSpec;
    use std::sync::Arc;

    fn shop(bindings: impl IntoIterator<Item = SecretBinding>) -> World {
        let mut world = world(
            [provider("p"), provider("q")],
            [global("g", "p"), company("acme", "p", "acme", 1)],
        );
        world.set_facts(
            "p",
            ProviderFacts {
                ca: Some("PEM".into()),
                accessor: None,
            },
        );
        world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
        for binding in bindings {
            world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
        }
        world
    }

    fn with_env(mut binding: SecretBinding, name: &str) -> SecretBinding {
        binding.spec.env = vec![EnvSpec {
            name: name.into(),
            secret: "hubspot".into(),
            key: "api_key".into(),
        }];
        binding
    }

    #[test]
    fn a_pod_gets_the_bindings_of_its_account() {
        let world = shop([with_env(binding("shop", "b", "p", "web", "hubspot"), "KEY")]);
        let Ok(Bound::Yes(secrets)) = compile(&world, "shop", "web") else {
            panic!()
        };
        assert_eq!(secrets.bindings, ["b"]);
        assert_eq!(secrets.config.env[0].secret, "b/hubspot");
        let scopes: Vec<_> = secrets
            .config
            .vault
            .scopes
            .iter()
            .map(|scope| scope.level)
            .collect();
        assert_eq!(scopes, [Level::Node, Level::Company, Level::Global]);
        assert_eq!(secrets.config.vault.role, "keystead.c1.p.s.shop.web");
        assert_eq!(compile(&world, "shop", "other"), Ok(Bound::No));
        assert_eq!(compile(&world, "elsewhere", "web"), Ok(Bound::No));
    }

    #[test]
    fn what_is_not_known_yet_gives_no_wrong_answer() {
        let mut world = shop([binding("shop", "b", "p", "web", "hubspot")]);
        world.set_namespace("shop", None);
        assert_eq!(
            compile(&world, "shop", "web"),
            Ok(Bound::NotYet),
            "it may belong to a company"
        );
        let world = shop([binding("shop", "b", "q", "web", "hubspot")]);
        assert_eq!(
            compile(&world, "shop", "web"),
            Ok(Bound::NotYet),
            "its CA is not read yet"
        );
    }

    #[test]
    fn two_bindings_must_not_give_one_variable() {
        let [one, two] =
            ["one", "two"].map(|name| with_env(binding("shop", name, "p", "web", "hubspot"), "KEY"));
        let problem = compile(&shop([one, two]), "shop", "web").unwrap_err();
        assert_eq!(
            problem.message,
            "SecretBindings one and two both give the pod the variable KEY: rename one"
        );
    }

    #[test]
    fn environments_never_mix_in_a_pod() {
        let world = shop([
            binding("shop", "one", "p", "web", "a"),
            binding("shop", "two", "q", "web", "a"),
        ]);
        assert!(
            compile(&world, "shop", "web")
                .unwrap_err()
                .message
                .contains("two providers")
        );
    }
}
