//! The command line. Every flag can be set by an environment variable, too.

use clap::Parser;
use keystead_runtime::log::Format;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The Keystead operator: reconciles SecretProviders, SecretScopes, Credentials and SecretBindings
/// into Vault or OpenBao, and injects sidecars into pods.
#[derive(Clone, Debug, Parser)]
#[command(name = "keystead-operator", version)]
pub struct Args {
    /// This cluster's name, unique among the clusters that share a Vault; a DNS label.
    #[arg(long, env = "KEYSTEAD_CLUSTER", value_parser = dns_label)]
    pub cluster: String,
    /// Serve the SecretProviders of this class, and no others.
    #[arg(long, env = "KEYSTEAD_CLASS", default_value = keystead_crds::provider::DEFAULT_CLASS)]
    pub class: String,
    /// File with the service account token that Vault accepts; read anew at each login.
    #[arg(
        long,
        env = "KEYSTEAD_VAULT_TOKEN_FILE",
        default_value = "/var/run/secrets/keystead/vault/token"
    )]
    pub vault_token_file: PathBuf,
    /// Name of the Lease in --namespace by which replicas agree on who writes; left out, this one does.
    #[arg(long, env = "KEYSTEAD_LEASE", requires = "namespace")]
    pub lease: Option<String>,
    /// This replica's name in the Lease [default: a random one].
    #[arg(long, env = "KEYSTEAD_IDENTITY", default_value_t = random_identity(), hide_default_value = true)]
    pub identity: String,
    /// Take Keystead's finalizer off the Credentials of this class and end: for the day the operator is
    /// removed.
    #[arg(long)]
    pub release: bool,
    /// With --release, a Deployment in --namespace to scale to none first: an operator that runs would
    /// put the finalizers back.
    #[arg(long, value_name = "DEPLOYMENT", requires_all = ["release", "namespace"])]
    pub stop: Option<String>,
    /// Ask whether the API server calls the webhook of this class, and end: for `helm test`.
    #[arg(long, conflicts_with = "release")]
    pub check: bool,
    /// How long a namespace that is being deleted waits for a Vault that is away, before its Credentials
    /// are let go without taking their values away.
    #[arg(long, env = "KEYSTEAD_RELEASE_AFTER", default_value = "10m", value_parser = duration)]
    pub release_after: Duration,
    /// Where to serve /livez, /readyz and /metrics.
    #[arg(long, env = "KEYSTEAD_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,
    /// Format of the log: json or text.
    #[arg(long, env = "KEYSTEAD_LOG_FORMAT", default_value = "json")]
    pub log_format: Format,
    /// What to log: a level, or tracing's filter syntax.
    #[arg(long, env = "KEYSTEAD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// The webhook; without a MutatingWebhookConfiguration there is none.
    #[command(flatten)]
    pub webhook: WebhookArgs,
}

/// What the webhook needs.
#[derive(Clone, Debug, clap::Args)]
pub struct WebhookArgs {
    /// Name of the MutatingWebhookConfiguration to keep current; left out, no pods are injected.
    #[arg(
        long,
        env = "KEYSTEAD_WEBHOOK_CONFIGURATION",
        requires_all = ["namespace", "service", "sidecar_image"]
    )]
    pub webhook_configuration: Option<String>,
    /// Name of the ValidatingWebhookConfiguration to keep current, where there is one.
    #[arg(
        long,
        env = "KEYSTEAD_VALIDATING_WEBHOOK_CONFIGURATION",
        requires = "webhook_configuration"
    )]
    pub validating_webhook_configuration: Option<String>,
    /// The namespace the operator runs in.
    #[arg(long, env = "KEYSTEAD_NAMESPACE")]
    pub namespace: Option<String>,
    /// The service by which the API server calls the webhook.
    #[arg(long, env = "KEYSTEAD_SERVICE")]
    pub service: Option<String>,
    /// The Secret that holds the webhook's certificates.
    #[arg(long, env = "KEYSTEAD_TLS_SECRET", default_value = "keystead-webhook-tls")]
    pub tls_secret: String,
    /// The Secret is somebody else's, such as cert-manager's, who also tells the API server whom to trust:
    /// what stands there is served, and nothing is made.
    #[arg(long, env = "KEYSTEAD_TLS_GIVEN")]
    pub tls_given: bool,
    /// Where to serve the webhook.
    #[arg(long, env = "KEYSTEAD_WEBHOOK_LISTEN", default_value = "0.0.0.0:8443")]
    pub webhook_listen: SocketAddr,
    /// Where to take what sidecars report of their pods; they call the service at the same port.
    #[arg(long, env = "KEYSTEAD_REPORTS_LISTEN", default_value = "0.0.0.0:8444")]
    pub reports_listen: SocketAddr,
    /// Image of the sidecars.
    #[arg(long, env = "KEYSTEAD_SIDECAR_IMAGE")]
    pub sidecar_image: Option<String>,
    /// When the kubelet pulls it; left out, the cluster's default.
    #[arg(long, env = "KEYSTEAD_SIDECAR_IMAGE_PULL_POLICY")]
    pub sidecar_image_pull_policy: Option<String>,
    /// A Secret in each pod's namespace to pull it with; may be given several times.
    #[arg(
        long = "sidecar-image-pull-secret",
        env = "KEYSTEAD_SIDECAR_IMAGE_PULL_SECRETS",
        value_delimiter = ','
    )]
    pub sidecar_image_pull_secrets: Vec<String>,
}

fn random_identity() -> String {
    format!("keystead-{:08x}", fastrand::u32(..))
}

fn dns_label(text: &str) -> Result<String, String> {
    if keystead_crds::names::is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("expected a DNS label: lower-case letters, digits and '-', at most 63, no '-' at the ends".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<kube::core::Duration>().ok();
    // The parser takes nothing for none.
    parsed
        .filter(|_| !text.is_empty())
        .filter(|duration| !duration.is_negative())
        .map(Into::into)
        .ok_or_else(|| "expected a duration of at least 0s, such as 10m or 1h30m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_is_not_negative() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "10", "-1m", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cluster_is_a_dns_label() {
        for good in ["c1", "prod-eu", "a"] {
            assert!(dns_label(good).is_ok(), "{good}");
        }
        for bad in ["", "C1", "a.b", "-a", "a-", "a*", &"a".repeat(64)] {
            assert!(dns_label(bad).is_err(), "{bad}");
        }
    }
}
