//! Whether a pod has all that it is to have, and everything of its own.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// What an account's binding and the pod's annotations ask for.
struct Wanted {
    once: bool,
    exec: bool,
    first: bool,
    /// All where it is empty.
    containers: Vec<String>,
    path: String,
}

impl Wanted {
    fn of(pod: &Value) -> Self {
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
        let said = |name: &str| pod["metadata"]["annotations"][format!("keystead.dev/{name}")].as_str();
        let usual = if account == "moved" {
            "/etc/moved"
        } else {
            "/keystead"
        };
        let named = if account == "some" { "a,b" } else { "" };
        let named = said("containers").unwrap_or(named).split(',');
        Self {
            once: account == "once" && said("sidecar-mode").is_none(),
            exec: account == "exec" || said("sidecar-mode").is_some(),
            first: account != "late" && said("sidecar-first").is_none(),
            containers: named.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            path: said("mount-path").unwrap_or(usual).to_owned(),
        }
    }
}

/// Holds that nothing is missing, and that without what was added it is the plain pod.
pub(super) fn check(plain: &Value, served: &Value) -> Result<()> {
    let wanted = Wanted::of(served);
    let init = list(served, "initContainers");
    let place = init.iter().position(|container| container["name"] == "keystead");
    let place = place.context("there is no sidecar")?;
    sidecar(served, &init[place], &wanted)?;
    ensure!(!wanted.first || place == 0, "the sidecar is not the first");
    // On the host's network a container of ours holds the others back.
    let late = init.iter().skip(place + 1);
    let late = late.filter(|container| container["name"] != "keystead-gate");
    ensure!(
        wanted.first
            || !late
                .clone()
                .any(|container| container["restartPolicy"] == "Always"),
        "a native sidecar comes after ours"
    );
    for volume in ["keystead", "keystead-private", "keystead-token"] {
        let count = list(served, "volumes")
            .iter()
            .filter(|found| found["name"] == volume)
            .count();
        ensure!(count == 1, "{count} volumes are {volume}");
    }
    for container in init.iter().take(place) {
        ensure!(
            !is_served(container, &wanted),
            "{} is served too early",
            container["name"]
        );
    }
    for container in late.chain(&list(served, "containers")) {
        let named = wanted.containers.is_empty()
            || wanted
                .containers
                .iter()
                .any(|name| container["name"] == name.as_str());
        ensure!(
            is_served(container, &wanted) == named,
            "{} is served: {}",
            container["name"],
            !named
        );
    }
    class(plain, served)?;
    let (left, right) = (
        comparable(undone(plain, served, &wanted)),
        comparable(plain.clone()),
    );
    ensure!(
        left == right,
        "something of its own has changed: {left}\nwas {right}"
    );
    Ok(())
}

fn sidecar(pod: &Value, ours: &Value, wanted: &Wanted) -> Result<()> {
    ensure!(
        (ours["restartPolicy"] == "Always") != wanted.once,
        "restartPolicy {}",
        ours["restartPolicy"]
    );
    // Where nothing wakes the kubelet, a container of ours is the gate.
    let gates = list(pod, "initContainers");
    let gates = gates
        .iter()
        .filter(|container| container["name"] == "keystead-gate")
        .count();
    let is_blind = !wanted.once && ours["readinessProbe"].is_null();
    ensure!(gates == usize::from(is_blind), "{gates} gates");
    ensure!(
        !is_blind || pod["spec"]["hostNetwork"] == true,
        "there is no probe"
    );
    let hooked = !ours["lifecycle"]["postStart"].is_null();
    ensure!(hooked != (wanted.once || is_blind), "postStart");
    let mounts = ours["volumeMounts"]
        .as_array()
        .context("the sidecar mounts nothing")?;
    for path in ["/keystead", "/keystead-private", "/keystead-token"] {
        ensure!(
            mounts.iter().any(|mount| mount["mountPath"] == path),
            "the sidecar lacks {path}"
        );
    }
    for name in ["cpu", "memory"] {
        let own = pod["spec"]["resources"].to_string().contains(name);
        ensure!(
            own || ours["resources"]["requests"][name].is_string(),
            "the sidecar asks for no {name}"
        );
    }
    Ok(())
}

/// Whether the container has all of it: files, the gate, the variable. Half of it is neither.
fn is_served(container: &Value, wanted: &Wanted) -> bool {
    let items = |field: &str| container[field].as_array().cloned().unwrap_or_default();
    let mounted = items("volumeMounts").iter().any(|mount| {
        mount["name"] == "keystead" && mount["mountPath"] == wanted.path.as_str() && mount["readOnly"] == true
    });
    let from = |file: &str| {
        let reference = |variable: &Value| variable["valueFrom"]["fileKeyRef"].clone();
        items("env")
            .iter()
            .map(reference)
            .any(|reference| reference["volumeName"] == "keystead-private" && reference["path"] == file)
    };
    let started = container["command"][0] == format!("{}/.keystead", wanted.path);
    let gated = from("ready") != wanted.once;
    mounted
        && gated
        && (if wanted.exec {
            started
        } else {
            from("env") && !started
        })
}

/// Guaranteed stays Guaranteed, and no other becomes it.
fn class(plain: &Value, served: &Value) -> Result<()> {
    let [before, after] = [plain, served].map(|pod| pod["status"]["qosClass"].as_str().unwrap_or_default());
    let wanted = if before == "BestEffort" {
        "Burstable"
    } else {
        before
    };
    ensure!(after == wanted, "it was {before} and would be {after}");
    Ok(())
}

/// The pod without what was added to it.
fn undone(plain: &Value, served: &Value, wanted: &Wanted) -> Value {
    let mut pod = served.clone();
    let ours = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("keystead"));
    for field in ["initContainers", "volumes"] {
        retain(&mut pod["spec"], field, |item| !ours(&item["name"]));
    }
    for field in ["initContainers", "containers"] {
        for container in pod["spec"][field].as_array_mut().into_iter().flatten() {
            retain(container, "volumeMounts", |mount| !ours(&mount["name"]));
            retain(container, "env", |variable| {
                !ours(&variable["valueFrom"]["fileKeyRef"]["volumeName"])
                    && variable["name"] != "KEYSTEAD_FILES_DIR"
            });
            let program = format!("{}/.keystead", wanted.path);
            if let Some(command) = container["command"].as_array_mut()
                && command.first().is_some_and(|first| *first == program.as_str())
            {
                command.drain(..3);
            }
            prune(container);
        }
    }
    prune(&mut pod["spec"]);
    pod["metadata"] = plain["metadata"].clone();
    pod
}

fn retain(parent: &mut Value, field: &str, keep: impl Fn(&Value) -> bool) {
    if let Some(items) = parent.get_mut(field).and_then(Value::as_array_mut) {
        items.retain(keep);
    }
}

/// An empty list is as good as none.
fn prune(parent: &mut Value) {
    if let Some(fields) = parent.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()));
    }
}

/// The spec without what the API server makes up itself.
fn comparable(mut pod: Value) -> Value {
    // What the pod as a whole asks for is the sum of its containers' where it does not say it.
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("resources");
    }
    prune(&mut pod["spec"]);
    for field in ["initContainers", "containers"] {
        for container in pod["spec"][field].as_array_mut().into_iter().flatten() {
            prune(container);
        }
    }
    prune(&mut pod["spec"]);
    let names = list(&pod, "volumes");
    let names = names.iter().filter_map(|volume| volume["name"].as_str());
    let made_up: Vec<String> = names
        .filter(|name| name.starts_with("kube-api-access-"))
        .map(str::to_owned)
        .collect();
    let text = made_up.iter().fold(pod["spec"].to_string(), |text, name| {
        text.replace(name, "kube-api-access")
    });
    serde_json::from_str(&text).unwrap_or_else(|_| json!(Map::new()))
}

fn list(pod: &Value, field: &str) -> Vec<Value> {
    pod["spec"][field].as_array().cloned().unwrap_or_default()
}
