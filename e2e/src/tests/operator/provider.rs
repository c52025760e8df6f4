//! A provider follows its Vault: sealed or not, permitted or not, mounted or not, with the keys of now.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{account, binding, credential, global, namespace, secret, value};
use super::super::rig::proxy::Amiss;
use super::super::rig::server::Server;
use super::super::rig::{self, Method, Rig, same};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const PROVIDER: &str = "secretprovider/@id@";
const HUBSPOT: &str = "credential/hubspot -n @id@-shop";
/// A public key that signs nothing: that of RFC 7517, appendix A.1.
const NOBODYS: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\n\
    iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n\
    -----END PUBLIC KEY-----";

/// Waits until the provider is Ready as it is declared now.
pub(super) fn settled(rig: &Rig<'_>) -> Result<()> {
    let path = "{.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type==\"Ready\")].status}";
    let line = format!("kubectl get {PROVIDER} -o 'jsonpath={path}'").replace("@id@", &rig.id);
    let good = |answer: &str| match answer.split(' ').collect::<Vec<_>>()[..] {
        [generation, observed, ready] => generation == observed && ready == "True",
        _ => false,
    };
    rig.stage
        .until("the provider is Ready as declared", &line, good)
        .map(drop)
}

/// Waits until the condition `Permitted` is this status, its message with `part`.
pub(super) fn permitted(rig: &Rig<'_>, status: &str, part: &str) -> Result<()> {
    let path = "{range .status.conditions[?(@.type==\"Permitted\")]}{.status} {.reason}: {.message}{end}";
    let line = format!("kubectl get {PROVIDER} -o 'jsonpath={path}'").replace("@id@", &rig.id);
    let part = part.replace("@id@", &rig.id);
    let good = |answer: &str| answer.starts_with(status) && answer.contains(&part);
    let what = format!("Permitted is {status}: …{part}…");
    rig.stage.until(&what, &line, good).map(drop)
}

pub(super) fn sealed(stage: &Stage) -> Result<()> {
    rig::run(stage, "seal", Method::Kubernetes, |rig| {
        let server = Server::start(rig, None)?;
        server.ask(&format!("bao auth enable -path={} kubernetes", rig.mount()))?;
        let auth = "auth: {tokenSecretRef: {namespace: @id@-shop, name: vault, key: token}}";
        let vault = format!("address: \"{}\", manageMounts: true, {auth}", server.address);
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            secret("shop", "vault", "token", &server.token),
            rig.provider_with(&vault),
            global(),
            credential("shop", "hubspot", "global", "hubspot", &value("key", "old")),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[PROVIDER, HUBSPOT, "secretbinding/web -n @id@-shop"])?;
        let known = known(rig)?;
        ensure!(
            known["version"].is_string() && known["sealed"] == false && known["reachableSince"].is_string(),
            "what is known of the server: {known}"
        );

        server.seal()?;
        rig.says(PROVIDER, "False", "VaultSealed", "Vault is sealed")?;
        rig.warned("SecretProvider", "@id@", "Vault is sealed")?;
        let known = self::known(rig)?;
        ensure!(
            known["version"].is_string() && known["sealed"] == true && known["reachableSince"].is_null(),
            "what is known of the sealed server: {known}"
        );
        rig.apply(&credential(
            "shop",
            "hubspot",
            "global",
            "hubspot",
            &value("key", "new"),
        ))?;
        let sentence = "waiting for SecretProvider @id@: VaultSealed";
        rig.says(HUBSPOT, "False", "VaultSealed", sentence)?;

        server.unseal()?;
        rig.ready(&[PROVIDER, HUBSPOT])?;
        let place = format!("kv/{}/production/global/all/hubspot", rig.id);
        let found = server.ask(&format!("bao kv get -field=key {place}"))?;
        ensure!(found.trim() == "new", "found {found}");
        Ok(())
    })
}

pub(super) fn lacking_rights(stage: &Stage) -> Result<()> {
    rig::run(stage, "lack", Method::Jwt, |rig| {
        rig.apply(&rig.provider())?;
        let _operator = rig.operator()?;
        rig.ready(&[PROVIDER])?;
        permitted(rig, "True Permitted", "may do all that it should")?;

        let policy = rig.ask("bao policy read keystead-operator-@id@")?;
        let poorer: Vec<&str> = policy
            .lines()
            .filter(|line| !line.contains("/destroy/"))
            .collect();
        write_policy(rig, &poorer.join("\n"))?;
        rig.ask("kubectl annotate secretprovider @id@ keystead.dev/sync=1")?;
        let sentence =
            "the operator's token lacks update on kv/destroy/@id@/*; run kubectl keystead bootstrap";
        permitted(rig, "False VaultDenied", sentence)?;
        rig.warned("SecretProvider", "@id@", sentence)?;
        rig.ready(&[PROVIDER])?;

        write_policy(rig, &policy)?;
        permitted(rig, "True Permitted", "")
    })
}

pub(super) fn signing_keys(stage: &Stage) -> Result<()> {
    rig::run(stage, "keys", Method::Jwt, |rig| {
        rig.apply(&rig.provider())?;
        let config = format!("auth/{}/config", rig.mount());
        let keys = || -> Result<Value> {
            let found = rig.vault(&config)?.context("the mount is configured")?;
            Ok(found["data"]["jwt_validation_pubkeys"].clone())
        };
        let right = keys()?;
        // As after a rotation that happened while nobody looked.
        let wrong = json!({"jwt_validation_pubkeys": [NOBODYS]});
        write(rig, &config, &wrong)?;
        let operator = rig.operator()?;
        rig.ready(&[PROVIDER])?;
        same("the keys after a start", &keys()?, &right)?;

        write(rig, &config, &wrong)?;
        rig.ask("kubectl annotate secretprovider @id@ keystead.dev/sync=1")?;
        wait::until(
            "the keys are right again",
            PATIENCE,
            None,
            || Ok(keys()? == right),
        )?;
        drop(operator);

        // While keys rotate the API server publishes the old and the new.
        let jwks: Value = serde_json::from_str(&stage.ask("kubectl get --raw /openid/v1/jwks")?)?;
        let mut both = jwks["keys"]
            .as_array()
            .context("the API server publishes keys")?
            .clone();
        both.push(
            json!({"kty": "EC", "crv": "P-256", "kid": "next", "alg": "ES256", "use": "sig",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}),
        );
        let published = vec![("/openid/v1/jwks", json!({ "keys": both }))];
        let api = Amiss::start(rig, None, published)?;
        let (_operator, _) = rig.start("second", |command| {
            command.env("KUBECONFIG", &api.kubeconfig);
        })?;
        wait::until("both keys are there", PATIENCE, None, || {
            let found = keys()?;
            let found = found.as_array().context("a list of keys")?;
            Ok(found.len() == both.len() && found.first() == right.get(0))
        })
    })
}

/// Writes to Vault, as root.
pub(super) fn write(rig: &Rig<'_>, path: &str, body: &Value) -> Result<()> {
    let line = format!("bao write {path} -").replace("@id@", &rig.id);
    let mut command = rig.stage.command(&line);
    rig.stage
        .shown(&line, &mut command, Some(&body.to_string()))
        .map(drop)
}

/// The provider's status.
fn known(rig: &Rig<'_>) -> Result<Value> {
    let status = rig.ask(&format!("kubectl get {PROVIDER} -o 'jsonpath={{.status}}'"))?;
    Ok(serde_json::from_str(&status)?)
}

fn write_policy(rig: &Rig<'_>, text: &str) -> Result<()> {
    let line = format!("bao policy write keystead-operator-{} -", rig.id);
    let mut command = rig.stage.command(&line);
    rig.stage.shown(&line, &mut command, Some(text)).map(drop)
}
