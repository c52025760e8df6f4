//! Values that are sealed on a desk and opened by Vault alone.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::manifest::{global, namespace};
use super::super::rig::{self, Method, Rig};
use crate::stage::Stage;

const SEALED: &str = "credential/hubspot -n @id@-shop";
const PLACE: &str = "production/global/all/hubspot";
const WORD: &str = "not-in-git";

pub(super) fn seals(stage: &Stage) -> Result<()> {
    rig::run(stage, "seals", Method::Kubernetes, |rig| {
        rig.prepare_vault(&format!("--transit {}-keys", rig.id))?;
        rig.apply(&[namespace("shop", ""), global(), provider(rig), key("")].concat())?;
        let _operator = rig.operator()?;
        rig.ready(&["secretprovider/@id@", "encryptionkey/@id@-seals"])?;

        let entry = sealed(rig, WORD)?;
        ensure!(
            !entry.contains(WORD) && entry.contains("wrappedKey: vault:v1:"),
            "{entry}"
        );
        rig.apply(&credential(rig, "hubspot", &entry))?;
        rig.ready(&[SEALED])?;
        rig.values_become(PLACE, &json!({"api_key": WORD}))?;
        refused(rig, &entry)?;
        rotated(rig, &entry)?;
        goes(rig)
    })
}

/// The provider, with a transit engine of the test's own.
pub(in crate::tests) fn provider(rig: &Rig<'_>) -> String {
    let address = rig.stage.bed().map_or("", |bed| bed.vault_address.as_str());
    rig.provider_with(&format!(
        "address: {address}, caSecretRef: {{name: vault-ca, namespace: vault, key: ca.crt}}, \
         mounts: {{transit: @id@-keys}}, auth: {{kubernetes: {{mount: @id@, role: keystead-operator-@id@}}}}"
    ))
}

pub(in crate::tests) fn key(more: &str) -> String {
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: EncryptionKey
metadata: {{name: @id@-seals}}
spec: {{providerRef: {{name: @id@}}, type: rsa-2048{more}}}
"
    )
}

/// A Credential with this entry of spec.keys.
pub(in crate::tests) fn credential(rig: &Rig<'_>, service: &str, entry: &str) -> String {
    let entry = entry.replace('\n', "\n  ");
    format!(
        "
apiVersion: keystead.dev/v1alpha1
kind: Credential
metadata: {{name: {service}, namespace: {0}-shop}}
spec:
  scopeRef: {{name: {0}-global}}
  service: {service}
  keys:
  {entry}
",
        rig.id
    )
}

/// What the command writes for a value: it has the key and the manifest, and no server.
pub(in crate::tests) fn sealed(rig: &Rig<'_>, value: &str) -> Result<String> {
    let [by, manifest] = ["seals.yaml", "credential.yaml"].map(|name| rig.path(name));
    fs::write(&by, rig.ask("kubectl get encryptionkey @id@-seals -o yaml")?)?;
    fs::write(&manifest, credential(rig, "hubspot", ""))?;
    let line = format!(
        "kubectl-keystead seal api_key --cluster-name {} --by {} --file {}",
        rig.id,
        by.display(),
        manifest.display()
    );
    let mut command = rig.stage.command(&line);
    command
        .env_remove("KUBECONFIG")
        .env_remove("VAULT_ADDR")
        .env_remove("VAULT_TOKEN");
    rig.stage.shown(&line, &mut command, Some(&format!("{value}\n")))
}

/// Elsewhere it does not open, nor when a character of it is another.
fn refused(rig: &Rig<'_>, entry: &str) -> Result<()> {
    let another = "it was sealed for another cluster, namespace, Credential, key, scope or service";
    rig.apply(&credential(rig, "slack", entry))?;
    rig.says("credential/slack -n @id@-shop", "False", "Invalid", another)?;
    rig.ask("kubectl delete credential slack -n @id@-shop")?;
    for (field, why) in [
        ("ciphertext: ", another),
        ("wrappedKey: vault:v1:", "its wrappedKey was changed"),
    ] {
        let (before, after) = entry.split_once(field).unwrap_or((entry, ""));
        let first = if after.starts_with('A') { 'B' } else { 'A' };
        let changed = format!("{before}{field}{first}{}", after.get(1..).unwrap_or_default());
        rig.apply(&credential(rig, "hubspot", &changed))?;
        rig.says(SEALED, "False", "Invalid", why)?;
        rig.says(
            SEALED,
            "False",
            "Invalid",
            "Seal the value again: kubectl keystead seal",
        )?;
    }
    rig.apply(&credential(rig, "hubspot", entry))?;
    rig.ready(&[SEALED])
}

/// Old seals open until the oldest version says otherwise; Vault wraps them anew.
fn rotated(rig: &Rig<'_>, entry: &str) -> Result<()> {
    let key_path = format!("{0}-keys/keys/keystead.{0}.{0}.k.{0}-seals", rig.id);
    rig.ask(&format!("bao write -f {key_path}/rotate"))?;
    rig.ask("kubectl annotate credential hubspot -n @id@-shop keystead.dev/sync=after-rotation")?;
    rig.apply(&key(", rotation: {every: 2160h}"))?;
    counts(rig, "2: 1=1")?;
    rig.ready(&[SEALED])?;

    // What is sealed now is of the newest version, and what was sealed is brought there.
    let newest = sealed(rig, "another-word")?;
    ensure!(newest.contains("wrappedKey: vault:v2:"), "{newest}");
    let manifest = rig.path("renewed.yaml");
    fs::write(
        &manifest,
        format!("# kept\n{}", credential(rig, "hubspot", entry)),
    )?;
    let by = rig.path("seals.yaml");
    rig.ask(&format!(
        "kubectl-keystead seal --by {} --renew {}",
        by.display(),
        manifest.display()
    ))?;
    let renewed = fs::read_to_string(&manifest)?;
    ensure!(
        renewed.starts_with("# kept") && renewed.contains("vault:v2:"),
        "{renewed}"
    );
    rig.apply(&key(", minDecryptionVersion: 2"))?;
    rig.ask("kubectl annotate credential hubspot -n @id@-shop --overwrite keystead.dev/sync=too-old")?;
    rig.says(
        SEALED,
        "False",
        "Invalid",
        "it was sealed by a version that is too old now",
    )?;
    rig.apply(&renewed)?;
    rig.ready(&[SEALED])?;
    rig.values_become(PLACE, &json!({"api_key": WORD}))?;
    counts(rig, "2: 2=1")?;
    rig.apply(&credential(rig, "hubspot", &newest))?;
    rig.values_become(PLACE, &json!({"api_key": "another-word"}))
}

/// A key stays as long as somebody is sealed by it.
fn goes(rig: &Rig<'_>) -> Result<()> {
    rig.apply(&key(", minDecryptionVersion: 2, deletionPolicy: Delete"))?;
    let line = format!(
        "kubectl get encryptionkey {}-seals -o 'jsonpath={{.metadata.finalizers}}'",
        rig.id
    );
    rig.stage.until("it is held", &line, |answer| {
        answer.contains("keystead.dev/cleanup")
    })?;
    rig.ask("kubectl delete encryptionkey @id@-seals --wait=false")?;
    rig.says(
        "encryptionkey/@id@-seals",
        "False",
        "CleanupBlocked",
        "Credentials are still sealed by it (1)",
    )?;
    rig.ask("kubectl delete credential hubspot -n @id@-shop")?;
    rig.ask("kubectl wait --for=delete encryptionkey/@id@-seals --timeout=60s")
        .map(drop)
}

/// The newest version, and how many Credentials each version sealed.
fn counts(rig: &Rig<'_>, expected: &str) -> Result<()> {
    let line = format!(
        "kubectl get encryptionkey {}-seals -o 'jsonpath={{.status.latestVersion}}: {{range .status.sealedBy[*]}}{{.version}}={{.credentials}}{{end}}'",
        rig.id
    );
    rig.stage
        .until(expected, &line, |answer| answer == expected)
        .map(drop)
}
