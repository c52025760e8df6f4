use super::*;
use crate::fixtures::{binding, provider, world};
use serde_json::{Value, json};

/// What holds in a namespace with these annotations, by these parts of the provider and the binding.
fn held(defaults: Value, annotations: &[(&str, &str)], spec: &Value) -> Result<Effective, Problem> {
    let (mut provider, binding) = (provider("p"), bound(spec));
    provider.spec.defaults = of_json(defaults);
    let mut world = world([], []);
    let annotations = annotations.iter();
    let annotations = annotations.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    world.set_annotations("shop", annotations.collect());
    effective(&world, &provider, &Key::of(&binding), &binding)
}

/// A binding with these fields.
fn bound(spec: &Value) -> SecretBinding {
    let mut binding = binding("shop", "b", "p", "web", "hubspot");
    let mut whole = serde_json::to_value(&binding.spec).unwrap();
    whole
        .as_object_mut()
        .unwrap()
        .append(&mut spec.as_object().unwrap().clone());
    binding.spec = of_json(whole);
    binding
}

fn of_json<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn says(defaults: Value, annotations: &[(&str, &str)], spec: &Value) -> String {
    let Effective {
        refresh, cpu, memory, ..
    } = held(defaults, annotations, spec).unwrap();
    let by = |by: &By| match by {
        By::Binding(name) => format!("binding {name}"),
        By::Pod => "pod".into(),
        By::Namespace => "namespace".into(),
        By::Provider => "provider".into(),
        By::BuiltIn => "built in".into(),
    };
    let said = [
        (format!("{}", refresh.value.as_secs()), refresh.by),
        (cpu.value, cpu.by),
        (memory.value, memory.by),
    ];
    said.map(|(value, said)| format!("{value} {}", by(&said)))
        .join(", ")
}

#[test]
fn the_binding_wins_then_the_namespace_then_the_provider() {
    let provider = || json!({"refreshInterval": "10m", "sidecar": {"cpu": "20m", "memory": "32Mi"}});
    let namespace = [
        (REFRESH_ANNOTATION, "5m"),
        (SIDECAR_CPU_ANNOTATION, "30m"),
        ("other.example/refresh-interval", "nonsense"),
    ];
    let binding = || json!({"refreshInterval": "30s", "sidecar": {"resources": {"memory": "64Mi"}}});
    let none = || json!({});
    for (provider, namespace, binding, wanted) in [
        (
            none(),
            &[][..],
            none(),
            "60 built in, 10m built in, 16Mi built in",
        ),
        (
            provider(),
            &[],
            none(),
            "600 provider, 20m provider, 32Mi provider",
        ),
        (
            provider(),
            &namespace,
            none(),
            "300 namespace, 30m namespace, 32Mi provider",
        ),
        (
            provider(),
            &namespace,
            binding(),
            "30 binding b, 30m namespace, 64Mi binding b",
        ),
        (
            none(),
            &[],
            binding(),
            "30 binding b, 10m built in, 64Mi binding b",
        ),
    ] {
        assert_eq!(says(provider, namespace, &binding), wanted);
    }
}

#[test]
fn an_annotation_that_makes_no_sense_is_said() {
    for (name, text) in [
        (REFRESH_ANNOTATION, "soon"),
        (REFRESH_ANNOTATION, "0s"),
        (REFRESH_ANNOTATION, "-5m"),
        (REFRESH_ANNOTATION, "25h"),
        (SIDECAR_CPU_ANNOTATION, "0"),
        (SIDECAR_CPU_ANNOTATION, "ten"),
        (SIDECAR_MEMORY_ANNOTATION, "4Mi"),
        (SIDECAR_MEMORY_ANNOTATION, ""),
        (SIDECAR_MODE_ANNOTATION, "sidecar"),
        (SIDECAR_FIRST_ANNOTATION, "no"),
    ] {
        let problem = held(json!({}), &[(name, text)], &json!({"refreshInterval": "30s"})).unwrap_err();
        assert_eq!(problem.reason, Reason::Invalid);
        let wanted = format!("namespace shop: its annotation {name} is {text:?}: expected a ");
        assert!(problem.message.starts_with(&wanted), "{problem}");
    }
}

#[test]
fn a_pod_of_several_looks_as_often_and_asks_as_much_as_any() {
    fn by<T>(name: &str, value: T) -> Said<T> {
        let by = By::Binding(name.into());
        Said { value, by }
    }
    let effective = |name, seconds, cpu: &str, memory: &str, mode, first| Effective {
        refresh: by(name, Duration::from_secs(seconds)),
        cpu: by(name, cpu.into()),
        memory: by(name, memory.into()),
        cpu_limit: by("", None),
        memory_limit: by(name, (name == "b").then(|| "1Gi".to_owned())),
        files_size: by(name, (name == "b").then(|| "64Mi".to_owned())),
        mode: by(name, mode),
        first: by(name, first),
    };
    let (one, other) = (
        effective("a", 30, "0.2", "16Mi", SidecarMode::Init, true),
        effective("b", 60, "100m", "1Gi", SidecarMode::Sidecar, false),
    );
    let wanted = Effective {
        memory: other.memory.clone(),
        memory_limit: other.memory_limit.clone(),
        files_size: other.files_size.clone(),
        mode: other.mode.clone(),
        first: other.first.clone(),
        ..one.clone()
    };
    assert_eq!(one.clone().and(other.clone()), wanted);
    assert_eq!(other.and(one), wanted);
}

#[test]
fn the_mode_and_the_place_are_said_alike() {
    let said = |defaults, annotations: &[(&str, &str)], spec| {
        let held = held(defaults, annotations, &spec).unwrap();
        (held.mode.value, held.first.value)
    };
    let provider = || json!({"sidecar": {"mode": "Init", "first": false, "cpu": "20m"}});
    let namespace = [
        (SIDECAR_MODE_ANNOTATION, "Exec"),
        (SIDECAR_FIRST_ANNOTATION, "true"),
    ];
    let binding = || json!({"sidecar": {"mode": "Sidecar", "first": false}});
    assert_eq!(said(json!({}), &[], json!({})), (SidecarMode::Sidecar, true));
    assert_eq!(said(provider(), &[], json!({})), (SidecarMode::Init, false));
    assert_eq!(said(provider(), &namespace, json!({})), (SidecarMode::Exec, true));
    assert_eq!(
        said(provider(), &namespace, binding()),
        (SidecarMode::Sidecar, false)
    );
}

#[test]
fn the_size_of_the_files_fits_into_the_limit() {
    let held = |defaults, spec| held(defaults, &[], &spec);
    let size = |defaults, spec| held(defaults, spec).unwrap().files_size.value;
    let sized = |size: &str| json!({"sidecar": {"filesSize": size}});
    assert_eq!(size(json!({}), json!({})), None);
    assert_eq!(size(sized("16Mi"), json!({})).as_deref(), Some("16Mi"));
    assert_eq!(size(sized("16Mi"), sized("64Mi")).as_deref(), Some("64Mi"));
    let limited = json!({"sidecar": {"limits": {"memory": "16Mi"}}});
    let problem = held(limited.clone(), sized("16Mi")).unwrap_err();
    assert_eq!(problem.reason, Reason::Invalid);
    assert!(
        problem
            .message
            .starts_with("sidecar.filesSize is 16Mi, which does not fit"),
        "{problem}"
    );
    assert!(held(limited.clone(), sized("8Mi")).is_ok());
    // A limit below what is asked for is raised to that.
    let asks = json!({"sidecar": {"filesSize": "16Mi", "resources": {"memory": "64Mi"}}});
    assert!(held(limited, asks).is_ok());
    let exec =
        json!({"sidecar": {"mode": "Exec", "resources": {"memory": "8Mi", "limits": {"memory": "8Mi"}}}});
    let problem = held(json!({}), exec).unwrap_err();
    assert!(
        problem.message.contains("or the pod's own) be at least 14Mi"),
        "{problem}"
    );
}

#[test]
fn of_two_modes_the_one_that_does_more_counts() {
    let with = |spec: Value| held(json!({}), &[], &spec).unwrap();
    let (init, exec) = (
        with(json!({"sidecar": {"mode": "Init", "first": false}})),
        with(json!({"sidecar": {"mode": "Exec"}})),
    );
    let (plain, both) = (with(json!({})), (SidecarMode::Exec, false));
    for held in [init.clone().and(exec.clone()), exec.and(init.clone())] {
        assert_eq!((held.mode.value, held.first.value), both);
    }
    assert_eq!(plain.and(init).mode.value, SidecarMode::Sidecar);
}
