use super::*;
use crate::fake::{Answer, Fake};

fn key() -> TransitKey {
    TransitKey {
        mount: "transit".into(),
        name: "keystead.c1.p.k.seals".into(),
        key_type: "rsa-2048",
        rotate_every: Duration::from_hours(1),
        min_decryption_version: Some(1),
    }
}

/// What Vault answers of a key whose version 1 decrypts no more.
fn there() -> Value {
    let version = |time: &str, pem: &str| json!({"creation_time": time, "public_key": pem});
    json!({
        "type": "rsa-2048",
        "auto_rotate_period": 3600,
        "deletion_allowed": false,
        "min_decryption_version": 2,
        "latest_version": 10,
        "keys": {
            "10": version("2026-11-22T19:33:00.097322555Z", "ten"),
            "2": version("2026-11-22T18:33:00Z", "two"),
        },
    })
}

async fn planned(key: &TransitKey, found: Option<Value>) -> Result<Planned, Error> {
    let fake = Fake::start(move |_| match &found {
        Some(found) => Answer::ok(json!({ "data": found })),
        None => Answer::refused(404, ""),
    })
    .await;
    key.plan(&fake.client()).await
}

#[tokio::test]
async fn it_is_planned_by_what_differs() {
    assert_eq!(planned(&key(), None).await.unwrap().action, Action::Create);
    let changed = planned(&key(), Some(there())).await.unwrap();
    let line = "min_decryption_version is changed".to_owned();
    assert_eq!(changed, Planned::new(Action::Change, vec![line]));
    let mut kept = key();
    kept.min_decryption_version = None;
    assert_eq!(planned(&kept, Some(there())).await, Ok(Planned::default()));
    kept.rotate_every = Duration::ZERO;
    let off = planned(&kept, Some(there())).await.unwrap();
    assert_eq!(off.details, ["auto_rotate_period is changed"]);
    kept.key_type = "rsa-4096";
    let other = planned(&kept, Some(there())).await.unwrap_err().to_string();
    assert!(
        other.contains("it is of type rsa-2048, and rsa-4096 is declared"),
        "{other}"
    );
}

#[tokio::test]
async fn it_is_made_and_deleted_in_two_steps() {
    let path = "/v1/transit/keys/keystead.c1.p.k.seals";
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "GET" => Answer::refused(404, ""),
        _ => Answer::ok(Value::Null),
    })
    .await;
    key().write(&fake.client()).await.unwrap();
    assert_eq!(
        fake.asked()[1..],
        [format!("POST {path}"), format!("POST {path}/config")]
    );
    key().delete(&fake.client()).await.unwrap();
    assert_eq!(fake.asked().len(), 4, "nothing is there: {:?}", fake.asked());

    let fake = Fake::start(|_| Answer::ok(json!({ "data": there() }))).await;
    key().delete(&fake.client()).await.unwrap();
    assert_eq!(
        fake.asked()[1..],
        [format!("POST {path}/config"), format!("DELETE {path}")]
    );
}

#[test]
fn its_versions_are_told_in_their_order() {
    let found = state(&fields(there()));
    assert_eq!((found.latest, found.oldest), (10, 2));
    assert_eq!(found.made_at, Some(1_795_375_980));
    assert_eq!(found.public_keys, [(2, "two".to_owned()), (10, "ten".to_owned())]);
    let aes = json!({"latest_version": 1, "min_decryption_version": 1, "keys": {"1": 1_795_375_977}});
    let found = state(&fields(aes));
    assert_eq!(
        (found.made_at, found.public_keys),
        (Some(1_795_375_977), Vec::new())
    );
}
