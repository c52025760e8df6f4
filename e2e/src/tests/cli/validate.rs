//! `kubectl keystead validate`.

use anyhow::{Result, ensure};

use super::run_here;
use crate::rig::chart::{RELEASE, serving};
use crate::rig::manifest::{account, binding, company, credential, namespace, scope, value};
use crate::rig::program::free_port;
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

pub(super) fn both_ways(stage: &Stage) -> Result<()> {
    rig::run(stage, "valid", Method::Jwt, |rig| {
        declare(rig)?;
        install(rig)?;
        let port = free_port()?;
        let mut operator = serving(rig, "webhook", port, "none.invalid/none")?;
        rig.ready(&[
            "secretprovider/@id@",
            "credential/hubspot -n @id@-shop",
            "secretbinding/web -n @id@-shop",
        ])?;
        let all = run_here(rig, "validate", "")?.ends(0)?;
        let sections = [
            "Kinds         7/7",
            "Providers     ",
            "Scopes        2/2",
            "Credentials   1/1",
            "Databases     0/0",
            "Keys          0/0",
            "Bindings      1/1",
            "Webhook       5/5",
            "0 failed, 0 not checked.",
        ];
        let hint = format!("{}-unused has no Credential", rig.id);
        all.says(&sections)?.says(&[&hint])?;
        without_token(rig)?;
        broken(rig)?;
        operator.stop()
    })
}

fn declare(rig: &Rig<'_>) -> Result<()> {
    let manifests = [
        namespace("shop", "company: acme"),
        account("shop", "web"),
        rig.provider(),
        company("acme"),
        scope("unused", "level: Global"),
        credential("shop", "hubspot", "acme", "hubspot", &value("user", "shop")),
        binding("shop", "web", "web", &["hubspot"]),
    ];
    rig.apply(&manifests.concat())
}

/// What the chart would bring, as far as it is looked at. No pod is made, and no webhook is called: the
/// rules choose nothing.
fn install(rig: &Rig<'_>) -> Result<()> {
    let hook = |kind: &str| {
        format!(
            "
---
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}
metadata: {{name: {RELEASE}.@id@}}
webhooks:
- name: none.keystead.dev
  clientConfig: {{service: {{name: webhook, namespace: @id@}}}}
  namespaceSelector: {{matchLabels: {{none: has-it}}}}
  rules: [{{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}}]
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
"
        )
    };
    let hooks = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
        .map(hook)
        .concat();
    let rest = "
---
apiVersion: v1
kind: Service
metadata: {name: webhook, namespace: @id@}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: webhook, namespace: @id@, labels: {kubernetes.io/service-name: webhook}}
addressType: IPv4
ports: [{port: 443}]
endpoints: [{addresses: [192.0.2.1], conditions: {ready: true}}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: operator
  namespace: @id@
  labels: {app.kubernetes.io/name: keystead, app.kubernetes.io/component: operator}
spec:
  replicas: 0
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec:
      containers:
      - name: operator
        image: none.invalid/none
        args: [--cluster=@id@, --class=@id@, --service=webhook, --tls-secret=keystead-webhook-tls, --webhook-configuration=keystead.@id@, --validating-webhook-configuration=keystead.@id@]
";
    rig.apply(&(hooks + rest))
}

/// Who has no token is told what was not looked at.
fn without_token(rig: &Rig<'_>) -> Result<()> {
    let line = format!("kubectl-keystead validate --class {0} --provider {0}", rig.id);
    let output = rig.stage.command(&line).env_remove("VAULT_TOKEN").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "it failed without a token: {said}");
    for part in [
        "not checked: no Vault token",
        "Vault         2/3",
        "0 failed, 1 not checked.",
    ] {
        ensure!(said.contains(part), "{part:?} is missing: {said}");
    }
    Ok(())
}

/// A scope that is not there, a service without endpoints, a foreign bundle.
fn broken(rig: &Rig<'_>) -> Result<()> {
    rig.ask("kubectl -n @id@ delete endpointslice webhook")?;
    rig.ask("kubectl delete secretscope @id@-acme")?;
    rig.says(
        "credential/hubspot -n @id@-shop",
        "False",
        "NotFound",
        "SecretScope @id@-acme not found",
    )?;
    let answer = run_here(rig, "validate", "")?.ends(1)?;
    answer.says(&["endpoints of Service", "none is ready", "1 failed"])?;
    let json = run_here(rig, "validate -o json", "")?.ends(1)?.json()?;
    ensure!(json["failed"] == 1, "{json}");
    Ok(())
}
