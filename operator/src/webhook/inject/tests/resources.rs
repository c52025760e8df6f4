//! What ours ask for, in pods that ask for all kinds of things.

use super::*;

/// What the sidecar asks for in a pod of such containers, where its bindings say this.
fn asked(containers: &Value, say: impl FnOnce(&mut Effective)) -> Value {
    of(&json!({"spec": {"containers": containers}}), say)
}

fn of(pod: &Value, say: impl FnOnce(&mut Effective)) -> Value {
    let mut secrets = secrets();
    say(&mut secrets.defaults);
    let operations = plan(pod, secrets, &settings()).unwrap();
    patched(pod, &operations)["spec"]["initContainers"][0]["resources"].clone()
}

fn nothing(_: &mut Effective) {}

fn container(resources: &Value) -> Value {
    json!({"name": "c", "resources": resources})
}

fn requests(cpu: &str, memory: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}})
}

fn alike(cpu: &str, memory: &str) -> Value {
    let both = json!({"cpu": cpu, "memory": memory});
    json!({"requests": both, "limits": both})
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    let limits = json!({"cpu": "1", "memory": "1Gi"});
    let exact = json!({"limits": limits, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
    for containers in [
        json!([container(&exact)]),
        json!([container(&json!({"limits": limits}))]),
        json!([
            container(&exact),
            container(&json!({"limits": limits, "requests": {"cpu": "1.0"}}))
        ]),
    ] {
        assert_eq!(asked(&containers, nothing), alike("50m", "64Mi"));
    }
    // What is asked for is more, or is a limit.
    let more = |held: &mut Effective| {
        held.memory.value = "128Mi".to_owned();
        held.cpu_limit.value = Some("200m".to_owned());
    };
    assert_eq!(asked(&json!([container(&exact)]), more), alike("200m", "128Mi"));
}

#[test]
fn another_has_a_limit_where_all_its_containers_have_one() {
    let limits =
        |limits: Value| container(&json!({"limits": limits, "requests": {"cpu": "1m", "memory": "1Mi"}}));
    let all = json!({"cpu": "1", "memory": "1Gi"});
    let base = requests("10m", "16Mi");
    for (containers, limited) in [
        (
            json!([limits(all.clone())]),
            json!({"cpu": "50m", "memory": "64Mi"}),
        ),
        (
            json!([limits(all.clone()), limits(json!({"memory": "1Gi"}))]),
            json!({"memory": "64Mi"}),
        ),
        (
            json!([limits(all.clone()), limits(json!({"cpu": "0", "memory": "1Gi"}))]),
            json!({"memory": "64Mi"}),
        ),
        (json!([limits(all), {"name": "d"}]), Value::Null),
        (json!([{"name": "d"}]), Value::Null),
        (json!([limits(json!({"cpu": "1"}))]), json!({"cpu": "50m"})),
    ] {
        let mut wanted = base.clone();
        if !limited.is_null() {
            wanted["limits"] = limited;
        }
        assert_eq!(asked(&containers, nothing), wanted, "{containers}");
    }
}

#[test]
fn what_its_bindings_ask_for_reaches_the_sidecar() {
    let ask = |held: &mut Effective| {
        held.cpu.value = "20m".to_owned();
        held.memory.value = "128Mi".to_owned();
        held.memory_limit.value = Some("64Mi".to_owned());
    };
    let wanted = json!({"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}});
    assert_eq!(
        asked(&json!([{"name": "c"}]), ask),
        wanted,
        "a limit below what is asked for would be none"
    );
}

#[test]
fn a_pods_own_resources_are_left_to_it() {
    let pod = |own: Value| json!({"spec": {"resources": own, "containers": [{"name": "c"}]}});
    for (own, wanted) in [
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), Value::Null),
        (
            json!({"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}}),
            Value::Null,
        ),
        (
            json!({"limits": {"cpu": "1"}}),
            json!({"requests": {"memory": "16Mi"}}),
        ),
        (
            json!({"requests": {"memory": "1Gi"}}),
            json!({"requests": {"cpu": "10m"}}),
        ),
        (json!({"claims": []}), requests("10m", "16Mi")),
        (json!({}), requests("10m", "16Mi")),
    ] {
        assert_eq!(of(&pod(own.clone()), nothing), wanted, "{own}");
    }
}

#[test]
fn a_guaranteed_pod_that_can_not_stay_so_is_refused() {
    let exact = json!({"cpu": "1", "memory": "1Gi"});
    let pod = |own: Value, limits: &Value| json!({"spec": {"resources": own, "containers": [container(&json!({"limits": limits}))]}});
    let told = |pod: &Value| plan(pod, secrets(), &settings()).map_err(|why| why.to_string());
    let open = pod(
        json!({"requests": {"memory": "1Gi"}, "limits": {"cpu": "1"}}),
        &exact,
    );
    let said = told(&open).unwrap_err();
    assert!(said.ends_with("set spec.resources.limits.memory too"), "{said}");
    assert!(told(&pod(json!({"requests": exact, "limits": exact}), &exact)).is_ok());
    assert!(told(&pod(json!({"requests": exact}), &json!({"cpu": "1"}))).is_ok());
}

/// An autoscaler that compares use with requests measures no pod in which a container has none.
#[test]
fn there_are_requests_in_every_mode() {
    let pod = json!({"spec": {"containers": [{"name": "c", "command": ["c"], "resources": {"requests": {"cpu": "1"}}}]}});
    for mode in [SidecarMode::Sidecar, SidecarMode::Init, SidecarMode::Exec] {
        for lacks in [None, Some("an old node".to_owned())] {
            let mut secrets = secrets();
            secrets.defaults.mode.value = mode;
            secrets.lacks_env_files = lacks;
            let operations = plan(&pod, secrets, &settings()).unwrap();
            let pod = patched(&pod, &operations);
            for ours in pod["spec"]["initContainers"].as_array().unwrap() {
                assert_eq!(ours["resources"], requests("10m", "16Mi"));
            }
        }
    }
}

#[test]
fn its_image_is_pulled_with_its_own_secrets_too() {
    let names = |pod: Value| {
        let mut settings = settings();
        settings.image_pull_secrets = vec!["ours".to_owned(), "shared".to_owned()];
        let operations = plan(&pod, secrets(), &settings).unwrap();
        patched(&pod, &operations)["spec"]["imagePullSecrets"].clone()
    };
    let pod = |own: Value| json!({"spec": {"imagePullSecrets": own, "containers": [{"name": "c"}]}});
    let both = json!([{"name": "ours"}, {"name": "shared"}]);
    assert_eq!(names(json!({"spec": {"containers": []}})), both);
    assert_eq!(names(pod(Value::Null)), both);
    assert_eq!(
        names(pod(json!([{"name": "shared"}, {"name": "own"}]))),
        json!([{"name": "shared"}, {"name": "own"}, {"name": "ours"}])
    );
    assert_eq!(names(pod(both.clone())), both);
    let none = patched(
        &pod(Value::Null),
        &plan(&pod(Value::Null), secrets(), &settings()).unwrap(),
    );
    assert_eq!(none["spec"]["imagePullSecrets"], Value::Null);
}

/// The sizes of the volumes of files and variables, and the sidecar's memory limit.
fn sized(pod: &Value, say: impl FnOnce(&mut Effective)) -> Result<[String; 3], String> {
    let mut secrets = secrets();
    say(&mut secrets.defaults);
    let operations = plan(pod, secrets, &settings()).map_err(|refusal| refusal.to_string())?;
    let spec = &patched(pod, &operations)["spec"];
    let size = |index: usize| &spec["volumes"][index]["emptyDir"]["sizeLimit"];
    let limit = &spec["initContainers"][0]["resources"]["limits"]["memory"];
    Ok([size(0), size(1), limit].map(|value| value.as_str().unwrap_or("none").to_owned()))
}

#[test]
fn the_volumes_fit_into_a_limit() {
    let free = json!({"spec": {"containers": [{"name": "c", "command": ["c"]}]}});
    let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let guaranteed = json!({"spec": {"containers": [{"name": "c", "resources": limits}]}});
    let limit = |text: &'static str| {
        move |held: &mut Effective| {
            held.memory.value = "8Mi".to_owned();
            held.memory_limit.value = Some(text.to_owned());
        }
    };
    let size = |held: &mut Effective| held.files_size.value = Some("256Mi".to_owned());
    let sizes = |sizes: [&str; 3]| Ok(sizes.map(str::to_owned));
    assert_eq!(sized(&free, nothing), sizes(["32Mi", "8Mi", "none"]));
    assert_eq!(sized(&free, size), sizes(["256Mi", "8Mi", "none"]));
    assert_eq!(sized(&free, limit("8Mi")), sizes(["819Ki", "204Ki", "8Mi"]));
    assert_eq!(sized(&guaranteed, nothing), sizes(["32Mi", "8Mi", "64Mi"]));
    assert_eq!(
        sized(&guaranteed, size),
        sizes(["256Mi", "8Mi", "271Mi"]),
        "one that nobody said is large enough"
    );
    let pods_own = json!({"limits": {"memory": "16Mi", "cpu": "1"}});
    let bounded = json!({"spec": {"resources": pods_own, "containers": [{"name": "c"}]}});
    assert_eq!(sized(&bounded, nothing), sizes(["7372Ki", "1843Ki", "none"]));
    let said = sized(&free, |held| {
        limit("64Mi")(held);
        size(held);
    });
    assert!(said.is_err_and(|why| why.starts_with("sidecar.filesSize is 256Mi, which does not fit")));
    let said = sized(&free, |held| {
        limit("8Mi")(held);
        held.mode.value = SidecarMode::Exec;
    });
    assert!(said.is_err_and(|why| why.contains("program starts the containers' commands")));
}
