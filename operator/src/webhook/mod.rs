//! The admission webhook: gives pods their sidecar, and looks at what is declared. It answers from
//! memory; only to ask who may be a tenant does it call the API server. Beside it, sidecars report on their
//! pods.

pub mod certs;
mod https;
pub mod inject;
mod metrics;
mod reports;
pub mod review;
pub mod server;
pub mod tls;
pub mod validate;
mod wire;

pub use self::inject::{PodSecrets, Requests};
use self::metrics::Metrics;
use keystead_compile::World;
use keystead_runtime::probes::Readiness;
use keystead_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLockReadGuard};
use tokio::net::TcpListener;

/// What is declared in the cluster. Asked on every pod's way into the cluster, so it answers from
/// memory.
pub trait Directory: Send + Sync + 'static {
    /// What a pod of this service account with these labels gets.
    fn secrets_for(
        &self,
        namespace: &str,
        service_account: &str,
        labels: &BTreeMap<String, String>,
    ) -> Lookup;
    /// All that is declared; none while that is not known yet.
    fn world(&self) -> Option<RwLockReadGuard<'_, World>>;
}

/// The answer of a [`Directory`].
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// Only bindings to another operator's providers name the account: its webhook sees to the pod.
    Elsewhere,
    /// This.
    Found(Box<PodSecrets>),
    /// No binding names the account.
    NoBinding,
    /// Not known yet: the caches are still filling, or what serves the account is not ready.
    NotReady,
    /// Its bindings can't be served together or at all; a sentence that says why and what to do.
    Refused(String),
    /// These bindings name the account, and none selects a pod with these labels.
    Unselected(Vec<String>),
}

/// Where the webhook is and what it adds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen, with TLS.
    pub listen: SocketAddr,
    /// Where to listen for what sidecars report; the service has the same port for it.
    pub reports_listen: SocketAddr,
    /// The namespace Keystead runs in.
    pub namespace: String,
    /// The service the API server calls.
    pub service: String,
    /// The Secret with the certificates, shared by all replicas.
    pub tls_secret: String,
    /// Whether somebody else keeps that Secret and the webhook configurations' CA bundle.
    pub tls_given: bool,
    /// The MutatingWebhookConfiguration whose CA bundle is kept current.
    pub webhook_configuration: String,
    /// The ValidatingWebhookConfiguration whose CA bundle is kept current, where there is one.
    pub validating_webhook_configuration: Option<String>,
    /// The sidecars.
    pub sidecar: inject::Settings,
}

/// Why the webhook ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or the address is not ours.
    #[error("failed to listen on {address} for the webhook or for sidecars")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Two parts of the program export a metric of one name.
    #[error("failed to register the webhook's metrics")]
    Metrics(#[source] prometheus::Error),
    /// The TLS library refuses the settings.
    #[error("failed to set up TLS for the webhook")]
    Tls(#[source] rustls::Error),
}

/// Serves the webhook and keeps its certificate until the end is asked for. Ready when it has a
/// certificate and the API server has been told whom to trust.
pub async fn run(
    settings: Settings,
    directory: Arc<dyn Directory>,
    client: kube::Client,
    readiness: &Readiness,
    registry: &prometheus::Registry,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let metrics = Metrics::register(registry).map_err(Error::Metrics)?;
    let (listener, _) = bind(settings.listen).await?;
    let (reports, reports_port) = bind(settings.reports_listen).await?;
    let certificate = Arc::new(tls::Reloadable::default());
    let config = tls::server_config(Arc::clone(&certificate)).map_err(Error::Tls)?;
    let operator = inject::Operator::new(&settings.service, &settings.namespace, reports_port);
    let keeper = certs::Keeper {
        client: client.clone(),
        certificate,
        names: certs::Names::from(&settings),
        operator: operator.clone(),
        is_given: settings.tls_given,
        served: readiness.register("webhook certificate"),
        trusted: readiness.register("webhook configuration"),
        expiry: metrics.expiry.clone(),
        failures: metrics.certificate_failures.clone(),
    };
    let reporters = reports::Handler::new(client.clone(), metrics.reports.clone());
    let handlers = server::Handlers {
        validate: validate::Handler {
            directory: Arc::clone(&directory),
            client: client.clone(),
            metrics: metrics.clone(),
        },
        inject: review::Handler {
            directory,
            sidecar: inject::Settings {
                operator,
                ..settings.sidecar
            },
            metrics,
        },
    };
    // Sidecars may speak nothing newer, and need not.
    let mut older = config.clone();
    older.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    tokio::join!(
        keeper.run(shutdown.clone()),
        server::serve(listener, config, Arc::new(handlers), shutdown.clone()),
        reports::serve(reports, Arc::new(older), Arc::new(reporters), shutdown),
    );
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, u16), Error> {
    let failed = |source| Error::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}
