//! Several replicas: one writes.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::manifest::{credential, global, namespace, value};
use super::super::program::Program;
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const LEASE: &str = "keystead";
/// How long nobody may write after the one who did was asked to end, and after it was killed.
const AFTER_A_STOP: Duration = Duration::from_secs(5);
const AFTER_A_KILL: Duration = Duration::from_secs(20);

pub(super) fn one_writes(stage: &Stage) -> Result<()> {
    rig::run(stage, "lease", Method::Kubernetes, |rig| {
        rig.apply(&[namespace("shop", ""), rig.provider(), global()].concat())?;
        let mut first = replica(rig, "first")?;
        rig.ready(&["secretprovider/@id@"])?;
        holder_becomes(rig, "first", PATIENCE)?;

        let mark = rig.audit_mark()?;
        let _second = replica(rig, "second")?;
        declare(rig, "one")?;
        holder_becomes(rig, "first", PATIENCE)?;
        let logins = format!("auth/{}/login", rig.id);
        let entries = rig.audit_since(mark)?;
        ensure!(
            !entries
                .iter()
                .any(|entry| entry["request"]["path"] == logins.as_str()),
            "the replica that does not write logged in to Vault"
        );

        first.stop()?;
        holder_becomes(rig, "second", AFTER_A_STOP)?;
        declare(rig, "two")
    })
}

pub(super) fn killed(stage: &Stage) -> Result<()> {
    rig::run(stage, "kill", Method::Kubernetes, |rig| {
        rig.apply(&[namespace("shop", ""), rig.provider(), global()].concat())?;
        let mut first = replica(rig, "first")?;
        rig.ready(&["secretprovider/@id@"])?;
        holder_becomes(rig, "first", PATIENCE)?;
        let _second = replica(rig, "second")?;
        first.kill()?;
        holder_becomes(rig, "second", AFTER_A_KILL)?;
        declare(rig, "one")
    })
}

fn replica(rig: &Rig<'_>, name: &str) -> Result<Program> {
    rig.replica(
        name,
        &["--namespace", &rig.id, "--lease", LEASE, "--identity", name],
    )
}

fn holder_becomes(rig: &Rig<'_>, name: &str, deadline: Duration) -> Result<()> {
    let line = format!(
        "kubectl -n {} get lease {LEASE} -o 'jsonpath={{.spec.holderIdentity}}'",
        rig.id
    );
    wait::until(
        format_args!("{name} holds the lease"),
        deadline,
        Some(&rig.path(&format!("{name}.log"))),
        || Ok(rig.stage.ask(&line).is_ok_and(|holder| holder == name)),
    )
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
