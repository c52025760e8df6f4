//! The modes of a sidecar, and what holds containers back, in clusters that can do more and less.

use super::*;

/// What a pod's bindings ask for, in a cluster that can hand over variables.
fn asked(mode: SidecarMode) -> PodSecrets {
    let mut secrets = secrets();
    secrets.defaults.mode.value = mode;
    secrets
}

/// The same in one that can't.
fn old(mode: SidecarMode) -> PodSecrets {
    let lacks = "node n1 runs Kubernetes v1.34.1, and fileKeyRef needs 1.35";
    PodSecrets {
        lacks_env_files: Some(lacks.to_owned()),
        ..asked(mode)
    }
}

fn with(pod: &Value, secrets: PodSecrets) -> Result<Value, Refusal> {
    let once = plan(pod, secrets.clone(), &settings()).map(|operations| patched(pod, &operations))?;
    assert_eq!(plan(&once, secrets, &settings()), Ok(vec![]), "twice");
    Ok(once)
}

fn commanded() -> Value {
    json!({"spec": {
        "initContainers": [{"name": "migrate", "command": ["migrate"]}],
        "containers": [{"name": "web", "command": ["web", "$(A)"], "args": ["-v"], "env": [{"name": "A", "value": "1"}]}],
    }})
}

fn names_of(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn an_init_container_leaves_nothing_behind() {
    let pod = with(&commanded(), asked(SidecarMode::Init)).unwrap();
    let spec = &pod["spec"];
    let ours = &spec["initContainers"][0];
    assert_eq!(names_of(&spec["initContainers"]), ["keystead", "migrate"]);
    for field in ["restartPolicy", "lifecycle", "readinessProbe"] {
        assert_eq!(ours.get(field), None, "{field}");
    }
    assert!(config(&pod).once && !config(&pod).exec);
    assert_eq!(names_of(&ours["env"]), ["KEYSTEAD_CONFIG", "KEYSTEAD_NODE"]);
    let web = &spec["containers"][0];
    assert_eq!(web["command"], json!(["web", "$(A)"]));
    assert_eq!(
        names_of(&web["env"]),
        ["HUBSPOT_API_KEY", "A"],
        "it needs no gate"
    );
}

#[test]
fn it_takes_no_port() {
    let pod = json!({"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 9102}]}]}});
    assert!(with(&pod, asked(SidecarMode::Init)).is_ok());
    assert!(with(&pod, asked(SidecarMode::Sidecar)).is_err());
}

#[test]
fn commands_are_started_with_their_variables() {
    let pod = with(&commanded(), asked(SidecarMode::Exec)).unwrap();
    let spec = &pod["spec"];
    assert!(config(&pod).exec && !config(&pod).once);
    assert_eq!(spec["initContainers"][0]["restartPolicy"], "Always");
    let start = ["/keystead/.keystead", "exec", "--"];
    let web = &spec["containers"][0];
    assert_eq!(
        web["command"],
        json!([start.as_slice(), &["web", "$(A)"]].concat())
    );
    assert_eq!(web["args"], json!(["-v"]));
    assert_eq!(
        names_of(&web["env"]),
        ["KEYSTEAD_READY", "A"],
        "the kubelet still holds it back"
    );
    let migrate = &spec["initContainers"][1];
    assert_eq!(
        migrate["command"],
        json!([start.as_slice(), &["migrate"]].concat())
    );

    let mut secrets = asked(SidecarMode::Exec);
    secrets.restart = true;
    let pod = with(&commanded(), secrets).unwrap();
    let command = &pod["spec"]["initContainers"][1]["command"];
    assert_eq!(
        command,
        &json!(["/keystead/.keystead", "exec", "--restart", "--", "migrate"])
    );
}

#[test]
fn an_old_cluster_has_a_gate_of_its_own() {
    let mut secrets = old(SidecarMode::Sidecar);
    secrets.config.env.clear();
    let pod = with(&commanded(), secrets).unwrap();
    let spec = &pod["spec"];
    assert_eq!(
        names_of(&spec["initContainers"]),
        ["keystead", "keystead-gate", "migrate"]
    );
    assert!(!pod.to_string().contains("fileKeyRef"), "{pod}");
    let [ours, gate] = [0, 1].map(|index| &spec["initContainers"][index]);
    assert_eq!(ours.get("lifecycle"), None, "it would only be slower");
    assert_eq!(gate["args"], json!(["gate"]));
    assert_eq!(gate.get("restartPolicy"), None);
    for field in ["image", "imagePullPolicy", "securityContext", "resources"] {
        assert_eq!(gate[field], ours[field], "{field}");
    }
    assert_eq!(
        names_of(&gate["volumeMounts"]),
        ["keystead-private", "keystead-token"]
    );
    assert_eq!(
        spec["containers"][0]["command"],
        json!(["web", "$(A)"]),
        "there is no variable"
    );
}

#[test]
fn an_old_cluster_starts_commands_where_there_are_variables() {
    for mode in [SidecarMode::Sidecar, SidecarMode::Exec, SidecarMode::Init] {
        let pod = with(&commanded(), old(mode)).unwrap();
        let spec = &pod["spec"];
        assert!(!pod.to_string().contains("fileKeyRef"), "{pod}");
        assert_eq!(spec["containers"][0]["command"][1], "exec", "{mode:?}");
        assert_eq!(config(&pod).once, mode == SidecarMode::Init);
        let gate = names_of(&spec["initContainers"]).contains(&"keystead-gate");
        assert_eq!(
            gate,
            mode != SidecarMode::Init,
            "an init container is a gate itself"
        );
    }
}

#[test]
fn a_command_that_is_not_known_is_asked_for() {
    let pod = json!({"spec": {"containers": [{"name": "web", "args": ["-v"], "command": []}]}});
    let refused = |secrets| with(&pod, secrets).unwrap_err().to_string();
    assert_eq!(
        refused(asked(SidecarMode::Exec)),
        "container web has no command of its own, and sidecar.mode Exec starts that with the variables: set the \
         container's command to what its image starts, or choose another mode (SecretBinding web, more)"
    );
    assert_eq!(
        refused(old(SidecarMode::Sidecar)),
        "container web can't be given its variables: node n1 runs Kubernetes v1.34.1, and fileKeyRef needs 1.35, so \
         Keystead would have to start its command, and it has none of its own: set the container's command to what \
         its image starts, or mount files instead of variables (SecretBinding web, more)"
    );
    let mut without = old(SidecarMode::Sidecar);
    without.config.env.clear();
    assert!(with(&pod, without).is_ok());
}

#[test]
fn a_mesh_may_come_first() {
    let mesh = json!({"name": "mesh", "restartPolicy": "Always"});
    let pod = json!({"spec": {
        "initContainers": [{"name": "rules"}, mesh, {"name": "migrate", "command": ["m"]}],
        "containers": [{"name": "web", "command": ["w"]}],
    }});
    for secrets in [
        asked(SidecarMode::Sidecar),
        asked(SidecarMode::Init),
        old(SidecarMode::Sidecar),
    ] {
        let mut secrets = secrets;
        secrets.defaults.first.value = false;
        let after = with(&pod, secrets.clone()).unwrap();
        let init = &after["spec"]["initContainers"];
        let own: Vec<&str> = names_of(init)
            .into_iter()
            .filter(|name| *name != "keystead-gate")
            .collect();
        assert_eq!(own, ["rules", "mesh", "keystead", "migrate"]);
        for before in [0, 1] {
            assert_eq!(
                init[before], pod["spec"]["initContainers"][before],
                "it would wait for ever"
            );
        }
        let alone = json!({"spec": {"containers": [{"name": "web", "command": ["w"]}]}});
        let alone = with(&alone, secrets).unwrap();
        assert_eq!(alone["spec"]["initContainers"][0]["name"], "keystead");
    }
    let first = with(&pod, asked(SidecarMode::Sidecar)).unwrap();
    assert_eq!(
        names_of(&first["spec"]["initContainers"]),
        ["keystead", "rules", "mesh", "migrate"]
    );
}
