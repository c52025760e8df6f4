//! Who holds a Credential.

use anyhow::{Result, ensure};

use super::super::manifest::{binding, company, credential, global, namespace};
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

fn held(rig: &Rig<'_>, name: &str, wanted: &str) -> Result<()> {
    wait::until(
        format!("{name} is held by {wanted:?}"),
        PATIENCE,
        Some(&rig.path("operator.log")),
        || {
            let line = format!("kubectl get credential {name} -n @id@-shop -o 'jsonpath={{.status.heldBy}}'");
            Ok(rig.ask(&line)? == wanted.replace("@id@", &rig.id))
        },
    )
}

pub(super) fn credentials(stage: &Stage) -> Result<()> {
    rig::run(stage, "holders", Method::Kubernetes, |rig| {
        let generated = "{name: token, from: {generate: {}}}";
        let manifests = [
            namespace("shop", "company: acme"),
            namespace("hr", "company: acme"),
            namespace("other", ""),
            rig.provider(),
            global(),
            company("acme"),
            credential("shop", "everybody", "global", "slack", generated),
            credential("shop", "acme", "acme", "slack", generated),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        for name in ["everybody", "acme"] {
            rig.ready(&[&format!("credential/{name} -n @id@-shop")])?;
            held(rig, name, "")?;
        }
        for (space, name) in [("shop", "web"), ("hr", "api"), ("other", "job")] {
            rig.apply(&binding(space, name, name, &["slack"]))?;
        }
        held(rig, "everybody", "3: @id@-hr/api, @id@-other/job, @id@-shop/web")?;
        held(rig, "acme", "2: @id@-hr/api, @id@-shop/web")?;
        rig.ask("kubectl annotate credential everybody -n @id@-shop keystead.dev/rotate=now-1")?;
        wait::until("it is rotated", PATIENCE, Some(&rig.path("operator.log")), || {
            let line = "kubectl get credential everybody -n @id@-shop -o 'jsonpath={.status.rotation.count}'";
            Ok(rig.ask(line)? == "1")
        })?;
        let table = rig.ask("kubectl get credentials -n @id@-shop")?;
        for part in ["ROTATED", "DUE", "HELD BY", "3: "] {
            ensure!(table.contains(part), "{part} is missing in\n{table}");
        }
        rig.ask("kubectl delete secretbinding api -n @id@-hr")?;
        held(rig, "acme", "1: @id@-shop/web")
    })
}
