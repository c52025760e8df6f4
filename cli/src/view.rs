//! The cluster as the person at the keyboard sees it: all that is declared, of one class of providers.

use crate::args::{Target, VaultArgs};
use crate::installation::Installation;
use crate::{progress, vault};
use anyhow::Context as _;
use keystead_cluster::declared::{self, Unreadable};
use keystead_cluster::{Values, connect, connection};
use keystead_compile::{Problem, ProviderFacts, World};
use keystead_crds::SecretProvider;
use keystead_crds::provider::WorkloadMethod;
use keystead_vault::{Client, mounted};
use kube::ResourceExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;

/// All that is declared, and the way to more.
pub(crate) struct View {
    /// The API server.
    pub(crate) client: kube::Client,
    /// The namespace of whoever names none.
    pub(crate) namespace: String,
    /// The operator that serves the class; none where none is found.
    pub(crate) installation: Result<Option<Installation>, Problem>,
    /// All that is declared.
    pub(crate) world: World,
    /// What is declared and can't be read.
    pub(crate) unreadable: Vec<Unreadable>,
    /// How to reach Vault.
    pub(crate) vault: VaultArgs,
    /// The only provider to look at.
    only: Option<String>,
}

impl View {
    /// Reads everything.
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        progress::during("reading what is declared in the cluster", Self::read(target)).await
    }

    async fn read(target: &Target) -> anyhow::Result<Self> {
        let config = connect::config(target.context.as_deref()).await?;
        let namespace = config.default_namespace.clone();
        let client = connect::client(config)?;
        let installation = Installation::find(&client, &target.class).await;
        let told = installation.as_ref().ok().and_then(Option::as_ref);
        let cluster = target
            .cluster_name
            .clone()
            .or_else(|| Some(told?.cluster.clone()));
        let mut world = World::new(cluster.unwrap_or_default(), &target.class);
        let unreadable = declared::fill(&client, &mut world).await?;
        Ok(Self {
            client,
            namespace,
            installation,
            world,
            unreadable,
            vault: target.vault.clone(),
            only: target.provider.clone(),
        })
    }

    /// Fails where the cluster's name is not known, which names in Vault begin with.
    pub(crate) fn named(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.world.cluster.is_empty(),
            "cannot tell this cluster's name, because no operator of class {} is found: name it with --cluster-name",
            self.world.class
        );
        Ok(())
    }

    /// Fails where the only provider to look at is not there.
    pub(crate) fn chosen(&self) -> anyhow::Result<()> {
        let found = |name: &String| self.world.provider(name).is_some() && !self.world.is_foreign(name);
        match &self.only {
            Some(name) if !found(name) => {
                anyhow::bail!("there is no SecretProvider {name} of class {}", self.world.class)
            }
            _ => Ok(()),
        }
    }

    /// Whether what belongs to this provider is to be looked at; `None` where nobody can tell.
    pub(crate) fn concerns(&self, provider: Option<&str>) -> bool {
        match (&self.only, provider) {
            (Some(only), provider) => provider == Some(only.as_str()),
            (None, Some(provider)) => !self.world.is_foreign(provider),
            (None, None) => true,
        }
    }

    /// The providers to look at.
    pub(crate) fn providers(&self) -> Vec<Arc<SecretProvider>> {
        let all = self.world.providers();
        all.filter(|provider| self.concerns(Some(&provider.name_any())))
            .cloned()
            .collect()
    }

    /// Fails where one address is given for several servers.
    pub(crate) fn one_address(&self) -> anyhow::Result<()> {
        let providers = self.providers();
        let addresses: BTreeSet<&str> = providers
            .iter()
            .map(|provider| provider.spec.vault.address.as_str())
            .collect();
        anyhow::ensure!(
            self.vault.address.is_none() || addresses.len() < 2,
            "--vault (or VAULT_ADDR) names one server, and the providers have several ({}): choose one with --provider",
            addresses.into_iter().collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    /// Logs in to a provider's Vault as the person, and notes what compiling needs to know of it.
    pub(crate) async fn log_in(&mut self, provider: &SecretProvider) -> anyhow::Result<Client> {
        let client = vault::log_in(&self.vault, &self.client, provider).await?;
        let auth = &provider.spec.workload_auth;
        let accessor = match auth.method {
            WorkloadMethod::Jwt => {
                let found = mounted::at(&client, &format!("auth/{}", auth.mount)).await;
                let found = found.with_context(|| format!("spec.workloadAuth.mount {}", auth.mount))?;
                Some(found.accessor)
            }
            WorkloadMethod::Kubernetes => None,
        };
        let ca = connection::authorities(&Values::new(&self.client), provider).await?;
        let facts = ProviderFacts {
            ca,
            accessor,
            storage: None,
        };
        self.world.set_facts(&provider.name_any(), facts);
        Ok(client)
    }
}
