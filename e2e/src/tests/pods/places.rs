//! Pods that are not like others: a mesh comes first, the network is the host's, the kubelet made it
//! from a file. And whose the files are in each.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use super::{binding_in_shop, declare, of};
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// Its file and its variable, or nothing.
const SAYS: &str = "echo $(cat /keystead/mail.env 2>/dev/null || echo nothing) $MAIL";
const SAID: &str = "API_KEY='key' key";

pub(super) fn others(stage: &Stage) -> Result<()> {
    rig::run(stage, "places", Method::Kubernetes, |rig| {
        declare(rig)?;
        let last = "  sidecar: {first: false}\n";
        rig.apply(
            &(of("shop", "web", "web", &["mail"], "") + &of("shop", "alone", "alone", &["mail"], last)),
        )?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(
            &["web", "alone"]
                .map(binding_in_shop)
                .each_ref()
                .map(String::as_str),
        )?;
        let _static = Static::new(rig)?;
        // Two on one node: the sidecars of a host's network have no port to fight for.
        let host = "hostNetwork: true, ";
        rig.apply(
            &[
                pod("host-1", "web", host),
                pod("host-2", "web", host),
                pod("mesh", "alone", ""),
            ]
            .concat(),
        )?;

        for name in ["host-1", "host-2", "mesh"] {
            let done = "--for=jsonpath={.status.phase}=Succeeded --timeout=60s";
            rig.ask(&format!("kubectl -n @id@-shop wait pod {name} {done}"))?;
        }
        for (pod, wanted) in [
            ("host-1", [SAID, SAID, SAID, SAID]),
            ("host-2", [SAID, SAID, SAID, SAID]),
            ("mesh", ["nothing", "nothing", SAID, SAID]),
        ] {
            for (container, wanted) in ["setup", "proxy", "migrate", "app"].into_iter().zip(wanted) {
                let said = rig.ask(&format!("kubectl -n @id@-shop logs {pod} -c {container}"))?;
                let said = said.lines().last().unwrap_or_default();
                same(
                    &format!("what {pod}'s {container} said"),
                    &json!(said),
                    &json!(wanted),
                )?;
            }
        }
        shows_static(rig)
    })
}

/// What containers may say of their user, and what they then see of a file: its mode, owner and group.
const USERS: [(&str, &str, [&str; 3], &str); 7] = [
    ("nobody", "", ["", "", ""], "444 65532"),
    ("one", "runAsUser: 1000", ["", "", ""], "400 1000"),
    (
        "early",
        "runAsUser: 1000",
        ["runAsUser: 2000", "", ""],
        "444 1000",
    ),
    ("two", "", ["", "runAsUser: 1000", "runAsUser: 2000"], "444 65532"),
    ("root", "runAsUser: 0", ["", "", ""], "444 65532"),
    (
        "group",
        "fsGroup: 3000",
        ["", "runAsUser: 1000", "runAsUser: 2000"],
        "440 65532 3000",
    ),
    (
        "both",
        "fsGroup: 3000, runAsUser: 1000",
        ["", "", ""],
        "440 1000 3000",
    ),
];

pub(super) fn owners(stage: &Stage) -> Result<()> {
    rig::run(stage, "owners", Method::Kubernetes, |rig| {
        declare(rig)?;
        rig.apply(&of("shop", "web", "web", &["mail"], ""))?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web")])?;
        for (name, pod, containers, _) in USERS {
            rig.apply(&owned(name, pod, containers))?;
        }
        for (name, _, _, wanted) in USERS {
            let done = "--for=jsonpath={.status.phase}=Succeeded --timeout=60s";
            rig.ask(&format!("kubectl -n @id@-shop wait pod {name} {done}"))?;
            for container in ["early", "app", "other"] {
                let said = rig.ask(&format!("kubectl -n @id@-shop logs {name} -c {container}"))?;
                // Of what nobody asked for the group is nobody's business.
                let words = wanted.split(' ').count();
                let seen: Vec<&str> = said.split(' ').take(words).collect();
                let rest = said.lines().skip(1).collect::<Vec<_>>().join("; ");
                let what = format!("what {container} of pod {name} sees");
                same(&what, &json!([seen.join(" "), rest]), &json!([wanted, SAID]))?;
            }
        }
        Ok(())
    })
}

/// One that says whose its file is and reads it, with nowhere to write but where it must not.
fn owned(name: &str, pod: &str, containers: [&str; 3]) -> String {
    let [early, app, other] = [("early", containers[0]), ("app", containers[1]), ("other", containers[2])]
        .map(|(name, user)| {
            let comma = if user.is_empty() { "" } else { ", " };
            let says = format!(r#"stat -L -c "%a %u %g " /keystead/mail.env; {SAYS}; touch /keystead/new 2>/dev/null && echo writable"#);
            format!(
                "{{name: {name}, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, '{says}; true'], \
                 securityContext: {{readOnlyRootFilesystem: true{comma}{user}}}}}"
            )
        });
    manifest(
        name,
        "web",
        &format!("securityContext: {{{pod}}}, initContainers: [{early}], containers: [{app}, {other}]"),
    )
}

/// One with init containers: a mesh's proxy goes on beside the rest.
fn pod(name: &str, account: &str, more: &str) -> String {
    let container = |name: &str, rest: &str| {
        format!(
            "{{name: {name}, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, '{SAYS}{rest}}}"
        )
    };
    let init = [
        container("setup", "']"),
        container("proxy", "; exec sleep 9999'], restartPolicy: Always"),
        container("migrate", "']"),
    ];
    manifest(
        name,
        account,
        &format!(
            "{more}initContainers: [{}], containers: [{}]",
            init.join(", "),
            container("app", "']")
        ),
    )
}

fn manifest(name: &str, account: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: @id@-shop, labels: {{keystead.dev/inject: 'true'}}}}
spec: {{serviceAccountName: {account}, restartPolicy: Never, terminationGracePeriodSeconds: 1, {spec}}}
"
    )
}

/// The static pod runs, its mirror is shown, and nothing was done to that.
fn shows_static(rig: &Rig<'_>) -> Result<()> {
    let bed = rig.stage.bed().context("this test needs a bed")?;
    let node = bed.node_name.as_deref().context("this test needs a node")?;
    let path = "{.status.phase} {.spec.containers[*].name} {.spec.initContainers}{.metadata.annotations.keystead\\.dev/injected}";
    let line = format!(
        "kubectl -n {}-shop get pod static-{node} -o 'jsonpath={path}'",
        rig.id
    );
    rig.stage
        .until("the static pod is shown and left alone", &line, |found| {
            found == "Running app"
        })
        .map(drop)
}

/// A static pod that asks for what it can't have.
struct Static(PathBuf);

impl Static {
    fn new(rig: &Rig<'_>) -> Result<Self> {
        let folder = rig.stage.bed().context("this test needs a bed")?.static_pods();
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "static",
                "namespace": format!("{}-shop", rig.id),
                "labels": {"keystead.dev/inject": "true"},
            },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "app",
                    "image": TEST_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "9999"],
                }],
            },
        });
        // The kubelet looks at whole files only, and at none with such a name.
        let (next, file) = (folder.join(".next"), folder.join(format!("{}.json", rig.id)));
        fs::write(&next, manifest.to_string())?;
        let fixed = Self(file);
        fs::rename(&next, &fixed.0).context("give the kubelet a static pod")?;
        Ok(fixed)
    }
}

impl Drop for Static {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
