//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bed::DEFAULT_NAME;
use crate::programs::FOLDER;

/// Objects of one kind in a benchmark, unless somebody says otherwise.
pub const BENCH_OBJECTS: usize = 1000;

/// Keystead's test bed: a real Kubernetes node and a real OpenBao server on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo e2e", bin_name = "cargo e2e", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the bed; harmless when it is up
    Up {
        /// Which bed
        #[command(flatten)]
        bed: Which,
        /// Only etcd, the API server and OpenBao, on free ports of the host's loopback; needs no root
        #[arg(long)]
        servers_only: bool,
        /// Switch fileKeyRef off, as in an older cluster
        #[arg(long)]
        without_env_files: bool,
    },
    /// Take the bed down and leave nothing of it
    Down {
        /// Which bed
        #[command(flatten)]
        bed: Which,
    },
    /// Say what runs and how to look around; fails unless the bed is healthy
    Status {
        /// Which bed
        #[command(flatten)]
        bed: Which,
    },
    /// Open a shell in the bed, or run one command there
    Shell {
        /// Which bed
        #[command(flatten)]
        bed: Which,
        /// The command and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Tell the main job step by step, on real servers
    Demo(Demo),
    /// Run every test, or those whose names contain one of the words
    Test(Test),
    /// Measure how fast and how small a program is
    #[command(subcommand)]
    Bench(Bench),
    /// Build the programs and write their OCI images as tar files
    Image {
        /// Where to
        #[arg(long, default_value = FOLDER)]
        out: PathBuf,
    },
    /// Make everything that a release consists of, the same bytes on every machine
    Release(Release),
}

/// What to make.
#[derive(Debug, Args)]
pub struct Release {
    /// The folder; it must not be there yet
    #[arg(long, default_value = "target/release-files")]
    pub out: PathBuf,
    /// Where the archives will be found, for krew
    #[arg(long, value_name = "URL", default_value = concat!("https://keystead.dev/releases/v", env!("CARGO_PKG_VERSION")))]
    pub url: String,
}

/// Where to tell the story.
#[derive(Debug, Args)]
pub struct Demo {
    /// Which bed
    #[command(flatten)]
    pub bed: Which,
    /// End it: take the bed down
    #[arg(long)]
    pub down: bool,
    /// Tell it on your own cluster: its kubeconfig
    #[arg(long, value_name = "FILE", requires_all = ["load", "vault", "vault_ca", "token_file"])]
    pub kubeconfig: Option<PathBuf>,
    /// A command that brings an image's tar file, its last argument, to the cluster's nodes
    #[arg(long, value_name = "CMD", requires = "kubeconfig")]
    pub load: Option<String>,
    /// Address of that cluster's Vault, reachable from here and from its pods
    #[arg(long, value_name = "ADDRESS", requires = "kubeconfig")]
    pub vault: Option<String>,
    /// Certificates of who signed that Vault's certificate
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    pub vault_ca: Option<PathBuf>,
    /// File with a Vault token that may mount engines and write policies and roles
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    pub token_file: Option<PathBuf>,
}

/// Which tests.
#[derive(Debug, Args)]
pub struct Test {
    /// Words; a test runs if its name contains one of them. All tests where there are none
    pub names: Vec<String>,
    /// Leave the test bed up, for the next run or for a look
    #[arg(long)]
    pub keep: bool,
    /// Name the tests and run none
    #[arg(long)]
    pub list: bool,
    /// Which bed they run on; two checkouts that test at once need one each
    #[arg(long, default_value = "test")]
    pub bed: String,
}

/// Which benchmark.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Leases in the sidecar, beside `bao agent`
    Leases(BenchProgram),
    /// The operator, as it is in the image, on servers of its own
    Operator(BenchOperator),
    /// Pods on a real node, with Keystead and without
    Pod(BenchPod),
    /// The sidecar, as it is in the image, beside `bao agent`
    Sidecar(BenchProgram),
    /// The operator's webhook, asked over TLS
    Webhook(BenchProgram),
}

/// How to measure pods.
#[derive(Debug, Args)]
pub struct BenchPod {
    /// How often one pod is started alone
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub runs: usize,
    /// How many are started at once; none where it is 0
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub pods: usize,
    /// Write the numbers for programs, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// How to measure one program.
#[derive(Debug, Args)]
pub struct BenchProgram {
    /// How often
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub runs: usize,
    /// Write the numbers for programs, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure this program instead of building one
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

/// What to measure of the operator.
#[derive(Debug, Args)]
pub struct BenchOperator {
    /// Rows; all of them where none is named
    pub rows: Vec<Row>,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub runs: usize,
    /// Objects of one kind
    #[arg(long, value_name = "N", default_value_t = BENCH_OBJECTS)]
    pub objects: usize,
    /// Write the numbers for programs, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure this program instead of building one
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

/// A row of the operator's benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// Credentials exist, the operator starts; then it starts again
    Credentials,
    /// The same with SecretBindings, each of a service account of its own
    Bindings,
    /// SecretBindings that keep a native Secret each
    Sync,
    /// Ten times as many, half of them bindings; and an operator that has nothing to do
    Many,
    /// Memory beside five times as many big Secrets of others
    Foreign,
}

/// Which bed.
#[derive(Debug, Args)]
pub struct Which {
    /// The bed's name; several can run side by side
    #[arg(long = "bed", value_name = "NAME", default_value = DEFAULT_NAME)]
    pub name: String,
}
