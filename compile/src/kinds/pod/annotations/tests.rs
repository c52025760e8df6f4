use super::*;
use crate::World;
use crate::fixtures::{binding, provider, world};
use crate::kinds::pod::{Bound, compile};
use crate::{Key, ProviderFacts};
use keystead_crds::common::SidecarMode;
use keystead_crds::names::{INJECTED_ANNOTATION, PAUSED_ANNOTATION};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn secrets() -> PodSecrets {
    let mut world: World = world([provider("p")], []);
    world.set_namespace("shop", Some(BTreeMap::new()));
    world.set_facts("p", ProviderFacts::default());
    let mut binding = binding("shop", "b", "p", "web", "hubspot");
    binding.spec.containers = vec!["web".to_owned()];
    world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
    match compile(&world, "shop", "web", &BTreeMap::new()).unwrap() {
        Bound::Yes(secrets) => *secrets,
        other => panic!("{other:?}"),
    }
}

fn with(annotations: &[(&str, &str)]) -> Result<PodSecrets, String> {
    secrets().of_pod(&annotations.iter().copied().collect())
}

#[test]
fn each_takes_the_place_of_one_field() {
    let said = with(&[
        ("other.example/containers", "Nonsense"),
        (INJECTED_ANNOTATION, "b"),
        ("keystead.dev/containers", "a, b"),
        ("keystead.dev/mount-path", "/etc/app.d/secrets"),
        ("keystead.dev/refresh-interval", "30s"),
        ("keystead.dev/sidecar-cpu", "20m"),
        ("keystead.dev/sidecar-cpu-limit", "1"),
        ("keystead.dev/sidecar-first", "false"),
        ("keystead.dev/sidecar-memory", "32Mi"),
        ("keystead.dev/sidecar-memory-limit", "64Mi"),
        ("keystead.dev/sidecar-mode", "Init"),
        ("keystead.dev/sidecar-port", "9200"),
    ])
    .unwrap();
    let (held, shape) = (&said.defaults, &said.shape);
    assert_eq!(held.refresh.value, Duration::from_secs(30));
    assert_eq!(said.config.refresh_millis, 30_000);
    assert_eq!((&*held.cpu.value, &*held.memory.value), ("20m", "32Mi"));
    assert_eq!(held.cpu_limit.value.as_deref(), Some("1"));
    assert_eq!(held.memory_limit.value.as_deref(), Some("64Mi"));
    assert_eq!((held.mode.value, held.first.value), (SidecarMode::Init, false));
    assert_eq!(shape.containers.value, ["a", "b"]);
    assert_eq!(shape.mount_path.value, "/etc/app.d/secrets");
    assert_eq!(shape.port.value, Some(9200));
    assert_eq!(shape.port.by, By::Pod);
}

#[test]
fn where_they_say_nothing_the_bindings_count() {
    assert_eq!(with(&[]), Ok(secrets()));
    assert_eq!(
        with(&[("other.example/a", "b"), (INJECTED_ANNOTATION, "b")]),
        Ok(secrets())
    );
    let one = with(&[("keystead.dev/sidecar-cpu", "20m")]).unwrap();
    assert_eq!(one.shape, secrets().shape);
    assert_eq!(one.defaults.memory, secrets().defaults.memory);
}

#[test]
fn a_typo_is_told() {
    let all = POD_ANNOTATIONS.join(", ");
    for (name, hint) in [
        (
            "keystead.dev/refresh-intervall",
            ": did you mean keystead.dev/refresh-interval?",
        ),
        (
            "keystead.dev/sidecar-memroy",
            ": did you mean keystead.dev/sidecar-memory?",
        ),
        (
            "keystead.dev/container",
            ": did you mean keystead.dev/containers?",
        ),
        (
            "keystead.dev/refresh",
            ": did you mean keystead.dev/refresh-interval?",
        ),
        ("keystead.dev/role-of-vault-itself", "."),
        ("keystead.dev/service-account-name", "."),
    ] {
        let wanted = format!("the pod's annotation {name} is none that Keystead knows{hint} Known are {all}");
        assert_eq!(with(&[(name, "x")]), Err(wanted));
    }
    // One of another kind of object's.
    assert!(with(&[(PAUSED_ANNOTATION, "true")]).is_err());
    assert_eq!(
        with(&[("keystead.dev/inject", "true")]).unwrap_err(),
        "keystead.dev/inject is a label, and the pod has it as an annotation: move it to the pod's labels"
    );
}

#[test]
fn what_makes_no_sense_is_told_with_what_would() {
    for (name, text, right) in [
        ("refresh-interval", "0s", "a duration between"),
        ("containers", "web worker", "names of the pod's containers"),
        ("containers", "", "names of the pod's containers"),
        ("mount-path", "etc", "an absolute path"),
        ("mount-path", "/", "an absolute path"),
        ("mount-path", "/a/../b", "an absolute path"),
        ("mount-path", "/a/", "an absolute path"),
        ("sidecar-cpu", "ten", "a quantity above zero"),
        ("sidecar-cpu-limit", "0", "a quantity above zero"),
        ("sidecar-memory-limit", "1Mi", "a quantity of at least 8Mi"),
        ("sidecar-mode", "init", "a mode: Sidecar, Init or Exec"),
        ("sidecar-port", "80", "a port between 1024 and 65535"),
        ("sidecar-port", "metrics", "a port between 1024 and 65535"),
    ] {
        let name = format!("keystead.dev/{name}");
        let wanted = format!("the pod's annotation {name} is {text:?}: expected {right}");
        let told = with(&[(&name, text)]).unwrap_err();
        assert!(told.starts_with(&wanted), "{told}");
    }
}

proptest! {
    /// Whatever a pod says: what it may read, from where and as whom, stays as its bindings have it.
    #[test]
    fn no_annotation_gives_a_pod_more_to_read(
        names in prop::collection::vec(prop_oneof![
            prop::sample::select(POD_ANNOTATIONS.to_vec()).prop_map(str::to_owned),
            "[a-z-]{1,12}".prop_map(|name| format!("{PREFIX}{name}")),
        ], 0..4),
        text in prop_oneof![
            prop::sample::select(vec!["30s", "20m", "64Mi", "web", "/x/y", "true", "Exec", "9200"]).prop_map(str::to_owned),
            any::<String>(),
        ],
    ) {
        let annotations = names.iter().map(|name| (name.as_str(), text.as_str())).collect();
        let before = secrets();
        match secrets().of_pod(&annotations) {
            Ok(mut after) => {
                prop_assert!(names.iter().all(|name| POD_ANNOTATIONS.contains(&name.as_str())));
                after.config.refresh_millis = before.config.refresh_millis;
                prop_assert_eq!(after.config, before.config);
                prop_assert_eq!(after.audience, before.audience);
                prop_assert_eq!(after.bindings, before.bindings);
            }
            Err(why) => prop_assert!(names.iter().any(|name| why.contains(name.as_str())), "{}", why),
        }
    }

    #[test]
    fn a_distance_is_one(one in "[a-c]{0,6}", other in "[a-c]{0,6}", third in "[a-c]{0,6}") {
        let between = |one: &str, other: &str| distance(one.as_bytes(), other.as_bytes());
        prop_assert_eq!(between(&one, &other), between(&other, &one));
        prop_assert_eq!(between(&one, &other) == 0, one == other);
        prop_assert!(between(&one, &third) <= between(&one, &other) + between(&other, &third));
    }
}
