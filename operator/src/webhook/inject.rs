//! From a pod as its creator sent it to what is added to it. Pure, and never through a typed `Pod`:
//! that would drop fields newer than the types.

mod affinity;
mod mounts;
mod on_change;
mod operator;
mod patch;
mod pod;
mod resources;
mod served;
mod sidecar;
#[cfg(test)]
pub(in crate::webhook) mod tests;
mod text;
mod volume;
mod way;

pub use self::operator::Operator;
pub use self::patch::Operation;
use self::patch::Patch;
pub use self::pod::Pod;
use self::pod::{Annotated, Container};
use self::way::{Gate, Way};
pub use keystead_compile::kinds::pod::PodSecrets;
use keystead_crds::names;
use serde_json::{Value, json};

/// What every sidecar has alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sidecar's image.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`; the cluster's default where it is left out.
    pub image_pull_policy: Option<String>,
    /// Names of Secrets to pull it with, in the pod's namespace.
    pub image_pull_secrets: Vec<String>,
    /// What it asks for at least, and is limited to, in a Guaranteed pod, which must stay so; elsewhere
    /// it has no limit. The pages of both its volumes count on this memory, and with too little CPU its
    /// start takes seconds.
    pub guaranteed: Requests,
    /// Whom it tells why its pod waits.
    pub operator: Operator,
}

/// Quantities as Kubernetes writes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requests {
    /// Processor time, such as `10m`.
    pub cpu: String,
    /// Memory, such as `16Mi`.
    pub memory: String,
}

/// Why a pod can't be served: a sentence for people that says what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// What to add to the pod. Nothing for one that [needs nothing](Pod::is_settled).
pub fn plan(pod: &Pod<'_>, secrets: PodSecrets, settings: &Settings) -> Result<Vec<Operation>, Refusal> {
    if pod.is_settled() {
        return Ok(Vec::new());
    }
    let mut secrets = secrets.of_pod(&pod.annotation_texts()).map_err(Refusal)?;
    let way = Way::of(&secrets);
    let place = pod.place(way.first);
    admit(pod, &secrets, way)?;
    let signals = on_change::settle(pod, &mut secrets, way)?;

    let mut patch = Patch::default();
    let variables = variables(&secrets, way);
    let files = &secrets.shape.mount_path.value;
    for (at, container) in served::all(pod, place, &secrets.shape) {
        if !variables.is_empty() {
            let exists = container.has_env().then_some(0);
            patch.insert(&at, "env", exists, variables.clone());
        }
        let mounts = vec![sidecar::files_mount(files, true)];
        patch.append(&at, "volumeMounts", container.has_mounts(), mounts);
        if let (true, Some(command)) = (way.execs(), container.command()) {
            let signals = signals
                .get(&*container.name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            patch.add(format!("{at}/command"), way.start(files, command, signals));
        }
    }
    let resources = resources::of(pod, &secrets.defaults, settings);
    let limit = resources
        .as_ref()
        .and_then(|all| all["limits"]["memory"].as_str());
    // Where the pod as a whole has one it bounds ours, too.
    let limit = limit.or_else(|| pod.own("memory").1);
    let sizes = secrets.defaults.volumes(limit, way.execs()).map_err(Refusal)?;
    let volumes = sidecar::volumes(&secrets.audience, sizes);
    patch.append("/spec", "volumes", pod.has_volumes(), volumes);
    let missing = pod.lacks_pull_secrets(&settings.image_pull_secrets);
    let missing: Vec<Value> = missing.map(|name| json!({"name": name})).collect();
    if !missing.is_empty() {
        patch.append("/spec", "imagePullSecrets", pod.has_pull_secrets(), missing);
    }
    annotate(&mut patch, pod, &secrets.bindings);
    // Last, because it shifts the indices of the pod's own init containers.
    let ours = sidecar::containers(pod, secrets, way, settings, resources)?;
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
    mounts::admit_place(&secrets.shape, &secrets.bindings)?;
    resources::admit(pod)?;
    sidecar::admit_modes(pod, &secrets.config)?;
    let takes_port = sidecar::serves(pod, way, &secrets.shape);
    pod.all_containers().try_for_each(|container| {
        admit_name(&container.name)?;
        admit_volumes(container)?;
        if takes_port {
            admit_ports(container, secrets.shape.port.value)?;
        }
        Ok(())
    })?;
    let place = pod.place(way.first);
    served::admit(pod, place, &secrets.shape, &secrets.bindings)?;
    served::all(pod, place, &secrets.shape).try_for_each(|(_, container)| {
        mounts::admit(pod, container, &secrets.shape.mount_path.value)?;
        admit_env(container, secrets)?;
        way.admit(container, secrets)
    })
}

fn admit_name(name: &str) -> Result<(), Refusal> {
    if [names::CONTAINER, names::GATE_CONTAINER].contains(&name) {
        return Err(Refusal(format!(
            "the pod has a container named {name} of its own, the name of one of Keystead's: rename it"
        )));
    }
    Ok(())
}

/// Nothing of a container's own hides its secrets.
fn admit_env(container: &Container<'_>, secrets: &PodSecrets) -> Result<(), Refusal> {
    let ours = |variable: &str| {
        [names::READY_ENV, names::FILES_DIR_ENV].contains(&variable)
            || secrets.config.env.iter().any(|env| env.name == variable)
    };
    match container.env_names().find(|variable| ours(variable)) {
        Some(variable) => Err(Refusal(format!(
            "container {} sets {variable} itself, and so would Keystead ({}): take one of the two away",
            &*container.name,
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

/// Containers of a pod share its ports, and the sidecar takes one.
fn admit_ports(container: &Container<'_>, port: Option<u16>) -> Result<(), Refusal> {
    let taken = port.unwrap_or(names::SIDECAR_PORT);
    if container.tcp_ports().all(|port| port != i64::from(taken)) {
        return Ok(());
    }
    Err(Refusal(format!(
        "container {} declares port {taken}, which Keystead's sidecar takes in the pod: let the container \
         listen on another port, or the sidecar by the annotation {}",
        &*container.name,
        names::SIDECAR_PORT_ANNOTATION
    )))
}

/// What the kubelet hands over: the gate, and the binding's variables. They stand before the
/// container's own, whose values may then use them as `$(NAME)`.
fn variables(secrets: &PodSecrets, way: Way) -> Vec<Value> {
    let (config, files) = (&secrets.config, &secrets.shape.mount_path.value);
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
    // Who looks for the files where they usually are learns where they are.
    let moved = (files != names::FILES_DIR).then(|| json!({"name": names::FILES_DIR_ENV, "value": files}));
    gate.into_iter().chain(bound).chain(moved).collect()
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
