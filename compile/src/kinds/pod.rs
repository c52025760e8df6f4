//! What a pod is shown: the bindings of its service account → the sidecar's config.

mod annotations;
mod shape;

pub use self::shape::Shape;

use super::binding::{self, Account};
use super::database::role;
use super::defaults::{Effective, effective};
use super::{provider, scope};
use crate::world::matches;
use crate::{Key, Problem, World};
use keystead_crds::binding::{BoundSecret, FileSpec, PathMethod};
use keystead_crds::condition::Reason;
use keystead_crds::provider::WorkloadMethod;
use keystead_crds::sidecar::{
    CONFIG_VERSION, Config, EnvConfig, FileConfig, MadeSource, OnChange, ScopeConfig, SecretConfig,
    SecretSource, TemplateConfig, VaultConfig,
};
use keystead_crds::{Level, SecretBinding, SecretProvider};
use keystead_vault::name::Letter;
use std::collections::BTreeMap;

/// What a pod of an account gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodSecrets {
    /// The sidecar's config; its file mode is for the webhook to decide, who knows the pod.
    pub config: Config,
    /// Audience of the projected token.
    pub audience: String,
    /// How often its sidecar looks for changes and what it asks the node for, and because of whom.
    pub defaults: Effective,
    /// Which of its containers are served, and where.
    pub shape: Shape,
    /// A DatabaseRole that makes users with a lease, which somebody has to renew; none where there is none.
    pub leases: Option<String>,
    /// Whether its commands are started anew when a value changes, in a mode that starts them.
    pub restart: bool,
    /// Why the cluster can't hand variables over by `fileKeyRef`, as a clause; none where it can.
    pub lacks_env_files: Option<String>,
    /// The bindings it comes from.
    pub bindings: Vec<String>,
}

/// What the bindings of an account say of its pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bound {
    /// No binding names the account.
    No,
    /// These do, for pods with other labels.
    Unselected(Vec<String>),
    /// Only bindings to another operator's providers do.
    Elsewhere,
    /// What it depends on is not known yet.
    NotYet,
    /// This is what a pod gets.
    Yes(Box<PodSecrets>),
}

/// What a pod of the account with these labels gets.
pub fn compile(
    world: &World,
    namespace: &str,
    service_account: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Bound, Problem> {
    let (selected, others): (Vec<_>, Vec<_>) = world
        .bindings_of(namespace, service_account)
        .map(|(key, binding)| (key, binding.as_ref()))
        .partition(|(_, binding)| selects(binding, labels));
    let (foreign, bindings): (Vec<_>, Vec<_>) = selected
        .into_iter()
        .partition(|(_, binding)| world.is_foreign(&binding.spec.provider_ref.name));
    let Some(((key, first), more)) = bindings.split_first() else {
        return Ok(match (foreign.is_empty(), others.is_empty()) {
            (true, true) => Bound::No,
            (true, false) => Bound::Unselected(others.iter().map(|(key, _)| key.name.clone()).collect()),
            (false, _) => Bound::Elsewhere,
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
        binding::check(world, key, binding).map_err(|problem| of_binding(key, problem))?;
    }
    for (key, binding) in &bindings {
        match binding::check_sources(world, key, binding) {
            None => return Ok(Bound::NotYet),
            Some(checked) => checked.map_err(|problem| of_binding(key, problem))?,
        }
    }
    let provider = provider::find(world, name)?;
    let mut held = effective(world, provider, key, first)?;
    for (key, binding) in more {
        held = held.and(effective(world, provider, key, binding)?);
    }
    let account = Account {
        provider: name.clone(),
        namespace: namespace.into(),
        name: service_account.into(),
    };
    secrets_of(world, &account, &bindings, held).map(|secrets| Bound::Yes(Box::new(secrets)))
}

fn secrets_of(
    world: &World,
    account: &Account,
    bindings: &[(&Key, &SecretBinding)],
    defaults: Effective,
) -> Result<PodSecrets, Problem> {
    let provider = provider::find(world, &account.provider)?;
    let config = Config {
        version: CONFIG_VERSION,
        vault: vault(world, provider, account)?,
        secrets: secrets(world, provider, bindings)?,
        files: bindings
            .iter()
            .flat_map(|(key, found)| files(world, key, found))
            .collect(),
        env: bindings.iter().flat_map(|(key, found)| env(key, found)).collect(),
        file_mode: 0,
        refresh_millis: defaults.refresh_millis(),
        once: false,
        exec: false,
        operator: None,
    };
    Ok(PodSecrets {
        config,
        audience: provider.spec.workload_auth.audience.clone(),
        defaults,
        shape: Shape::of(bindings)?,
        leases: leases(world, bindings),
        restart: bindings
            .iter()
            .any(|(_, found)| found.spec.sidecar.restart_on_change),
        lacks_env_files: world.lacks_env_files.clone(),
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

fn secrets(
    world: &World,
    provider: &SecretProvider,
    bindings: &[(&Key, &SecretBinding)],
) -> Result<Vec<SecretConfig>, Problem> {
    let mut secrets = Vec::new();
    for (key, binding) in bindings {
        for asked in &binding.spec.secrets {
            let name = unique(key, &asked.name);
            secrets.push(match &asked.database_role {
                Some(role) => SecretConfig {
                    from: SecretSource::Database(Box::new(role::source(
                        world,
                        provider,
                        &key.namespace,
                        role,
                    )?)),
                    ..stored(name, asked)
                },
                None => stored(name, asked),
            });
        }
    }
    Ok(secrets)
}

/// A dynamic role among those that bindings name.
fn leases(world: &World, bindings: &[(&Key, &SecretBinding)]) -> Option<String> {
    bindings.iter().find_map(|(key, binding)| {
        let mut names = binding
            .spec
            .secrets
            .iter()
            .filter_map(|secret| secret.database_role.as_ref());
        let found = names.find(|name| {
            let role = world.database_role(&Key::new(&key.namespace, name));
            role.is_some_and(|role| role.spec.dynamic.is_some())
        });
        found.cloned()
    })
}

/// One entry of a binding's `secrets`, under a name.
pub(super) fn stored(name: String, secret: &BoundSecret) -> SecretConfig {
    let overlap = secret.overlap.map(std::time::Duration::from);
    SecretConfig {
        name,
        from: match (&secret.service, secret.path.clone().unwrap_or_default()) {
            (Some(service), _) => SecretSource::Service(service.clone()),
            (None, path) if secret.method == PathMethod::Post => SecretSource::Made(Box::new(MadeSource {
                path,
                parameters: secret.parameters.clone(),
            })),
            (None, path) => SecretSource::Path(path),
        },
        keys: secret.keys.clone(),
        optional: secret.optional,
        overlap_millis: overlap.and_then(|overlap| u64::try_from(overlap.as_millis()).ok()),
    }
}

fn files(world: &World, key: &Key, binding: &SecretBinding) -> impl Iterator<Item = FileConfig> {
    let files = binding.spec.files.iter();
    files.map(move |file| FileConfig {
        path: file.path.clone(),
        format: file.format,
        secret: file.secret.as_ref().map(|secret| unique(key, secret)),
        template: binding::text(world, &key.namespace, file).map(|text| TemplateConfig {
            text: text.to_owned(),
            prefix: unique(key, ""),
        }),
        key: file.key.clone(),
        mode: file.mode(),
        on_change: on_change(binding, file),
    })
}

/// Who is told when a file has changed: what it says itself, else what its binding says of all of them.
fn on_change(binding: &SecretBinding, file: &FileSpec) -> Option<OnChange> {
    let asked = file.on_change.as_ref().or(binding.spec.on_change.as_ref())?;
    let signal = asked.signal.as_ref().map(|signal| OnChange::Signal {
        name: signal.name,
        container: signal.container.clone(),
    });
    signal.or_else(|| {
        let http = asked.http.as_ref()?;
        Some(OnChange::Http {
            port: u16::try_from(http.port).ok()?,
            path: http.path.clone(),
        })
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

fn of_binding(key: &Key, Problem { reason, message }: Problem) -> Problem {
    Problem::new(reason, format!("SecretBinding {}: {message}", key.name))
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

/// Whether a binding is for pods with these labels.
fn selects(binding: &SecretBinding, labels: &BTreeMap<String, String>) -> bool {
    let selector = binding.spec.pod_selector.as_ref();
    selector.is_none_or(|selector| matches(selector, labels))
}

/// Two bindings may use one name for different services.
fn unique(key: &Key, secret: &str) -> String {
    format!("{}/{secret}", key.name)
}

#[cfg(test)]
mod tests;
