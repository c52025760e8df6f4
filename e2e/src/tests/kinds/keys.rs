//! What is refused of encryption keys.

use serde_json::{Value, json};

use super::table::{Row, credential, provider};

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
    let sealed = |wrapped: &str, text: &str| json!({"sealed": {"keyRef": {"name": "a"}, "wrappedKey": wrapped, "ciphertext": text}});
    vec![
        (provider, "/spec/vault/mounts/transit", json!("a/"), "spec.vault.mounts.transit", "must be a Vault path"),
        (good, "/metadata/name", json!(long), "EncryptionKey", "metadata.name must have at most 100 characters"),
        (good, "/spec/type", json!("rsa-1024"), "spec.type", "\"rsa-4096\""),
        (good, "/spec/rotation/every", json!("30m"), "spec.rotation.every", "every must be between 1h and 87600h"),
        (credential, "/spec/keys/0/from", sealed("v1:a", "a"), "sealed.wrappedKey", "wrappedKey must be as kubectl keystead seal wrote it"),
        (credential, "/spec/keys/0/from", sealed("vault:v1:a", "a b"), "sealed.ciphertext", "ciphertext must be as kubectl keystead seal wrote it"),
        (good, "/spec/minDecryptionVersion", json!(0), "spec.minDecryptionVersion", "greater than or equal to 1"),
    ]
}
