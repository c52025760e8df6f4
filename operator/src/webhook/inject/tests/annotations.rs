//! A pod that says itself how it wants its secrets.

use super::*;

/// The pod with these annotations under our prefix, through the webhook, twice.
fn with(annotations: &[(&str, &str)], spec: &Value) -> Result<Value, Refusal> {
    let annotations = annotations
        .iter()
        .map(|(name, text)| (format!("keystead.dev/{name}"), json!(text)));
    let annotations: serde_json::Map<String, Value> = annotations.collect();
    let pod = json!({"metadata": {"annotations": annotations}, "spec": spec});
    let once = injected(&pod)?;
    assert_eq!(injected(&once).as_ref(), Ok(&once), "twice");
    Ok(once)
}

fn two() -> Value {
    json!({
        "initContainers": [{"name": "mesh", "restartPolicy": "Always"}, {"name": "migrate"}],
        "containers": [{"name": "web", "command": ["web"]}, {"name": "log", "command": ["log"]}],
    })
}

#[test]
fn only_the_containers_it_names_are_served() {
    let pod = with(&[("containers", "web, migrate")], &two()).unwrap();
    let spec = &pod["spec"];
    for served in [&spec["containers"][0], &spec["initContainers"][2]] {
        assert_eq!(served["env"][0], guard());
        assert_eq!(served["volumeMounts"][0]["mountPath"], "/keystead");
    }
    for other in [&spec["containers"][1], &spec["initContainers"][1]] {
        assert_eq!((other.get("env"), other.get("volumeMounts")), (None, None));
    }
}

#[test]
fn a_container_it_names_must_be_there_in_time() {
    let said = with(&[("containers", "web,wbe")], &two())
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "container wbe, which the annotation keystead.dev/containers names, is none of this pod's: those that can \
         have secrets are web, log, mesh, migrate"
    );
    let said = with(&[("containers", "mesh"), ("sidecar-first", "false")], &two()).unwrap_err();
    assert!(
        said.to_string().contains("starts before Keystead's sidecar here"),
        "{said}"
    );
}

#[test]
fn one_of_those_a_binding_names_is_enough() {
    let named = |names: [&str; 2]| {
        let mut secrets = secrets();
        secrets.shape.containers.value = names.map(str::to_owned).to_vec();
        secrets.shape.containers.by = By::Binding("web".to_owned());
        plan(&json!({"spec": two()}), secrets, &settings())
    };
    assert!(named(["log", "of-another-pod"]).is_ok());
    let said = named(["of-another-pod", "more"]).unwrap_err().to_string();
    assert!(
        said.contains("container of-another-pod, which SecretBinding web, more names, is none"),
        "{said}"
    );
}

#[test]
fn its_files_are_where_it_wants_them() {
    let pod = with(
        &[
            ("mount-path", "/etc/app"),
            ("sidecar-mode", "Exec"),
            ("containers", "web"),
        ],
        &two(),
    )
    .unwrap();
    let web = &pod["spec"]["containers"][0];
    assert_eq!(web["volumeMounts"][0]["mountPath"], "/etc/app");
    assert_eq!(web["command"], json!(["/etc/app/.keystead", "exec", "--", "web"]));
    let moved = json!({"name": "KEYSTEAD_FILES_DIR", "value": "/etc/app"});
    assert_eq!(web["env"], json!([guard(), moved]));
    let ours = &pod["spec"]["initContainers"][0];
    assert_eq!(ours["volumeMounts"][0]["mountPath"], "/keystead");
}

#[test]
fn nothing_is_mounted_where_its_files_are() {
    let web = |path: &str| json!({"containers": [{"name": "web", "volumeMounts": [{"name": "x", "mountPath": path}]}]});
    for path in ["/etc/app", "/etc/app/", "/etc/app/more", "etc/app", "//etc/./app"] {
        let said = with(&[("mount-path", "/etc/app")], &web(path))
            .unwrap_err()
            .to_string();
        assert!(
            said.contains(&format!(
                "container web mounts something at {path}, and /etc/app is"
            )),
            "{said}"
        );
    }
    let disk =
        json!({"containers": [{"name": "web", "volumeDevices": [{"name": "x", "devicePath": "/keystead"}]}]});
    assert!(with(&[], &disk).is_err(), "a device is as much in its way");
    for path in ["/etc", "/etc/apple", "/keystead"] {
        assert!(with(&[("mount-path", "/etc/app")], &web(path)).is_ok(), "{path}");
    }
}

#[test]
fn its_sidecar_listens_where_it_says() {
    let listens = |port: u16, host: bool| json!({"hostNetwork": host, "containers": [{"name": "web", "ports": [{"containerPort": port}]}]});
    for host in [false, true] {
        let pod = with(&[("sidecar-port", "9200")], &listens(9102, host)).unwrap();
        let ours = &pod["spec"]["initContainers"][0];
        assert_eq!(ours["readinessProbe"]["httpGet"]["port"], 9200);
        assert_eq!(ours["ports"][0]["containerPort"], 9200);
        let port = json!({"name": "KEYSTEAD_PORT", "value": "9200"});
        assert_eq!(ours["env"].as_array().unwrap().last(), Some(&port));
        let said = with(&[("sidecar-port", "9200")], &listens(9200, host)).unwrap_err();
        assert!(said.to_string().contains("declares port 9200"), "{said}");
    }
}

#[test]
fn a_typo_is_refused() {
    let said = with(&[("refresh-intervall", "30s")], &two())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("did you mean keystead.dev/refresh-interval?"),
        "{said}"
    );
    let said = with(&[("sidecar-mode", "Once")], &two()).unwrap_err().to_string();
    assert!(
        said.contains("keystead.dev/sidecar-mode is \"Once\": expected a mode"),
        "{said}"
    );
}
