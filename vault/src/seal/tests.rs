use super::*;
use crate::fake::{Answer, Fake};
use serde_json::Value;

fn place() -> Place {
    Place {
        cluster: "c1".into(),
        namespace: "shop".into(),
        name: "hubspot".into(),
        key: "api_key".into(),
        scope: "acme".into(),
        service: "hubspot".into(),
    }
}

#[test]
fn it_opens_at_its_place_and_nowhere_else() {
    let (key, sealed) = seal(&place(), &"s3cret".into()).unwrap();
    let opened = open(key.expose(), &place(), &sealed);
    assert_eq!(opened, Some("s3cret".into()));
    let changes: [fn(&mut Place); 7] = [
        |place| place.cluster = "c2".into(),
        |place| place.namespace = "hr".into(),
        |place| place.name = "other".into(),
        |place| place.key = "base_url".into(),
        |place| place.scope = "globex".into(),
        |place| place.service = "slack".into(),
        // One field's end is not another's beginning.
        |place| (place.scope, place.service) = ("acmeh".into(), "ubspot".into()),
    ];
    for change in changes {
        let mut elsewhere = place();
        change(&mut elsewhere);
        assert_eq!(open(key.expose(), &elsewhere, &sealed), None, "{elsewhere:?}");
    }
    let (other, _) = seal(&place(), &"s3cret".into()).unwrap();
    assert_eq!(open(other.expose(), &place(), &sealed), None, "another key");
}

#[test]
fn each_byte_counts() {
    let (key, sealed) = seal(&place(), &"s3cret".into()).unwrap();
    let bytes = STANDARD.decode(&sealed).unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        assert_eq!(open(key.expose(), &place(), &STANDARD.encode(changed)), None);
        assert_eq!(
            open(key.expose(), &place(), &STANDARD.encode(&bytes[..index])),
            None
        );
    }
}

/// What opening says of what Vault answers.
async fn said(
    answer: impl Fn() -> Answer + Send + Sync + 'static,
    sealed: &str,
) -> Result<Sensitive<String>, Error> {
    let fake = Fake::start(move |_| answer()).await;
    let value = SealedValue {
        mount: "transit".into(),
        key: "keystead.c1.p.k.seals".into(),
        by: "seals".into(),
        wrapped: "vault:v1:abc".into(),
        ciphertext: sealed.to_owned(),
        place: place(),
    };
    let opened = value.open(&fake.client()).await;
    assert_eq!(fake.asked(), ["POST /v1/transit/decrypt/keystead.c1.p.k.seals"]);
    assert_eq!(fake.last().body, json!({"ciphertext": "vault:v1:abc"}));
    opened
}

#[tokio::test]
async fn what_does_not_open_says_of_which_key_and_what_to_do() {
    let (key, sealed) = seal(&place(), &"s3cret".into()).unwrap();
    let wrapped = STANDARD.encode(key.expose());
    let good = move || Answer::ok(json!({"data": {"plaintext": wrapped}}));
    assert_eq!(said(good.clone(), &sealed).await, Ok("s3cret".into()));
    let tampered = said(good, "AAAA").await.unwrap_err().to_string();
    let old = || {
        Answer::refused(
            400,
            "ciphertext or signature version is disallowed by policy (too old)",
        )
    };
    let old = said(old, &sealed).await.unwrap_err().to_string();
    let other = said(|| Answer::refused(500, "internal error"), &sealed)
        .await
        .unwrap_err()
        .to_string();
    for (words, why) in [
        (tampered, "sealed for another"),
        (old, "too old"),
        (other, "wrappedKey was changed"),
    ] {
        for part in [
            "spec.keys[api_key].from.sealed",
            "EncryptionKey seals",
            "kubectl keystead seal",
            why,
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
    }
    // Whether Vault can't be asked is another matter.
    let down = said(|| Answer::ok(Value::Null), &sealed).await;
    assert!(down.is_err());
}
