//! From nothing to everything declared.

use anyhow::Result;

use super::{CLUSTER, NAMESPACE, expect_part};
use crate::stage::Stage;

pub(super) fn bootstrap(stage: &Stage) -> Result<()> {
    stage.tell(
        "kubectl-keystead looks at Vault and at the cluster, shows what is missing, and with --yes does it.",
    );
    let line = format!("kubectl-keystead bootstrap --cluster {CLUSTER}");
    expect_part("the plan", &stage.show(&line)?, "auth/jwt-demo/config")?;
    stage.show(&format!("{line} --yes"))?;
    stage.tell("Once more: there is nothing left to do.");
    expect_part("the second time", &stage.show(&line)?, "Nothing to do")
}

pub(super) fn helm_install(stage: &Stage) -> Result<()> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/keystead");
    let options =
        format!("--namespace {NAMESPACE} --create-namespace --set cluster={CLUSTER} --wait --timeout 90s");
    let shown = format!("helm install keystead charts/keystead {options}");
    stage.shown(
        &shown,
        &mut stage.command(&format!("helm install keystead '{chart}' {options}")),
        None,
    )?;
    stage.show(&format!("kubectl -n {NAMESPACE} get pods"))?;
    Ok(())
}

pub(super) fn declare(stage: &Stage) -> Result<()> {
    stage.tell("The provider trusts the authority in this Secret, because it signed Vault's certificate.");
    let secret = format!("kubectl -n {NAMESPACE} create secret generic vault-ca");
    let file = stage.vault_ca().display().to_string();
    let mut command = stage.command(&format!("{secret} --from-file=ca.crt='{file}'"));
    stage.shown(&format!("{secret} --from-file=ca.crt"), &mut command, None)?;
    stage.apply("1-namespaces.yaml", include_str!("../../story/1-namespaces.yaml"))?;
    let provider = include_str!("../../story/2-provider.yaml").replace("@vault@", stage.vault_for_pods());
    stage.apply("2-provider.yaml", &provider)?;
    stage.apply("3-scopes.yaml", include_str!("../../story/3-scopes.yaml"))?;
    stage.apply(
        "4-credentials.yaml",
        include_str!("../../story/4-credentials.yaml"),
    )?;
    for object in [
        "secretprovider/production",
        "secretscope/global",
        "secretscope/acme",
        "secretscope/globex",
    ] {
        stage.ready(object)?;
    }
    for namespace in ["platform-secrets", "acme-secrets"] {
        stage.ready(&format!("credential/hubspot -n {namespace}"))?;
    }
    stage.show("kubectl get secretproviders,secretscopes")?;
    stage.show("kubectl get credentials -A")?;
    stage.tell("In Vault, each scope has a path of its own; acme's has the one key that acme brought.");
    let keys = stage.show("bao kv get -mount=kv -format=json keystead/production/company/acme/hubspot");
    keys.map(drop)
}
