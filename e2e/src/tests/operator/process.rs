//! The process: it waits for the kinds, stops where it is told to, and its lines can be told apart.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{account, binding, credential, global, namespace, value};
use super::super::rig::proxy::Amiss;
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const PROVIDER: &str = "secretprovider/@id@";
const CREDENTIAL: &str = "credential/hubspot -n @id@-shop";
const BINDING: &str = "secretbinding/web -n @id@-shop";
const HUBSPOT: &str = "production/global/all/hubspot";

pub(super) fn waits_for_kinds(stage: &Stage) -> Result<()> {
    rig::run(stage, "kinds", Method::Kubernetes, |rig| {
        rig.apply(&rig.provider())?;
        let api = Amiss::start(rig, Some("/apis/keystead.dev"), Vec::new())?;
        let (mut operator, probe) = rig.start("operator", |command| {
            command.env("KUBECONFIG", &api.kubeconfig);
        })?;
        let log = rig.path("operator.log");
        let sentence = "SecretProvider, SecretScope, Credential, SecretBinding";
        wait::until("the operator names the kinds", PATIENCE, Some(&log), || {
            operator.check()?;
            Ok(operator.log().contains(sentence))
        })?;
        let refusal = stage.refused(&probe)?;
        ensure!(
            refusal.0.contains("the server is currently unable"),
            "{}",
            refusal.0
        );
        api.reveal();
        wait::until("the operator is ready", PATIENCE, Some(&log), || {
            operator.check()?;
            Ok(stage.ask(&probe).is_ok_and(|answer| answer == "ok"))
        })?;
        let times = operator.log().matches(sentence).count();
        ensure!(times == 1, "the kinds were named {times} times");
        rig.ready(&[PROVIDER])
    })
}

pub(super) fn paused(stage: &Stage) -> Result<()> {
    rig::run(stage, "pause", Method::Kubernetes, |rig| {
        let hubspot = |text: &str| credential("shop", "hubspot", "global", "hubspot", &value("key", text));
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            rig.provider(),
            global(),
            hubspot("first"),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[PROVIDER, "secretscope/@id@-global", CREDENTIAL, BINDING])?;

        pause(rig, CREDENTIAL, true)?;
        rig.says(CREDENTIAL, "True", "Paused", "keystead.dev/paused")?;
        rig.apply(&hubspot("second"))?;
        pause(rig, BINDING, true)?;
        rig.says(BINDING, "True", "Paused", "keystead.dev/paused")?;
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        rig.apply(&binding("shop", "web", "web", &["other"]))?;
        // Another binding of the account can't change its policy past the paused one.
        rig.apply(&binding("shop", "more", "web", &["more"]))?;
        let sentence = "waiting for SecretBinding web, which is paused";
        rig.says("secretbinding/more -n @id@-shop", "Unknown", "Paused", sentence)?;
        let policy = rig.ask(&format!("bao policy read {role}"))?;
        ensure!(
            policy.contains("/hubspot") && !policy.contains("/more"),
            "{policy}"
        );
        rig.values_become(HUBSPOT, &json!({"key": "first"}))?;

        pause(rig, PROVIDER, true)?;
        rig.says(PROVIDER, "True", "Paused", "keystead.dev/paused")?;
        pause(rig, CREDENTIAL, false)?;
        pause(rig, BINDING, false)?;
        let sentence = "waiting for SecretProvider @id@, which is paused";
        for object in [CREDENTIAL, BINDING, "secretscope/@id@-global"] {
            rig.says(object, "True", "Paused", sentence)?;
        }
        rig.values_become(HUBSPOT, &json!({"key": "first"}))?;

        pause(rig, PROVIDER, false)?;
        rig.ready(&[PROVIDER, "secretscope/@id@-global", CREDENTIAL, BINDING])?;
        rig.values_become(HUBSPOT, &json!({"key": "second"}))?;
        wait::until("the policy follows", PATIENCE, None, || {
            let policy = rig.ask(&format!("bao policy read {role}"))?;
            Ok(!policy.contains("/hubspot") && policy.contains("/other") && policy.contains("/more"))
        })
    })
}

pub(super) fn sync_and_log(stage: &Stage) -> Result<()> {
    rig::run(stage, "sync", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            credential("shop", "hubspot", "global", "hubspot", &value("key", "right")),
        ];
        rig.apply(&manifests.concat())?;
        let mut operator = rig.operator_with(&["--log-format", "json"])?;
        rig.ready(&[PROVIDER, CREDENTIAL])?;
        // Nobody tells the operator of what happens in Vault, and it looks every quarter of an hour.
        rig.ask(&format!("bao kv put -mount=kv -cas=1 @id@/{HUBSPOT} key=wrong"))?;
        rig.ask(&format!("kubectl annotate {CREDENTIAL} keystead.dev/sync=1"))?;
        rig.values_become(HUBSPOT, &json!({"key": "right"}))?;
        operator.stop()?;

        let mut requests = BTreeSet::new();
        for line in operator.log().lines() {
            let line: Value = serde_json::from_str(line)?;
            if line["message"] == "wrote to Vault" {
                let unit = line["span"]["unit"].as_str().unwrap_or_default();
                ensure!(unit == format!("Credential {}-shop/hubspot", rig.id), "{line}");
                requests.insert(line["span"]["request"].to_string());
            }
        }
        ensure!(requests.len() == 2, "two writes, two requests: {requests:?}");
        Ok(())
    })
}

fn pause(rig: &Rig<'_>, object: &str, paused: bool) -> Result<()> {
    let annotation = if paused {
        "keystead.dev/paused=true"
    } else {
        "keystead.dev/paused-"
    };
    rig.ask(&format!("kubectl annotate {object} {annotation}"))
        .map(drop)
}
