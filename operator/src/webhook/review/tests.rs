use super::super::PodSecrets;
use super::super::inject::tests::{secrets, settings};
use super::*;
use keystead_compile::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::RwLockReadGuard;

/// Knows one account in each state.
struct Accounts;

impl Directory for Accounts {
    fn secrets_for(&self, namespace: &str, account: &str, labels: &BTreeMap<String, String>) -> Lookup {
        assert_eq!(namespace, "shop");
        if labels.get("tier").is_some_and(|tier| tier == "other") {
            return Lookup::Unselected(vec!["web".to_owned(), "more".to_owned()]);
        }
        match account {
            "web" => Lookup::Found(Box::<PodSecrets>::new(secrets())),
            "torn" => Lookup::Refused("its bindings name two environments: use one".to_owned()),
            "early" => Lookup::NotReady,
            "theirs" => Lookup::Elsewhere,
            _ => Lookup::NoBinding,
        }
    }

    fn world(&self) -> Option<RwLockReadGuard<'_, World>> {
        None
    }
}

/// A handler that knows the account `web` in the namespace `shop`.
pub(in crate::webhook) fn handler(registry: &prometheus::Registry) -> Handler {
    let metrics = Metrics::register(registry).unwrap();
    Handler {
        directory: Arc::new(Accounts),
        sidecar: settings(),
        metrics,
    }
}

/// A review of a new pod, as the API server sends it.
pub(in crate::webhook) fn review(account: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-"},
        "spec": {"containers": [{"name": "web"}]},
    });
    if let Some(account) = account {
        pod["spec"]["serviceAccountName"] = json!(account);
    }
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u1", "namespace": "shop", "operation": "CREATE", "dryRun": true, "object": pod, "oldObject": null,
        },
    })
}

fn answer(entry: Entry, review: &Value) -> Value {
    let handler = handler(&prometheus::Registry::new());
    let answer = handler.answer(entry, review.to_string().as_bytes()).unwrap();
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].take()
}

#[test]
fn a_pod_with_a_binding_is_patched() {
    for entry in [Entry::Pod, Entry::Namespace] {
        let mut response = answer(entry, &review(Some("web")));
        let patch = STANDARD
            .decode(response["patch"].take().as_str().unwrap())
            .unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch[0]["op"], "add");
        assert_eq!(patch[0]["path"], "/spec/containers/0/env");
        assert_eq!(
            response,
            json!({"uid": "u1", "allowed": true, "patchType": "JSONPatch", "patch": null})
        );
    }
}

#[test]
fn a_labelled_pod_without_one_is_refused_and_others_are_left_alone() {
    for (account, name) in [
        (Some("nobody"), "nobody"),
        (None, "default"),
        (Some(""), "default"),
    ] {
        let message = format!(
            "no SecretBinding in namespace shop names service account {name}: \
             apply one, or take the label keystead.dev/inject off the pod"
        );
        let refused = json!({"uid": "u1", "allowed": false, "status": {"code": 403, "message": message}});
        assert_eq!(answer(Entry::Pod, &review(account)), refused);
        assert_eq!(
            answer(Entry::Namespace, &review(account)),
            json!({"uid": "u1", "allowed": true})
        );
    }
}

#[test]
fn bindings_that_can_not_be_served_keep_the_pod_out_under_both_labels() {
    let why = "its bindings name two environments: use one";
    let refused = json!({"uid": "u1", "allowed": false, "status": {"code": 403, "message": why}});
    for entry in [Entry::Pod, Entry::Namespace] {
        assert_eq!(answer(entry, &review(Some("torn"))), refused);
    }
}

#[test]
fn what_another_operator_serves_is_left_to_it() {
    for entry in [Entry::Pod, Entry::Namespace] {
        let left = json!({"uid": "u1", "allowed": true});
        assert_eq!(answer(entry, &review(Some("theirs"))), left);
    }
}

#[test]
fn pods_that_need_nothing_are_let_through_whatever_is_known_of_their_account() {
    let left = json!({"uid": "u1", "allowed": true});
    for account in ["web", "nobody", "torn", "early"] {
        let mut mirror = review(Some(account));
        mirror["request"]["object"]["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        let mut injected = review(Some(account));
        let pod = &mut injected["request"]["object"];
        pod["metadata"]["annotations"] = json!({"keystead.dev/injected": "web"});
        pod["spec"]["initContainers"] = json!([{"name": "keystead"}]);
        for entry in [Entry::Pod, Entry::Namespace] {
            assert_eq!(answer(entry, &mirror), left, "{account}");
            assert_eq!(answer(entry, &injected), left, "{account}");
        }
    }
}

#[test]
fn before_the_caches_are_filled_nobody_gets_in() {
    let status = json!({"code": 503, "message": "Keystead is starting, try again"});
    let refused = json!({"uid": "u1", "allowed": false, "status": status});
    for entry in [Entry::Pod, Entry::Namespace] {
        assert_eq!(answer(entry, &review(Some("early"))), refused);
    }
}

#[test]
fn a_pod_that_can_not_be_served_is_refused_under_both_labels() {
    let mut review = review(Some("web"));
    review["request"]["object"]["spec"]["os"] = json!({"name": "windows"});
    for entry in [Entry::Pod, Entry::Namespace] {
        let response = answer(entry, &review);
        assert_eq!(
            (&response["allowed"], &response["status"]["code"]),
            (&json!(false), &json!(403))
        );
    }
}

#[test]
fn only_new_pods_are_looked_at() {
    let mut review = review(Some("nobody"));
    for operation in ["UPDATE", "DELETE", "CONNECT"] {
        review["request"]["operation"] = json!(operation);
        assert_eq!(answer(Entry::Pod, &review), json!({"uid": "u1", "allowed": true}));
    }
}

#[test]
fn outcomes_are_counted() {
    let registry = prometheus::Registry::new();
    let handler = handler(&registry);
    for account in ["web", "web", "nobody", "early"] {
        handler
            .answer(Entry::Pod, review(Some(account)).to_string().as_bytes())
            .unwrap();
    }
    let error = handler.answer(Entry::Namespace, b"{}").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the body is not an AdmissionReview: missing field `request`"),
        "{error}"
    );
    let page = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    for line in [
        r#"keystead_webhook_requests_total{entry="pod",outcome="injected"} 2"#,
        r#"keystead_webhook_requests_total{entry="pod",outcome="refused"} 1"#,
        r#"keystead_webhook_requests_total{entry="pod",outcome="not_ready"} 1"#,
        r#"keystead_webhook_requests_total{entry="namespace",outcome="malformed"} 1"#,
        "keystead_webhook_duration_seconds_count 4",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[test]
fn a_pod_that_no_binding_selects_has_none() {
    let mut review = review(Some("web"));
    review["request"]["object"]["metadata"]["labels"] = json!({"tier": "other"});
    assert_eq!(
        answer(Entry::Namespace, &review),
        json!({"uid": "u1", "allowed": true})
    );
    let refused = answer(Entry::Pod, &review);
    assert_eq!(refused["allowed"], false);
    let message = refused["status"]["message"].as_str().unwrap();
    for part in [
        "service account web (web, more)",
        "by podSelector",
        "keystead.dev/inject",
    ] {
        assert!(message.contains(part), "{message}");
    }
}
