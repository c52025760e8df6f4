//! Who can be told of changed files, and who can't.

use super::*;
use keystead_crds::binding::{FileFormat, Signal};
use keystead_crds::sidecar::{FileConfig, OnChange};

/// What becomes of a pod whose file is told about so: the file in its sidecar's config, or why not.
fn told(spec: &Value, on_change: OnChange) -> Result<Option<OnChange>, String> {
    let mut secrets = secrets();
    secrets.config.files = vec![file(on_change)];
    let pod = json!({"metadata": {"name": "web"}, "spec": spec});
    let operations = plan(&pod, secrets, &settings()).map_err(|refusal| refusal.to_string())?;
    Ok(config(&patched(&pod, &operations)).files.remove(0).on_change)
}

fn file(on_change: OnChange) -> FileConfig {
    FileConfig {
        path: "app.conf".to_owned(),
        format: FileFormat::Dotenv,
        secret: Some("hubspot".to_owned()),
        template: None,
        key: None,
        mode: None,
        on_change: Some(on_change),
    }
}

fn signal(container: Option<&str>) -> OnChange {
    OnChange::Signal {
        name: Signal::Hup,
        container: container.map(str::to_owned),
    }
}

fn container(name: &str, user: Option<i64>) -> Value {
    let mut container = json!({"name": name, "image": "web:1"});
    if let Some(user) = user {
        container["securityContext"] = json!({"runAsUser": user});
    }
    container
}

fn spec(containers: &[Value], init: &[Value]) -> Value {
    json!({"shareProcessNamespace": true, "containers": containers, "initContainers": init})
}

#[test]
fn an_init_container_can_tell_nobody() {
    let mut secrets = secrets();
    secrets.defaults.mode.value = SidecarMode::Init;
    let mut file = file(signal(Some("web")));
    for on_change in [
        signal(Some("web")),
        OnChange::Http {
            port: 80,
            path: "/".to_owned(),
        },
    ] {
        file.on_change = Some(on_change);
        secrets.config.files = vec![file.clone()];
        let pod = json!({"metadata": {}, "spec": spec(&[container("web", Some(1000))], &[])});
        let refusal = plan(&pod, secrets.clone(), &settings()).unwrap_err();
        let expected = "onChange of the SecretBinding's file app.conf: sidecar.mode Init leaves nobody who could tell of \
                        changes: choose another mode, or take onChange away";
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn a_mode_of_the_pod_takes_nothing_away_in_silence() {
    let said = |annotations: &Value, restart: bool, mode| {
        let mut secrets = secrets();
        secrets.restart = restart;
        secrets.defaults.mode.value = mode;
        let web = json!({"name": "web", "command": ["web"]});
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [web]}});
        plan(&pod, secrets, &settings()).map_or_else(|refusal| refusal.to_string(), |_| String::new())
    };
    for mode in ["Sidecar", "Init"] {
        assert_eq!(
            said(
                &json!({"keystead.dev/sidecar-mode": mode}),
                true,
                SidecarMode::Exec
            ),
            format!(
                "sidecar.restartOnChange of SecretBinding web, more needs mode Exec, and the pod's annotation \
                 keystead.dev/sidecar-mode is {mode}: take the annotation away or say Exec, or keep such pods apart \
                 from the binding by its podSelector"
            )
        );
    }
    for (name, text) in [("refresh-interval", "30s"), ("sidecar-port", "9200")] {
        let name = format!("keystead.dev/{name}");
        assert_eq!(
            said(&json!({&name: text}), false, SidecarMode::Init),
            format!(
                "the pod's annotation {name} needs a sidecar that stays, and with sidecar.mode Init none does: take the \
                 annotation away, or choose another mode by the annotation keystead.dev/sidecar-mode"
            )
        );
        assert_eq!(said(&json!({&name: text}), true, SidecarMode::Exec), "");
    }
    let exec = json!({"keystead.dev/sidecar-mode": "Exec"});
    assert_eq!(said(&exec, true, SidecarMode::Exec), "");
    assert_eq!(
        said(
            &json!({"keystead.dev/sidecar-mode": "Init"}),
            false,
            SidecarMode::Exec
        ),
        ""
    );
}

#[test]
fn a_signal_gets_the_name_of_its_container() {
    let one = spec(&[container("web", Some(1000))], &[container("setup", Some(0))]);
    assert_eq!(told(&one, signal(None)), Ok(Some(signal(Some("web")))));
    let mut proxy = container("proxy", Some(1000));
    proxy["restartPolicy"] = json!("Always");
    let two = spec(&[container("web", Some(1000))], &[proxy]);
    for name in ["web", "proxy"] {
        assert_eq!(told(&two, signal(Some(name))), Ok(Some(signal(Some(name)))));
    }
}

#[test]
fn a_signal_that_can_not_arrive_is_refused_with_what_would_help() {
    let web = || container("web", Some(1000));
    let alone = |share: Value| json!({"shareProcessNamespace": share, "containers": [web()]});
    let users = "SIGHUP may only be sent to processes of the sidecar's own user: set one runAsUser other than 0 for all of \
                 the pod's containers, web too";
    let mut mesh = container("mesh", Some(1337));
    mesh["restartPolicy"] = json!("Always");
    for (spec, named, wanted) in [
        (
            alone(json!(null)),
            None,
            "set shareProcessNamespace: true in the pod's spec, or ask for a call instead (onChange.http), or let Keystead \
             start its command (sidecar.mode: Exec)",
        ),
        (
            alone(json!(false)),
            Some("web"),
            "SIGHUP can't reach a container whose processes are its own",
        ),
        (
            spec(&[web(), container("b", Some(1000))], &[]),
            None,
            "name it (onChange.signal.container), one of web, b",
        ),
        (
            spec(&[web()], &[container("setup", None)]),
            Some("setup"),
            "container setup, which this pod does not have: it has web",
        ),
        (spec(&[container("web", None)], &[]), None, users),
        (spec(&[container("web", Some(0))], &[]), None, users),
        (
            spec(&[web(), container("b", Some(2000))], &[]),
            Some("web"),
            users,
        ),
        (
            spec(&[web()], &[mesh]),
            Some("mesh"),
            "for all of the pod's containers, mesh too",
        ),
    ] {
        let said = told(&spec, signal(named)).unwrap_err();
        assert!(
            said.starts_with("onChange of the SecretBinding's file app.conf: SIGHUP "),
            "{said}"
        );
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_command_that_our_program_starts_is_signalled_by_it() {
    let mut secrets = secrets();
    secrets.defaults.mode.value = SidecarMode::Exec;
    let mut more = file(signal(Some("web")));
    more.path = "more.conf".to_owned();
    secrets.config.files = vec![file(signal(Some("web"))), more];
    let with = |command: &str| json!({"name": command, "image": "i", "command": [command]});
    let pod = json!({"metadata": {}, "spec": {"containers": [with("web"), with("other")]}});
    let pod = patched(&pod, &plan(&pod, secrets.clone(), &settings()).unwrap());
    let exec = ["/keystead/.keystead", "exec"];
    let signals = ["--signal", "SIGHUP=app.conf", "--signal", "SIGHUP=more.conf"];
    let containers = &pod["spec"]["containers"];
    let expected: Vec<&str> = exec.into_iter().chain(signals).chain(["--", "web"]).collect();
    assert_eq!(containers[0]["command"], json!(expected));
    assert_eq!(containers[1]["command"], json!([exec[0], exec[1], "--", "other"]));
    assert!(
        config(&pod).files.iter().all(|file| file.on_change.is_none()),
        "nobody tells it twice"
    );

    // One that stands before ours is started as it was, so it can only be signalled as in other modes.
    secrets.defaults.first.value = false;
    let mut mesh = with("mesh");
    mesh["restartPolicy"] = json!("Always");
    secrets.config.files = vec![file(signal(Some("mesh")))];
    let pod = json!({"metadata": {}, "spec": {"containers": [with("web")], "initContainers": [mesh]}});
    let said = plan(&pod, secrets, &settings()).unwrap_err().to_string();
    assert!(
        said.contains("can't reach a container whose processes are its own"),
        "{said}"
    );
}

#[test]
fn a_call_stays_in_the_pod() {
    let call = || OnChange::Http {
        port: 8080,
        path: "/-/reload".to_owned(),
    };
    let mut spec = json!({"containers": [container("web", None)]});
    assert_eq!(told(&spec, call()), Ok(Some(call())));
    spec["hostNetwork"] = json!(true);
    let said = told(&spec, call()).unwrap_err();
    assert!(
        said.contains("file app.conf: a call on port 8080 stays within the pod"),
        "{said}"
    );
}

#[test]
fn where_nothing_stays_there_are_no_leases() {
    let said = |mode| {
        let mut secrets = secrets();
        (secrets.leases, secrets.defaults.mode.value) = (Some("orders-reader".to_owned()), mode);
        let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "web", "command": ["web"]}]}});
        plan(&pod, secrets, &settings()).map_or_else(|refusal| refusal.to_string(), |_| String::new())
    };
    assert_eq!(
        said(SidecarMode::Init),
        "DatabaseRole orders-reader makes users with a lease, and with sidecar.mode Init nothing stays to renew it: \
         choose Sidecar or Exec, or a role with a static user"
    );
    assert_eq!(said(SidecarMode::Exec), "");
    assert_eq!(said(SidecarMode::Sidecar), "");
}
