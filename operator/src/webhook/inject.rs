//! From a pod as its creator sent it to what is added to it. Pure, and never through a typed `Pod`:
//! that would drop fields newer than the types.

mod on_change;
mod operator;
mod patch;
mod pod;
mod sidecar;
#[cfg(test)]
pub(in crate::webhook) mod tests;
mod way;

pub use self::operator::Operator;
pub use self::patch::Operation;
use self::patch::Patch;
pub use self::pod::Pod;
use self::pod::{Annotated, Container};
use self::way::{Gate, Way};
use keystead_compile::kinds::defaults::Requests;
pub use keystead_compile::kinds::pod::PodSecrets;
use keystead_crds::{names, sidecar::Config};
use serde_json::{Value, json};

/// What every sidecar has alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sidecar's image.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`; the cluster's default where it is left out.
    pub image_pull_policy: Option<String>,
    /// What it asks for at least, and is limited to, in a Guaranteed pod, which must stay so; elsewhere
    /// it has no limit. The pages of both its volumes count on this memory, and with too little CPU its
    /// start takes seconds.
    pub guaranteed: Requests,
    /// Whom it tells why its pod waits.
    pub operator: Operator,
}

/// Why a pod can't be served: a sentence for people that says what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// What to add to the pod. Nothing for one that [needs nothing](Pod::is_settled).
pub fn plan(pod: &Pod<'_>, mut secrets: PodSecrets, settings: &Settings) -> Result<Vec<Operation>, Refusal> {
    if pod.is_settled() {
        return Ok(Vec::new());
    }
    let way = Way::of(&secrets);
    let place = pod.place(way.first);
    admit(pod, &secrets, way)?;
    on_change::settle(pod, &mut secrets.config)?;

    let mut patch = Patch::default();
    let variables = variables(&secrets.config, way);
    for (at, container) in pod.after(place) {
        if !variables.is_empty() {
            let exists = container.has_env().then_some(0);
            patch.insert(&at, "env", exists, variables.clone());
        }
        let mounts = vec![sidecar::files_mount(true)];
        patch.append(&at, "volumeMounts", container.has_mounts(), mounts);
        if let (true, Some(command)) = (way.execs(), container.command()) {
            patch.add(format!("{at}/command"), way.start(command));
        }
    }
    let volumes = sidecar::volumes(&secrets.audience);
    patch.append("/spec", "volumes", pod.has_volumes(), volumes);
    annotate(&mut patch, pod, &secrets.bindings);
    // Last, because it shifts the indices of the pod's own init containers.
    let ours = sidecar::containers(pod, secrets, way, settings)?;
    let exists = pod.has_init_containers().then_some(place);
    patch.insert("/spec", "initContainers", exists, ours);
    Ok(patch.finish())
}

/// Refuses what would end half-injected, or would quietly replace something of the pod's own.
fn admit(pod: &Pod<'_>, secrets: &PodSecrets, way: Way) -> Result<(), Refusal> {
    if pod.is_windows() {
        return Err(Refusal(format!(
            "Keystead serves Linux pods only, and this one asks for Windows: give it the label {}: \"false\"",
            names::INJECT_LABEL
        )));
    }
    for volume in [names::FILES_VOLUME, names::PRIVATE_VOLUME, names::TOKEN_VOLUME] {
        if pod.volume_names().any(|name| name == volume) {
            return Err(Refusal(format!(
                "the pod has a volume named {volume} of its own, a name Keystead needs: rename it"
            )));
        }
    }
    sidecar::admit_modes(pod, &secrets.config)?;
    pod.all_containers().try_for_each(|container| {
        admit_container(container, secrets)?;
        admit_volumes(container)?;
        if way.once {
            return Ok(());
        }
        admit_ports(pod, container)
    })?;
    let mut after = pod.after(pod.place(way.first));
    after.try_for_each(|(_, container)| way.admit(container, secrets))
}

fn admit_container(container: &Container<'_>, secrets: &PodSecrets) -> Result<(), Refusal> {
    let name = &*container.name;
    if [names::CONTAINER, names::GATE_CONTAINER].contains(&name) {
        return Err(Refusal(format!(
            "the pod has a container named {name} of its own, the name of one of Keystead's: rename it"
        )));
    }
    if container
        .mount_paths()
        .any(|path| path.trim_end_matches('/') == names::FILES_DIR)
    {
        return Err(Refusal(format!(
            "container {name} mounts something at {}, where its secrets would be: mount it elsewhere",
            names::FILES_DIR
        )));
    }
    let ours = |variable: &str| {
        variable == names::READY_ENV || secrets.config.env.iter().any(|env| env.name == variable)
    };
    match container.env_names().find(|variable| ours(variable)) {
        Some(variable) => Err(Refusal(format!(
            "container {name} sets {variable} itself, and so would Keystead ({}): take one of the two away",
            secrets.bindings.join(", ")
        ))),
        None => Ok(()),
    }
}

/// The sidecar's own volumes are not there yet, so what uses them is invalid, and injection would make
/// it valid and give the container the sidecar's tokens and everybody's variables.
fn admit_volumes(container: &Container<'_>) -> Result<(), Refusal> {
    let own = |volume: &&str| [names::PRIVATE_VOLUME, names::TOKEN_VOLUME].contains(volume);
    let name = &*container.name;
    if let Some(volume) = container.mounted_volumes().find(own) {
        return Err(Refusal(format!(
            "container {name} mounts the volume {volume}, which only Keystead's sidecar may see: \
             take the mount away, its secrets are in {}",
            names::FILES_DIR
        )));
    }
    match container.env_volumes().find(own) {
        Some(volume) => Err(Refusal(format!(
            "container {name} reads a variable from the volume {volume}, which only Keystead's sidecar may \
             see: name the variable in the SecretBinding"
        ))),
        None => Ok(()),
    }
}

/// Containers of a pod share its ports; the sidecar takes one, unless they are the host's.
fn admit_ports(pod: &Pod<'_>, container: &Container<'_>) -> Result<(), Refusal> {
    let taken = names::SIDECAR_PORT;
    if pod.has_host_network() || container.tcp_ports().all(|port| port != i64::from(taken)) {
        return Ok(());
    }
    Err(Refusal(format!(
        "container {} declares port {taken}, which Keystead's sidecar takes in the pod: let the container \
         listen on another port",
        &*container.name
    )))
}

/// What the kubelet hands over: the gate, and the binding's variables. They stand before the
/// container's own, whose values may then use them as `$(NAME)`.
fn variables(config: &Config, way: Way) -> Vec<Value> {
    let gate =
        (way.gate == Gate::Kubelet).then(|| from_file(names::READY_ENV, names::READY_FILE, names::READY_KEY));
    let bound = config.env.iter().filter(|_| !way.execs()).map(|env| {
        let mut variable = from_file(&env.name, names::ENV_FILE, &env.name);
        let mut secrets = config.secrets.iter();
        if secrets.any(|secret| secret.name == env.secret && secret.optional) {
            variable["valueFrom"]["fileKeyRef"]["optional"] = json!(true);
        }
        variable
    });
    gate.into_iter().chain(bound).collect()
}

/// A variable that the kubelet reads from a file of the sidecar; until it is there the container
/// does not start, unless it is optional. The gate stands before all of them, so one that is optional is
/// looked for when the file is complete.
fn from_file(name: &str, path: &str, key: &str) -> Value {
    let file = json!({"volumeName": names::PRIVATE_VOLUME, "path": path, "key": key});
    json!({"name": name, "valueFrom": {"fileKeyRef": file}})
}

fn annotate(patch: &mut Patch, pod: &Pod<'_>, bindings: &[String]) {
    let bindings = bindings.join(",");
    let (at, value) = match pod.annotated() {
        Annotated::Yes => {
            let key = patch::escape(names::INJECTED_ANNOTATION);
            (format!("/metadata/annotations/{key}"), json!(bindings))
        }
        Annotated::No => (
            "/metadata/annotations".to_owned(),
            json!({names::INJECTED_ANNOTATION: bindings}),
        ),
        Annotated::Bare => (
            "/metadata".to_owned(),
            json!({"annotations": {names::INJECTED_ANNOTATION: bindings}}),
        ),
    };
    patch.add(at, value);
}
