//! The chart with real Helm: what it refuses, and whether the API server takes all that it makes.

mod lifecycle;
mod rights;
mod roles;
#[cfg(test)]
mod values;

use std::fs;
use std::iter;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Run, Test};
use crate::rig;
use crate::stage::Stage;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/keystead");

/// Sets of values that have nothing in common but the cluster's name: together they reach every template and
/// every branch.
const SETS: [(&str, &str); 4] = [
    ("the defaults", ""),
    (
        "everything",
        "
commonLabels: {team: platform}
podLabels: {tier: base}
podAnnotations: {note: here}
serviceAccount: {annotations: {note: here}}
image:
  operator: {digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}
  sidecar: {pullSecrets: [registry]}
  pullSecrets: [registry]
podMonitor: {enabled: true, labels: {release: prometheus}}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
networkPolicy:
  enabled: true
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 6443}]}]
sync: {enabled: true}
webhook: {namespaceSelector: {matchLabels: {tenant: 'true'}, matchExpressions: [{key: quiet, operator: DoesNotExist}]}}
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: infra, operator: Exists, effect: NoSchedule}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}]
",
    ),
    (
        "little",
        "
replicas: 1
class: small
crds: {install: false}
hooks: {release: false}
podDisruptionBudget: {enabled: false}
aggregatedRoles: {view: false, edit: false}
webhook: {guardNamespaces: false, failurePolicy: Ignore, excludeNamespaces: []}
",
    ),
    (
        "cert-manager, and metrics by PodMonitor alone",
        "
webhook: {certManager: {enabled: true, issuerRef: {name: ca, kind: ClusterIssuer}}}
podMonitor: {enabled: true}
networkPolicy: {enabled: true}
affinity: {nodeAffinity: {}}
",
    ),
];

/// What is misspelt or of another sort, and what Helm says.
const TYPOS: [(&str, &str); 7] = [
    ("replcas=3", "additional properties 'replcas' not allowed"),
    (
        "webhook.failurPolicy=Ignore",
        "at '/webhook': additional properties 'failurPolicy' not allowed",
    ),
    (
        "webhook.failurePolicy=ignore",
        "at '/webhook/failurePolicy': value must be one of 'Fail', 'Ignore'",
    ),
    ("replicas=two", "at '/replicas': got string, want integer"),
    (
        "image.operator.digest=0.1.0",
        "at '/image/operator/digest': '0.1.0' does not match pattern",
    ),
    (
        "tolerations[0].efect=NoSchedule",
        "at '/tolerations/0': additional properties 'efect' not allowed",
    ),
    (
        "commonLabels.helm\\.sh/chart=mine",
        "invalid propertyName 'helm.sh/chart'",
    ),
];

/// Groups of others, whose definitions are not here: monitors, alerts and certificates.
const FOREIGN: [&str; 2] = ["monitoring.coreos.com/v1", "cert-manager.io/v1"];

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_servers(
            "chart: a misspelt value is refused with a sentence, and the API server takes every object of every set",
            whatever_the_values,
        ),
        Test::on_databases(
            "chart: each right of the operator is used, and none is missed",
            rights::used,
        ),
        Test {
            name: "chart: a release is installed, tested, upgraded and rolled back under load, uninstalled, and adopts what it left",
            node: true,
            run: Run::Bed(lifecycle::whole),
        },
    ]
}

fn whatever_the_values(stage: &Stage) -> Result<()> {
    let folder = TempDir::new().context("create a temporary folder")?;
    refuses(stage)?;
    for (number, (name, values)) in SETS.into_iter().enumerate() {
        let id = rig::unique("chart")?;
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, format!("cluster: {id}\n{values}"))?;
        taken(stage, &id, &file).with_context(|| format!("with {name}"))?;
    }
    Ok(())
}

fn refuses(stage: &Stage) -> Result<()> {
    let line = format!("helm template keystead '{CHART}'");
    let mut typos = TYPOS.to_vec();
    typos.push(("replicas=1", "cluster is required: a name for this cluster"));
    for (typo, sentence) in typos {
        let cluster = if typo == "replicas=1" {
            ""
        } else {
            "--set cluster=c1"
        };
        let said = stage.refused(&format!("{line} {cluster} --set '{typo}'"))?.0;
        ensure!(said.contains(sentence), "expected {sentence:?} in {said:?}");
    }
    Ok(())
}

/// Holds that Helm finds nothing wrong, and that the API server would take all that the chart makes.
fn taken(stage: &Stage, id: &str, values: &Path) -> Result<()> {
    let values = values.display();
    stage.show(&format!(
        "helm lint --strict --quiet '{CHART}' --values '{values}'"
    ))?;
    let line = format!("helm template keystead '{CHART}' --namespace {id} --values '{values}'");
    let list = objects(&stage.ask(&line)?)?;
    let (foreign, ours): (Vec<Value>, Vec<Value>) = list
        .into_iter()
        .partition(|object| FOREIGN.iter().any(|group| object["apiVersion"] == *group));
    for object in foreign.iter().chain(&ours) {
        labelled(object, id)?;
    }
    // What is in a namespace needs it, even in a dry run, and so do pods their account.
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": id, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    let accounts = ours.iter().filter(|object| object["kind"] == "ServiceAccount");
    let before: Vec<&Value> = iter::once(&namespace).chain(accounts).collect();
    apply(stage, "", &before)?;
    let said = apply(stage, "--dry-run=server", &ours.iter().collect::<Vec<_>>());
    stage.ask(&format!("kubectl delete namespace {id} --wait=false"))?;
    said
}

fn apply(stage: &Stage, more: &str, objects: &[&Value]) -> Result<()> {
    let line = format!("kubectl apply --server-side --force-conflicts --validate=strict {more} -f -");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    stage
        .shown(&line, &mut stage.command(&line), Some(&list))
        .map(drop)
}

/// The objects of a stream of manifests.
fn objects(manifests: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(manifests).context("read what Helm made")?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}

/// Every object says whose it is, and those of the whole cluster have a name that no other release has.
fn labelled(object: &Value, id: &str) -> Result<()> {
    let (kind, name) = (
        &object["kind"],
        object["metadata"]["name"].as_str().unwrap_or_default(),
    );
    if kind == "CustomResourceDefinition" {
        return Ok(());
    }
    let labels = &object["metadata"]["labels"];
    ensure!(
        labels["app.kubernetes.io/instance"] == "keystead",
        "{kind} {name} does not say whose it is: {labels}"
    );
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => ensure!(namespace == id, "{kind} {name} is in {namespace}"),
        None => ensure!(
            name.starts_with(&format!("keystead.{id}")),
            "{kind} {name} of the whole cluster would collide with another release's"
        ),
    }
    Ok(())
}
