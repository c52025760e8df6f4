//! What can't be rotated.

use serde_json::{Value, json};

use super::table::Row;

/// A Credential whose one key is generated and rotated.
pub(super) fn good() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "Credential",
        "metadata": {"name": "rotated", "namespace": "default"},
        "spec": {
            "scopeRef": {"name": "global"}, "service": "hubspot", "type": "ApiKey",
            "keys": [{"name": "api_key", "from": {"generate": {}}}],
            "rotation": {"window": {"from": "02:00", "to": "04:00", "days": ["Sunday"]}, "timeZone": "Europe/Berlin", "keepPrevious": "1h"},
        },
    })
}

#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row> {
    let period = "rotation needs every or schedule: only the types Database, ApiKey and Storage have a period of their own";
    let generate = "rotation.method Generate needs a key with from.generate";
    let hook = "rotation.method Webhook and keys with from.webhook need each other";
    let webhook = |url: &str| json!({"method": "Webhook", "webhook": {"url": url, "signingSecretRef": {"name": "a", "key": "k"}}});
    let mut rows: Vec<Row> = vec![
        (good, "/spec/type", json!("Opaque"), "spec", period),
        (good, "/spec/keys/0/from", json!({"value": "x"}), "spec", generate),
        (good, "/spec/keys/0/from", json!({"webhook": {}}), "spec", hook),
        (good, "/spec/rotation", webhook("https://a.example/"), "spec", hook),
        (good, "/spec/rotation", json!({"method": "Webhook"}), "spec.rotation", "webhook says whom to ask where method is Webhook"),
        (good, "/spec/rotation", json!({"every": "1h", "schedule": "0 3 * * *"}), "spec.rotation", "every and schedule exclude each other"),
        (good, "/spec/rotation", json!({"timeZone": "UTC"}), "spec.rotation", "timeZone is for schedule and window"),
        (good, "/spec/rotation", json!({"every": "59s"}), "spec.rotation.every", "every must be between 1m and 87600h"),
        (good, "/spec/rotation", json!({"schedule": "@daily now"}), "spec.rotation.schedule", "schedule must be the five fields of cron"),
        (good, "/spec/rotation/timeZone", json!("Berlin time"), "spec.rotation.timeZone", "a name of the IANA database"),
        (good, "/spec/rotation/window/from", json!("24:00"), "spec.rotation.window.from", "a time of the day, such as 02:00"),
        (good, "/spec/rotation/window/to", json!("4:30h"), "spec.rotation.window.to", "a time of the day, such as 04:30"),
        (good, "/spec/rotation/window/days", json!(["Sonntag"]), "spec.rotation.window.days[0]", "\"Monday\""),
        (good, "/spec/rotation/keepPrevious", json!("0s"), "spec.rotation.keepPrevious", "keepPrevious must be between 1s and 87600h"),
        (good, "/spec/rotation/method", json!("Manual"), "spec.rotation.method", "\"Generate\""),
    ];
    for bad in ["http://a.example/", "https://user@a.example/", "https://a.example/x?y=z", "https://a.example/../x", "https://"] {
        rows.push((good, "/spec/rotation", webhook(bad), "spec.rotation.webhook.url", "url must be https://host[:port]/path"));
    }
    rows
}
