//! What is refused of encryption keys.

use serde_json::{Value, json};

use super::table::{Row, provider};

/// What the bad manifests are made of.
pub(super) fn good() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "EncryptionKey", "metadata": {"name": "good"},
        "spec": {"providerRef": {"name": "good"}, "type": "rsa-4096", "rotation": {"every": "2160h"}},
    })
}

/// One row a line.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row> {
    let long = "a".repeat(101);
    vec![
        (provider, "/spec/vault/mounts/transit", json!("a/"), "spec.vault.mounts.transit", "must be a Vault path"),
        (good, "/metadata/name", json!(long), "EncryptionKey", "metadata.name must have at most 100 characters"),
        (good, "/spec/type", json!("rsa-1024"), "spec.type", "\"rsa-4096\""),
        (good, "/spec/rotation/every", json!("30m"), "spec.rotation.every", "every must be between 1h and 87600h"),
        (good, "/spec/minDecryptionVersion", json!(0), "spec.minDecryptionVersion", "greater than or equal to 1"),
    ]
}
