//! The command line.

use crate::{plan, release, resolve, rotate, seal, status, validate};
use clap::{Parser, Subcommand, ValueEnum};
use keystead_crds::names;
use keystead_crds::provider::{DEFAULT_CLASS, WorkloadMethod};
use keystead_vault::hcl;
use std::ffi::OsString;
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
    /// Shows what it would do; with --yes it does it. Running it again changes only what differs. What
    /// belongs to somebody else is left alone, unless --replace is given.
    ///
    /// Who has no token for it, or must have it reviewed, lets --output write it: --output policy shows the Vault
    /// policy that a token needs for this and no more; hcl and terraform write files, and ask no Vault.
    Bootstrap(Bootstrap),
    /// Write a script that completes command lines of kubectl-keystead.
    ///
    /// bash: source <(kubectl keystead completion bash). To have `kubectl keystead` completed, too, put
    /// kubectl_complete-keystead into your PATH; it comes with this program.
    Completion {
        /// Of which shell.
        shell: clap_complete::Shell,
    },
    /// Complete the last of these words, for kubectl_complete-keystead.
    #[command(name = "__complete", hide = true)]
    Complete {
        /// All words after `kubectl keystead`.
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Write the manual pages, one a command.
    #[command(hide = true)]
    Man {
        /// Into this folder.
        folder: PathBuf,
    },
    /// Show what the operator would do, without a value, and do nothing.
    ///
    /// Exit code: 0 nothing to do, 2 changes, 1 a conflict, a problem or an error.
    Plan(plan::Options),
    /// Take Keystead's finalizers off, for the day when no operator is left to do it.
    ///
    /// Shows what it would do; with --yes it does it. What is in Vault stays there.
    Release(release::Options),
    /// Show what a pod gets, from which scope, and why; values are masked to their last four characters.
    ///
    /// Exit code: 0 everything is there, 1 something is missing, or an error.
    Resolve(resolve::Options),
    /// Have values that Keystead or an endpoint makes replaced, before they are due.
    ///
    /// A Credential that is named is replaced at once, or when its window opens; what --type and --all choose is
    /// shown, and replaced with --yes. What people bring is left to them. `rotate --all -A --now --yes` is for the
    /// emergency: it waits for no window, and no value of before is kept.
    ///
    /// Exit code: 0 all of it is replaced, 2 some waits for a window, 1 some is not replaced in time, or an error.
    Rotate(rotate::Options),
    /// Encrypt a value for one key of one Credential, so that it may stand in git.
    ///
    /// Reads the value from standard input (a newline at its end is left out) and writes the entry for spec.keys.
    /// Nobody is asked: all it needs is the EncryptionKey, as kubectl get encryptionkey NAME -o yaml writes it.
    /// With --renew it has Vault wrap what is sealed already by the newest version, and shows nobody a value.
    Seal(seal::Options),
    /// Show what is replaced when, how often, by whom, and who holds it; what is overdue stands first.
    Status(status::Options),
    /// Check everything: the kinds, Vault, what is declared, the webhook.
    ///
    /// Exit code: 0 no check failed, 1 one did. What could not be checked is said.
    Validate(validate::Options),
}

/// Where to look, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The kubeconfig's context to use.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Look at the providers of this class, and at what belongs to them.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CLASS)]
    pub(crate) class: String,
    /// Look at this provider alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// This cluster's name, as the operator has it [default: what the operator's Deployment says].
    #[arg(long, env = "KEYSTEAD_CLUSTER", value_name = "NAME", value_parser = dns_label)]
    pub(crate) cluster_name: Option<String>,
    /// How to reach Vault.
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
}

/// How to reach Vault.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VaultArgs {
    /// Address of the server, as seen from here; the provider's where it is left out.
    #[arg(long = "vault", env = "VAULT_ADDR", value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    /// File with the certificates of the authorities to trust; the provider's, else the system's where
    /// it is left out.
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
    #[arg(long, value_parser = dns_label)]
    pub(crate) cluster: String,
    /// Do it; without this it is only shown.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Also overwrite configs and policies that are another cluster's or a person's.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Do nothing and ask no Vault: write what would be done, for somebody to review.
    #[arg(long, value_enum, value_name = "FORM", conflicts_with_all = ["yes", "replace"])]
    pub(crate) output: Option<Output>,
    /// Where --output hcl and terraform write their files [default: keystead-CLUSTER].
    #[arg(long, value_name = "DIR", requires = "output")]
    pub(crate) folder: Option<PathBuf>,
    /// Namespace in Vault (spec.vault.namespace); it must be there [default: the root namespace].
    #[arg(long, env = "VAULT_NAMESPACE", value_name = "PATH", value_parser = mount_path)]
    pub(crate) vault_namespace: Option<String>,
    /// How pods will log in (spec.workloadAuth.method).
    #[arg(long, value_enum, default_value = "jwt")]
    pub(crate) workload_method: Method,
    /// Auth mount of the pods (spec.workloadAuth.mount), never the operator's [default: jwt-CLUSTER or
    /// kubernetes-CLUSTER-workloads].
    #[arg(long, value_name = "PATH", value_parser = mount_path)]
    pub(crate) workload_mount: Option<String>,
    /// Auth mount of the operator (spec.vault.auth.kubernetes.mount) [default: kubernetes-CLUSTER].
    #[arg(long, value_name = "PATH", value_parser = mount_path)]
    pub(crate) operator_mount: Option<String>,
    /// Role and policy of the operator (spec.vault.auth.kubernetes.role) [default: keystead-operator-CLUSTER].
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) operator_role: Option<String>,
    /// Namespace of the operator: where the chart is installed.
    #[arg(long, default_value = "keystead-system", value_parser = dns_label)]
    pub(crate) operator_namespace: String,
    /// Service account of the operator.
    #[arg(long, default_value = "keystead", value_parser = name)]
    pub(crate) operator_service_account: String,
    /// Audience of the tokens that log in (the chart's `vault.audience`, spec.workloadAuth.audience).
    #[arg(long, default_value = "vault")]
    pub(crate) audience: String,
    /// The KV engine, version 2 (spec.vault.mounts.kv).
    #[arg(long, value_name = "PATH", default_value = "kv", value_parser = mount_path)]
    pub(crate) kv: String,
    /// A database engine (spec.vault.mounts.database) [default: none, and the operator may do nothing there].
    #[arg(long, value_name = "PATH", value_parser = mount_path)]
    pub(crate) database: Option<String>,
    /// A transit engine (spec.vault.mounts.transit) [default: none, and the operator may do nothing there].
    #[arg(long, value_name = "PATH", value_parser = mount_path)]
    pub(crate) transit: Option<String>,
    /// Let the operator mount the engines itself (spec.vault.manageMounts): they are not mounted here, and
    /// the operator's policy allows it at these paths.
    #[arg(long)]
    pub(crate) manage_mounts: bool,
    /// First segment of every path in it (spec.vault.pathPrefix).
    #[arg(long, default_value = "keystead", value_parser = segment)]
    pub(crate) prefix: String,
    /// Address of the API server, as Vault sees it: it checks the operator's token there [default: the
    /// kubeconfig's].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) kubernetes_host: Option<String>,
    /// The kubeconfig's context to use.
    #[arg(long)]
    pub(crate) context: Option<String>,
}

/// What is written instead of done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// The Vault policy that the token needs, to standard output.
    Policy,
    /// The policy and all bodies as files, and a script that applies them by `vault` or `bao`.
    Hcl,
    /// Resources of Terraform's provider `hashicorp/vault`.
    Terraform,
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

// These names become part of policies and scripts, where little can be escaped.

pub(crate) fn dns_label(text: &str) -> Result<String, String> {
    let expected = "expected a DNS label: lower-case letters, digits and '-', at most 63, no '-' at the ends";
    checked(text, names::is_dns_label(text), expected)
}

fn segment(text: &str) -> Result<String, String> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = !text.is_empty() && text.bytes().all(letter);
    checked(text, fits, "expected lower-case letters, digits and '-'")
}

fn name(text: &str) -> Result<String, String> {
    let expected = "expected letters, digits, '-', '_' and '.'";
    checked(text, hcl::is_plain_segment(text), expected)
}

fn mount_path(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let expected = "expected a path without 'auth/': letters, digits, '-', '_' and '.' between single '/'";
    let fits = hcl::is_plain_path(text) && !text.starts_with("auth/");
    checked(text, fits, expected)
}

fn checked(text: &str, fits: bool, expected: &str) -> Result<String, String> {
    if fits {
        Ok(text.to_owned())
    } else {
        Err(expected.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Bootstrap, clap::Error> {
        let words = ["x", "bootstrap", "--vault", "https://v"].into_iter();
        let args = Args::try_parse_from(words.chain(line.split(' ')))?;
        let Command::Bootstrap(bootstrap) = args.command else {
            panic!("{line}")
        };
        Ok(bootstrap)
    }

    #[test]
    fn what_goes_into_a_policy_is_checked() {
        assert!(parse("--cluster prod-eu --prefix team-1 --kv secrets/kv --operator-role op_1.x").is_ok());
        for bad in [
            "--cluster C1",
            "--cluster a.b",
            "--cluster a*",
            "--cluster -a",
            "--cluster c1 --prefix a/b",
            "--cluster c1 --prefix +",
            "--cluster c1 --prefix K",
            "--cluster c1 --kv k*",
            "--cluster c1 --kv a//b",
            "--cluster c1 --database a*",
            "--cluster c1 --transit a*",
            "--cluster c1 --workload-mount {{x}}",
            "--cluster c1 --workload-mount auth/jwt",
            "--cluster c1 --operator-mount ../sys",
            "--cluster c1 --operator-role a\"b",
            "--cluster c1 --operator-namespace a;b",
            "--cluster c1 --operator-service-account *",
            "--cluster c1 --vault-namespace $(a)",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slash_at_the_end_of_a_mount_means_nothing() {
        let parsed = parse("--cluster c1 --operator-mount team/k8s/").expect("it is right");
        assert_eq!(parsed.operator_mount.as_deref(), Some("team/k8s"));
    }
}
