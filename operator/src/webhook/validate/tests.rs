mod guard;
mod random;

use super::*;
use crate::webhook::Lookup;
use keystead_compile::World;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A world that tests fill.
pub(in crate::webhook) struct Known {
    pub(in crate::webhook) world: RwLock<World>,
    pub(in crate::webhook) listed: bool,
}

impl Directory for Known {
    fn secrets_for(&self, _: &str, _: &str, _: &BTreeMap<String, String>) -> Lookup {
        Lookup::NotReady
    }

    fn world(&self) -> Option<RwLockReadGuard<'_, World>> {
        self.listed
            .then(|| self.world.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A world with the provider `p` and its company `acme`.
fn known() -> Arc<Known> {
    let mut world = World::new("c1", "keystead");
    world.set_provider("p", Some(Arc::new(serde_json::from_value(provider()).unwrap())));
    world.set_scope(
        "acme",
        Some(Arc::new(serde_json::from_value(company("acme")).unwrap())),
    );
    Arc::new(Known {
        world: RwLock::new(world),
        listed: true,
    })
}

/// A handler whose API server can't be reached.
pub(in crate::webhook) fn handler(directory: Arc<dyn Directory>) -> Handler {
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    Handler {
        directory,
        client: kube::Client::try_from(nowhere).unwrap(),
        metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
    }
}

fn provider() -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1",
        "kind": "SecretProvider",
        "metadata": {"name": "p"},
        "spec": {
            "environment": "production",
            "vault": {"address": "https://vault:8200", "auth": {"kubernetes": {"role": "r"}}},
            "workloadAuth": {"method": "Jwt", "mount": "jwt-c1"},
        },
    })
}

/// A scope for the company acme.
fn company(name: &str) -> Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1",
        "kind": "SecretScope",
        "metadata": {"name": name},
        "spec": {
            "providerRef": {"name": "p"},
            "level": "Company",
            "id": "acme",
            "members": {"namespaceSelector": {"matchLabels": {"company": "acme"}}},
            "writers": {"namespaceSelector": {"matchLabels": {"writes": "acme"}}},
        },
    })
}

fn review(operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u1",
            "kind": {"group": "keystead.dev", "version": "v1alpha1", "kind": if object.is_null() { &old["kind"] } else { &object["kind"] }},
            "name": if object.is_null() { &old["metadata"]["name"] } else { &object["metadata"]["name"] },
            "operation": operation,
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": old,
        },
    })
}

async fn answer(handler: &Handler, entry: Entry, review: &Value) -> Value {
    let answer = handler
        .answer(entry, review.to_string().as_bytes())
        .await
        .unwrap();
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].take()
}

async fn validated(known: Arc<Known>, review: &Value) -> Value {
    answer(&handler(known), Entry::Object, review).await
}

fn allowed() -> Value {
    json!({"uid": "u1", "allowed": true})
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_is_refused_with_what_would_be_right() {
    let refused = validated(known(), &review("CREATE", &company("twin"), &Value::Null)).await;
    let message =
        "spec.id: SecretScope acme is the Company acme of SecretProvider p already: use it, or another id";
    assert_eq!(
        refused,
        json!({"uid": "u1", "allowed": false, "status": {"code": 422, "message": message}})
    );
    let mut other = company("other");
    other["spec"]["id"] = json!("other");
    other["spec"]["members"]["namespaceSelector"]["matchLabels"]["company"] = json!("other");
    assert_eq!(
        validated(known(), &review("CREATE", &other, &Value::Null)).await,
        allowed()
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_stands_in_the_way_of_status_finalizers_and_deletion() {
    let old = company("twin");
    let mut changed = old.clone();
    changed["status"] = json!({"observedGeneration": 1});
    changed["metadata"]["finalizers"] = json!(["x"]);
    changed["metadata"]["labels"] = json!({"x": "y"});
    assert_eq!(
        validated(known(), &review("UPDATE", &changed, &old)).await,
        allowed()
    );
    changed["spec"]["writers"] = json!({"namespaceSelector": {}});
    changed["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        validated(known(), &review("UPDATE", &changed, &old)).await,
        allowed()
    );
    for operation in ["DELETE", "CONNECT", ""] {
        assert_eq!(
            validated(known(), &review(operation, &Value::Null, &old)).await,
            allowed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_wrong_before_is_a_warning() {
    let old = company("twin");
    let mut changed = old.clone();
    changed["spec"]["writers"] = json!({"namespaceSelector": {}});
    let answer = validated(known(), &review("UPDATE", &changed, &old)).await;
    let message =
        "spec.id: SecretScope acme is the Company acme of SecretProvider p already: use it, or another id";
    assert_eq!(
        answer,
        json!({"uid": "u1", "allowed": true, "warnings": [message]})
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_a_moment_before_is_waited_for() {
    let known = known();
    let handler = handler(Arc::clone(&known) as Arc<dyn Directory>);
    let review = review("CREATE", &company("twin"), &Value::Null);
    let brought = async {
        sleep(SETTLE / 2).await;
        known.world.write().unwrap().set_scope("acme", None);
    };
    let (answer, ()) = tokio::join!(answer(&handler, Entry::Object, &review), brought);
    assert_eq!(answer, allowed());
}

#[tokio::test(start_paused = true)]
async fn before_the_caches_are_filled_objects_get_in_and_tenants_do_not() {
    let listing = || {
        Arc::new(Known {
            world: RwLock::default(),
            listed: false,
        })
    };
    let answer_object = validated(listing(), &review("CREATE", &company("twin"), &Value::Null)).await;
    let warning = "Keystead is starting and has not looked at this; its conditions will say what is wrong";
    assert_eq!(
        answer_object,
        json!({"uid": "u1", "allowed": true, "warnings": [warning]})
    );
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"company": "acme"}}});
    let review = review("CREATE", &namespace, &Value::Null);
    let tenant = answer(&handler(listing()), Entry::Namespace, &review).await;
    let status = json!({"code": 503, "message": "Keystead is starting, try again"});
    assert_eq!(tenant, json!({"uid": "u1", "allowed": false, "status": status}));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_let_through_and_not_repeated() {
    let warning = "Keystead can't read this and has not looked at it; its conditions will say what is wrong";
    let unread = json!({"uid": "u1", "allowed": true, "warnings": [warning]});
    let mut odd = company("odd");
    odd["spec"]["level"] = json!("hunter2");
    assert_eq!(
        validated(known(), &review("CREATE", &odd, &Value::Null)).await,
        unread
    );
    let mut odd = review("CREATE", &company("odd"), &Value::Null);
    odd["request"]["operation"] = json!(["CREATE"]);
    assert_eq!(validated(known(), &odd).await, unread);
    let mut unnamed = unread;
    unnamed["uid"] = json!("");
    assert_eq!(validated(known(), &json!([1, 2])).await, unnamed);
    // A namespace that can't be read is nobody's tenant.
    for body in ["{}", "nonsense"] {
        let answer = handler(known()).answer(Entry::Namespace, body.as_bytes()).await;
        assert!(answer.is_err(), "{body}");
    }
}
