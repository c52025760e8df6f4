//! What changes by itself reaches the pods that run: a rotation, and a value sealed for git.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::super::operator::seals;
use super::binding_in_shop;
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::manifest::{account, binding, credential, global, namespace};
use crate::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const REPLICAS: usize = 50;
const WORD: &str = "sealed-on-a-desk";

pub(super) fn reaches(stage: &Stage) -> Result<()> {
    rig::run(stage, "fifty", Method::Kubernetes, |rig| {
        rig.prepare_vault(&format!("--transit {}-keys", rig.id))?;
        let made = "{name: token, from: {generate: {}}}";
        let rotation = "  rotation: {every: 24h, keepPrevious: 1h}\n";
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            seals::provider(rig),
            seals::key(""),
            global(),
            credential("shop", "made", "global", "made", made) + rotation,
            bound(),
        ];
        rig.apply(&manifests.concat())?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&["encryptionkey/@id@-seals", "credential/made -n @id@-shop"])?;
        // As it would be committed.
        let entry = seals::sealed(rig, WORD)?;
        ensure!(!entry.contains(WORD), "{entry}");
        rig.apply(&seals::credential(rig, "hubspot", &entry))?;
        rig.ready(&["credential/hubspot -n @id@-shop", &binding_in_shop("web")])?;

        rig.apply(&deployment())?;
        rig.ask("kubectl -n @id@-shop rollout status deployment web --timeout=240s")?;
        let first = everywhere(rig, |token, previous| {
            previous.is_none().then(|| token.to_owned())
        })?;
        rig.ask("kubectl -n @id@-shop annotate credential made keystead.dev/rotate=1")?;
        everywhere(rig, |token, previous| {
            (previous == Some(&first) && token != first).then(|| token.to_owned())
        })?;
        let restarts = "kubectl -n @id@-shop get pods -o 'jsonpath={.items[*].status.containerStatuses[*].restartCount}'";
        let restarts = rig.ask(restarts)?;
        ensure!(restarts.split(' ').all(|count| count == "0"), "{restarts}");
        Ok(())
    })
}

/// Both services, each as a file.
fn bound() -> String {
    let file = |name: &str| format!("{{path: {name}.env, format: Dotenv, secret: {name}}}");
    let files = [file("made"), file("hubspot")].join(", ");
    let binding = binding("shop", "web", "web", &["made", "hubspot"]);
    format!("{binding}  files: [{files}]\n  refreshInterval: 5s\n")
}

/// Waits until every pod shows the sealed value and the same token, which `fits`; answers that.
fn everywhere(rig: &Rig<'_>, fits: impl Fn(&str, Option<&str>) -> Option<String>) -> Result<String> {
    let mut tokens = BTreeSet::new();
    wait::until("all pods show the same", PATIENCE, None, || {
        let all = rig.ask("kubectl -n @id@-shop logs -l app=web -c app --tail=1 --max-log-requests=60")?;
        let shown = all.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let token = (words.next() == Some(WORD)).then(|| words.next())??;
            fits(token, words.next())
        });
        let shown: Vec<String> = shown.collect();
        tokens = shown.iter().cloned().collect();
        Ok(shown.len() == REPLICAS && tokens.len() == 1)
    })?;
    tokens.pop_first().context("a token")
}

/// Each pod says what its files show, whenever that changes.
fn deployment() -> String {
    let says = "trap \"exit 0\" TERM; while :; do now=$(. /keystead/made.env; . /keystead/hubspot.env; \
                echo $API_KEY $TOKEN $TOKEN_PREVIOUS); test \"$now\" = \"$before\" || echo $now; before=$now; sleep 1 & wait $!; done";
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
    metadata: {{labels: {{app: web, keystead.dev/inject: 'true'}}}}
    spec:
      serviceAccountName: web
      terminationGracePeriodSeconds: 2
      containers:
      - name: app
        image: {TEST_IMAGE}
        imagePullPolicy: IfNotPresent
        command: [/bin/sh, -c, '{says}']
        securityContext: {{runAsUser: 1000}}
"
    )
}
