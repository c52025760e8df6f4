//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use keystead_crds::provider::WorkloadMethod;
use std::path::PathBuf;

/// Works with Keystead as the person at the keyboard: with their kubeconfig and their Vault token.
#[derive(Debug, Parser)]
#[command(name = "kubectl-keystead", bin_name = "kubectl keystead", version)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prepare a Vault for a cluster, once: engines, auth methods, the operator's policy and role.
    ///
    /// Shows what it would do; with --yes it does it. Running it again changes only what differs.
    Bootstrap(Bootstrap),
}

/// How to reach Vault.
#[derive(Debug, clap::Args)]
pub(crate) struct VaultArgs {
    /// Address of the server, as seen from here.
    #[arg(long = "vault", env = "VAULT_ADDR", value_name = "ADDRESS")]
    pub(crate) address: String,
    /// File with the certificates of the authorities to trust; the system's where it is left out.
    #[arg(long = "vault-ca", env = "VAULT_CACERT", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the Vault token; the variable VAULT_TOKEN where it is left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What to prepare.
#[derive(Debug, clap::Args)]
pub(crate) struct Bootstrap {
    /// How to reach Vault.
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// The cluster's name, unique among the clusters that share this Vault; the chart's `cluster`.
    #[arg(long)]
    pub(crate) cluster: String,
    /// Do it; without this it is only shown.
    #[arg(long)]
    pub(crate) yes: bool,
    /// How pods will log in (spec.workloadAuth.method).
    #[arg(long, value_enum, default_value = "jwt")]
    pub(crate) workload_method: Method,
    /// Auth mount of the pods (spec.workloadAuth.mount) [default: jwt-CLUSTER or kubernetes-CLUSTER].
    #[arg(long, value_name = "PATH")]
    pub(crate) workload_mount: Option<String>,
    /// Auth mount of the operator (spec.vault.auth.kubernetes.mount).
    #[arg(long, value_name = "PATH", default_value = "kubernetes")]
    pub(crate) operator_mount: String,
    /// Role and policy of the operator (spec.vault.auth.kubernetes.role) [default: keystead-operator-CLUSTER].
    #[arg(long, value_name = "NAME")]
    pub(crate) operator_role: Option<String>,
    /// Namespace of the operator: where the chart is installed.
    #[arg(long, default_value = "keystead-system")]
    pub(crate) operator_namespace: String,
    /// Service account of the operator.
    #[arg(long, default_value = "keystead")]
    pub(crate) operator_service_account: String,
    /// Audience of the tokens that log in (the chart's `vault.audience`, spec.workloadAuth.audience).
    #[arg(long, default_value = "vault")]
    pub(crate) audience: String,
    /// The KV engine, version 2 (spec.vault.mounts.kv).
    #[arg(long, value_name = "PATH", default_value = "kv")]
    pub(crate) kv: String,
    /// First segment of every path in it (spec.vault.pathPrefix).
    #[arg(long, default_value = "keystead")]
    pub(crate) prefix: String,
    /// Address of the API server, as Vault sees it [default: the kubeconfig's].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) kubernetes_host: Option<String>,
    /// The kubeconfig's context to use.
    #[arg(long)]
    pub(crate) context: Option<String>,
}

/// Auth method of pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Method {
    /// Vault checks the tokens' signature itself.
    Jwt,
    /// Vault asks the API server about each token.
    Kubernetes,
}

impl From<Method> for WorkloadMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Jwt => Self::Jwt,
            Method::Kubernetes => Self::Kubernetes,
        }
    }
}
