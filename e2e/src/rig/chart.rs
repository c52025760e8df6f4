//! The chart, as a test needs it: the rights of the operator's account, and the webhooks before it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Rig;
use super::manifest::{account, namespace};
use super::program::{Program, free_port};
use crate::programs;

/// What the chart calls everything of a release with its own name.
pub(crate) const RELEASE: &str = "keystead";

impl Rig<'_> {
    /// Gives the operator's account what a chart with these options gives it, and no more: with them it
    /// has to do all that a test asks of it.
    pub(crate) fn grant(&self, options: &str) -> Result<()> {
        let manifests = ["rbac", "serviceaccount", "tls"].map(|name| format!("-s templates/{name}.yaml"));
        self.apply(&self.rendered(&format!("{} {options}", manifests.join(" ")))?)
    }

    /// A kubeconfig of that account.
    pub(super) fn write_kubeconfig(&self) -> Result<()> {
        let admins = self.stage.ask("kubectl config view --raw --flatten -o json")?;
        let mut config: Value = serde_json::from_str(&admins)?;
        let token = self.ask_quietly(&format!("kubectl -n @id@ create token {RELEASE}"))?;
        config["users"][0]["user"] = json!({"token": token});
        fs::write(self.path("kubeconfig"), config.to_string()).context("write a kubeconfig")
    }

    /// What the chart makes of these options for a release in this test's own namespace.
    pub(crate) fn rendered(&self, options: &str) -> Result<String> {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/keystead");
        let line = format!("helm template {RELEASE} '{chart}' --namespace @id@ --set cluster=@id@ {options}");
        self.ask_quietly(&line)
    }
}

/// An operator with the chart's webhooks in front of it, for this test's names alone.
pub(crate) struct Webhook<'a> {
    pub(crate) rig: &'a Rig<'a>,
    pub(crate) operator: Program,
}

impl<'a> Webhook<'a> {
    /// The API server calls it as in a cluster, by its service, which stands for this machine here.
    pub(crate) fn new(rig: &'a Rig<'a>) -> Result<Self> {
        let port = free_port()?;
        rig.apply(&[namespace("probe", ""), account("probe", "probe")].concat())?;
        configure(rig, port)?;
        let operator = serving(rig, RELEASE, port, &programs::image("sidecar"))?;
        let webhook = Self { rig, operator };
        webhook.wait()?;
        Ok(webhook)
    }

    /// The API server takes a moment to hear of a new webhook.
    pub(crate) fn wait(&self) -> Result<()> {
        let scope = "
apiVersion: keystead.dev/v1alpha1
kind: SecretScope
metadata: {name: @id@-probe}
spec:
  providerRef: {name: @id@}
  level: Company
  id: probe
  members: {namespaceSelector: {matchExpressions: [{key: a, operator: Equals}]}}
  writers: {namespaceSelector: {}}
";
        let pod = "
apiVersion: v1
kind: Pod
metadata: {name: probe, namespace: @id@-probe, labels: {keystead.dev/inject: 'true'}}
spec: {serviceAccountName: probe, containers: [{name: none, image: none.invalid/none}]}
";
        for (name, probe, sentence) in [
            ("scope", scope, "each of matchExpressions needs an operator"),
            ("pod", pod, "no SecretBinding in namespace"),
        ] {
            let path = self.rig.path(&format!("{name}.yaml"));
            fs::write(&path, probe.replace("@id@", &self.rig.id))?;
            let line = format!("kubectl apply --dry-run=server -f '{}'", path.display());
            let refused = |answer: &str| answer.contains(sentence);
            self.rig.stage.until("the webhook is called", &line, refused)?;
        }
        Ok(())
    }

    /// Holds that a manifest is refused by the webhook, with these words.
    pub(crate) fn refuses(&self, manifest: &str, sentence: &str) -> Result<()> {
        let said = self.run("kubectl create -f -", Some(manifest))?;
        self.said(&said, sentence)
    }

    /// The same of a command.
    pub(crate) fn forbids(&self, line: &str, sentence: &str) -> Result<()> {
        let said = self.run(line, None)?;
        self.said(&said, sentence)
    }

    /// What a command says that must fail.
    pub(crate) fn run(&self, line: &str, input: Option<&str>) -> Result<String> {
        let own = |text: &str| text.trim_start().replace("@id@", &self.rig.id);
        let (line, input) = (own(line), input.map(own));
        let stage = self.rig.stage;
        let refusal = stage.refusal(&line, &mut stage.command(&line), input.as_deref())?;
        Ok(refusal.0)
    }

    /// Holds that it was the webhook that said this.
    pub(crate) fn said(&self, said: &str, sentence: &str) -> Result<()> {
        let sentence = sentence.replace("@id@", &self.rig.id);
        ensure!(
            said.contains("denied the request") && said.contains(&sentence),
            "expected {sentence:?} from the webhook in: {said}"
        );
        Ok(())
    }
}

impl Drop for Webhook<'_> {
    fn drop(&mut self) {
        // Nobody else is in its way, so a test that failed already has more to tell than this.
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            let line = format!("kubectl delete {kind} {RELEASE}.@id@ --ignore-not-found");
            let _ = self.rig.ask(&line);
        }
    }
}

/// The chart's webhooks, for this test's names alone, at a port of this machine.
pub(crate) fn configure(rig: &Rig<'_>, port: u16) -> Result<()> {
    let service = format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {RELEASE}, namespace: @id@}}
spec: {{type: ExternalName, externalName: 127.0.0.1}}
"
    );
    rig.apply(&service)?;
    for name in ["webhook", "validating-webhook"] {
        let yaml = rig.rendered(&format!("-s templates/{name}.yaml"))?;
        let line = "kubectl create --dry-run=client -o json -f -";
        let json = rig.stage.shown(line, &mut rig.stage.command(line), Some(&yaml))?;
        let mut configuration: Value = serde_json::from_str(&json)?;
        let hooks = configuration["webhooks"].as_array_mut();
        for webhook in hooks.context("the configuration has webhooks")? {
            confine(webhook, &rig.id, port);
        }
        rig.apply(&configuration.to_string())?;
    }
    Ok(())
}

/// Calls the test's operator, and only for what is named after the test.
fn confine(webhook: &mut Value, id: &str, port: u16) {
    webhook["clientConfig"]["service"]["port"] = json!(port);
    let ours = json!({
        "name": "is-of-the-test",
        "expression": format!(
            "object.metadata.?name.orValue(object.metadata.?generateName.orValue('')).startsWith('{id}') \
             || request.?namespace.orValue('').startsWith('{id}')"
        ),
    });
    match webhook["matchConditions"].as_array_mut() {
        Some(conditions) => conditions.push(ours),
        None => webhook["matchConditions"] = json!([ours]),
    }
}

/// The test's operator with a webhook at this port, which takes the chart's configurations for its own.
pub(crate) fn serving(rig: &Rig<'_>, service: &str, port: u16, sidecar: &str) -> Result<Program> {
    let arguments = webhook_arguments(rig, service, port, sidecar);
    rig.operator_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What tells an operator to do so.
pub(crate) fn webhook_arguments(rig: &Rig<'_>, service: &str, port: u16, sidecar: &str) -> Vec<String> {
    let configuration = format!("{RELEASE}.{}", rig.id);
    let listen = format!("127.0.0.1:{port}");
    // Where pods reach it, on a bed that has any.
    let node = rig.stage.bed().and_then(|bed| bed.node_address.as_deref());
    let reports = format!("{}:0", node.unwrap_or("127.0.0.1"));
    let arguments = [
        ["--namespace", &rig.id],
        ["--service", service],
        ["--webhook-configuration", &configuration],
        ["--validating-webhook-configuration", &configuration],
        ["--webhook-listen", &listen],
        ["--reports-listen", &reports],
        ["--sidecar-image", sidecar],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}
