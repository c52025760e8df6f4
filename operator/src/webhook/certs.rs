//! The webhook's own CA and certificate: made, shared by all replicas in a Secret, renewed and
//! swapped without a restart. Or somebody else's: then only taken from the Secret.

mod bundle;
mod issue;
mod material;
mod plan;
#[cfg(test)]
mod tests;

pub use self::material::Material;
pub use self::plan::{Plan, plan};

use super::Settings;
use super::inject::Operator;
use super::tls::{self, Reloadable};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use keystead_runtime::backoff::Backoff;
use keystead_runtime::log::Chain;
use keystead_runtime::probes::Condition;
use keystead_runtime::shutdown::Shutdown;
use kube::api::{PartialObjectMeta, PostParams};
use kube::core::Status;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use prometheus::{IntCounter, IntGaugeVec};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Keeps the certificate current, here and for the API server.
pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) certificate: Arc<Reloadable>,
    pub(super) names: Names,
    /// Told whom sidecars are to trust.
    pub(super) operator: Operator,
    /// Whether somebody else makes it, and tells the API server whom to trust.
    pub(super) is_given: bool,
    /// True while there is a certificate to serve.
    pub(super) served: Condition,
    /// True once the API server was told whom to trust.
    pub(super) trusted: Condition,
    pub(super) expiry: IntGaugeVec,
    pub(super) failures: IntCounter,
}

/// The objects, and the names the certificate is good for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Names {
    pub(super) namespace: String,
    pub(super) secret: String,
    pub(super) configuration: String,
    pub(super) validating: Option<String>,
    pub(super) dns: Vec<String>,
}

/// Why a pass over the certificates failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others kept writing the object.
    #[error("failed to agree on {0} with the other replicas")]
    Disagreement(String),
    /// Whoever is to make the certificate has not.
    #[error(
        "failed to find a certificate in Secret {0} (tls.crt, tls.key): waiting for whoever makes it, such as cert-manager"
    )]
    Missing(String),
    /// Making a key or a certificate failed.
    #[error("failed to issue a certificate")]
    Issue(#[source] rcgen::Error),
    /// What is in the Secret can't be served.
    #[error("failed to use the certificate of Secret {name}")]
    Load {
        /// Namespace and name.
        name: String,
        /// What is wrong with it.
        source: tls::Error,
    },
    /// A webhook configuration can't be read.
    #[error("failed to read {name}")]
    ReadConfiguration {
        /// Kind and name.
        name: String,
        /// Why not.
        source: CallError,
    },
    /// The Secret can't be read.
    #[error("failed to read Secret {name}")]
    ReadSecret {
        /// Namespace and name.
        name: String,
        /// Why not.
        source: CallError,
    },
    /// The CA bundle can't be written.
    #[error("failed to write the CA bundle of {name}")]
    WriteConfiguration {
        /// Kind and name.
        name: String,
        /// Why not.
        source: CallError,
    },
    /// The Secret can't be written.
    #[error("failed to write Secret {name}")]
    WriteSecret {
        /// Namespace and name.
        name: String,
        /// Why not.
        source: CallError,
    },
}

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There was no answer in time.
    #[error("no answer within {} s", CALL.as_secs())]
    Deadline,
    /// There was no way to ask, or no way to read the answer.
    #[error(transparent)]
    Kubernetes(kube::Error),
    /// It answered with an error; its message says what would be needed.
    #[error("{}", .0.message)]
    Status(Box<Status>),
}

// === impl Keeper ===

impl Keeper {
    /// Looks again and again until the end is asked for.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut failures = 0;
        let mut changes = pin!(self.changes());
        loop {
            let pass = tokio::select! {
                pass = self.pass() => pass,
                () = shutdown.requested() => return,
            };
            failures = if pass.is_ok() { 0 } else { failures + 1 };
            if let Err(error) = pass {
                self.failures.inc();
                tracing::warn!(error = %Chain(&error), "the webhook's certificate may not be current; trying again");
            }
            let wait = if failures == 0 {
                LOOK.mul_f64(0.75 + fastrand::f64() / 2.0)
            } else {
                RETRY.delay(failures)
            };
            tokio::select! {
                () = sleep(wait) => {}
                Some(()) = changes.next() => {}
                () = shutdown.requested() => return,
            }
        }
    }

    /// Whenever the Secret changes: what others write there is served at once.
    fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let secrets: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.client.clone(), &self.names.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.names.secret));
        let events = watcher(secrets, only).default_backoff();
        events.filter_map(async |event| match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::InitDone) => Some(()),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "watching the webhook's certificate");
                None
            }
        })
    }

    async fn pass(&self) -> Result<(), Error> {
        if self.is_given {
            self.take().await
        } else {
            self.keep().await
        }
    }

    /// Serves what stands in the Secret. What can't be served leaves in place what is.
    async fn take(&self) -> Result<(), Error> {
        let secret = self.read().await?;
        let value = |key: &str| secret.as_ref()?.data.as_ref()?.get(key).map(|value| &*value.0);
        let (Some(certificate), Some(key)) = (value(material::TLS_CRT), value(material::TLS_KEY)) else {
            return Err(Error::Missing(self.names.secret_name()));
        };
        self.serve(certificate, key, value(material::CA_CRT))?;
        self.trusted.set(true);
        Ok(())
    }

    /// One look at everything. The API server learns of a CA before its certificates are served; when
    /// it can't be told the certificate is served all the same, since it may know already.
    async fn keep(&self) -> Result<(), Error> {
        let material = self.agree().await?;
        let told = self.tell(&material.ca_crt).await;
        self.serve(&material.tls_crt, &material.tls_key, Some(&material.ca_crt))?;
        told?;
        self.trusted.set(true);
        Ok(())
    }

    /// Serves a certificate from now on, and says when it ends.
    fn serve(&self, certificate: &[u8], key: &[u8], ca: Option<&[u8]>) -> Result<(), Error> {
        if let Some(ca) = ca {
            self.operator.trust(ca);
        }
        let name = self.names.secret_name();
        match self.certificate.replace(certificate, key) {
            Ok(true) => tracing::info!(secret = name, "serving another certificate"),
            Ok(false) => {}
            Err(source) => return Err(Error::Load { name, source }),
        }
        self.served.set(true);
        for (which, pem) in [("ca", ca), ("leaf", Some(certificate))] {
            if let Some(validity) = pem.and_then(material::validity) {
                let end = validity.not_after.as_second();
                self.expiry.with_label_values(&[which]).set(end);
            }
        }
        Ok(())
    }

    /// Tells the API server whom to trust, for either kind of webhook.
    async fn tell(&self, bundle: &[u8]) -> Result<(), Error> {
        let (client, names) = (&self.client, &self.names);
        let mutating =
            bundle::apply::<MutatingWebhookConfiguration>(client, &names.configuration, bundle).await;
        if let Some(name) = &names.validating {
            bundle::apply::<ValidatingWebhookConfiguration>(client, name, bundle).await?;
        }
        mutating
    }

    /// What all replicas serve: what is in the Secret, after a due renewal was written to it. Whoever
    /// writes first wins, and the others take what it wrote.
    async fn agree(&self) -> Result<Material, Error> {
        for _ in 0..ATTEMPTS {
            let secret = self.read().await?;
            let material = secret.as_ref().and_then(Material::from_secret);
            let now = Timestamp::now();
            let renewed = match (plan(material.as_ref(), now, &self.names.dns), material) {
                (Plan::Keep, Some(material)) => return Ok(material),
                (Plan::Keep, None) => continue,
                (Plan::Renew { ca, leaf }, old) => {
                    issue::issue(old, ca, leaf, now, &self.names.dns).map_err(Error::Issue)?
                }
            };
            if self.write(secret, &renewed).await? {
                return Ok(renewed);
            }
        }
        Err(Error::Disagreement(format!(
            "Secret {}",
            self.names.secret_name()
        )))
    }

    async fn read(&self) -> Result<Option<Secret>, Error> {
        let failed = |source| Error::ReadSecret {
            name: self.names.secret_name(),
            source,
        };
        call(self.secrets().get_opt(&self.names.secret))
            .await
            .map_err(failed)
    }

    /// Whether it was written; not when someone else was faster.
    async fn write(&self, old: Option<Secret>, material: &Material) -> Result<bool, Error> {
        let (secrets, how) = (
            self.secrets(),
            PostParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PostParams::default()
            },
        );
        let written = match old {
            // With the resourceVersion it was read with.
            Some(mut secret) => {
                material.write_to(&mut secret);
                call(secrets.replace(&self.names.secret, &how, &secret)).await
            }
            None => call(secrets.create(&how, &material.to_secret(&self.names.secret))).await,
        };
        match written {
            Ok(secret) => {
                tracing::info!(secret = secret.name_any(), "renewed the webhook's certificate");
                Ok(true)
            }
            // Another replica was faster, or someone took the Secret away.
            Err(CallError::Status(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(source) => Err(Error::WriteSecret {
                name: self.names.secret_name(),
                source,
            }),
        }
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }
}

// === impl Names ===

impl Names {
    fn secret_name(&self) -> String {
        format!("{}/{}", self.namespace, self.secret)
    }
}

impl From<&Settings> for Names {
    fn from(settings: &Settings) -> Self {
        Self {
            namespace: settings.namespace.clone(),
            secret: settings.tls_secret.clone(),
            configuration: settings.webhook_configuration.clone(),
            validating: settings.validating_webhook_configuration.clone(),
            dns: vec![format!("{}.{}.svc", settings.service, settings.namespace)],
        }
    }
}

/// A call to the API server, with a deadline: the client itself would try again for minutes.
async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match timeout(CALL, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(CallError::Status(status)),
        Ok(Err(error)) => Err(CallError::Kubernetes(error)),
        Err(_) => Err(CallError::Deadline),
    }
}

/// Who wrote a field, as `kubectl` shows it.
const MANAGER: &str = "keystead-webhook";
const CALL: Duration = Duration::from_secs(10);
/// How often to look. Someone may have replaced the webhook configuration, which then trusts nobody.
const LOOK: Duration = Duration::from_secs(30);
/// A chart's webhook configuration comes a moment after its Deployment.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
const ATTEMPTS: u32 = 5;
