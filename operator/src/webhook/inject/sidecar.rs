//! The container and the volumes that are added.

use super::pod::{Container, Pod};
use super::way::{Gate, Way};
use super::{PodSecrets, Refusal, Settings};
use keystead_compile::kinds::defaults::Volumes;
use keystead_compile::kinds::pod::Shape;
use keystead_compile::quantity::in_binary;
use keystead_crds::{names, sidecar::Config};
use serde_json::{Value, json};

/// Where pods have their token for the API server, unless something is mounted there already.
const API_TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What is put among the pod's init containers: ours, and where the kubelet can't hold the others
/// back, one that does.
pub(super) fn containers(
    pod: &Pod<'_>,
    secrets: PodSecrets,
    way: Way,
    settings: &Settings,
    resources: Option<Value>,
) -> Result<Vec<Value>, Refusal> {
    let port = secrets.shape.port.value;
    let owner = Owner::of(pod);
    let config = Config {
        file_mode: owner.file_mode,
        once: way.once,
        exec: way.execs(),
        operator: settings.operator.config(),
        ..secrets.config
    };
    let serves = serves(pod, way, &secrets.shape);
    let gate = match way.gate {
        // Without a probe nothing wakes the kubelet, which looks again after 10 to 15 s.
        Gate::Kubelet if !serves => Gate::Container,
        gate => gate,
    };
    let mut ours = base(names::CONTAINER, "run", &owner, settings, resources.clone());
    ours["env"] = env(serves, port, &config)?;
    mount(
        &mut ours,
        &[
            files_mount(names::FILES_DIR, false),
            json!({"name": names::PRIVATE_VOLUME, "mountPath": names::PRIVATE_DIR}),
            json!({"name": names::TOKEN_VOLUME, "mountPath": names::TOKEN_DIR, "readOnly": true}),
        ],
    );
    if !way.once {
        // A native sidecar: starts before everything that follows it, and ends after it.
        ours["restartPolicy"] = json!("Always");
    }
    if gate == Gate::Kubelet {
        // The fast path of the gate. It is bounded, and succeeds in any case: a hook that fails ends
        // the container, and one that hangs holds up the pod's deletion.
        ours["lifecycle"] = json!({"postStart": {"exec": {"command": [PROGRAM, "wait"]}}});
    }
    if serves {
        let port = port.unwrap_or(names::SIDECAR_PORT);
        // Who collects metrics looks for it by name.
        ours["ports"] = json!([{"name": names::CONTAINER, "containerPort": port, "protocol": "TCP"}]);
        // Its turn to true wakes the kubelet, which then starts what waits for its variables.
        let probe = json!({"path": "/readyz", "port": port, "scheme": "HTTP"});
        ours["readinessProbe"] = json!({"httpGet": probe, "periodSeconds": 1, "timeoutSeconds": 1});
    }
    if gate != Gate::Container {
        return Ok(vec![ours]);
    }
    let mut holder = base(names::GATE_CONTAINER, "gate", &owner, settings, resources);
    let private = json!({"name": names::PRIVATE_VOLUME, "mountPath": names::PRIVATE_DIR, "readOnly": true});
    mount(&mut holder, &[private]);
    Ok(vec![ours, holder])
}

/// What all of ours have alike.
fn base(name: &str, command: &str, owner: &Owner, settings: &Settings, resources: Option<Value>) -> Value {
    let mut container = json!({
        "name": name,
        "image": settings.image,
        "args": [command],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": owner.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(policy) = &settings.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    if let Some(resources) = resources {
        container["resources"] = resources;
    }
    container
}

/// Gives one of ours its volumes.
fn mount(container: &mut Value, mounts: &[Value]) {
    // Where admission would mount the token for the API server, which ours have no use for.
    let api_token = json!({"name": names::TOKEN_VOLUME, "mountPath": API_TOKEN_DIR, "readOnly": true});
    container["volumeMounts"] = mounts.iter().cloned().chain([api_token]).collect();
}

/// Where the files are; only the sidecar may write there.
pub(super) fn files_mount(path: &str, read_only: bool) -> Value {
    json!({"name": names::FILES_VOLUME, "mountPath": path, "readOnly": read_only})
}

/// Whether it has a port. On the host's network all pods share ports, so there somebody must ask for one;
/// an init container is soon gone.
pub(super) fn serves(pod: &Pod<'_>, way: Way, shape: &Shape) -> bool {
    !way.once && (!pod.has_host_network() || shape.port.value.is_some())
}

/// What the mounts mean.
pub(super) fn volumes(audience: &str, sizes: Volumes) -> Vec<Value> {
    let memory = |name: &str, size: u64| {
        let size = in_binary(size);
        json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    };
    let token = |audience: &str, path: &str| {
        let token = json!({"audience": audience, "expirationSeconds": TOKEN_SECONDS, "path": path});
        json!({"serviceAccountToken": token})
    };
    let tokens = [
        token(audience, names::TOKEN_FILE),
        token(names::REPORT_AUDIENCE, names::REPORT_TOKEN_FILE),
    ];
    vec![
        memory(names::FILES_VOLUME, sizes.files),
        memory(names::PRIVATE_VOLUME, sizes.private),
        json!({"name": names::TOKEN_VOLUME, "projected": {"sources": tokens}}),
    ]
}

fn env(serves: bool, port: Option<u16>, config: &Config) -> Result<Value, Refusal> {
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    // The kubelet expands `$(NAME)` in values, and `$$` is how it writes a dollar.
    let config = serde_json::to_string(config).map_err(|error| {
        Refusal(format!(
            "what the sidecar is to be told can't be written: {error}"
        ))
    })?;
    if config.len() > LONGEST_CONFIG {
        return Err(Refusal(format!(
            "what this pod's SecretBindings say has {} KB, and a sidecar can be told 100: shorten their templates, \
             or have fewer of them for its service account",
            config.len() / 1000
        )));
    }
    let config = config.replace('$', "$$");
    let mut env = vec![
        json!({"name": names::CONFIG_ENV, "value": config}),
        field(names::NODE_ENV, "spec.nodeName"),
    ];
    if serves {
        env.push(field(names::POD_IP_ENV, "status.podIP"));
        let port = port.map(|port| json!({"name": names::PORT_ENV, "value": port.to_string()}));
        env.extend(port);
    }
    Ok(Value::Array(env))
}

/// Refuses files whose own mode would keep them from the pod's containers.
pub(super) fn admit_modes(pod: &Pod<'_>, config: &Config) -> Result<(), Refusal> {
    let owner = Owner::of(pod);
    let files = config.files.iter().filter_map(|file| Some((file, file.mode?)));
    let mut unreadable = files.filter(|(_, mode)| !owner.lets_read(*mode));
    let Some((file, mode)) = unreadable.next() else {
        return Ok(());
    };
    Err(Refusal(format!(
        "the SecretBinding's file {} has mode {mode:04o}, by which this pod's containers can't read it: set one \
         runAsUser other than 0 for all of them{}, or give the file another mode or none",
        file.path,
        if mode & 0o040 == 0 { "" } else { " or an fsGroup" }
    )))
}

/// Who owns the files, and who may read them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Owner {
    user: i64,
    file_mode: u32,
    /// Whether the containers run as that user.
    is_shared: bool,
    /// Whether they are in the files' group.
    is_group: bool,
}

impl Owner {
    /// With an fsGroup every container is in it. Where all run as one user so does the sidecar, which
    /// signals need too. Else anyone in the pod must be able to read.
    fn of(pod: &Pod<'_>) -> Self {
        let shared = shared_user(pod, pod.containers().iter());
        let file_mode = if pod.has_fs_group() {
            0o440
        } else if shared.is_some() && shared_user(pod, pod.all_containers()) == shared {
            0o400
        } else {
            0o444
        };
        Self {
            user: shared.unwrap_or(DEFAULT_USER),
            file_mode,
            is_shared: shared.is_some(),
            is_group: pod.has_fs_group(),
        }
    }

    /// Whether the containers can read a file of this mode.
    const fn lets_read(&self, mode: u32) -> bool {
        self.is_shared || (self.is_group && mode & 0o040 != 0) || mode & 0o004 != 0
    }
}

/// Whether a container runs as the sidecar's user, and the pod says so.
pub(super) fn shares_user(pod: &Pod<'_>, container: &Container<'_>) -> bool {
    let owner = Owner::of(pod);
    owner.is_shared && pod.user(container) == Some(owner.user)
}

/// The one user that all of these containers run as, unless it is root or an image's secret.
fn shared_user<'a>(pod: &Pod<'a>, mut containers: impl Iterator<Item = &'a Container<'a>>) -> Option<i64> {
    let first = pod.user(containers.next()?).filter(|user| *user > 0)?;
    containers
        .all(|container| pod.user(container) == Some(first))
        .then_some(first)
}

/// The image's entrypoint.
const PROGRAM: &str = "/keystead-sidecar";

/// Who the sidecar is where the pod does not say who its containers are.
const DEFAULT_USER: i64 = 65532;

/// The shortest life the API server grants. It is used once, at login.
const TOKEN_SECONDS: u32 = 600;

/// Longest config, in bytes. Linux starts no program with a variable of 128 KiB.
const LONGEST_CONFIG: usize = 100 * 1000;
