//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bed::DEFAULT_NAME;

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
    /// Build the programs and write their OCI images as tar files
    Image {
        /// Where to
        #[arg(long, default_value = "target/images")]
        out: PathBuf,
    },
}

/// Which bed.
#[derive(Debug, Args)]
pub struct Which {
    /// The bed's name; several can run side by side
    #[arg(long = "bed", value_name = "NAME", default_value = DEFAULT_NAME)]
    pub name: String,
}
