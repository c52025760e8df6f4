//! Encryption keys: what docs/encryption.md says of them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::rig::{self, Method, Rig};
use crate::stage::Stage;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/encryption.md"));

const KEY: &str = "encryptionkey/@id@-seals";

pub(super) fn keys(stage: &Stage) -> Result<()> {
    rig::run(stage, "keys", Method::Kubernetes, |rig| {
        rig.apply(&rig.provider())?;
        let _operator = rig.operator()?;
        let shown = shown(rig)?;
        rig.apply(&shown)?;
        rig.says(
            KEY,
            "False",
            "NotPermitted",
            "its spec.vault.mounts.transit names no engine",
        )?;

        rig.prepare_vault("--transit @id@-keys".replace("@id@", &rig.id).as_str())?;
        let mount = format!(
            "{{\"spec\":{{\"vault\":{{\"mounts\":{{\"transit\":\"{}-keys\"}}}}}}}}",
            rig.id
        );
        rig.ask(&format!(
            "kubectl patch secretprovider @id@ --type=merge -p '{mount}'"
        ))?;
        rig.ready(&["secretprovider/@id@", KEY])?;
        let found = in_vault(rig)?.context("the key is there")?;
        ensure!(
            (&found["type"], &found["auto_rotate_period"]) == (&"rsa-4096".into(), &7_776_000.into()),
            "{found}"
        );
        rotates(rig, &shown)?;
        goes(rig, &shown)
    })
}

/// The page's key, as this test's.
fn shown(rig: &Rig<'_>) -> Result<String> {
    let mut blocks = DOCUMENT.split("```yaml\n").skip(1);
    let block = blocks.find(|block| block.contains("kind: EncryptionKey"));
    let block = block.and_then(|block| block.split("```").next());
    Ok(block
        .context("the page shows a key")?
        .replace("{name: seals}", &format!("{{name: {}-seals}}", rig.id))
        .replace("{name: production}", &format!("{{name: {}}}", rig.id)))
}

fn path(rig: &Rig<'_>) -> String {
    format!("{0}-keys/keys/keystead.{0}.{0}.k.{0}-seals", rig.id)
}

fn in_vault(rig: &Rig<'_>) -> Result<Option<Value>> {
    Ok(rig.vault(&path(rig))?.map(|answer| answer["data"].clone()))
}

/// The status says which versions can be used; what is switched off is off.
fn rotates(rig: &Rig<'_>, shown: &str) -> Result<()> {
    let versions = |expected: &str| {
        let line = format!(
            "kubectl get encryptionkey {}-seals -o 'jsonpath={{.status.latestVersion}} {{.status.minDecryptionVersion}} {{.status.publicKeys[*].version}}'",
            rig.id
        );
        rig.stage
            .until(expected, &line, |answer| answer == expected)
            .map(drop)
    };
    versions("1 1 1")?;
    rig.ask(&format!("bao write -f {}/rotate", path(rig)))?;
    rig.apply(&shown.replace("every: 2160h", "every: 2160h, enabled: false"))?;
    versions("2 1 1 2")?;
    let found = in_vault(rig)?.context("the key is there")?;
    ensure!(found["auto_rotate_period"] == 0, "it is switched off: {found}");
    rig.apply(&format!("{}\n  minDecryptionVersion: 2\n", shown.trim_end()))?;
    versions("2 2 2")?;
    rig.apply(&format!("{}\n  minDecryptionVersion: 3\n", shown.trim_end()))?;
    rig.says(KEY, "False", "VaultError", "latest key version is 2")
}

/// It goes as it declares.
fn goes(rig: &Rig<'_>, shown: &str) -> Result<()> {
    rig.apply(shown)?;
    rig.ready(&[KEY])?;
    rig.ask("kubectl delete encryptionkey @id@-seals --timeout=60s")?;
    ensure!(in_vault(rig)?.is_some(), "it is retained");
    rig.apply(&shown.replace("rsa-4096", "rsa-2048"))?;
    rig.says(
        KEY,
        "False",
        "Conflict",
        "it is of type rsa-4096, and rsa-2048 is declared",
    )?;
    rig.ask("kubectl delete encryptionkey @id@-seals --timeout=60s")?;
    rig.apply(&format!("{}\n  deletionPolicy: Delete\n", shown.trim_end()))?;
    rig.ready(&[KEY])?;
    rig.ask("kubectl delete encryptionkey @id@-seals --timeout=60s")?;
    ensure!(in_vault(rig)?.is_none(), "it is gone");
    Ok(())
}
