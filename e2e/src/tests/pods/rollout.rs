//! A Deployment that is rolled out anew while its secret changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{binding_in_shop, declare, of};
use crate::bed::TEST_IMAGE;
use crate::rig::changing::Changing;
use crate::rig::chart::Webhook;
use crate::rig::manifest::credential;
use crate::rig::{self, Method};
use crate::stage::Stage;

const REPLICAS: usize = 20;
/// How often the secret changes; each sidecar looks every second.
const CHANGE: Duration = Duration::from_millis(200);

pub(super) fn under_change(stage: &Stage) -> Result<()> {
    rig::run(stage, "rollout", Method::Kubernetes, |rig| {
        declare(rig)?;
        let keys = [
            "{name: api_key, from: {vault: {}}}",
            "{name: other, from: {vault: {}}}",
        ];
        rig.apply(&credential("shop", "later", "global", "later", &keys.join(", ")))?;
        rig.apply(&of("shop", "web", "web", &["later"], "  refreshInterval: 1s\n"))?;
        let _webhook = Webhook::new(rig)?;
        rig.says("credential/later -n @id@-shop", "False", "NotFound", "has no key")?;
        rig.ready(&[&binding_in_shop("web")])?;
        let place = "production/global/all/later";
        let changing = Changing::begin(rig, place, CHANGE, |number| {
            let text = number.to_string();
            json!({"api_key": text, "other": text})
        })?;

        let starts = rig.path("starts");
        fs::create_dir(&starts)?;
        // Its parents are the test's alone; in the pods it is somebody else who writes here.
        fs::set_permissions(&starts, PermissionsExt::from_mode(0o777))?;
        for round in ["first", "second"] {
            rig.apply(&deployment(round, &starts.display().to_string()))?;
            rig.ask("kubectl -n @id@-shop rollout status deployment web --timeout=180s")?;
        }
        changing.end()?;
        rig.ask("kubectl -n @id@-shop delete deployment web --cascade=foreground --timeout=60s")?;
        all_had_everything(&starts)
    })
}

/// Each of all pods started once, with its whole file and its variable.
fn all_had_everything(starts: &Path) -> Result<()> {
    let mut pods = 0;
    for entry in fs::read_dir(starts)? {
        let path = entry?.path();
        let said = fs::read_to_string(&path)?;
        let number = |before: &str, after: &str| {
            let digits = said.split_once(before)?.1.split_once(after)?.0;
            digits.parse::<u64>().ok()
        };
        let [file, variable] =
            [number("API_KEY='", "'"), number("LATER=", "\n")].map(Option::unwrap_or_default);
        ensure!(
            file > 0
                && variable > 0
                && said == format!("API_KEY='{file}'\nOTHER='{file}' LATER={variable}\n"),
            "{} started with: {said}",
            path.display()
        );
        pods += 1;
    }
    ensure!(pods == 2 * REPLICAS, "{pods} pods of {} started", 2 * REPLICAS);
    Ok(())
}

/// Each container notes what it has at its start.
fn deployment(round: &str, starts: &str) -> String {
    let says = "echo \"$(cat /keystead/later.env)\" LATER=$LATER >> /starts/$HOSTNAME; trap \"exit 0\" TERM; sleep 9999 & wait";
    format!(
        "
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: @id@-shop}}
spec:
  replicas: {REPLICAS}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web, round: {round}, keystead.dev/inject: 'true'}}}}
    spec:
      serviceAccountName: web
      volumes: [{{name: starts, hostPath: {{path: {starts}, type: Directory}}}}]
      containers:
      - name: app
        image: {TEST_IMAGE}
        imagePullPolicy: IfNotPresent
        command: [/bin/sh, -c, '{says}']
        volumeMounts: [{{name: starts, mountPath: /starts}}]
"
    )
}
