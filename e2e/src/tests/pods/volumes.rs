//! A volume that takes no more: the pod says so in one sentence, and nothing is lost.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::reports::{pod, says};
use super::{binding_in_shop, declare};
use crate::rig::chart::Webhook;
use crate::rig::manifest::{binding_of, credential, value};
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// The least that a binding may say, and so is the limit of the sidecar's memory.
const SIDECAR: &str =
    "  refreshInterval: 1s\n  sidecar: {filesSize: 64Ki, resources: {memory: 8Mi, limits: {memory: 8Mi}}}\n";
/// Of a value that does not fit into the volume, and of one that does not fit twice.
const TOO_LONG: usize = 65_536;
const LONG: usize = 40_000;
const FULL: &str = "cannot write /keystead/big: the volume of 64 KiB is full, and a change needs room for the old files and the new ones";

pub(super) fn hold(stage: &Stage) -> Result<()> {
    rig::run(stage, "room", Method::Kubernetes, |rig| {
        declare(rig)?;
        let secret = "{name: big, service: big}".to_owned();
        let files = "  files: [{path: big, format: Dotenv, secret: big}]\n";
        let binding = binding_of("shop", "web", "web", &[secret]) + files + SIDECAR;
        rig.apply(&(big("a", TOO_LONG) + &binding))?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web")])?;
        full(rig)?;
        read_only(rig)
    })
}

/// Neither at the start nor later does it end the sidecar, and it heals by itself.
fn full(rig: &Rig<'_>) -> Result<()> {
    rig.apply(&pod(rig, "full", "web")?)?;
    says(rig, "full", "Warning SecretsNotReady", FULL)?;
    rig.apply(&big("b", LONG))?;
    rig.ask("kubectl -n @id@-shop wait pod full --for=condition=Ready --timeout=60s")?;
    shows(rig, "b", LONG)?;
    rig.apply(&big("c", LONG))?;
    says(rig, "full", "Warning SecretsNotCurrent", FULL)?;
    shows(rig, "b", LONG)?;
    rig.apply(&big("d", 1))?;
    let line = format!("kubectl -n {}-shop exec full -c app -- cat /keystead/big", rig.id);
    let heals = |said: &str| said.trim_end() == "KEY='d'";
    rig.stage.until("the file follows", &line, heals)?;
    let path = "jsonpath={.status.initContainerStatuses[0].restartCount}";
    let restarts = rig.ask(&format!("kubectl -n @id@-shop get pod full -o '{path}'"))?;
    ensure!(restarts == "0", "the sidecar has restarted {restarts} times");
    Ok(())
}

/// As where another webhook makes every mount read-only.
fn read_only(rig: &Rig<'_>) -> Result<()> {
    let space = format!("{}-shop", rig.id);
    let served = rig.ask(&format!("kubectl -n {space} get pod full -o json"))?;
    let served: Value = serde_json::from_str(&served)?;
    let mut spec = served["spec"].clone();
    spec["nodeName"].take();
    spec["initContainers"][0]["volumeMounts"][0]["readOnly"] = json!(true);
    let metadata = json!({
        "name": "shut", "namespace": space,
        "labels": served["metadata"]["labels"], "annotations": served["metadata"]["annotations"],
    });
    let shut = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    rig.apply(&format!("{shut}\n"))?;
    let sentence =
        "the sidecar's mount of the volume is read-only: somebody has changed what Keystead's webhook made";
    says(rig, "shut", "Warning SecretsNotReady", sentence)
}

fn big(letter: &str, length: usize) -> String {
    credential(
        "shop",
        "big",
        "global",
        "big",
        &value("key", &letter.repeat(length)),
    )
}

/// Holds that the file is whole and has this value.
fn shows(rig: &Rig<'_>, letter: &str, length: usize) -> Result<()> {
    let found = rig.ask("kubectl -n @id@-shop exec full -c app -- cat /keystead/big")?;
    let wanted = format!("KEY='{}'", letter.repeat(length));
    same("the file", &json!(found.trim_end()), &json!(wanted))
}
