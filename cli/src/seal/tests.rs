use super::*;
use keystead_crds::credential::CredentialKey;
use serde_json::json;

/// A public half as Vault shows it.
const PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7Xy3FqtiOkyNwGp6Rb9m
BQoM+NQG9SHmT6pGzNGnZv+VTB5+7TPgCZ4SdRpGfwzhdpVQRhCCND68e7hiWWL7
PokGHsvObvqzuX14iTdoVlSk+rrm1OobNuXRpbh9pJ5G4jRQO4c+4VDIAbO0/O9k
fcHiMcqgxcQhHqO1JOxSQVp5HgVjfqlzOAuhHDaQF65w+xuiTDVmRCU5sRVQBw4g
C0YyePPu3+kUjE+yrijpLRzfVUODuTKzRcg30pBCizJPQs05DdtLUICDpo0QjwhE
/WhkhrWxkAcDs8HtYSYWciuxuUK4hM3rgG/dMKzIvd1fjo4RAAmfKtiRVDVJGpAr
6QIDAQAB
-----END PUBLIC KEY-----
";

fn key(public_keys: &Value) -> EncryptionKey {
    serde_json::from_value(json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "EncryptionKey", "metadata": {"name": "seals"},
        "spec": {"providerRef": {"name": "p"}, "type": "rsa-2048"},
        "status": {"publicKeys": public_keys},
    }))
    .unwrap()
}

fn place_of(manifest: &str) -> anyhow::Result<Place> {
    let name = format!(
        "keystead-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    );
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, manifest)?;
    let place = place(&file, "shop", "c1", "api_key");
    std::fs::remove_file(&file)?;
    place
}

#[test]
fn the_entry_is_of_the_newest_version_and_never_twice_the_same() {
    let manifest =
        "{kind: Credential, metadata: {name: hubspot}, spec: {scopeRef: {name: acme}, service: hubspot}}";
    let place = place_of(manifest).unwrap();
    assert_eq!((place.namespace.as_str(), place.scope.as_str()), ("shop", "acme"));
    let both = json!([{"version": 9, "pem": PEM}, {"version": 10, "pem": PEM}, {"version": 2, "pem": PEM}]);
    let made = || entry(&key(&both), &place, &"s3cret".into()).unwrap();
    let text = made();
    let keys: Vec<CredentialKey> = serde_saphyr::from_str(&text).unwrap();
    let sealed = keys[0].from.sealed.as_ref().unwrap();
    assert_eq!(
        (sealed.version(), sealed.key_ref.name.as_str()),
        (Some(10), "seals")
    );
    assert_ne!(text, made());
}

#[test]
fn what_can_not_be_sealed_says_why() {
    let manifest = "{kind: Credential, metadata: {name: hubspot}, spec: {service: hubspot}}";
    let error = place_of(manifest).unwrap_err().to_string();
    assert!(error.contains("has no spec.scopeRef.name"), "{error}");
    let error = place_of("{kind: Secret}").unwrap_err().to_string();
    assert!(error.contains("has no Credential"), "{error}");
    let place =
        place_of("{kind: Credential, metadata: {name: a}, spec: {scopeRef: {name: b}, service: c}}").unwrap();
    let error = entry(&key(&json!([])), &place, &"s3cret".into())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no status.publicKeys"), "{error}");
}
