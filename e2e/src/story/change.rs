//! What happens to what runs, when something changes.

use anyhow::{Result, ensure};

use super::{NAMESPACE, SHOPS, expect, file, file_becomes, install};
use crate::stage::Stage;

/// What acme declares, and all that is of no namespace.
const DECLARED: &str = "kubectl get keystead -n acme-secrets -o name";
/// The finalizers of acme's Credentials.
const FINALIZERS: &str =
    "kubectl get credentials -n acme-secrets -o 'jsonpath={range .items[*]}{.metadata.finalizers[*]}{end}'";
const FINALIZER: &str = "keystead.dev/cleanup";

pub(super) fn secret_changes(stage: &Stage) -> Result<()> {
    let patch = r#"{"stringData": {"token": "new-key-of-acme"}}"#;
    stage.show(&format!(
        "kubectl -n acme-secrets patch secret hubspot --type=merge -p '{patch}'"
    ))?;
    file_becomes(stage, "acme-shop", "hubspot/api_key", "new-key-of-acme")?;
    expect(
        "globex",
        &file(stage, "globex-shop", "hubspot/api_key")?,
        "key-of-everyone",
    )?;
    expect("restarts", &restarts(stage)?, "0")
}

pub(super) fn node_overrides(stage: &Stage) -> Result<()> {
    let node =
        stage.ask("kubectl -n acme-shop get pods -l app=web -o 'jsonpath={.items[0].spec.nodeName}'")?;
    let manifests = include_str!("../../story/7-node.yaml").replace("@node@", &node);
    stage.apply("7-node.yaml", &manifests)?;
    for shop in SHOPS {
        file_becomes(stage, shop, "hubspot/api_key", "key-of-the-node")?;
        let dotenv = file(stage, shop, "hubspot.env")?;
        expect(
            "the other key",
            dotenv.lines().last().unwrap_or_default(),
            "BASE_URL='https://api.hubspot.example'",
        )?;
    }
    Ok(())
}

pub(super) fn uninstall(stage: &Stage) -> Result<()> {
    let (before, declared) = (pods(stage)?, stage.ask(DECLARED)?);
    stage.tell(
        "The value of acme's Credential would go with it, so it has a finalizer, and nobody to take it off once the operator is gone.",
    );
    expect("the finalizers", &stage.show(FINALIZERS)?, FINALIZER)?;
    stage.show(&format!(
        "helm uninstall keystead --namespace {NAMESPACE} --wait --timeout 60s"
    ))?;
    stage.until(
        "the operator is gone",
        &format!("kubectl -n {NAMESPACE} get pods -o name"),
        str::is_empty,
    )?;
    stage.tell("Before it went it let go of everything; what is declared stays, and so do the values.");
    expect("the finalizers", &stage.show(FINALIZERS)?, "")?;
    expect("what is declared", &stage.ask(DECLARED)?, &declared)?;
    let value = "bao kv get -mount=kv -field=api_key keystead/production/company/acme/hubspot";
    expect("acme's value", &stage.ask(value)?, "new-key-of-acme")?;
    stage.show("kubectl get pods -A")?;
    expect("the applications' pods", &pods(stage)?, &before)?;
    for shop in SHOPS {
        expect(
            "its file",
            &file(stage, shop, "hubspot/api_key")?,
            "key-of-the-node",
        )?;
    }
    stage
        .show("kubectl -n acme-shop exec deploy/web -c app -- cat /keystead/hubspot.env")
        .map(drop)
}

/// What a pod gets depends on Vault alone once it runs.
pub(super) fn without_operator(stage: &Stage) -> Result<()> {
    let node =
        stage.ask("kubectl -n acme-shop get pods -l app=web -o 'jsonpath={.items[0].spec.nodeName}'")?;
    let path = format!("keystead/production/node/{node}/hubspot");
    stage.tell("The administrator of Vault changes the node's key by hand; no operator is there to help.");
    let version = stage.ask(&format!("bao read -field=current_version kv/metadata/{path}"))?;
    stage.show(&format!(
        "bao kv patch -mount=kv -cas={version} {path} api_key=key-by-hand"
    ))?;
    let before = pods(stage)?;
    for shop in SHOPS {
        file_becomes(stage, shop, "hubspot/api_key", "key-by-hand")?;
    }
    expect("the applications' pods", &pods(stage)?, &before)
}

pub(super) fn reinstall(stage: &Stage) -> Result<()> {
    let before = pods(stage)?;
    let written = || stage.ask("bao list -format=json sys/policies/acl");
    let policies = written()?;
    install::helm_install(stage)?;
    for shop in SHOPS {
        stage.ready(&format!("secretbinding/web -n {shop}"))?;
    }
    stage.tell("What was changed behind its back is what is declared again.");
    for shop in SHOPS {
        file_becomes(stage, shop, "hubspot/api_key", "key-of-the-node")?;
    }
    stage.until("acme's Credential is held again", FINALIZERS, |found| {
        found == FINALIZER
    })?;
    expect("the policies in Vault", &written()?, &policies)?;
    expect("the applications' pods", &pods(stage)?, &before)
}

fn pods(stage: &Stage) -> Result<String> {
    let mut names = String::new();
    for shop in SHOPS {
        let line = format!("kubectl -n {shop} get pods -l app=web -o 'jsonpath={{.items[*].metadata.uid}}'");
        names.push_str(&stage.ask(&line)?);
        names.push(' ');
    }
    ensure!(names.trim().len() > SHOPS.len(), "the applications have pods");
    Ok(names)
}

fn restarts(stage: &Stage) -> Result<String> {
    let path = "jsonpath={.items[0].status.containerStatuses[0].restartCount}";
    stage.ask(&format!("kubectl -n acme-shop get pods -l app=web -o '{path}'"))
}
