//! `cargo e2e bench …`: how fast and how small our programs are, on real servers. Numbers are no
//! criterion of passing; an object that does not become Ready is.

mod leases;
mod load;
mod observe;
mod operator;
mod pod;
mod report;
mod sidecar;
mod usage;
mod webhook;
mod what;

pub use leases::bench as leases;
pub use operator::bench as operator;
pub use pod::bench as pod;
pub use sidecar::bench as sidecar;
pub use webhook::bench as webhook;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::bed::{self, Bed};
use crate::programs;

/// The bed that benchmarks have for themselves.
const BED: &str = "bench";

/// The program to measure: the given one, or the package built for a release.
fn program(given: Option<&Path>, package: &str) -> Result<PathBuf> {
    match given {
        Some(program) => fs::canonicalize(program).with_context(|| format!("find {}", program.display())),
        None => programs::build(package, package),
    }
}

/// Its size, in megabytes.
fn size(program: &Path) -> Result<f64> {
    Ok(f64::from(u32::try_from(fs::metadata(program)?.len())?) / 1e6)
}

/// Servers that know of nothing.
fn new_servers() -> Result<Bed> {
    new_bed(true)
}

/// The same, with or without a node.
fn new_bed(servers_only: bool) -> Result<Bed> {
    leave()?;
    bed::up(&bed::Options {
        name: BED.into(),
        servers_only,
        without_env_files: false,
    })
}

/// Takes the bed down, if there is one.
fn leave() -> Result<()> {
    match Bed::load(BED) {
        Some(_) => bed::down(BED),
        None => Ok(()),
    }
}
