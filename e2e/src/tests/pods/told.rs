//! A signal on the real node: found by container, and sent by a sidecar of the same user, or by the command's
//! parent where Keystead starts it.

use anyhow::Result;

use super::{binding_in_shop, declare, of};
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::manifest::{credential, value};
use crate::rig::{self, Method};
use crate::stage::Stage;

pub(super) fn signalled(stage: &Stage) -> Result<()> {
    rig::run(stage, "signal", Method::Kubernetes, |rig| {
        declare(rig)?;
        let tell = "  onChange: {signal: {name: SIGHUP, container: app}}\n  refreshInterval: 1s\n";
        rig.apply(&of("shop", "web", "web", &["hubspot"], tell))?;
        let webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web")])?;
        webhook.refuses(
            &pod("alone", "", ""),
            "onChange of the SecretBinding's file hubspot.env: SIGHUP can't reach a container whose processes are its own",
        )?;

        // One container has another group than the sidecar; the other has the same, and sees no token all the same.
        let shares = "  shareProcessNamespace: true\n";
        rig.apply(&pod("told", shares, ", runAsUser: 1000, runAsGroup: 3000"))?;
        // Nothing is shared here, and the image says who runs.
        let mode = "  annotations: {keystead.dev/sidecar-mode: Exec}\n";
        let started = pod("started", "", "").replace("spec:\n", &format!("{mode}spec:\n"));
        rig.apply(&started)?;
        let ready = "--for=condition=Ready --timeout=60s";
        rig.ask(&format!("kubectl -n @id@-shop wait pod told started {ready}"))?;
        let other = credential("shop", "hubspot", "global", "hubspot", &value("api_key", "other"));
        rig.apply(&other)?;
        let logs =
            |pod: &str, container: &str| format!("kubectl -n {}-shop logs {pod} -c {container}", rig.id);
        let wanted = "ready 0\ntold API_KEY='other'";
        for pod in ["told", "started"] {
            rig.stage.until(
                "the application has its signal and the new file",
                &logs(pod, "app"),
                |said| said == wanted,
            )?;
            rig.stage
                .until("nobody else has one", &logs(pod, "other"), |said| {
                    said == "ready 0"
                })?;
        }
        Ok(())
    })
}

/// Two containers that say when they are told something; what a person runs beside is not the container's own.
fn pod(name: &str, shares: &str, context: &str) -> String {
    let says = r#"trap "echo told \$(cat /keystead/hubspot.env)" HUP; sleep 9999 & echo ready $(cat /proc/[0-9]*/root/keystead-token/vault 2>/dev/null | wc -c); while :; do wait; done"#;
    let container = |name: &str, context: &str| {
        format!(
            "  - {{name: {name}, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, '{says}'], \
             securityContext: {{allowPrivilegeEscalation: false{context}}}}}\n"
        )
    };
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: @id@-shop
  labels: {{keystead.dev/inject: 'true'}}
spec:
  serviceAccountName: web
  terminationGracePeriodSeconds: 1
{shares}  containers:
{}{}",
        container("app", context),
        container(
            "other",
            if shares.is_empty() {
                ""
            } else {
                ", runAsUser: 1000"
            }
        )
    )
}
