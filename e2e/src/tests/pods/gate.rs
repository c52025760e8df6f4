//! The gate, in the form that the cluster has: the kubelet's own where it knows `fileKeyRef`, else a
//! container's.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{binding_in_shop, declare, of};
use crate::bed::{Bed, TEST_IMAGE};
use crate::rig::chart::Webhook;
use crate::rig::manifest::{credential, value};
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// A pod's grace period, in seconds, and how much longer its end may take.
const GRACE: u32 = 2;
const LONGER: u32 = 5;
/// Within how many seconds of Vault's return everything runs.
const RETURN: u32 = 10;
/// What is said at a start with the first value, and with the second.
const SAID: [&str; 2] = ["API_KEY='key' key", "API_KEY='other' other"];

pub(in crate::tests) fn holds(stage: &Stage) -> Result<()> {
    let bed = stage.bed().context("this test needs a bed")?;
    rig::run(stage, "gate", Method::Kubernetes, |rig| {
        declare(rig)?;
        // What changes later is seen by nobody who does not start anew.
        rig.apply(&of("shop", "web", "web", &["mail"], "  refreshInterval: 24h\n"))?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web")])?;
        rig.apply(&pod("runs", ""))?;
        rig.ask(&format!("{} --timeout=60s", wait_for("runs")))?;
        rig.apply(&credential(
            "shop",
            "mail",
            "global",
            "mail",
            &value("api_key", "other"),
        ))?;
        rig.values_become("production/global/all/mail", &json!({"api_key": "other"}))?;

        let away = Away::begin(bed)?;
        rig.apply(
            &[
                pod("hooked", ""),
                pod("later", ""),
                pod("waits", ""),
                pod("host", "hostNetwork: true, "),
            ]
            .concat(),
        )?;
        kill_sandbox(rig, "runs")?;
        // One that has just begun, and ones that have waited for long enough to be given up.
        rig.stage.until(
            "the sidecar has begun",
            &format!("kubectl -n {}-shop logs hooked -c keystead", rig.id),
            |said| said.contains("not ready yet"),
        )?;
        is_deleted(rig, "hooked")?;
        for name in ["later", "waits", "host", "runs"] {
            is_held(rig, name)?;
        }
        is_deleted(rig, "later")?;
        for name in ["waits", "host"] {
            never_restarted(rig, name)?;
        }
        away.end()?;

        for name in ["waits", "host"] {
            rig.ask(&format!("{} --timeout={RETURN}s", wait_for(name)))?;
        }
        // Once a container has run, the kubelet takes longer between its tries than it did before.
        rig.ask(&format!("{} --timeout=60s", wait_for("runs")))?;
        for (name, starts) in [("waits", &SAID[1..]), ("host", &SAID[1..]), ("runs", &SAID[..])] {
            let said = rig.ask(&format!("kubectl -n @id@-shop logs {name} -c app"))?;
            same(
                &format!("the starts of {name}"),
                &json!(said.lines().collect::<Vec<_>>()),
                &json!(starts),
            )?;
        }
        never_restarted(rig, "waits")?;
        never_restarted(rig, "host")
    })
}

fn wait_for(name: &str) -> String {
    format!("kubectl -n @id@-shop wait pod {name} --for=condition=Ready")
}

/// Waits until whoever holds the application back has taken it in hand.
fn is_held(rig: &Rig<'_>, name: &str) -> Result<()> {
    let held = |status: &str| {
        let Ok(pod) = serde_json::from_str::<Value>(status) else {
            return false;
        };
        let of = |list: &str, name: &str| {
            let mut all = pod["status"][list].as_array().into_iter().flatten();
            all.find(|one| one["name"] == name).cloned().unwrap_or_default()
        };
        let app = of("containerStatuses", "app")["state"].clone();
        let gate = of("initContainerStatuses", "keystead-gate")["state"].clone();
        app["waiting"]["reason"] == "CreateContainerConfigError"
            || (gate["running"].is_object() && app["running"].is_null())
    };
    rig.stage
        .until(
            &format!("{name} is held back"),
            &format!("kubectl -n {}-shop get pod {name} -o json", rig.id),
            held,
        )
        .map(drop)
}

fn never_restarted(rig: &Rig<'_>, name: &str) -> Result<()> {
    let path = "{.status.initContainerStatuses[*].restartCount} {.status.containerStatuses[*].restartCount}";
    let counts = rig.ask(&format!(
        "kubectl -n @id@-shop get pod {name} -o 'jsonpath={path}'"
    ))?;
    ensure!(
        counts.split(' ').all(|count| count == "0"),
        "{name} has restarted: {counts}"
    );
    Ok(())
}

fn is_deleted(rig: &Rig<'_>, name: &str) -> Result<()> {
    let bound = GRACE + LONGER;
    rig.ask(&format!(
        "kubectl -n @id@-shop delete pod {name} --timeout={bound}s"
    ))
    .map(drop)
}

/// As a node that loses its pods' processes: the kubelet makes the pod anew, its volumes as they were.
fn kill_sandbox(rig: &Rig<'_>, name: &str) -> Result<()> {
    let labels = [
        ("kubernetes.pod.name", name),
        ("kubernetes.pod.namespace", &format!("{}-shop", rig.id)),
        ("cri-containerd.kind", "sandbox"),
    ];
    let filter = labels
        .map(|(label, value)| format!("labels.\"io.{label}\"=={value}"))
        .join(",");
    let sandbox = rig.ask(&format!("ctr containers list --quiet '{filter}'"))?;
    rig.ask(&format!("ctr tasks kill --signal SIGKILL {sandbox}"))
        .map(drop)
}

/// A pod that notes each of its starts where it outlives them.
fn pod(name: &str, more: &str) -> String {
    let says = "echo $(cat /keystead/mail.env) $MAIL >> /starts/all; cat /starts/all; exec sleep 9999";
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: @id@-shop, labels: {{keystead.dev/inject: 'true'}}}}
spec:
  {{{more}serviceAccountName: web, terminationGracePeriodSeconds: {GRACE}, volumes: [{{name: starts, emptyDir: {{}}}}],
   containers: [{{name: app, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, '{says}'],
                 volumeMounts: [{{name: starts, mountPath: /starts}}]}}]}}
"
    )
}

/// Vault is away. It comes back in any case: others need it.
struct Away<'a>(&'a Bed);

impl<'a> Away<'a> {
    fn begin(bed: &'a Bed) -> Result<Self> {
        let away = Self(bed);
        bed.stop_vault()?;
        Ok(away)
    }

    fn end(self) -> Result<()> {
        self.0.start_vault()
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        // Nothing to do where it is back, and nobody to tell where it can't come.
        let _ = self.0.start_vault();
    }
}
