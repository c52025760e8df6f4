//! A world as plain data → the objects that a cluster would have, and what is compiled from them.

use anyhow::{Context, Result};
use keystead_compile::kinds::binding::{self, Account as Compiled};
use keystead_compile::{Key, ProviderFacts, World};
use keystead_vault::object::Object;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

use super::model::Account;
use super::worlds::{Declared, Provider, SPACES, Selector};

/// Where a run's worlds are.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// What its names begin with, its cluster's name too.
    pub(super) id: String,
    /// The auth mounts.
    pub(super) jwt: String,
    pub(super) kubernetes: String,
    /// Accessor of the first.
    pub(super) accessor: String,
}

/// What an account is to have in Vault.
pub(super) enum Wanted {
    /// A policy and a role.
    There([Object; 2]),
    /// Neither.
    Gone([Object; 2]),
    /// No such account can be, so nothing of its name is touched.
    Nothing,
}

/// What the compiler makes of an account.
pub(super) fn wanted(world: &World, declared: &Declared, run: &Run, account: &Account) -> Wanted {
    let account = Compiled {
        provider: provider_name(declared, account.provider).into(),
        namespace: run.real(account.space),
        name: account.name.into(),
    };
    if !binding::can_exist(&account) {
        return Wanted::Nothing;
    }
    match binding::compile(world, &account) {
        Ok(Some(objects)) => Wanted::There(objects),
        Ok(None) => binding::removal(world, &account).map_or(Wanted::Nothing, Wanted::Gone),
        Err(_) => Wanted::Nothing,
    }
}

/// The world as the operator's watches would have filled it.
pub(super) fn world(declared: &Declared, run: &Run) -> Result<World> {
    let mut world = World::new(run.id.clone(), "keystead");
    for (space, labels) in SPACES.iter().zip(&declared.changing.labels) {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        world.set_namespace(&run.real(space), Some(labels.collect()));
    }
    for found in &declared.providers {
        world.set_provider(found.name, Some(provider(found, run)?));
        let facts = ProviderFacts {
            accessor: Some(run.accessor.clone()),
            ..ProviderFacts::default()
        };
        world.set_facts(found.name, facts);
    }
    for (index, company) in declared.companies.iter().enumerate() {
        let spec = json!({
            "providerRef": {"name": provider_name(declared, company.provider)},
            "level": "Company",
            "id": company.id,
            "members": {"namespaceSelector": selector(&company.members)},
            "writers": {"namespaceSelector": {}},
        });
        let made = format!("2026-01-01T00:00:0{}Z", company.made);
        let name = format!("s{index}");
        let scope = object(
            "SecretScope",
            &json!({"name": name, "creationTimestamp": made}),
            &spec,
        )?;
        world.set_scope(&name, Some(scope));
    }
    for (index, binding) in declared.changing.bindings.iter().enumerate() {
        let services = binding
            .services
            .iter()
            .map(|name| json!({"name": name, "service": name}));
        let paths = binding
            .paths
            .iter()
            .map(|path| json!({"name": path, "path": path}));
        let spec = json!({
            "providerRef": {"name": provider_name(declared, binding.provider)},
            "serviceAccounts": binding.accounts,
            "secrets": services.chain(paths).collect::<Vec<_>>(),
        });
        let key = Key {
            namespace: run.real(binding.space),
            name: format!("b{index}"),
        };
        let metadata = json!({"namespace": key.namespace, "name": key.name});
        world.set_binding(key, Some(object("SecretBinding", &metadata, &spec)?));
    }
    Ok(world)
}

fn provider<T: DeserializeOwned>(provider: &Provider, run: &Run) -> Result<Arc<T>> {
    let (method, mount) = if provider.jwt {
        ("Jwt", &run.jwt)
    } else {
        ("Kubernetes", &run.kubernetes)
    };
    let opens = provider.opens.iter();
    let opens = opens.map(|(prefix, who)| json!({"prefix": prefix, "namespaces": selector(who)}));
    let mut spec = json!({
        "environment": provider.environment,
        "vault": {
            "address": "https://vault.invalid",
            "auth": {"kubernetes": {"role": "none"}},
            "pathPrefix": format!("{}{}", run.id, provider.prefix),
        },
        "workloadAuth": {"method": method, "mount": mount, "audience": "vault"},
        "allowedPaths": opens.collect::<Vec<_>>(),
    });
    if let Some(admits) = &provider.admits {
        spec["namespaces"] = selector(admits);
    }
    object("SecretProvider", &json!({"name": provider.name}), &spec)
}

fn selector(selector: &Selector) -> Value {
    match selector {
        Selector::All => json!({}),
        Selector::Is(name, value) => json!({"matchLabels": {*name: value}}),
        Selector::IsNot(name, value) => {
            json!({"matchExpressions": [{"key": name, "operator": "NotIn", "values": [value]}]})
        }
    }
}

fn object<T: DeserializeOwned>(kind: &str, metadata: &Value, spec: &Value) -> Result<Arc<T>> {
    let object =
        json!({"apiVersion": "keystead.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    let object = serde_json::from_value(object).with_context(|| format!("a {kind} {spec}"))?;
    Ok(Arc::new(object))
}

fn provider_name(declared: &Declared, index: usize) -> &'static str {
    declared
        .providers
        .get(index)
        .map_or("nowhere", |provider| provider.name)
}

impl Run {
    /// The name of a namespace or a node in this run.
    pub(super) fn real(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// Policy and role of an account.
    pub(super) fn role(&self, declared: &Declared, account: &Account) -> String {
        let provider = provider_name(declared, account.provider);
        format!(
            "keystead.{}.{provider}.s.{}.{}",
            self.id,
            self.real(account.space),
            account.name
        )
    }

    /// The auth mount by which an account's pods log in.
    pub(super) fn mount(&self, declared: &Declared, account: &Account) -> &str {
        match declared.providers.get(account.provider) {
            Some(provider) if provider.jwt => &self.jwt,
            _ => &self.kubernetes,
        }
    }
}
