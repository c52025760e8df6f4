//! What is not injected, and the sentence it gets.

use super::*;

fn refused(pod: &Value) -> String {
    plan(pod, secrets(), &settings()).unwrap_err().to_string()
}

#[test]
fn what_can_not_be_served_is_refused_with_a_remedy() {
    let pod = |extra: Value, container: Value| {
        let mut spec = json!({"containers": [{"name": "ok"}, container]});
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"spec": spec})
    };
    let web = || json!({"name": "web"});
    let cases = [
        (
            pod(json!({"os": {"name": "windows"}}), web()),
            "label keystead.dev/inject: \"false\"",
        ),
        (
            pod(json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), web()),
            "Linux pods only",
        ),
        (
            pod(json!({"volumes": [{"name": "keystead-private"}]}), web()),
            "volume named keystead-private of its own",
        ),
        (
            pod(json!({}), json!({"name": "keystead"})),
            "container named keystead of its own",
        ),
        (
            pod(json!({"initContainers": [{"name": "keystead"}]}), web()),
            "container named keystead of its own",
        ),
        (
            pod(
                json!({}),
                json!({"name": "web", "env": [{"name": "HUBSPOT_API_KEY", "value": "x"}]}),
            ),
            "container web sets HUBSPOT_API_KEY itself, and so would Keystead (web, more): take one",
        ),
        (
            pod(
                json!({}),
                json!({"name": "web", "env": [{"name": "KEYSTEAD_READY"}]}),
            ),
            "sets KEYSTEAD_READY itself",
        ),
        (
            pod(
                json!({}),
                json!({"name": "web", "volumeMounts": [{"name": "x", "mountPath": "/keystead/"}]}),
            ),
            "container web mounts something at /keystead",
        ),
        (
            pod(json!({"volumes": {}}), web()),
            "what was sent is not a pod: see its line 1, column",
        ),
        (
            json!({"spec": {"containers": ["c"]}}),
            "what was sent is not a pod",
        ),
        (json!({"metadata": {}}), "what was sent is not a pod"),
    ];
    for (pod, sentence) in cases {
        let message = refused(&pod);
        assert!(message.contains(sentence), "{message}");
    }
}

/// A pod with one good container and this one, as a container or an init container.
fn with(container: &Value) -> [Value; 2] {
    [
        json!({"spec": {"containers": [{"name": "ok"}, container]}}),
        json!({"spec": {"containers": [{"name": "ok"}], "initContainers": [container]}}),
    ]
}

#[test]
fn nobody_else_gets_the_sidecars_volumes() {
    for volume in ["keystead-private", "keystead-token"] {
        let mount = json!({"name": "web", "volumeMounts": [{"name": "data", "mountPath": "/d"}, {"name": volume, "mountPath": "/x", "subPath": "a"}]});
        let key = json!({"volumeName": volume, "path": "env", "key": "K"});
        let variable = json!({"name": "web", "env": [{"name": "A", "value": "1"}, {"name": "K", "valueFrom": {"fileKeyRef": key}}]});
        for pod in with(&mount) {
            let expected = format!(
                "container web mounts the volume {volume}, which only Keystead's sidecar may see: take the mount away, its secrets are in /keystead"
            );
            assert_eq!(refused(&pod), expected);
        }
        for pod in with(&variable) {
            let expected = format!(
                "container web reads a variable from the volume {volume}, which only Keystead's sidecar may see: name the variable in the SecretBinding"
            );
            assert_eq!(refused(&pod), expected);
        }
    }
    let key = json!({"volumeName": "data", "path": "env", "key": "K"});
    let own = json!({"name": "web", "env": [{"name": "K", "valueFrom": {"fileKeyRef": key}}], "volumeMounts": [{"name": "data", "mountPath": "/keystead-private"}]});
    for pod in with(&own) {
        assert!(injected(&pod).is_ok());
    }
}

#[test]
fn the_sidecars_port_is_taken() {
    let listens = |port: Value| json!({"name": "web", "ports": [{"containerPort": 80}, port]});
    for port in [
        json!({"containerPort": 9102}),
        json!({"containerPort": 9102, "protocol": "TCP"}),
    ] {
        for mut pod in with(&listens(port)) {
            let expected = "container web declares port 9102, which Keystead's sidecar takes in the pod: let the container listen on another port, or the sidecar by the annotation keystead.dev/sidecar-port";
            assert_eq!(refused(&pod), expected);
            pod["spec"]["hostNetwork"] = json!(true);
            assert!(injected(&pod).is_ok(), "there the sidecar takes none");
        }
    }
    for port in [
        json!({"containerPort": 9102, "protocol": "UDP"}),
        json!({"containerPort": 9103, "hostPort": 9102}),
    ] {
        for pod in with(&listens(port)) {
            assert!(injected(&pod).is_ok());
        }
    }
}

#[test]
fn a_pod_that_can_only_land_on_windows_is_refused() {
    let os = |operator: &str, values: &[&str]| json!({"key": "kubernetes.io/os", "operator": operator, "values": values});
    let zone = || json!({"key": "zone", "operator": "In", "values": ["windows"]});
    let term = |expressions: &[Value]| json!({"matchExpressions": expressions});
    let windows = || os("In", &["windows"]);
    let refused = |terms: Value| {
        let required = json!({"nodeSelectorTerms": terms});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
        let pod = json!({"spec": {"affinity": affinity, "containers": [{"name": "web"}]}});
        injected(&pod)
            .is_err_and(|refusal| refusal.to_string().starts_with("Keystead serves Linux pods only"))
    };
    assert!(refused(json!([term(&[windows()])])));
    assert!(refused(json!([term(&[zone(), windows()]), term(&[windows()])])));
    for terms in [
        json!([term(&[windows()]), term(&[zone()])]),
        json!([term(&[os("In", &["windows", "linux"])])]),
        json!([term(&[os("NotIn", &["windows"])])]),
        json!([term(&[os("In", &[])])]),
        json!([term(&[])]),
        json!([{}]),
        json!([]),
        Value::Null,
    ] {
        assert!(!refused(terms.clone()), "{terms}");
    }
    let preferred = json!([{"weight": 1, "preference": term(&[windows()])}]);
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
    assert!(injected(&json!({"spec": {"affinity": affinity, "containers": [{"name": "web"}]}})).is_ok());
}
