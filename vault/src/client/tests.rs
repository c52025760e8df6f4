use super::*;
use crate::fake::{Answer, Fake};
use serde_json::json;

#[tokio::test]
async fn the_namespace_stands_in_every_request_but_health() {
    let fake = Fake::start(|_| {
        Answer::ok(json!({"initialized": true, "sealed": true, "standby": false, "version": "2.7.2"}))
    })
    .await;
    let client = Client::new(&Connection {
        namespace: Some("team/prod/".into()),
        ..fake.connection()
    })
    .unwrap();
    let asked = |client: Client| async move { client.write("kv/data/x", &json!({})).await.unwrap() };
    asked(client.clone()).await;
    assert_eq!(fake.last().header("x-vault-namespace"), "team/prod");
    asked(client.with_token(&"s.x".into()).unwrap()).await;
    let last = fake.last();
    assert_eq!(
        (last.header("x-vault-namespace"), last.header("x-vault-token")),
        ("team/prod", "s.x")
    );
    client.set_token(&"s.y".into()).unwrap();
    let health = client.health().await.unwrap();
    assert_eq!(
        (
            health.version.as_str(),
            health.sealed,
            health.initialized,
            health.standby
        ),
        ("2.7.2", true, true, false)
    );
    let last = fake.last();
    assert!(
        last.path.starts_with("/v1/sys/health?standbyok=true&"),
        "{}",
        last.path
    );
    assert!(last.header("x-vault-namespace").is_empty() && last.header("x-vault-token").is_empty());
}

#[tokio::test]
async fn a_proxy_gets_the_request() {
    let proxy = Fake::start(|_| Answer::ok(Value::Null)).await;
    let client = Client::new(&Connection {
        address: "http://vault.invalid:8200".into(),
        proxy: Some(proxy.address.clone()),
        ..Connection::default()
    })
    .unwrap();
    client.write("kv/data/x", &json!({})).await.unwrap();
    assert_eq!(proxy.asked(), ["POST http://vault.invalid:8200/v1/kv/data/x"]);
}
