//! Every shape a pod comes in, as the controllers of a real cluster make it, under Pod Security
//! `restricted`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{binding_in_shop, declare, of};
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// Who makes pods, and how many of each.
const OWNERS: [(&str, usize); 5] = [
    ("Deployment", 2),
    ("StatefulSet", 2),
    ("DaemonSet", 1),
    ("Job", 1),
    ("CronJob", 1),
];
/// Whose pods they are, in the words of events.
const REFUSED: [&str; 5] = ["ReplicaSet", "StatefulSet", "DaemonSet", "Job job", "Job cron"];
/// The containers of each.
const CONTAINERS: [&str; 3] = ["early", "app", "other"];
const SAYS: &str = "echo $(cat /keystead/mail.env) $MAIL";
const SAID: &str = "API_KEY='key' key";

pub(super) fn all(stage: &Stage) -> Result<()> {
    rig::run(stage, "shapes", Method::Jwt, |rig| {
        declare(rig)?;
        rig.ask("kubectl label namespace @id@-shop pod-security.kubernetes.io/enforce=restricted")?;
        let _webhook = Webhook::new(rig)?;
        let owners: String = OWNERS.iter().map(|(kind, _)| owner(kind)).collect();
        rig.apply(&owners)?;
        rig.ask("kubectl -n @id@-shop create job cron --from=cronjob/cronjob")?;
        are_refused(rig)?;

        // Now the binding. Nobody does anything else.
        rig.apply(&of("shop", "web", "web", &["mail"], ""))?;
        for kind in ["deployment", "statefulset", "daemonset"] {
            rig.ask(&format!(
                "kubectl -n @id@-shop rollout status {kind} {kind} --timeout=60s"
            ))?;
        }
        rig.ask("kubectl -n @id@-shop wait job job cron --for=condition=Complete --timeout=60s")?;
        rig.ready(&[&binding_in_shop("web")])?;
        let bare = bare();
        rig.apply(&bare)?;
        rig.ask("kubectl -n @id@-shop wait pod bare --for=condition=Ready --timeout=60s")?;
        each_has_them(rig)?;
        stays_quiet(rig, &(owners + &bare))?;
        injects_once(rig)
    })
}

/// Waits until each controller was told why it gets no pod.
fn are_refused(rig: &Rig<'_>) -> Result<()> {
    let path = "{range .items[*]}{.involvedObject.kind} {.involvedObject.name}: {.message};{end}";
    let line = format!(
        "kubectl -n {}-shop get events --field-selector reason=FailedCreate -o 'jsonpath={path}'",
        rig.id
    );
    let refused = |events: &str, owner: &str| {
        let mut events = events.split(';');
        events.any(|event| event.starts_with(owner) && event.contains("no SecretBinding"))
    };
    rig.stage
        .until("every controller is refused its pod", &line, |events| {
            REFUSED.iter().all(|owner| refused(events, owner))
        })
        .map(drop)
}

/// Every container of every pod has its file and its variable, from its first line on.
fn each_has_them(rig: &Rig<'_>) -> Result<()> {
    let chosen = "kubectl -n @id@-shop %s -l keystead.dev/inject=true";
    let names = rig.ask(&(chosen.replace("%s", "get pods -o name")))?;
    let pods = 1 + OWNERS.iter().map(|(_, pods)| pods).sum::<usize>();
    ensure!(names.lines().count() == pods, "expected {pods} pods: {names}");
    let logs = chosen.replace(
        "%s",
        "logs --all-containers --prefix --tail=-1 --max-log-requests=99",
    );
    let logs = rig.ask(&logs)?;
    let said: BTreeSet<&str> = logs.lines().filter(|line| !line.contains("/keystead]")).collect();
    let wanted: BTreeSet<String> = names
        .lines()
        .flat_map(|pod| CONTAINERS.map(|container| format!("[{pod}/{container}] {SAID}")))
        .collect();
    same("what all containers said", &json!(said), &json!(wanted))
}

/// What is injected is no news to those who declared the pods.
fn stays_quiet(rig: &Rig<'_>, manifests: &str) -> Result<()> {
    let manifests = manifests.replace("@id@", &rig.id);
    let line = "kubectl diff -f -";
    let differs = rig
        .stage
        .shown(line, &mut rig.stage.command(line), Some(&manifests))?;
    ensure!(differs.is_empty(), "a difference where there is none: {differs}");
    Ok(())
}

/// A copy of an injected pod gets nothing more.
fn injects_once(rig: &Rig<'_>) -> Result<()> {
    let pod: Value = serde_json::from_str(&rig.ask("kubectl -n @id@-shop get pod bare -o json")?)?;
    let kept = |field: &str| pod["metadata"][field].clone();
    let copy = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "copy",
            "namespace": kept("namespace"),
            "labels": kept("labels"),
            "annotations": kept("annotations"),
        },
        "spec": pod["spec"],
    });
    let line = "kubectl create --dry-run=server -o json -f -";
    let stage = rig.stage;
    let made = stage.shown(line, &mut stage.command(line), Some(&copy.to_string()))?;
    let made: Value = serde_json::from_str(&made).context("read the copy")?;
    same("the copy of a pod", &made["spec"], &pod["spec"])
}

fn owner(kind: &str) -> String {
    let name = kind.to_lowercase();
    let template = |ends: bool| {
        format!(
            "template: {{metadata: {{labels: {{app: {name}, keystead.dev/inject: 'true'}}}}, spec: {}}}",
            pod_spec(ends)
        )
    };
    let selector = format!("selector: {{matchLabels: {{app: {name}}}}}");
    let (api, spec) = match kind {
        "Job" => ("batch/v1", template(true)),
        "CronJob" => (
            "batch/v1",
            format!(
                "schedule: '0 0 1 1 *', jobTemplate: {{spec: {{{}}}}}",
                template(true)
            ),
        ),
        "DaemonSet" => ("apps/v1", format!("{selector}, {}", template(false))),
        _ => ("apps/v1", format!("replicas: 2, {selector}, {}", template(false))),
    };
    format!(
        "
---
apiVersion: {api}
kind: {kind}
metadata: {{name: {name}, namespace: @id@-shop}}
spec: {{{spec}}}
"
    )
}

fn bare() -> String {
    let spec = pod_spec(false);
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: bare, namespace: @id@-shop, labels: {{keystead.dev/inject: 'true'}}}}
spec: {spec}
"
    )
}

/// An init container and two containers; each says what it has.
fn pod_spec(ends: bool) -> String {
    let container = |name: &str, more: &str| {
        format!(
            "{{name: {name}, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, '{SAYS}{more}'], \
             securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}"
        )
    };
    let (more, policy) = if ends {
        ("", "Never")
    } else {
        ("; exec sleep 9999", "Always")
    };
    let [early, app, other] = CONTAINERS;
    format!(
        "{{serviceAccountName: web, restartPolicy: {policy}, terminationGracePeriodSeconds: 1, \
         securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}, \
         initContainers: [{}], containers: [{}, {}]}}",
        container(early, ""),
        container(app, more),
        container(other, more)
    )
}
