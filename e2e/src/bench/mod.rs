//! `cargo e2e bench …`: how fast and how small our programs are, on real servers. Numbers are no
//! criterion of passing; an object that does not become Ready is.

mod load;
mod observe;
mod operator;
mod report;
mod sidecar;
mod usage;
mod webhook;
mod what;

pub use operator::bench as operator;
pub use sidecar::bench as sidecar;
pub use webhook::bench as webhook;

use anyhow::Result;

use crate::bed::{self, Bed};

/// The bed that benchmarks have for themselves.
const BED: &str = "bench";

/// Servers that know of nothing.
fn new_servers() -> Result<Bed> {
    leave()?;
    bed::up(&bed::Options {
        name: BED.into(),
        servers_only: true,
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
