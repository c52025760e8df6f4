//! How the operator logs in: by every method, with Secrets as they are now, and no oftener than needed.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::super::manifest::{credential, global, namespace, secret, value};
use super::super::rig::chart::RELEASE;
use super::super::rig::{self, Method, Rig};
use super::provider::{settled, write};
use crate::stage::Stage;

pub(super) fn every_method(stage: &Stage) -> Result<()> {
    rig::run(stage, "login", Method::Jwt, |rig| {
        let auth = format!("kubernetes: {{mount: @id@, role: keystead-operator-{}}}", rig.id);
        rig.apply(&[namespace("login", ""), declared(rig, &auth)?].concat())?;
        let _operator = rig.operator()?;
        settled(rig)?;
        by_jwt(rig)?;
        by_app_role(rig)?;
        by_token(rig)
    })
}

pub(super) fn once(stage: &Stage) -> Result<()> {
    rig::run(stage, "once", Method::Kubernetes, |rig| {
        let credentials: Vec<String> = (0..50)
            .map(|number| {
                let service = format!("service-{number}");
                credential("shop", &service, "global", &service, &value("key", "x"))
            })
            .collect();
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            credentials.concat(),
        ];
        rig.apply(&manifests.concat())?;
        let mark = rig.audit_mark()?;
        let mut operator = rig.operator()?;
        rig.ask("kubectl wait -n @id@-shop --for=condition=Ready --timeout=60s credentials --all")?;
        let looked = "-o 'jsonpath={.metadata.resourceVersion}'";
        let before = rig.ask(&format!("kubectl get secretprovider @id@ {looked}"))?;
        rig.ask("kubectl annotate secretprovider @id@ keystead.dev/sync=now keystead.dev/paused=true")?;
        rig.says("secretprovider/@id@", "True", "Paused", "keystead.dev/paused")?;
        rig.ask("kubectl annotate secretprovider @id@ keystead.dev/paused-")?;
        rig.ready(&["secretprovider/@id@"])?;
        ensure!(
            before != rig.ask(&format!("kubectl get secretprovider @id@ {looked}"))?,
            "the provider was reconciled again"
        );
        operator.stop()?;
        let logins = logins(rig, mark, &rig.id)?;
        ensure!(logins == 1, "the operator logged in {logins} times");
        Ok(())
    })
}

fn by_jwt(rig: &Rig<'_>) -> Result<()> {
    let pods = rig.mount();
    rig.apply(&declared(
        rig,
        &format!("jwt: {{mount: {pods}, role: operator}}"),
    )?)?;
    let sentence = format!("spec.vault.auth.jwt.mount: {pods} is spec.workloadAuth.mount too");
    rig.says("secretprovider/@id@", "False", "Invalid", &sentence)?;

    rig.ask("bao auth enable -path=@id@-own jwt")?;
    let config = rig.vault(&format!("auth/{pods}/config"))?;
    let config = config.context("bootstrap configures the pods' mount")?;
    write(
        rig,
        "auth/@id@-own/config",
        &json!({"jwt_validation_pubkeys": config["data"]["jwt_validation_pubkeys"]}),
    )?;
    write(
        rig,
        "auth/@id@-own/role/operator",
        &json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
            "bound_subject": format!("system:serviceaccount:{}:{RELEASE}", rig.id),
            "token_policies": [format!("keystead-operator-{}", rig.id)],
        }),
    )?;
    let mark = rig.audit_mark()?;
    rig.apply(&declared(rig, "jwt: {mount: @id@-own, role: operator}")?)?;
    settled(rig)?;
    ensure!(
        logins(rig, mark, "@id@-own")? == 1,
        "it logged in by its own mount"
    );
    Ok(())
}

fn by_app_role(rig: &Rig<'_>) -> Result<()> {
    rig.ask("bao auth enable -path=@id@-role approle")?;
    let role = "auth/@id@-role/role/operator";
    rig.ask(&format!("bao write {role} token_policies=keystead-operator-@id@"))?;
    let id = rig.ask(&format!("bao read -field=role_id {role}/role-id"))?;
    let secret_id = || rig.ask(&format!("bao write -f -field=secret_id {role}/secret-id"));
    let auth = format!(
        "appRole: {{mount: @id@-role, roleId: {id}, secretIdRef: {{namespace: @id@-login, name: role, key: id}}}}"
    );
    rig.apply(&declared(rig, &auth)?)?;
    let sentence = "spec.vault.auth.appRole.secretIdRef: Secret @id@-login/role not found";
    rig.says("secretprovider/@id@", "False", "NotFound", sentence)?;
    rig.apply(&secret("login", "role", "other", "x"))?;
    rig.says("secretprovider/@id@", "False", "NotFound", "has no key id")?;
    rig.apply(&secret("login", "role", "id", "wrong"))?;
    rig.says("secretprovider/@id@", "False", "VaultDenied", "auth/@id@-role")?;
    let mark = rig.audit_mark()?;
    rig.apply(&secret("login", "role", "id", &secret_id()?))?;
    settled(rig)?;
    let logins = logins(rig, mark, "@id@-role")?;
    ensure!(logins == 1, "an unchanged secret id was used {logins} times");
    Ok(())
}

fn by_token(rig: &Rig<'_>) -> Result<()> {
    let token = || rig.ask("bao token create -field=token -orphan -ttl=1h -policy=keystead-operator-@id@");
    let (first, second) = (token()?, token()?);
    rig.apply(&secret("login", "token", "token", &first))?;
    let auth = "tokenSecretRef: {namespace: @id@-login, name: token, key: token}";
    rig.apply(&declared(rig, auth)?)?;
    settled(rig)?;
    rig.apply(&secret("login", "token", "token", "s.nobodysToken"))?;
    rig.says(
        "secretprovider/@id@",
        "False",
        "VaultDenied",
        "the given Vault token is refused",
    )?;
    rig.apply(&secret("login", "token", "token", &second))?;
    settled(rig)?;
    // It was given, so it is not ours to end.
    rig.allowed(&first, "bao token lookup").map(drop)
}

/// The provider with this way to log in.
fn declared(rig: &Rig<'_>, auth: &str) -> Result<String> {
    let bed = rig.stage.bed().context("this test needs a bed")?;
    let ca = "caSecretRef: {name: vault-ca, namespace: vault, key: ca.crt}";
    let vault = format!("address: {}, {ca}, auth: {{{auth}}}", bed.vault_address);
    Ok(rig.provider_with(&vault))
}

/// How many logins succeeded at a mount since.
fn logins(rig: &Rig<'_>, mark: usize, mount: &str) -> Result<usize> {
    let path = format!("auth/{mount}/login").replace("@id@", &rig.id);
    let entries = rig.audit_since(mark)?;
    let good = entries
        .iter()
        .filter(|entry| entry["request"]["path"] == path.as_str() && entry["error"].is_null());
    Ok(good.count())
}
