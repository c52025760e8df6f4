//! What every reconcile needs, once.

use crate::affected;
use crate::metrics::Metrics;
use crate::providers::{Declaration, Providers};
use crate::queue::{Queue, Unit};
use crate::rotation::{self, Store};
use crate::sync::Syncs;
use crate::versions::Versions;
use keystead_cluster::Values;
use keystead_compile::fingerprint::Fingerprint;
use keystead_compile::kinds::binding::{Account, naming};
use keystead_compile::{Key, Problem, World};
use keystead_vault::engine::{self, Action, Applied};
use keystead_vault::object::{Deletion, Object};
use kube::Client;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What every reconcile needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) queue: Arc<Queue>,
    pub(crate) providers: Providers,
    pub(crate) metrics: Metrics,
    pub(crate) syncs: Syncs,
    /// Of the Secrets that Credentials take values from, and of all others.
    pub(crate) versions: Versions,
    pub(crate) vault_token_file: PathBuf,
    /// As many permits as endpoints may be asked for new values at once.
    asking: Semaphore,
    /// How long a namespace that is being deleted waits for Vault.
    pub(crate) release_after: Duration,
    world: RwLock<World>,
    /// Whether this replica is the one that writes.
    leading: AtomicBool,
    /// How each account's last reconcile ended; its bindings report it.
    accounts: Mutex<HashMap<Account, Reconciled>>,
}

/// How an account's reconcile ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reconciled {
    /// What it was compiled from.
    pub(crate) from: Sources,
    /// Tells that from what else it may be compiled from; none where it could not be compiled.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) result: Result<(), Problem>,
}

/// The bindings an account was compiled from, each by its generation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sources(Vec<(Key, Option<i64>)>);

impl Sources {
    /// What an account is compiled from now.
    pub(crate) fn of(world: &World, account: &Account) -> Self {
        Self(
            naming(world, account)
                .map(|(key, found)| (key.clone(), found.metadata.generation))
                .collect(),
        )
    }

    /// Whether this generation of a binding is among them.
    fn have(&self, key: &Key, generation: Option<i64>) -> bool {
        self.0
            .iter()
            .any(|found| (&found.0, found.1) == (key, generation))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Context {
    pub(crate) fn new(
        client: Client,
        world: World,
        queue: Arc<Queue>,
        metrics: Metrics,
        vault_token_file: PathBuf,
        release_after: Duration,
    ) -> Self {
        Self {
            client,
            queue,
            providers: Providers::default(),
            metrics,
            syncs: Syncs::default(),
            versions: Versions::default(),
            vault_token_file,
            asking: Semaphore::new(rotation::AT_ONCE),
            release_after,
            world: RwLock::new(world),
            leading: AtomicBool::new(false),
            accounts: Mutex::default(),
        }
    }

    /// From now on this replica writes.
    pub(crate) fn lead(&self) {
        self.leading.store(true, Ordering::Release);
    }

    /// Whether this replica writes.
    pub(crate) fn is_leading(&self) -> bool {
        self.leading.load(Ordering::Acquire)
    }

    /// All that is declared. Never hold it across a wait.
    pub(crate) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to change it.
    pub(crate) fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a provider's own reconcile is still to come, which queues whoever depends on it.
    pub(crate) fn waits_for(&self, world: &World, provider: &str) -> bool {
        let declared = world.provider(provider).map(|found| Declaration::of(found));
        declared.is_some_and(|declaration| self.providers.is_pending(provider, &declaration))
    }

    /// Makes one object in a provider's Vault as it should be.
    pub(crate) async fn apply(&self, provider: &str, object: &Object) -> Result<Applied, Problem> {
        let vault = self.providers.client(provider)?;
        let store = Store {
            secrets: Values::new(&self.client),
            asking: &self.asking,
        };
        let applied = engine::apply(&vault, &store, object).await;
        if let Ok(Applied {
            action: action @ (Action::Create | Action::Change | Action::Adopt),
            ..
        }) = applied
        {
            tracing::info!(provider, %object, %action, "wrote to Vault");
            self.note_values(provider, object);
        }
        applied.map_err(|error| self.suspect(provider, error))
    }

    /// Takes one object out of a provider's Vault; values as `deletion` says.
    pub(crate) async fn remove(
        &self,
        provider: &str,
        object: &Object,
        deletion: Deletion,
    ) -> Result<(), Problem> {
        let vault = self.providers.client(provider)?;
        let removed = engine::remove(&vault, object, deletion).await;
        let removed = removed.map_err(|error| self.suspect(provider, error))?;
        let details = removed.details.join("; ");
        tracing::info!(provider, %object, details, "removed from Vault");
        self.note_values(provider, object);
        Ok(())
    }

    /// How an account's last reconcile ended; none if it has not been reconciled from this generation
    /// of the binding.
    pub(crate) fn account(
        &self,
        account: &Account,
        key: &Key,
        generation: Option<i64>,
    ) -> Option<(Option<Fingerprint>, Result<(), Problem>)> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = accounts.get(account)?;
        let known = (found.fingerprint, found.result.clone());
        found.from.have(key, generation).then_some(known)
    }

    /// Notes how an account's reconcile ended; answers whether that is news.
    pub(crate) fn note_account(&self, account: &Account, result: Option<Reconciled>) -> bool {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            None => accounts.remove(account).is_some(),
            Some(result) => accounts.insert(account.clone(), result.clone()).as_ref() != Some(&result),
        }
    }

    /// Values in Vault changed, and the Secrets that hold them are to follow.
    fn note_values(&self, provider: &str, object: &Object) {
        if let Object::KvSecret(secret) = object {
            for unit in affected::by_values(&self.world(), provider, &secret.path) {
                self.queue.push(unit);
            }
        }
    }

    /// A refusal may mean that the token is gone: the provider's reconcile finds out.
    pub(crate) fn suspect(&self, provider: &str, error: keystead_vault::Error) -> Problem {
        if error.is_denied() {
            self.queue.push(Unit::Provider(provider.to_owned()));
        }
        error.into()
    }
}
