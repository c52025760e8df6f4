//! Templates in ConfigMaps: nothing is said of them at `kubectl apply`, so the binding and the pods do.

use anyhow::Result;

use super::super::manifest::{account, binding, credential, global, namespace, value};
use super::super::rig::{self, Method, Rig};
use crate::rig::chart::Webhook;
use crate::stage::Stage;

const BINDING: &str = "secretbinding/web -n @id@-shop";
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: @id@-shop, labels: {keystead.dev/inject: 'true'}}
spec: {serviceAccountName: web, containers: [{name: none, image: none.invalid/none}]}
";

pub(super) fn from_config_map(stage: &Stage) -> Result<()> {
    rig::run(stage, "text", Method::Kubernetes, |rig| {
        let file =
            "{path: app.conf, format: Template, templateFrom: {configMapKeyRef: {name: conf, key: app}}}";
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            rig.provider(),
            global(),
            credential("shop", "hubspot", "global", "hubspot", &value("api_key", "x")),
            format!(
                "{}  files: [{file}]\n",
                binding("shop", "web", "web", &["hubspot"])
            ),
        ];
        rig.apply(&manifests.concat())?;
        let webhook = Webhook::new(rig)?;
        waits(&webhook, "NotFound", "ConfigMap conf not found")?;
        holds(rig, "other", "x")?;
        waits(&webhook, "NotFound", "ConfigMap conf has no key app")?;
        holds(rig, "app", "{{ secret('hubspot').api_key|upcase }}")?;
        let wrong = "ConfigMap conf, key app: line 1: there is no filter upcase";
        waits(&webhook, "Invalid", wrong)?;
        holds(rig, "app", "first {{ secret('hubspot').api_key }}")?;
        rig.ready(&[BINDING])?;
        gets(rig, "first {{ secret('hubspot').api_key }}")?;
        holds(rig, "app", "second {{ secret('hubspot').api_key }}")?;
        gets(rig, "second {{ secret('hubspot').api_key }}")?;
        rig.ask("kubectl -n @id@-shop delete configmap conf")?;
        waits(&webhook, "NotFound", "ConfigMap conf not found")
    })
}

/// The binding says why, and pods are refused for it.
fn waits(webhook: &Webhook<'_>, reason: &str, why: &str) -> Result<()> {
    let sentence = format!("spec.files[app.conf].templateFrom: {why}");
    webhook.rig.says(BINDING, "False", reason, &sentence)?;
    webhook.refuses(POD, &format!("SecretBinding web: {sentence}"))
}

fn holds(rig: &Rig<'_>, key: &str, text: &str) -> Result<()> {
    rig.apply(&format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{name: conf, namespace: @id@-shop}}
data: {{{key}: \"{text}\"}}
"
    ))
}

/// The sidecar of a pod that is made now is told this text.
fn gets(rig: &Rig<'_>, text: &str) -> Result<()> {
    let path = rig.path("pod.yaml");
    std::fs::write(&path, POD.replace("@id@", &rig.id))?;
    let line = format!("kubectl create --dry-run=server -o json -f '{}'", path.display());
    let has = |answer: &str| answer.contains(text);
    rig.stage
        .until(&format!("a pod has {text}"), &line, has)
        .map(drop)
}
