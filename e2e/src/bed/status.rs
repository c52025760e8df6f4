//! What a bed is doing, for people.

use anyhow::{Result, bail};

use super::process::Process;
use super::{Bed, TEST_IMAGE};
use crate::exec;
use crate::tools::KUBERNETES_VERSION;
use crate::ui::say;

/// Says what runs and how to look around. Fails unless the bed is healthy.
pub fn status(name: &str) -> Result<()> {
    let Some(bed) = Bed::load(name) else {
        bail!("there is no bed {name}: start it with `cargo e2e up`")
    };
    say(format_args!("Bed {name}"));
    versions(&bed);
    say("");
    for (server, process) in bed.registry().servers() {
        let Process { pid, .. } = process;
        let state = if process.alive() {
            format!("runs, process {pid}")
        } else {
            "has ended".to_owned()
        };
        say(format_args!("  {server:<24} {state}"));
    }
    say("");
    tour(&bed);
    bed.check()?;
    say("\nHealthy.");
    Ok(())
}

fn versions(bed: &Bed) {
    say(format_args!(
        "  Kubernetes               {KUBERNETES_VERSION} at {}",
        bed.kubernetes_address
    ));
    let vault = exec::output(bed.command("bao").arg("version")).unwrap_or_default();
    let vault = vault.split(" (").next().unwrap_or_default().trim();
    say(format_args!("  {vault:<24} at {}", bed.vault_address));
    for line in bed.debian_versions.lines() {
        say(format_args!("  {line} (Debian)"));
    }
    if let (Some(node), Some(address)) = (&bed.node_name, &bed.node_address) {
        say(format_args!(
            "  node {node} at {address}, in a network of its own with no way out"
        ));
        say(format_args!("  image for test pods: {TEST_IMAGE}"));
    }
}

/// How to look around.
fn tour(bed: &Bed) {
    let option = if bed.name == super::DEFAULT_NAME {
        String::new()
    } else {
        format!(" --bed {}", bed.name)
    };
    say("Look around:");
    say(format_args!(
        "  cargo e2e shell{option}                                a shell with kubectl, bao, helm and ctr"
    ));
    say(format_args!(
        "  cargo e2e shell{option} -- kubectl get pods -A         one command"
    ));
    say(format_args!(
        "  cargo e2e down{option}                                 the end of it"
    ));
    say(format_args!("  logs: {}", bed.state.join("logs").display()));
    say(format_args!(
        "  OpenBao's audit file: {}",
        bed.vault_audit_file.display()
    ));
}
