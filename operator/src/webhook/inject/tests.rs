use super::*;
use keystead_compile::kinds::defaults::{By, Effective, Said};
use keystead_compile::kinds::pod::Shape;
use keystead_crds::common::SidecarMode;
use keystead_crds::scope::Level;
use keystead_crds::sidecar::{
    CONFIG_VERSION, Config, EnvConfig, ScopeConfig, SecretConfig, SecretSource, VaultConfig,
};
use std::time::Duration;

mod annotations;
mod modes;
mod mounts;
mod on_change;
mod random;
mod refusals;
mod resources;
mod settled;
mod ways;

pub(in crate::webhook) fn secrets() -> PodSecrets {
    let vault = VaultConfig {
        namespace: None,
        server_name: None,
        address: "https://vault.example:8200".to_owned(),
        ca: None,
        auth_mount: "kubernetes".to_owned(),
        role: "keystead.c1.production.s.shop.web".to_owned(),
        kv_mount: "secret".to_owned(),
        path_prefix: "keystead".to_owned(),
        environment: "production".to_owned(),
        scopes: vec![ScopeConfig {
            level: Level::Global,
            id: None,
        }],
    };
    let secret = "hubspot".to_owned();
    let config = Config {
        version: CONFIG_VERSION,
        vault,
        secrets: vec![SecretConfig {
            name: secret.clone(),
            from: SecretSource::Service(secret.clone()),
            keys: Vec::new(),
            optional: false,
            overlap_millis: None,
        }],
        files: Vec::new(),
        env: vec![EnvConfig {
            name: "HUBSPOT_API_KEY".to_owned(),
            secret,
            key: "api_key".to_owned(),
        }],
        file_mode: 0,
        refresh_millis: 60_000,
        once: false,
        exec: false,
        operator: None,
    };
    PodSecrets {
        config,
        audience: "vault".to_owned(),
        defaults: defaults("10m", "16Mi"),
        shape: Shape::default(),
        leases: None,
        restart: false,
        lacks_env_files: None,
        bindings: vec!["web".to_owned(), "more".to_owned()],
    }
}

fn defaults(cpu: &str, memory: &str) -> Effective {
    fn built_in<T>(value: T) -> Said<T> {
        let by = By::BuiltIn;
        Said { value, by }
    }
    Effective {
        refresh: built_in(Duration::from_mins(1)),
        cpu: built_in(cpu.to_owned()),
        memory: built_in(memory.to_owned()),
        mode: built_in(SidecarMode::Sidecar),
        cpu_limit: built_in(None),
        memory_limit: built_in(None),
        files_size: built_in(None),
        first: built_in(true),
    }
}

fn requests(cpu: &str, memory: &str) -> Requests {
    Requests {
        cpu: cpu.to_owned(),
        memory: memory.to_owned(),
    }
}

pub(in crate::webhook) fn settings() -> Settings {
    let operator = Operator::new("keystead", "keystead-system", 8444);
    operator.trust(b"CA");
    Settings {
        image: "keystead.test/sidecar:1".to_owned(),
        image_pull_policy: Some("Never".to_owned()),
        image_pull_secrets: Vec::new(),
        guaranteed: requests("50m", "64Mi"),
        operator,
    }
}

/// The pod as it is after the webhook.
/// What is added to a pod that is sent as this.
fn plan(pod: &Value, secrets: PodSecrets, settings: &Settings) -> Result<Vec<Operation>, Refusal> {
    super::plan(&Pod::parse(&pod.to_string())?, secrets, settings)
}

fn injected(pod: &Value) -> Result<Value, Refusal> {
    plan(pod, secrets(), &settings()).map(|operations| patched(pod, &operations))
}

fn patched(pod: &Value, operations: &[Operation]) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

/// The config in the sidecar of an injected pod, with the kubelet's expansion undone.
fn config(pod: &Value) -> Config {
    let config = pod["spec"]["initContainers"][0]["env"][0]["value"]
        .as_str()
        .unwrap();
    serde_json::from_str(&config.replace("$$", "$")).unwrap()
}

fn guard() -> Value {
    from_file(
        "KEYSTEAD_READY",
        "ready",
        "KEYSTEAD_READY (why: kubectl logs -c keystead)",
    )
}

#[test]
fn a_plain_pod_gets_all_of_it() {
    let pod = json!({
        "metadata": {"generateName": "web-"},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "web", "image": "web:1"}]},
    });
    let mut expected_config = secrets().config;
    expected_config.file_mode = 0o444;
    expected_config.operator = settings().operator.config();
    let key = json!({"volumeName": "keystead-private", "path": "env", "key": "HUBSPOT_API_KEY"});
    let token = |audience, path| json!({"serviceAccountToken": {"audience": audience, "expirationSeconds": 600, "path": path}});
    let tokens = [token("vault", "vault"), token("keystead", "operator")];
    let expected = json!({
        "metadata": {"generateName": "web-", "annotations": {"keystead.dev/injected": "web,more"}},
        "spec": {
            "serviceAccountName": "web",
            "initContainers": [{
                "name": "keystead",
                "image": "keystead.test/sidecar:1",
                "imagePullPolicy": "Never",
                "args": ["run"],
                "restartPolicy": "Always",
                "env": [
                    {"name": "KEYSTEAD_CONFIG", "value": serde_json::to_string(&expected_config).unwrap()},
                    {"name": "KEYSTEAD_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "KEYSTEAD_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "lifecycle": {"postStart": {"exec": {"command": ["/keystead-sidecar", "wait"]}}},
                "ports": [{"name": "keystead", "containerPort": 9102, "protocol": "TCP"}],
                "readinessProbe": {
                    "httpGet": {"path": "/readyz", "port": 9102, "scheme": "HTTP"},
                    "periodSeconds": 1,
                    "timeoutSeconds": 1,
                },
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "keystead", "mountPath": "/keystead", "readOnly": false},
                    {"name": "keystead-private", "mountPath": "/keystead-private"},
                    {"name": "keystead-token", "mountPath": "/keystead-token", "readOnly": true},
                    {"name": "keystead-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
                ],
            }],
            "containers": [{
                "name": "web",
                "image": "web:1",
                "env": [guard(), {"name": "HUBSPOT_API_KEY", "valueFrom": {"fileKeyRef": key}}],
                "volumeMounts": [{"name": "keystead", "mountPath": "/keystead", "readOnly": true}],
            }],
            "volumes": [
                {"name": "keystead", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
                {"name": "keystead-private", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
                {"name": "keystead-token", "projected": {"sources": tokens}},
            ],
        },
    });
    assert_eq!(injected(&pod).unwrap(), expected);
}

#[test]
fn what_the_pod_has_of_its_own_comes_after() {
    let pod = json!({
        "metadata": {"annotations": {"a/b": "c"}},
        "spec": {
            "initContainers": [{"name": "migrate", "volumeMounts": null}, {"name": "mesh", "restartPolicy": "Always"}],
            "containers": [{
                "name": "web",
                "env": [{"name": "URL", "value": "https://x/?key=$(HUBSPOT_API_KEY)"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }, {"name": "other", "env": []}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    });
    let pod = injected(&pod).unwrap();
    let names = |list: &Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let spec = &pod["spec"];
    assert_eq!(names(&spec["initContainers"]), ["keystead", "migrate", "mesh"]);
    assert_eq!(
        names(&spec["containers"][0]["env"]),
        ["KEYSTEAD_READY", "HUBSPOT_API_KEY", "URL"]
    );
    assert_eq!(
        names(&spec["containers"][0]["volumeMounts"]),
        ["data", "keystead"]
    );
    assert_eq!(
        names(&spec["volumes"]),
        ["data", "keystead", "keystead-private", "keystead-token"]
    );
    for guarded in [
        &spec["initContainers"][1],
        &spec["initContainers"][2],
        &spec["containers"][1],
    ] {
        assert_eq!(guarded["env"][0], guard());
        assert_eq!(guarded["env"][1]["name"], "HUBSPOT_API_KEY");
        assert_eq!(
            guarded["volumeMounts"][0],
            sidecar::files_mount("/keystead", true)
        );
    }
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({"a/b": "c", "keystead.dev/injected": "web,more"})
    );
}

#[test]
fn files_belong_to_whoever_reads_them() {
    let user = |user: i64| json!({"name": "c", "securityContext": {"runAsUser": user}});
    let bare = || json!({"name": "c"});
    let spec = |context: Value, init: Vec<Value>, containers: Vec<Value>| json!({"spec": {"securityContext": context, "initContainers": init, "containers": containers}});
    let cases = [
        (
            "nothing said",
            spec(json!({}), vec![], vec![bare()]),
            65532,
            0o444,
        ),
        ("null", spec(json!(null), vec![], vec![bare()]), 65532, 0o444),
        (
            "one user for the pod",
            spec(json!({"runAsUser": 1000}), vec![], vec![bare(), bare()]),
            1000,
            0o400,
        ),
        (
            "one user in each",
            spec(json!({}), vec![], vec![user(7), user(7)]),
            7,
            0o400,
        ),
        (
            "only one says",
            spec(json!({}), vec![], vec![user(7), bare()]),
            65532,
            0o444,
        ),
        (
            "two users",
            spec(json!({"runAsUser": 1}), vec![], vec![bare(), user(2)]),
            65532,
            0o444,
        ),
        (
            "another user prepares",
            spec(json!({"runAsUser": 1}), vec![user(2)], vec![bare()]),
            1,
            0o444,
        ),
        (
            "root",
            spec(json!({"runAsUser": 0}), vec![], vec![bare()]),
            65532,
            0o444,
        ),
        (
            "a group",
            spec(json!({"fsGroup": 5}), vec![], vec![bare()]),
            65532,
            0o440,
        ),
        (
            "group and user",
            spec(json!({"fsGroup": 5, "runAsUser": 9}), vec![], vec![bare()]),
            9,
            0o440,
        ),
    ];
    for (case, pod, user, mode) in cases {
        let pod = injected(&pod).unwrap();
        let ours = &pod["spec"]["initContainers"][0];
        assert_eq!(ours["securityContext"]["runAsUser"], user, "{case}");
        assert_eq!(config(&pod).file_mode, mode, "{case}");
    }
}

#[test]
fn what_is_optional_does_not_keep_a_container_from_starting() {
    let pod = json!({"spec": {"containers": [{"name": "c"}]}});
    let mut secrets = secrets();
    secrets.config.secrets[0].optional = true;
    let operations = plan(&pod, secrets, &settings()).unwrap();
    let env = patched(&pod, &operations)["spec"]["containers"][0]["env"].clone();
    let key =
        json!({"volumeName": "keystead-private", "path": "env", "key": "HUBSPOT_API_KEY", "optional": true});
    let optional = json!({"name": "HUBSPOT_API_KEY", "valueFrom": {"fileKeyRef": key}});
    assert_eq!(env, json!([guard(), optional]), "the gate itself is not optional");
}

#[test]
fn on_the_hosts_network_it_takes_no_port() {
    let pod = injected(&json!({"spec": {"hostNetwork": true, "containers": [{"name": "c"}]}})).unwrap();
    let ours = &pod["spec"]["initContainers"][0];
    assert_eq!(ours.get("readinessProbe"), None);
    assert!(!ours["env"].to_string().contains("KEYSTEAD_POD_IP"));
    // No probe of it could wake the kubelet, so that has nothing to wait for: a container does.
    assert_eq!(ours.get("lifecycle"), None);
    assert_eq!(pod["spec"]["initContainers"][1]["name"], "keystead-gate");
}

#[test]
fn the_kubelet_expands_nothing_in_the_config() {
    let mut secrets = secrets();
    secrets.config.vault.path_prefix = "$(KUBERNETES_SERVICE_HOST)$$".to_owned();
    let pod = json!({"spec": {"containers": []}});
    let operations = json!(plan(&pod, secrets, &settings()).unwrap()).to_string();
    assert!(
        operations.contains("$$(KUBERNETES_SERVICE_HOST)$$$$"),
        "{operations}"
    );
}
