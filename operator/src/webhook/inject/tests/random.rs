//! Any pod at all.

use super::*;
use proptest::prelude::*;

/// Whether everything of `before` is still in `after`: lists keep their items in order, with others
/// between them.
fn is_kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        // A list or object that was null may have become one.
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|now| is_kept(value, now))),
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            before.iter().all(|item| rest.any(|now| is_kept(item, now)))
        }
        _ => before == after,
    }
}

/// Anything at all, where nobody looks and where somebody does.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..2000_i64).prop_map(Value::from),
        prop::sample::select(vec!["", "c", "1", "/x"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let names = vec!["name", "env", "cpu", "value"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(names), inner, 0..3)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

fn one_of(texts: &[&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(texts.to_vec()).prop_map(Value::from).boxed()
}

/// An object with some of these fields, each null at times and of another type once in a while.
fn some_of<const N: usize>(fields: [(&'static str, BoxedStrategy<Value>); N]) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            let value = prop_oneof![40 => value, 4 => Just(Value::Null), 1 => anything()];
            prop::option::of(value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
        })
        .collect();
    fields
        .prop_map(|fields| fields.into_iter().flatten().collect::<Value>())
        .boxed()
}

fn several(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::vec(item, 0..4).prop_map(Value::from).boxed()
}

fn any_resources() -> BoxedStrategy<Value> {
    let amounts = || {
        some_of([
            ("cpu", one_of(&["1", "1000m"])),
            ("memory", one_of(&["64Mi", "1Gi"])),
        ])
    };
    some_of([("requests", amounts()), ("limits", amounts())])
}

/// Fields that matter here, with right and wrong values, and others.
fn any_pod() -> impl Strategy<Value = Value> {
    let number = || (-2..2000_i64).prop_map(Value::from).boxed();
    let context = || {
        some_of([
            ("runAsUser", number()),
            ("fsGroup", number()),
            ("newer", anything().boxed()),
        ])
    };
    let mount = [
        ("name", one_of(&["data", "keystead-token"])),
        ("mountPath", one_of(&["/x", "/keystead"])),
    ];
    let container = some_of([
        ("env", any_env().boxed()),
        ("command", any_command().boxed()),
        ("volumeMounts", several(some_of(mount))),
        ("resources", any_resources()),
        ("securityContext", context()),
        ("restartPolicy", one_of(&["Always"])),
        ("newer", anything().boxed()),
    ]);
    let name = prop::sample::select(vec!["a", "b", "a", "b", "keystead"]);
    let container = (name, container).prop_map(|(name, mut container)| {
        container["name"] = json!(name);
        container
    });
    let spec = some_of([
        ("initContainers", several(container.clone().boxed())),
        ("containers", several(container.boxed())),
        (
            "volumes",
            several(some_of([("name", one_of(&["data", "more", "keystead"]))])),
        ),
        ("securityContext", context()),
        ("resources", any_resources()),
        ("hostNetwork", any::<bool>().prop_map(Value::from).boxed()),
        (
            "nodeSelector",
            some_of([("kubernetes.io/os", one_of(&["linux", "windows"]))]),
        ),
    ]);
    let annotations = prop_oneof![
        Just(json!({})),
        Just(Value::Null),
        Just(json!({"keystead.dev/injected": "x"})),
    ];
    let metadata = some_of([
        ("annotations", annotations.boxed()),
        ("newer", anything().boxed()),
    ]);
    (prop::option::of(metadata), spec).prop_map(|(metadata, spec)| {
        let mut pod = json!({"spec": spec});
        if let Some(metadata) = metadata {
            pod["metadata"] = metadata;
        }
        pod
    })
}

fn any_command() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!([]),
        json!(["run"]),
        json!(["run", "exec", "--"]),
    ])
}

/// Whatever bindings may ask for, in any cluster.
fn any_secrets() -> impl Strategy<Value = PodSecrets> {
    let modes = vec![SidecarMode::Sidecar, SidecarMode::Init, SidecarMode::Exec];
    (prop::sample::select(modes), any::<[bool; 3]>()).prop_map(|(mode, [first, lacks, env])| {
        let mut secrets = secrets();
        secrets.defaults.mode.value = mode;
        secrets.defaults.first.value = first;
        secrets.lacks_env_files = lacks.then(|| "an old node".to_owned());
        if !env {
            secrets.config.env.clear();
        }
        secrets
    })
}

fn any_env() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        prop::collection::vec(
            prop::sample::select(vec!["URL", "A", "B", "KEYSTEAD_READY"]),
            0..3
        )
        .prop_map(|names| names
            .into_iter()
            .map(|name| json!({"name": name, "value": "1"}))
            .collect()),
    ]
}

proptest! {
    #[test]
    fn any_pod_is_served_whole_or_refused(mut pod in any_pod(), secrets in any_secrets()) {
        let served = |pod: &Value| {
            plan(pod, secrets.clone(), &settings()).map(|operations| patched(pod, &operations))
        };
        if let Ok(once) = served(&pod) {
            prop_assert_eq!(&served(&once).unwrap(), &once);
            if once != pod {
                prop_assert!(is_guarded(&once, &secrets), "half-injected: {once}");
            }
            if let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
                // Ours to say.
                annotations.remove(names::INJECTED_ANNOTATION);
            }
            prop_assert!(is_kept(&pod, &once), "something is gone from {pod}: {once}");
        }
    }
}

/// Whether every container that comes after ours waits for it and has what it is to have.
fn is_guarded(pod: &Value, secrets: &PodSecrets) -> bool {
    let list = |field: &str| pod["spec"][field].as_array().cloned().unwrap_or_default();
    let (init, containers) = (list("initContainers"), list("containers"));
    let Some(ours) = init
        .iter()
        .position(|container| container["name"] == names::CONTAINER)
    else {
        return false;
    };
    let (mode, lacks) = (secrets.defaults.mode.value, secrets.lacks_env_files.is_some());
    let once = mode == SidecarMode::Init;
    let exec = mode == SidecarMode::Exec || (lacks && !secrets.config.env.is_empty());
    let on_host = pod["spec"]["hostNetwork"] == json!(true);
    let has_gate = (lacks || on_host) && !once;
    let others = init.iter().skip(ours + 1 + usize::from(has_gate));
    let stands = init[ours].get("restartPolicy").is_none() == once
        && (!has_gate || init[ours + 1]["name"] == names::GATE_CONTAINER)
        && (!secrets.defaults.first.value || ours == 0);
    stands
        && others.chain(&containers).all(|container| {
            let waits = lacks || once || container["env"][0] == guard();
            let mut env = container["env"].as_array().into_iter().flatten();
            let bound = env.any(|variable| variable["valueFrom"]["fileKeyRef"]["path"] == names::ENV_FILE);
            let started = container["command"][0] == "/keystead/.keystead";
            waits && started == exec && bound != (exec || secrets.config.env.is_empty())
        })
}
