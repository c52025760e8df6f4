//! Several replicas: one writes.

use anyhow::{Result, ensure};

use super::super::manifest::{credential, global, namespace, value};
use super::super::program::Program;
use super::super::rig::{self, Method, Rig};
use crate::stage::Stage;

const LEASE: &str = "keystead";

pub(super) fn one_writes(stage: &Stage) -> Result<()> {
    rig::run(stage, "lease", Method::Kubernetes, |rig| {
        rig.apply(&[namespace("shop", ""), rig.provider(), global()].concat())?;
        let mut first = replica(rig, "first")?;
        rig.ready(&["secretprovider/@id@"])?;
        holder_becomes(rig, "first")?;

        let mark = rig.audit_mark()?;
        let _second = replica(rig, "second")?;
        declare(rig, "one")?;
        holder_becomes(rig, "first")?;
        let logins = format!("auth/{}/login", rig.id);
        let entries = rig.audit_since(mark)?;
        ensure!(
            !entries
                .iter()
                .any(|entry| entry["request"]["path"] == logins.as_str()),
            "the replica that does not write logged in to Vault"
        );

        first.stop()?;
        holder_becomes(rig, "second")?;
        declare(rig, "two")
    })
}

fn replica(rig: &Rig<'_>, name: &str) -> Result<Program> {
    rig.replica(
        name,
        &["--namespace", &rig.id, "--lease", LEASE, "--identity", name],
    )
}

fn holder_becomes(rig: &Rig<'_>, name: &str) -> Result<()> {
    let line = format!(
        "kubectl -n {} get lease {LEASE} -o 'jsonpath={{.spec.holderIdentity}}'",
        rig.id
    );
    rig.stage
        .until(&format!("{name} holds the lease"), &line, |holder| holder == name)
        .map(drop)
}

/// A credential, written by whoever writes.
fn declare(rig: &Rig<'_>, service: &str) -> Result<()> {
    rig.apply(&credential(
        "shop",
        service,
        "global",
        service,
        &value("key", "x"),
    ))?;
    rig.ready(&[&format!("credential/{service} -n @id@-shop")])
}
