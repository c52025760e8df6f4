//! Where files can be, in containers that have this and that elsewhere. What fails was seen on a real node.

use super::*;

/// What is said of a pod that has its files there, and these mounts of these volumes.
fn said(files: &str, mounts: &Value) -> String {
    let volumes = json!([
        {"name": "data", "emptyDir": {}},
        {"name": "disk", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "conf", "configMap": {"name": "c"}},
        {"name": "key", "secret": {"secretName": "s"}},
        {"name": "all", "projected": {"sources": []}},
        {"name": "self", "downwardAPI": {"items": []}},
    ]);
    let containers = json!([{"name": "web", "volumeMounts": mounts}]);
    let annotations = json!({"keystead.dev/mount-path": files});
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers, "volumes": volumes}});
    injected(&pod).map_or_else(|refusal| refusal.to_string(), |_| String::new())
}

#[test]
fn what_a_container_starts_with_is_not_hidden() {
    assert_eq!(
        said("/usr", &json!([])),
        "the pod's annotation keystead.dev/mount-path is /usr, where a container has what it can't start or work \
         without: have the files in a directory of their own, such as /etc/secrets"
    );
    for path in [
        "/proc",
        "/proc/x",
        "/sys/x",
        "/dev",
        "/dev/null",
        "/dev/shm",
        "/etc",
        "/etc/hosts",
        "/bin",
        "/lib64",
    ] {
        assert!(
            said(path, &json!([])).contains("can't start or work without"),
            "{path}"
        );
    }
    for path in [
        "/dev/shm/x",
        "/etc/secrets",
        "/usr/share/app",
        "/usr/local",
        "/processes",
        "/var",
        "/binary",
    ] {
        assert_eq!(said(path, &json!([])), "");
    }
    let mut secrets = secrets();
    secrets.shape.mount_path.value = "/usr".to_owned();
    let pod = json!({"spec": {"containers": [{"name": "web"}]}});
    let refusal = plan(&pod, secrets, &settings()).unwrap_err().to_string();
    assert!(
        refusal.starts_with("mountPath of SecretBinding web, more is /usr, where"),
        "{refusal}"
    );
}

#[test]
fn a_directory_can_be_made_for_them() {
    let mount = |name: &str, path: &str, read_only: bool| json!({"name": name, "mountPath": path, "readOnly": read_only});
    let part = |name: &str| json!({"name": name, "mountPath": "/app", "readOnly": true, "subPath": "p"});
    for closed in [
        json!([mount("data", "/app", true)]),
        json!([mount("disk", "/app", true)]),
        json!([mount("gone", "/app", true)]),
        json!([part("conf")]),
        json!([mount("data", "/", false), mount("data", "/app", true)]),
    ] {
        assert_eq!(
            said("/app/more/secrets", &closed),
            "container web mounts something read-only at /app, and its secrets would be below it in \
             /app/more/secrets, where no directory can be made for them: take readOnly off that mount, or have them \
             elsewhere by the annotation keystead.dev/mount-path",
            "{closed}"
        );
    }
    for open in [
        json!([mount("data", "/app", false)]),
        json!([mount("conf", "/app", true)]),
        json!([mount("key", "/app", true)]),
        json!([mount("all", "/app", true)]),
        json!([mount("self", "/app", true)]),
        json!([mount("data", "/application", true)]),
        json!([mount("data", "/app", true), mount("data", "/app/more", false)]),
    ] {
        assert_eq!(said("/app/more/secrets", &open), "", "{open}");
    }
}
