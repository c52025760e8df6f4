//! Who waits for what says so, and goes on by itself when it comes.

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::manifest::{account, binding, credential, from_secret, global, namespace, secret, value};
use super::super::rig::{self, Method, Rig};
use crate::stage::Stage;

const HUBSPOT: &str = "production/global/all/hubspot";
const CREDENTIAL: &str = "credential/hubspot -n @id@-shop";
const BINDING: &str = "secretbinding/web -n @id@-shop";

pub(super) fn for_each_other(stage: &Stage) -> Result<()> {
    rig::run(stage, "wait", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            credential(
                "shop",
                "hubspot",
                "global",
                "hubspot",
                &from_secret("api_key", "hubspot", "token"),
            ),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        waits(
            rig,
            CREDENTIAL,
            "Credential",
            "hubspot",
            "SecretScope @id@-global not found",
        )?;
        waits(
            rig,
            BINDING,
            "SecretBinding",
            "web",
            "SecretProvider @id@ not found",
        )?;

        rig.apply(&global())?;
        let sentence = "SecretProvider @id@ not found";
        waits(
            rig,
            "secretscope/@id@-global",
            "SecretScope",
            "@id@-global",
            sentence,
        )?;
        waits(rig, CREDENTIAL, "Credential", "hubspot", sentence)?;

        rig.apply(&rig.provider())?;
        rig.ready(&["secretprovider/@id@", "secretscope/@id@-global", BINDING])?;
        let sentence = "Secret @id@-shop/hubspot not found";
        waits(rig, CREDENTIAL, "Credential", "hubspot", sentence)?;

        rig.apply(&secret("shop", "hubspot", "other", "x"))?;
        let sentence = "Secret @id@-shop/hubspot has no key token";
        waits(rig, CREDENTIAL, "Credential", "hubspot", sentence)?;

        rig.apply(&secret("shop", "hubspot", "token", "there"))?;
        rig.ready(&[CREDENTIAL])?;
        rig.values_become(HUBSPOT, &json!({"api_key": "there"}))
    })
}

pub(super) fn for_vault(stage: &Stage) -> Result<()> {
    rig::run(stage, "away", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            // Nobody listens on port 1.
            rig.provider_at("https://127.0.0.1:1"),
            global(),
            credential("shop", "hubspot", "global", "hubspot", &value("api_key", "x")),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        let sentence = "cannot reach https://127.0.0.1:1";
        rig.says("secretprovider/@id@", "False", "VaultUnreachable", sentence)?;
        rig.warned("SecretProvider", "@id@", sentence)?;
        let sentence = "waiting for SecretProvider @id@: VaultUnreachable";
        rig.says(CREDENTIAL, "False", "VaultUnreachable", sentence)?;
        rig.says(BINDING, "False", "VaultUnreachable", sentence)?;
        // A scope needs no Vault to be right.
        rig.ready(&["secretscope/@id@-global"])?;

        rig.apply(&rig.provider())?;
        rig.ready(&["secretprovider/@id@", CREDENTIAL, BINDING])?;
        rig.values_become(HUBSPOT, &json!({"api_key": "x"}))?;
        rig.log_in(&format!("{}-shop", rig.id), "web").map(drop)
    })
}

pub(super) fn other_class(stage: &Stage) -> Result<()> {
    rig::run(stage, "class", Method::Kubernetes, |rig| {
        let elsewhere = |manifest: String| {
            // Everything of the other class, beside everything of ours.
            manifest
                .replace("class: @id@", "class: elsewhere-@id@")
                .replace("name: @id@}", "name: @id@-2}")
                .replace("@id@-global", "@id@-global2")
        };
        let ours = [
            rig.provider(),
            global(),
            credential("shop", "ours", "global", "ours", &value("api_key", "x")),
            binding("shop", "ours", "default", &["ours"]),
        ];
        let theirs = [
            elsewhere(rig.provider()),
            elsewhere(global()),
            elsewhere(credential(
                "shop",
                "theirs",
                "global",
                "theirs",
                &value("api_key", "x"),
            )),
            elsewhere(binding("shop", "theirs", "default", &["theirs"])),
        ];
        rig.apply(&[namespace("shop", ""), theirs.concat(), ours.concat()].concat())?;
        let mut operator = rig.operator()?;
        rig.ready(&[
            "secretprovider/@id@",
            "credential/ours -n @id@-shop",
            "secretbinding/ours -n @id@-shop",
        ])?;
        // What is under way when it is asked to end, it finishes.
        operator.stop()?;
        for object in [
            "secretprovider/@id@-2",
            "secretscope/@id@-global2",
            "credential/theirs -n @id@-shop",
            "secretbinding/theirs -n @id@-shop",
        ] {
            let status = rig.ask(&format!("kubectl get {object} -o 'jsonpath={{.status}}'"))?;
            ensure!(status.is_empty(), "{object} has a status: {status}");
        }
        let theirs = rig.kv("metadata", "production/global/all/theirs");
        ensure!(rig.vault(&theirs)?.is_none(), "{theirs} was written");
        Ok(())
    })
}

/// Holds that an object waits, says for what, and that an event says it too.
fn waits(rig: &Rig<'_>, object: &str, kind: &str, name: &str, sentence: &str) -> Result<()> {
    rig.says(object, "False", "NotFound", sentence)?;
    rig.warned(kind, name, sentence)
}
