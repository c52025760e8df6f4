//! A cluster that does not know `fileKeyRef`: a bed of its own, where it is switched off.

use anyhow::Result;

use super::pods::{gate, modes};
use super::with_evidence;
use crate::bed::{self, Bed};
use crate::programs;
use crate::stage::{Site, Stage};

const BED: &str = "old";

/// Jobs of each mode get what they get elsewhere, who can't be served is told why, and the other gate
/// holds as well.
pub(super) fn cluster() -> Result<()> {
    let bed = bed::up(&bed::Options {
        name: BED.into(),
        servers_only: false,
        without_env_files: true,
    })?;
    let tested = tested(&bed);
    bed::down(BED)?;
    tested
}

fn tested(bed: &Bed) -> Result<()> {
    programs::import(bed)?;
    let stage = Stage::new(Site::Bed(Box::new(bed.clone())), false, programs::cli()?);
    modes::old_jobs(&stage)
        .and_then(|()| gate::holds(&stage))
        .map_err(|error| with_evidence(&stage, bed, &error))
}
