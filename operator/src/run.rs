//! The process: watches, the loop, the webhook, probes; whichever ends early ends them all.

use crate::args::{Args, WebhookArgs};
use crate::context::Context;
use crate::directory::WorldDirectory;
use crate::lease::Election;
use crate::metrics::Metrics;
use crate::webhook;
use crate::{reconcile, watch};
use keystead_cluster::connect;
use keystead_compile::{Problem, World};
use keystead_crds::{Credential, SecretBinding, SecretProvider, SecretScope};
use keystead_runtime::probes::{Condition, Probes, Readiness};
use keystead_runtime::{Shutdown, shutdown};
use kube::Client;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
        lease,
        identity,
        admin_listen,
        webhook,
        ..
    } = args;
    let shutdown = shutdown::on_signals().map_err(Error::Signals)?;
    let client = connect().await?;
    let registry = Registry::new();
    let readiness = Readiness::default();
    let metrics = Metrics::register(&registry).map_err(Error::Metrics)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster,
        class,
        "Keystead operator starts"
    );

    let world = World::new(cluster, class);
    let context = Arc::new(Context::new(client.clone(), world, metrics, vault_token_file));
    let synced = Arc::new(AtomicBool::new(false));
    let directory = WorldDirectory {
        context: Arc::clone(&context),
        synced: Arc::clone(&synced),
    };
    let probes = Probes::bind(admin_listen, readiness.clone(), registry.clone())
        .await
        .map_err(Error::Probes)?;
    let (watches, listed) = watches(&context, &readiness, &shutdown);
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

/// A client whose every call ends, and that leaves retries to the queue.
pub(crate) async fn connect() -> Result<Client, Error> {
    let config = connect::config(None).await.map_err(Error::Connect)?;
    connect::client(config).map_err(Error::Connect)
}

/// Every watch, and whether each has listed.
fn watches(
    context: &Arc<Context>,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> (impl Future<Output = ()> + use<>, [Condition; 6]) {
    let listed = [
        "SecretProviders",
        "SecretScopes",
        "Credentials",
        "SecretBindings",
        "Namespaces",
        "Secrets",
    ]
    .map(|kind| readiness.register(&format!("list of {kind}")));
    let [providers, scopes, credentials, bindings, namespaces, secrets] = listed.clone();
    let (context, shutdown) = (Arc::clone(context), shutdown.clone());
    let watches = async move {
        tokio::join!(
            watch::declared::<SecretProvider>(Arc::clone(&context), providers, shutdown.clone()),
            watch::declared::<SecretScope>(Arc::clone(&context), scopes, shutdown.clone()),
            watch::declared::<Credential>(Arc::clone(&context), credentials, shutdown.clone()),
            watch::declared::<SecretBinding>(Arc::clone(&context), bindings, shutdown.clone()),
            watch::namespaces(Arc::clone(&context), namespaces, shutdown.clone()),
            watch::secrets(context, secrets, shutdown),
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

/// Everything that is declared is due once.
fn start(context: &Context) {
    use crate::affected;
    let world = context.world();
    let mut units = Vec::new();
    for provider in world.providers() {
        units.extend(affected::by_provider(
            &world,
            provider.metadata.name.as_deref().unwrap_or_default(),
        ));
    }
    // Those that name a provider or scope that is not there say so.
    units.extend(world.scopes().flat_map(|scope| {
        let name = scope.metadata.name.clone().unwrap_or_default();
        affected::by_scope(&world, &name, [])
    }));
    units.extend(
        world
            .credentials()
            .flat_map(|(key, found)| affected::by_credential(&world, key, &[found])),
    );
    units.extend(
        world
            .bindings()
            .flat_map(|(key, found)| affected::by_binding(key, &[found])),
    );
    for unit in units {
        context.queue.push(unit);
    }
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
        namespace: args.namespace.unwrap_or_default(),
        service: args.service.unwrap_or_default(),
        tls_secret: args.tls_secret,
        webhook_configuration,
        validating_webhook_configuration: args.validating_webhook_configuration,
        sidecar: webhook::inject::Settings {
            image: args.sidecar_image.unwrap_or_default(),
            image_pull_policy: args.sidecar_image_pull_policy,
            requests: webhook::Resources {
                cpu: "10m".into(),
                memory: "16Mi".into(),
            },
            guaranteed: webhook::Resources {
                cpu: "100m".into(),
                memory: "64Mi".into(),
            },
        },
    };
    let directory = Arc::new(directory);
    webhook::run(settings, directory, client, readiness, registry, shutdown)
        .await
        .map_err(Error::Webhook)
}
