//! Whose namespace it is: labels decide, and two answers are none.

use anyhow::Result;
use serde_json::json;

use super::super::manifest::{account, binding, company, credential, global, namespace, scope, value};
use super::super::rig::{self, Method};
use crate::stage::Stage;

const ACME: &str = "production/company/acme/hubspot";
const GLOBEX: &str = "production/company/globex/hubspot";
const EVERYONE: &str = "production/global/all/hubspot";

pub(super) fn leaves_company(stage: &Stage) -> Result<()> {
    rig::run(stage, "leave", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", "company: acme"),
            account("shop", "web"),
            rig.provider(),
            global(),
            company("acme"),
            credential("shop", "acme", "acme", "hubspot", &value("api_key", "x")),
            credential("shop", "everyone", "global", "hubspot", &value("api_key", "y")),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[
            "credential/acme -n @id@-shop",
            "credential/everyone -n @id@-shop",
            "secretbinding/web -n @id@-shop",
        ])?;
        let token = rig.log_in(&format!("{}-shop", rig.id), "web")?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", ACME)))?;
        rig.ask("kubectl label namespace @id@-shop company-")?;
        rig.loses(&token, &rig.kv("data", ACME))?;
        rig.denied(&token, &format!("bao read {}", rig.kv("metadata", ACME)))?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", EVERYONE)))?;
        rig.ready(&["secretbinding/web -n @id@-shop"])
    })
}

pub(super) fn two_companies(stage: &Stage) -> Result<()> {
    rig::run(stage, "both", Method::Kubernetes, |rig| {
        let manifests = [
            // Of no company, so it may declare for both.
            namespace("secrets", ""),
            namespace("shop", "company: acme"),
            account("shop", "web"),
            rig.provider(),
            global(),
            company("acme"),
            scope(
                "globex",
                "level: Company, id: globex, members: {namespaceSelector: {matchLabels: {also: globex}}}",
            ),
            credential("secrets", "acme", "acme", "hubspot", &value("api_key", "x")),
            credential("secrets", "globex", "globex", "hubspot", &value("api_key", "y")),
            credential("secrets", "everyone", "global", "hubspot", &value("api_key", "z")),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[
            "credential/acme -n @id@-secrets",
            "credential/globex -n @id@-secrets",
            "credential/everyone -n @id@-secrets",
            "secretbinding/web -n @id@-shop",
        ])?;
        let token = rig.log_in(&format!("{}-shop", rig.id), "web")?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", ACME)))?;
        rig.ask("kubectl label namespace @id@-shop also=globex")?;
        let sentence = "SecretScopes @id@-acme and @id@-globex both select namespace @id@-shop";
        rig.says("secretbinding/web -n @id@-shop", "False", "Ambiguous", sentence)?;
        rig.warned("SecretBinding", "web", sentence)?;
        rig.loses(&token, &rig.kv("data", ACME))?;
        rig.denied(&token, &format!("bao read {}", rig.kv("data", GLOBEX)))?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", EVERYONE)))?;

        rig.ask("kubectl label namespace @id@-shop company-")?;
        rig.ready(&["secretbinding/web -n @id@-shop"])?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", GLOBEX)))?;
        rig.denied(&token, &format!("bao read {}", rig.kv("data", ACME)))
    })
}

pub(super) fn two_scopes(stage: &Stage) -> Result<()> {
    rig::run(stage, "twins", Method::Kubernetes, |rig| {
        let twin = |name: &str| {
            scope(
                name,
                "level: Company, id: acme, members: {namespaceSelector: {matchLabels: {company: acme}}}",
            )
        };
        // Objects of one second are told apart by name, so `a` is older either way.
        let manifests = [
            namespace("shop", "company: acme"),
            rig.provider(),
            twin("a"),
            twin("b"),
            credential("shop", "a", "a", "hubspot", &value("api_key", "from-a")),
            credential("shop", "b", "b", "hubspot", &value("api_key", "from-b")),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&["secretscope/@id@-a", "credential/a -n @id@-shop"])?;
        let sentence = "SecretScope @id@-a is older and has the same provider, level and id";
        rig.says("secretscope/@id@-b", "False", "Conflict", sentence)?;
        rig.warned("SecretScope", "@id@-b", sentence)?;
        rig.says("credential/b -n @id@-shop", "False", "Conflict", sentence)?;
        rig.values_become(ACME, &json!({"api_key": "from-a"}))?;

        // The younger takes over, but not the values: they are marked as the other's.
        rig.ask("kubectl delete secretscope @id@-a")?;
        rig.ready(&["secretscope/@id@-b"])?;
        rig.says(
            "credential/a -n @id@-shop",
            "False",
            "NotFound",
            "SecretScope @id@-a not found",
        )?;
        rig.says(
            "credential/b -n @id@-shop",
            "False",
            "Conflict",
            "it carries the mark of",
        )?;
        rig.values_become(ACME, &json!({"api_key": "from-a"}))
    })
}
