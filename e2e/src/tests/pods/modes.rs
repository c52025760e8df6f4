//! The modes of a sidecar, as Jobs see them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{binding_in_shop, of};
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::manifest::{account, credential, global, namespace, value};
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// Each mode, and what its value is: `exec` alone can hand over a quote.
const MODES: [(&str, &str); 3] = [("Sidecar", "plain"), ("Init", "plain"), ("Exec", "it's")];
/// The same where all of them go by `exec`.
const OLD_MODES: [(&str, &str); 3] = [("Sidecar", "it's"), ("Init", "it's"), ("Exec", "it's")];

pub(super) fn jobs(stage: &Stage) -> Result<()> {
    rig::run(stage, "modes", Method::Kubernetes, |rig| {
        declare(rig, MODES)?;
        let _webhook = Webhook::new(rig)?;
        run(rig, MODES)
    })
}

pub(in crate::tests) fn old_jobs(stage: &Stage) -> Result<()> {
    rig::run(stage, "old", Method::Kubernetes, |rig| {
        declare(rig, OLD_MODES)?;
        let webhook = Webhook::new(rig)?;
        run(rig, OLD_MODES)?;
        webhook.refuses(
            &without_command(),
            "container app can't be given its variables: the API server has no fileKeyRef",
        )
    })
}

/// An account, a service and a binding for each mode.
fn declare(rig: &Rig<'_>, modes: [(&str, &str); 3]) -> Result<()> {
    let shared = [namespace("shop", ""), rig.provider(), global()].concat();
    let each: String = modes.iter().map(|(mode, text)| declared(mode, text)).collect();
    rig.apply(&format!("{shared}{each}"))
}

/// Runs Jobs of each mode, one that ends well and one with a code of its own, and holds what each has.
fn run(rig: &Rig<'_>, modes: [(&str, &str); 3]) -> Result<()> {
    for (mode, _) in modes {
        rig.ready(&[&binding_in_shop(&mode.to_lowercase())])?;
        for code in [0, 7] {
            rig.apply(&job(mode, code))?;
        }
    }
    for (mode, text) in modes {
        for (code, condition) in [(0, "Complete"), (7, "Failed")] {
            let name = format!("{}-{code}", mode.to_lowercase());
            rig.ask(&format!(
                "kubectl -n @id@-shop wait job {name} --for=condition={condition} --timeout=60s"
            ))?;
            ended(rig, &name, text, code)?;
        }
    }
    Ok(())
}

/// What the pod of a Job said, and how each of its containers ended.
fn ended(rig: &Rig<'_>, job: &str, text: &str, code: i64) -> Result<()> {
    let pods = rig.ask(&format!(
        "kubectl -n @id@-shop get pods -l job-name={job} -o json"
    ))?;
    let pods: Value = serde_json::from_str(&pods)?;
    let status = &pods["items"][0]["status"];
    let exit = |container: &Value| container["state"]["terminated"]["exitCode"].clone();
    let app = exit(&status["containerStatuses"][0]);
    same(&format!("the exit code of {job}"), &app, &json!(code))?;
    let ours = status["initContainerStatuses"].as_array();
    for one in ours.context("there are init containers")? {
        same(
            &format!("the exit code of {} in {job}", one["name"]),
            &exit(one),
            &json!(0),
        )?;
    }

    let said = rig.ask(&format!("kubectl -n @id@-shop logs job/{job} -c app"))?;
    let (variable, file) = said.split_once('\n').context("two lines")?;
    same(
        &format!("the variable of {job}"),
        &json!(variable),
        &json!(format!("<{text}>")),
    )?;
    ensure!(file.starts_with("API_KEY="), "{job} has no file: {said:?}");
    Ok(())
}

/// An account, a service of its own and a binding in this mode, all of its name.
fn declared(mode: &str, text: &str) -> String {
    let name = mode.to_lowercase();
    let service = credential("shop", &name, "global", &name, &value("api_key", text));
    let binding = of(
        "shop",
        &name,
        &name,
        &[&name],
        &format!("  sidecar: {{mode: {mode}}}\n"),
    );
    [account("shop", &name), service, binding].concat()
}

/// A Job that says what it has, and ends with a code.
fn job(mode: &str, code: i64) -> String {
    let name = mode.to_lowercase();
    let variable = name.to_uppercase();
    let says = format!(r#"echo "<${variable}>"; cat /keystead/{name}.env; exit {code}"#);
    let app = format!("command: [/bin/sh, -c, '{says}']");
    format!(
        "
---
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}-{code}, namespace: @id@-shop}}
spec:
  backoffLimit: 0
  template:
    metadata: {{labels: {LABEL}}}
    spec: {}
",
        pod_spec(&name, &app)
    )
}

/// A pod that asks for secrets and leaves it to its image what is started.
fn without_command() -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: unknown, namespace: @id@-shop, labels: {LABEL}}}
spec: {}
",
        pod_spec("sidecar", "args: ['-x']")
    )
}

const LABEL: &str = "{keystead.dev/inject: 'true'}";

fn pod_spec(account: &str, app: &str) -> String {
    format!(
        "{{serviceAccountName: {account}, restartPolicy: Never, containers: \
         [{{name: app, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, {app}}}]}}"
    )
}
