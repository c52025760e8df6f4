//! Values in Vault, ours beside those of others.

use anyhow::{Context, Result};
use serde_json::json;

use super::super::manifest::{credential, from_secret, global, namespace, secret, value};
use super::super::rig::{self, Method, Rig, same};
use crate::stage::Stage;

const HUBSPOT: &str = "production/global/all/hubspot";

pub(super) fn of_others(stage: &Stage) -> Result<()> {
    rig::run(stage, "theirs", Method::Kubernetes, |rig| {
        rig.ask("bao kv put -mount=kv @id@/production/global/all/hubspot api_key=of-a-person note=mine")?;
        let before = whole(rig)?;
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            credential("shop", "hubspot", "global", "hubspot", &value("api_key", "ours")),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        let object = "credential/hubspot -n @id@-shop";
        let sentence = "kv/@id@/production/global/all/hubspot exists and is not ours (it carries no mark of Keystead); it was left as it is";
        rig.says(object, "False", "Conflict", sentence)?;
        rig.warned("Credential", "hubspot", sentence)?;
        same("what stood there", &whole(rig)?, &before)?;

        // Another cluster's mark is as good as a person's.
        rig.ask("bao kv metadata put -mount=kv -custom-metadata=keystead-owner=elsewhere/a/b @id@/production/global/all/hubspot")?;
        let before = whole(rig)?;
        rig.ask("kubectl -n @id@-shop annotate credential hubspot keystead.dev/sync=1")?;
        rig.says(
            object,
            "False",
            "Conflict",
            "it carries the mark of elsewhere/a/b",
        )?;
        same("what stood there", &whole(rig)?, &before)?;

        rig.ask("bao kv metadata delete -mount=kv @id@/production/global/all/hubspot")?;
        rig.ask("kubectl -n @id@-shop annotate --overwrite credential hubspot keystead.dev/sync=2")?;
        rig.ready(&[object])?;
        rig.values_become(HUBSPOT, &json!({"api_key": "ours"}))
    })
}

pub(super) fn keys_of_others(stage: &Stage) -> Result<()> {
    rig::run(stage, "keys", Method::Kubernetes, |rig| {
        let two_keys = [from_secret("api_key", "hubspot", "token"), value("base_url", "u")].join(", ");
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            secret("shop", "hubspot", "token", "first"),
            credential("shop", "hubspot", "global", "hubspot", &two_keys),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&["credential/hubspot -n @id@-shop"])?;
        rig.values_become(HUBSPOT, &json!({"api_key": "first", "base_url": "u"}))?;

        rig.ask("bao kv patch -mount=kv -cas=1 @id@/production/global/all/hubspot by_hand=kept")?;
        rig.apply(&secret("shop", "hubspot", "token", "second"))?;
        rig.values_become(
            HUBSPOT,
            &json!({"api_key": "second", "base_url": "u", "by_hand": "kept"}),
        )?;

        let one_key = from_secret("api_key", "hubspot", "token");
        rig.apply(&credential("shop", "hubspot", "global", "hubspot", &one_key))?;
        rig.values_become(HUBSPOT, &json!({"api_key": "second", "by_hand": "kept"}))?;
        let other_key = value("base_url", "v");
        rig.apply(&credential("shop", "hubspot", "global", "hubspot", &other_key))?;
        rig.values_become(HUBSPOT, &json!({"base_url": "v", "by_hand": "kept"}))
    })
}

/// Data and metadata as they stand at the path.
fn whole(rig: &Rig<'_>) -> Result<serde_json::Value> {
    let read = |kind: &str| -> Result<serde_json::Value> {
        let found = rig.vault(&rig.kv(kind, HUBSPOT))?;
        Ok(found.context("there was something")?["data"].clone())
    };
    Ok(json!([read("data")?, read("metadata")?]))
}
