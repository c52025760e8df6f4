//! The process: watches, the loop, the webhook, probes; whichever ends early ends them all.

use crate::affected;
use crate::args::{Args, WebhookArgs};
use crate::context::Context;
use crate::directory::WorldDirectory;
use crate::env_files;
use crate::lease::Election;
use crate::metrics::Metrics;
use crate::queue::{Queue, Unit};
use crate::webhook;
use crate::{definitions, reconcile, settled, watch};
use keystead_cluster::connect;
use keystead_compile::kinds::credential;
use keystead_compile::kinds::database::role;
use keystead_compile::{Problem, World};
use keystead_crds::{
    Credential, DatabaseConnection, DatabaseRole, EncryptionKey, SecretBinding, SecretProvider, SecretScope,
};
use keystead_runtime::probes::{Condition, Probes, Readiness};
use keystead_runtime::{Shutdown, shutdown};
use kube::Client;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest time that an answer of the API server may stand still.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(15);
/// How often the start looks whether every watch has listed.
const SYNC_POLL: Duration = Duration::from_millis(20);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error(transparent)]
    Connect(connect::Error),
    /// Another replica writes now.
    #[error("lost the lease: another replica may be writing, so this one ends")]
    Lease,
    /// Finalizers can't be taken off.
    #[error("failed to take the finalizers off")]
    Release(#[source] Problem),
    /// The API server does not ask the webhook.
    #[error("the webhook does not answer: {0}")]
    Check(String),
    /// The same metric twice.
    #[error("failed to register the metrics")]
    Metrics(#[source] prometheus::Error),
    /// The probes' port.
    #[error("failed to serve probes and metrics (--admin-listen)")]
    Probes(#[source] keystead_runtime::probes::Error),
    /// Signals.
    #[error("failed to listen for signals")]
    Signals(#[source] shutdown::Error),
    /// The webhook.
    #[error("the webhook ended")]
    Webhook(#[source] webhook::Error),
}

/// Runs the operator until it is asked to end.
pub async fn run(args: Args) -> Result<(), Error> {
    let Args {
        cluster,
        class,
        vault_token_file,
        release_after,
        lease,
        identity,
        admin_listen,
        webhook,
        ..
    } = args;
    let shutdown = shutdown::on_signals().map_err(Error::Signals)?;
    let watches = connect(None).await?;
    let client = connect(Some(READ_DEADLINE)).await?;
    let registry = Registry::new();
    let readiness = Readiness::default();
    let queue = Arc::<Queue>::default();
    let metrics = Metrics::register(&registry, Arc::clone(&queue)).map_err(Error::Metrics)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster,
        class,
        "Keystead operator starts"
    );

    let world = World::new(cluster, class);
    let context = Arc::new(Context::new(
        client.clone(),
        world,
        queue,
        metrics,
        vault_token_file,
        release_after,
    ));
    let synced = Arc::new(AtomicBool::new(false));
    let directory = WorldDirectory {
        context: Arc::clone(&context),
        synced: Arc::clone(&synced),
    };
    let probes = Probes::bind(admin_listen, readiness.clone(), registry.clone())
        .await
        .map_err(Error::Probes)?;
    let (watches, listed) = self::watches(&context, watches, &readiness, webhook.clone(), &shutdown);
    let aborted = shutdown.clone();

    let election = lease.map(|name| {
        let namespace = webhook.namespace.as_deref().unwrap_or_default();
        Election::new(client.clone(), namespace, name, identity)
    });
    let reconcile = async {
        if !sync(&listed, &shutdown).await {
            return Ok(());
        }
        synced.store(true, Ordering::Release);
        start(&context);
        reconcile(&context, election, &shutdown).await
    };
    let work = async {
        let webhook = serve(
            webhook,
            directory,
            client,
            &readiness,
            &registry,
            shutdown.clone(),
        );
        let others = async {
            tokio::join!(watches, probes.run(shutdown.clone()));
            Ok(())
        };
        // Whichever fails first ends them all.
        tokio::try_join!(webhook, reconcile, others).map(|_| ())
    };
    tokio::select! {
        result = work => result,
        () = aborted.aborted() => Ok(()),
    }
}

/// Reconciles: everything while this replica has the lease, and what its webhook needs while another
/// has. Fails when the lease is lost.
async fn reconcile(
    context: &Arc<Context>,
    mut election: Option<Election>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let lead = async {
        if let Some(election) = &mut election
            && !election.win(shutdown).await
        {
            return Ok(());
        }
        context.lead();
        start(context);
        match &mut election {
            None => std::future::pending().await,
            // Kept until the last reconcile has ended.
            Some(election) => election.keep().await,
        }
        Err(Error::Lease)
    };
    tokio::select! {
        Err(error) = lead => return Err(error),
        () = reconcile::run(Arc::clone(context), shutdown.clone()) => {}
    }
    context.providers.end().await;
    if let Some(mut election) = election.filter(|_| context.is_leading()) {
        election.release().await;
    }
    Ok(())
}

/// A client that leaves retries to the queue. None of its answers stands still for longer than `silence`;
/// watches have none, because they are silent for minutes, and kube ends those that are so for too long.
pub(crate) async fn connect(silence: Option<Duration>) -> Result<Client, Error> {
    let mut config = connect::config(None).await.map_err(Error::Connect)?;
    config.read_timeout = silence;
    // A connection that was kept does not end just when it is used again.
    config.reset_reader_on_write = true;
    connect::client(config).map_err(Error::Connect)
}

/// Every watch, begun when every kind is there, and whether each has listed.
fn watches(
    context: &Arc<Context>,
    client: Client,
    readiness: &Readiness,
    webhook: WebhookArgs,
    shutdown: &Shutdown,
) -> (impl Future<Output = ()> + use<>, [Condition; 11]) {
    let there = readiness.register("definitions (CRDs) of the kinds");
    let listed = [
        "SecretProviders",
        "SecretScopes",
        "Credentials",
        "SecretBindings",
        "DatabaseConnections",
        "DatabaseRoles",
        "EncryptionKeys",
        "Namespaces",
        "Secrets",
        "ConfigMaps",
        "Nodes",
    ]
    .map(|kind| readiness.register(&format!("list of {kind}")));
    let [
        providers,
        scopes,
        credentials,
        bindings,
        connections,
        roles,
        keys,
        namespaces,
        secrets,
        config_maps,
        nodes,
    ] = listed.clone();
    let (context, shutdown) = (Arc::clone(context), shutdown.clone());
    // Whether variables can be handed over matters to the webhook alone.
    let namespace = webhook.webhook_configuration.and(webhook.namespace);
    let watches = async move {
        if !definitions::all_there(&context.client, &there, &shutdown).await {
            return;
        }
        let source = watch::Source {
            client,
            context,
            shutdown,
        };
        tokio::join!(
            watch::declared::<SecretProvider>(&source, providers),
            watch::declared::<SecretScope>(&source, scopes),
            watch::declared::<Credential>(&source, credentials),
            watch::declared::<SecretBinding>(&source, bindings),
            watch::declared::<DatabaseConnection>(&source, connections),
            watch::declared::<DatabaseRole>(&source, roles),
            watch::declared::<EncryptionKey>(&source, keys),
            watch::namespaces(&source, namespaces),
            watch::secrets(&source, secrets),
            watch::config_maps(&source, config_maps),
            env_files::find_out(&source, namespace.as_deref(), nodes),
        );
    };
    (watches, listed)
}

/// Waits until every watch has listed; not, if the end comes first.
async fn sync(listed: &[Condition], shutdown: &Shutdown) -> bool {
    let mut poll = tokio::time::interval(SYNC_POLL);
    loop {
        tokio::select! {
            _ = poll.tick() => {}
            () = shutdown.requested() => return false,
        }
        if listed.iter().all(Condition::is_met) {
            return true;
        }
    }
}

/// Everything that is declared is due once. What waits for a provider is queued by that.
fn start(context: &Context) {
    let units = units(context);
    settled::begin(context, units);
}

fn units(context: &Context) -> Vec<Unit> {
    let world = context.world();
    let mut units = Vec::new();
    let named = |name: Option<&String>| name.cloned().unwrap_or_default();
    for provider in world.providers() {
        let name = named(provider.metadata.name.as_ref());
        units.push(Unit::Provider(name));
    }
    for scope in world.scopes() {
        units.push(Unit::Scope(named(scope.metadata.name.as_ref())));
    }
    // Those that name a provider or scope that is not there say so.
    for (key, found) in world.credentials() {
        let provider = credential::provider_name(&world, found);
        if !provider.is_some_and(|provider| context.waits_for(&world, provider)) {
            units.push(Unit::Credential(key.clone()));
        }
    }
    for (key, found) in world.database_connections() {
        if !context.waits_for(&world, &found.spec.provider_ref.name) {
            units.push(Unit::DatabaseConnection(key.clone()));
        }
    }
    for (key, found) in world.database_roles() {
        let provider = role::provider_name(&world, key, found);
        if !provider.is_some_and(|provider| context.waits_for(&world, provider)) {
            units.push(Unit::DatabaseRole(key.clone()));
        }
    }
    for found in world.encryption_keys() {
        if !context.waits_for(&world, &found.spec.provider_ref.name) {
            units.push(Unit::EncryptionKey(named(found.metadata.name.as_ref())));
        }
    }
    for (key, found) in world.bindings() {
        units.extend(affected::config_maps(key, &[found]));
        if !context.waits_for(&world, &found.spec.provider_ref.name) {
            units.extend(affected::by_binding(key, &[found]));
        }
    }
    // One whose `sync` was taken away meanwhile has a Secret too many.
    units.extend(context.syncs.bindings().into_iter().map(Unit::Sync));
    units
}

/// Serves the webhook, where one is asked for.
async fn serve(
    args: WebhookArgs,
    directory: WorldDirectory,
    client: Client,
    readiness: &Readiness,
    registry: &Registry,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let Some(webhook_configuration) = args.webhook_configuration else {
        shutdown.requested().await;
        return Ok(());
    };
    let settings = webhook::Settings {
        listen: args.webhook_listen,
        reports_listen: args.reports_listen,
        namespace: args.namespace.unwrap_or_default(),
        service: args.service.unwrap_or_default(),
        tls_secret: args.tls_secret,
        tls_given: args.tls_given,
        webhook_configuration,
        validating_webhook_configuration: args.validating_webhook_configuration,
        sidecar: webhook::inject::Settings {
            image: args.sidecar_image.unwrap_or_default(),
            image_pull_policy: args.sidecar_image_pull_policy,
            image_pull_secrets: args.sidecar_image_pull_secrets,
            guaranteed: webhook::Requests {
                cpu: "100m".into(),
                memory: "64Mi".into(),
            },
            // Known when it listens.
            operator: webhook::inject::Operator::default(),
        },
    };
    let directory = Arc::new(directory);
    webhook::run(settings, directory, client, readiness, registry, shutdown)
        .await
        .map_err(Error::Webhook)
}
