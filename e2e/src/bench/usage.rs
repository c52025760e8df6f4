//! The kernel's account of a process.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::rig::program::Program;

/// The kernel counts the time of processes in hundredths of a second.
const TICKS: f64 = 100.0;

/// What a process has used since its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// CPU, in seconds.
    pub(super) cpu: f64,
    /// The memory it has, in megabytes.
    pub(super) resident: f64,
    /// The most memory it ever had, in megabytes.
    pub(super) peak: f64,
}

impl Usage {
    pub(super) fn of(program: &Program) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{}", program.id()));
        let stat = fs::read_to_string(folder.join("stat")).context("read how much CPU a process used")?;
        // The second field is the program's name, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("a stat has a name")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.map(str::parse::<f64>).sum::<Result<_, _>>()?;
        let status = fs::read_to_string(folder.join("status"))?;
        Ok(Self {
            cpu: ticks / TICKS,
            resident: megabytes(&status, "VmRSS:")?,
            peak: megabytes(&status, "VmHWM:")?,
        })
    }
}

fn megabytes(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    let kib: f64 = kib.with_context(|| format!("a status has {name}"))?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
