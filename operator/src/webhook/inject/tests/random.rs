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

/// Fields that matter here, with right and wrong values, and others.
fn any_pod() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        any::<bool>().prop_map(Value::from),
        (-2..2000_i64).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "c",
            "web",
            "keystead",
            "keystead-token",
            "windows",
            "1",
            "1000m",
            "64Mi",
            "/keystead",
            "/x",
            "HUBSPOT_API_KEY",
            "URL",
            "Always"
        ])
        .prop_map(Value::from),
    ];
    let keys = vec![
        "name",
        "env",
        "volumeMounts",
        "mountPath",
        "securityContext",
        "runAsUser",
        "fsGroup",
        "resources",
        "limits",
        "requests",
        "cpu",
        "memory",
        "restartPolicy",
        "value",
        "newer",
    ];
    let fields = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(keys.clone()), inner, 0..5)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    });
    let container = prop_oneof![
        4 => (prop::sample::select(vec!["a", "b", "keystead"]), any_env(), any_command(), fields.clone()).prop_map(|(name, env, command, rest)| {
            let mut container = if rest.is_object() { rest } else { json!({}) };
            container["name"] = json!(name);
            if !env.is_null() { container["env"] = env; }
            if !command.is_null() { container["command"] = command; }
            container
        }),
        1 => fields.clone(),
    ];
    let containers = prop_oneof![
        8 => prop::collection::vec(container, 0..4).prop_map(Value::from),
        1 => fields.clone(),
    ];
    let annotations = prop_oneof![
        Just(json!({})),
        Just(Value::Null),
        Just(json!({"keystead.dev/injected": "x"})),
        fields.clone()
    ];
    let optional = |value: BoxedStrategy<Value>| prop::option::of(value);
    (
        optional(annotations.boxed()),
        optional(containers.clone().boxed()),
        optional(containers.boxed()),
        optional(fields.clone().boxed()),
        optional(fields.clone().boxed()),
        optional(fields.boxed()),
    )
        .prop_map(|(annotations, init, containers, volumes, context, extra)| {
            let mut pod = json!({"spec": {}});
            if let Some(annotations) = annotations {
                pod["metadata"] = json!({"annotations": annotations});
            }
            let parts = [
                ("initContainers", init),
                ("containers", containers),
                ("volumes", volumes),
                ("securityContext", context),
                ("hostNetwork", extra),
            ];
            for (key, value) in parts {
                if let Some(value) = value {
                    pod["spec"][key] = value;
                }
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
    let has_gate = lacks && !once;
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
