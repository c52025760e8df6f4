//! The demo on somebody's own cluster. A second bed stands in for it: to the demo it is a
//! kubeconfig, a Vault's address and a command that loads images.

use std::process::{self, Command};

use anyhow::{Context, Result, ensure};

use crate::bed::{self, Bed};
use crate::exec;

const BED: &str = "own";

/// Tells the story there, as a person would have it told.
pub(super) fn cluster() -> Result<()> {
    let bed = bed::up(&bed::Options {
        name: BED.into(),
        servers_only: false,
        without_env_files: false,
    })?;
    let told = tell(&bed);
    bed::down(BED)?;
    let told = told?;
    ensure!(
        told.contains("What you have now"),
        "the demo's last words are missing: {told}"
    );
    Ok(())
}

fn tell(bed: &Bed) -> Result<String> {
    let network = bed.netns.as_ref().context("a bed with a node has a network")?;
    // This very program, even if its file was replaced meanwhile.
    let demo = format!("/proc/{}/exe", process::id());
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", network.display()))
        .arg(demo)
        .arg("demo");
    command.arg("--kubeconfig").arg(&bed.kubeconfig);
    command
        .arg("--load")
        .arg(format!("{} images import", bed.tools.ctr.display()));
    command.arg("--vault").arg(&bed.vault_address);
    command.arg("--vault-ca").arg(&bed.vault_ca);
    command.arg("--token-file").arg(&bed.vault_token_file);
    exec::output(&mut command)
}
