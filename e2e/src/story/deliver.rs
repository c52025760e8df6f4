//! How applications get their secrets.

use anyhow::{Result, ensure};

use super::{SHOPS, expect, expect_part, file};
use crate::stage::Stage;

pub(super) fn binding_comes_later(stage: &Stage) -> Result<()> {
    let (binding, application) = acme()?;
    stage.tell("The application is there before its binding: its pods are refused, and tried again.");
    stage.apply("5-acme.yaml (without its SecretBinding)", &application)?;
    let events = "kubectl -n acme-shop get events --field-selector reason=FailedCreate -o 'jsonpath={.items[*].message}'";
    let found = stage.until("the ReplicaSet is refused its pod", events, |text| {
        text.contains("no SecretBinding")
    })?;
    stage.tell(format_args!("    {found}"));
    expect("pods", &stage.ask("kubectl -n acme-shop get pods -o name")?, "")?;
    stage.tell("Now the binding. Nobody does anything else.");
    stage.apply("5-acme.yaml (its SecretBinding)", &binding)?;
    stage.ready("secretbinding/web -n acme-shop")?;
    stage.show("kubectl -n acme-shop rollout status deployment/web --timeout=60s")?;
    stage.show("kubectl -n acme-shop get pods").map(drop)
}

pub(super) fn each_company_its_own(stage: &Stage) -> Result<()> {
    stage.apply("6-globex.yaml", include_str!("../../story/6-globex.yaml"))?;
    stage.show("kubectl -n globex-shop rollout status deployment/web --timeout=60s")?;
    stage.tell(
        "acme sees its own key and everyone's URL; globex sees everyone's. As variables, and as files.",
    );
    for (shop, key) in SHOPS.into_iter().zip(["key-of-acme", "key-of-everyone"]) {
        let log = stage.show(&format!("kubectl -n {shop} logs deployment/web -c app"))?;
        expect_part("the variable of the key", &log, &format!("key: {key}\n"))?;
        expect_part(
            "the variable of the URL",
            &log,
            "url: https://api.hubspot.example\n",
        )?;
        expect_part(
            "the file",
            &log,
            &format!("API_KEY='{key}'\nBASE_URL='https://api.hubspot.example'"),
        )?;
        expect("the file of one key", &file(stage, shop, "hubspot/api_key")?, key)?;
    }
    stage.tell("Pod Security \"restricted\" is enforced in both namespaces. What the webhook added:");
    let columns = "jsonpath={range .items[*]}{.metadata.name}{\"  init: \"}{.spec.initContainers[*].name}{\"  user: \"}{.spec.initContainers[0].securityContext.runAsUser}{\"\\n\"}{end}";
    let pods = stage.show(&format!("kubectl -n acme-shop get pods -o '{columns}'"))?;
    expect_part("the sidecar", &pods, "init: keystead  user: 1000")?;
    let mounts = "jsonpath={.items[0].spec.initContainers[0].volumeMounts[*].name}";
    let mounts = stage.ask(&format!("kubectl -n acme-shop get pods -l app=web -o '{mounts}'"))?;
    ensure!(
        !mounts.contains("kube-api-access"),
        "the sidecar has a token for the API server: {mounts}"
    );
    stage.tell("On each pod's address, the sidecar tells how it is.");
    let pod =
        stage.ask("kubectl -n acme-shop get pods -l app=web -o 'jsonpath={.items[0].metadata.name}'")?;
    let probes = format!("kubectl get --raw /api/v1/namespaces/acme-shop/pods/{pod}:9102/proxy");
    for probe in ["livez", "readyz"] {
        stage.ask(&format!("{probes}/{probe}"))?;
    }
    expect_part(
        "the metrics",
        &stage.ask(&format!("{probes}/metrics"))?,
        "vault_secret_requests_total",
    )?;
    stage.show("kubectl get secretbindings -A").map(drop)
}

pub(super) fn job_ends(stage: &Stage) -> Result<()> {
    stage.apply("8-job.yaml", include_str!("../../story/8-job.yaml"))?;
    stage.show("kubectl -n acme-shop wait --for=condition=complete job/report --timeout=60s")?;
    expect(
        "what the job read",
        &stage.show("kubectl -n acme-shop logs job/report -c report")?,
        "key-of-the-node",
    )?;
    let phase = "kubectl -n acme-shop get pods -l job-name=report -o 'jsonpath={.items[*].status.phase}'";
    expect("the job's pod", &stage.ask(phase)?, "Succeeded")?;
    stage
        .show("kubectl -n acme-shop get pods -l job-name=report")
        .map(drop)
}

/// acme's manifests: the binding, and the rest.
fn acme() -> Result<(String, String)> {
    let (bindings, rest): (Vec<&str>, Vec<&str>) = include_str!("../../story/5-acme.yaml")
        .split("---\n")
        .partition(|document| document.contains("kind: SecretBinding"));
    anyhow::ensure!(bindings.len() == 1, "5-acme.yaml has one SecretBinding");
    Ok((bindings.concat(), rest.join("---\n")))
}
