//! Who may read what, and for how long. Vault answers, not Keystead.

use std::fs;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::{CLUSTER, expect, expect_part};
use crate::stage::Stage;

const DENIED: &str = "permission denied";

pub(super) fn refusals(stage: &Stage) -> Result<()> {
    stage.tell(
        "As globex's application: `kubectl create token` makes a token for its pod's own identity, Vault takes it for a token of its own, and with that:",
    );
    let token = log_in(stage, "globex-shop")?;
    let read =
        |place: &str| format!("bao kv get -mount=kv -field=api_key keystead/production/{place}/hubspot");
    let node =
        stage.ask("kubectl -n globex-shop get pods -l app=web -o 'jsonpath={.items[0].spec.nodeName}'")?;

    let line = read(&format!("node/{node}"));
    expect(
        "its own node's path",
        &stage.shown(&line, &mut stage.vault_as(&token, &line), None)?,
        "key-of-the-node",
    )?;
    for place in ["node/another-node", "company/acme"] {
        let line = read(place);
        let refusal = stage.refusal(&line, &mut stage.vault_as(&token, &line), None)?;
        expect_part(place, &refusal.0, DENIED)?;
    }
    stage.tell("An account that no binding names can't log in, by its own role or by another's:");
    let stranger = stage.ask("kubectl -n globex-shop create token default --audience vault")?;
    for account in ["default", "web"] {
        let role = role("globex-shop", account);
        let line =
            format!("bao write auth/jwt-{CLUSTER}/login role={role} jwt=(token of globex-shop/default)");
        let mut command = stage.command(&format!(
            "bao write -field=token auth/jwt-{CLUSTER}/login role={role} jwt={stranger}"
        ));
        let refusal = stage.refusal(&line, &mut command, None)?;
        expect_part("the login", &refusal.0, "400")?;
    }
    Ok(())
}

pub(super) fn token_ends(stage: &Stage) -> Result<()> {
    let before = revocations(stage)?;
    let pod =
        stage.ask("kubectl -n globex-shop get pods -l app=web -o 'jsonpath={.items[0].metadata.name}'")?;
    let begun = Timestamp::now();
    stage.show(&format!("kubectl -n globex-shop delete pod {pod}"))?;
    // `kubectl` answers when the pod is gone.
    let gone = Timestamp::now();
    let after = revocations(stage)?;
    if let (Some(before), Some(after)) = (before, after) {
        let new = after.get(before.len()..).unwrap_or_default();
        ensure!(
            new.len() == 1,
            "OpenBao's audit file should show one revocation, and shows {}",
            new.len()
        );
        let at: Timestamp = new.concat().parse().context("the time in the audit file")?;
        ensure!(
            begun < at && at < gone,
            "the token was revoked at {at}, not while the pod ended: {begun} to {gone}"
        );
        stage.tell(format_args!(
            "OpenBao's audit file: auth/token/revoke-self at {at}, between the pod's deletion ({begun}) and its end ({gone})."
        ));
    } else {
        stage.tell("(The audit file of your own Vault shows auth/token/revoke-self.)");
    }
    stage
        .show("kubectl -n globex-shop rollout status deployment/web --timeout=60s")
        .map(drop)
}

/// A Vault token, by the identity of the shop's pod.
fn log_in(stage: &Stage, shop: &str) -> Result<String> {
    let pod = stage.ask(&format!(
        "kubectl -n {shop} get pods -l app=web -o 'jsonpath={{.items[0].metadata.name}}'"
    ))?;
    let bound = format!("--bound-object-kind Pod --bound-object-name {pod}");
    let jwt = stage.ask(&format!(
        "kubectl -n {shop} create token web --audience vault {bound}"
    ))?;
    let role = role(shop, "web");
    stage.ask(&format!(
        "bao write -field=token auth/jwt-{CLUSTER}/login role={role} jwt={jwt}"
    ))
}

fn role(namespace: &str, account: &str) -> String {
    format!("keystead.{CLUSTER}.production.s.{namespace}.{account}")
}

/// When tokens of globex's application revoked themselves, by the bed's audit file.
fn revocations(stage: &Stage) -> Result<Option<Vec<String>>> {
    let Some(bed) = stage.bed() else { return Ok(None) };
    let audit = fs::read_to_string(&bed.vault_audit_file).context("read OpenBao's audit file")?;
    let lines = audit
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let revoked = lines.filter(|line| {
        line["type"] == "response"
            && line["error"].is_null()
            && line["request"]["path"] == "auth/token/revoke-self"
            && line["auth"]["metadata"]["role"] == role("globex-shop", "web")
    });
    Ok(Some(
        revoked
            .map(|line| line["time"].as_str().unwrap_or_default().to_owned())
            .collect(),
    ))
}
