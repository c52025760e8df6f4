//! The validating webhook of the chart, called by the real API server: what `kubectl apply` says.

mod guard;
mod objects;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Test;
use super::program::{Program, free_port};
use super::rig::Rig;
use crate::stage::Stage;

pub(super) fn tests() -> Vec<Test> {
    let test = |&(name, run)| Test::on_servers(name, run);
    TESTS.iter().map(test).collect()
}

/// What holds, and the function that sees to it.
type Named = (&'static str, fn(&Stage) -> Result<()>);

const TESTS: &[Named] = &[
    (
        "admission: what can't work is refused with a sentence, and taken once it is mended",
        objects::refused,
    ),
    (
        "admission: what slipped past is decided when compiling, and can be changed and deleted",
        objects::slipped_past,
    ),
    (
        "admission: whoever makes a namespace a tenant needs the right to the scope",
        guard::tenants,
    ),
    (
        "admission: without an operator labels wait and objects don't",
        guard::without_operator,
    ),
];

/// An operator with the chart's validating webhook in front of it, for this test's names alone.
struct Webhook<'a> {
    rig: &'a Rig<'a>,
    operator: Program,
}

impl<'a> Webhook<'a> {
    /// The API server calls it as in a cluster, by its service, which stands for this machine here.
    fn new(rig: &'a Rig<'a>) -> Result<Self> {
        let port = free_port()?;
        rig.apply(
            "
apiVersion: v1
kind: Service
metadata: {name: keystead, namespace: @id@}
spec: {type: ExternalName, externalName: 127.0.0.1}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: keystead.@id@}
webhooks: []
",
        )?;
        let mut configuration = rendered(rig)?;
        let hooks = configuration["webhooks"].as_array_mut();
        for webhook in hooks.context("the configuration has webhooks")? {
            confine(webhook, &rig.id, port)?;
        }
        rig.apply(&configuration.to_string())?;
        let operator = start(rig, port)?;
        let webhook = Self { rig, operator };
        webhook.wait()?;
        Ok(webhook)
    }

    /// The API server takes a moment to hear of a new webhook.
    fn wait(&self) -> Result<()> {
        let probe = "
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
        let path = self.rig.path("probe.yaml");
        std::fs::write(&path, probe.replace("@id@", &self.rig.id))?;
        let line = format!("kubectl apply --dry-run=server -f '{}'", path.display());
        let refused = |answer: &str| answer.contains("each of matchExpressions needs an operator");
        self.rig
            .stage
            .until("the webhook is called", &line, refused)
            .map(drop)
    }

    /// Holds that a manifest is refused by the webhook, with these words.
    fn refuses(&self, manifest: &str, sentence: &str) -> Result<()> {
        let said = self.run("kubectl create -f -", Some(manifest))?;
        self.said(&said, sentence)
    }

    /// The same of a command.
    fn forbids(&self, line: &str, sentence: &str) -> Result<()> {
        let said = self.run(line, None)?;
        self.said(&said, sentence)
    }

    fn run(&self, line: &str, input: Option<&str>) -> Result<String> {
        let own = |text: &str| text.trim_start().replace("@id@", &self.rig.id);
        let (line, input) = (own(line), input.map(own));
        let stage = self.rig.stage;
        let refusal = stage.refusal(&line, &mut stage.command(&line), input.as_deref())?;
        Ok(refusal.0)
    }

    fn said(&self, said: &str, sentence: &str) -> Result<()> {
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
            let _ = self
                .rig
                .ask(&format!("kubectl delete {kind} keystead.@id@ --ignore-not-found"));
        }
    }
}

/// The chart's ValidatingWebhookConfiguration for a release in the test's namespace.
fn rendered(rig: &Rig<'_>) -> Result<Value> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/keystead");
    let yaml = rig.stage.ask(&format!(
        "helm template keystead '{chart}' --namespace {} --set cluster=c1 --show-only templates/validating-webhook.yaml",
        rig.id
    ))?;
    let line = "kubectl create --dry-run=client -o json -f -";
    let json = rig.stage.shown(line, &mut rig.stage.command(line), Some(&yaml))?;
    Ok(serde_json::from_str(&json)?)
}

/// Calls the test's operator, and only for what is named after the test.
fn confine(webhook: &mut Value, id: &str, port: u16) -> Result<()> {
    webhook["clientConfig"]["service"]["port"] = json!(port);
    let conditions = webhook["matchConditions"].as_array_mut();
    conditions.context("a webhook has matchConditions")?.push(json!({
        "name": "is-of-the-test",
        "expression": format!(
            "object.metadata.?name.orValue(object.metadata.?generateName.orValue('')).startsWith('{id}') \
             || object.metadata.?namespace.orValue('').startsWith('{id}')"
        ),
    }));
    Ok(())
}

fn start(rig: &Rig<'_>, port: u16) -> Result<Program> {
    let [id, listen] = [rig.id.clone(), format!("127.0.0.1:{port}")];
    let configuration = format!("keystead.{id}");
    rig.operator_with(&[
        "--namespace",
        &id,
        "--service",
        "keystead",
        "--webhook-configuration",
        &configuration,
        "--validating-webhook-configuration",
        &configuration,
        "--webhook-listen",
        &listen,
        "--sidecar-image",
        "keystead.dev/sidecar:test",
    ])
}

/// A company's scope: `members` and `writers` are labels, `@id@-` before their values.
fn company(name: &str, id: &str, members: &str, writers: &str) -> String {
    let labels = |label: &str| label.replace(": ", ": @id@-");
    let (members, writers) = (labels(members), labels(writers));
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretScope
metadata: {{name: @id@-{name}}}
spec:
  providerRef: {{name: @id@}}
  level: Company
  id: {id}
  members: {{namespaceSelector: {{matchLabels: {{{members}}}}}}}
  writers: {{namespaceSelector: {{matchLabels: {{{writers}}}}}}}
"
    )
}
