//! What injection must know of a pod, read from its JSON.

use super::Refusal;
use keystead_crds::names;
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// A pod whose lists are lists and whose containers are objects, so that every path into it holds.
#[derive(Debug)]
pub(super) struct Pod<'a> {
    pub(super) metadata: Option<&'a Object>,
    pub(super) annotations: Option<&'a Object>,
    pub(super) containers: Vec<Container<'a>>,
    pub(super) init_containers: Vec<Container<'a>>,
    spec: &'a Object,
    volumes: &'a [Value],
}

/// One container or init container.
#[derive(Debug)]
pub(super) struct Container<'a> {
    /// JSON pointer to it.
    pub(super) path: String,
    pub(super) name: &'a str,
    fields: &'a Object,
    env: &'a [Value],
    mounts: &'a [Value],
    ports: &'a [Value],
}

// === impl Pod ===

impl<'a> Pod<'a> {
    pub(super) fn parse(pod: &'a Value) -> Result<Self, Refusal> {
        let pod = pod
            .as_object()
            .ok_or_else(|| Refusal("what was sent is not a pod".to_owned()))?;
        let metadata = object(pod, "metadata")?;
        let annotations = metadata.map_or(Ok(None), |metadata| object(metadata, "annotations"))?;
        let spec = object(pod, "spec")?.ok_or_else(|| Refusal("the pod has no spec".to_owned()))?;
        Ok(Self {
            metadata,
            annotations,
            containers: Container::parse_all(spec, "containers")?,
            init_containers: Container::parse_all(spec, "initContainers")?,
            spec,
            volumes: list(spec, "volumes")?,
        })
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_mirror() || self.is_injected()
    }

    fn is_mirror(&self) -> bool {
        self.annotations
            .is_some_and(|all| all.contains_key(MIRROR_ANNOTATION))
    }

    /// Whether the webhook was here before: the API server may ask twice, and people copy pods.
    fn is_injected(&self) -> bool {
        self.annotations
            .is_some_and(|all| all.contains_key(names::INJECTED_ANNOTATION))
            && self
                .init_containers
                .iter()
                .any(|container| container.name == names::CONTAINER)
    }

    pub(super) fn is_windows(&self) -> bool {
        let os = self.spec.get("os").and_then(|os| os.get("name"));
        let node = self
            .spec
            .get("nodeSelector")
            .and_then(|labels| labels.get("kubernetes.io/os"));
        [os, node].into_iter().flatten().any(|name| name == "windows")
    }

    pub(super) fn has_host_network(&self) -> bool {
        self.spec
            .get("hostNetwork")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Whether its containers see each other's processes.
    pub(super) fn shares_processes(&self) -> bool {
        let shares = self.spec.get("shareProcessNamespace").and_then(Value::as_bool);
        shares.unwrap_or(false)
    }

    pub(super) fn has_fs_group(&self) -> bool {
        self.security_context("fsGroup").is_some()
    }

    /// Whether a list of the spec is there to add to.
    pub(super) fn has(&self, field: &str) -> bool {
        self.spec.get(field).is_some_and(|value| !value.is_null())
    }

    /// Resources of the pod as a whole, which bound the sum of its containers'.
    pub(super) fn has_own_resources(&self) -> bool {
        let resources = self.spec.get("resources").and_then(Value::as_object);
        resources.is_some_and(|resources| !resources.is_empty())
    }

    pub(super) fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers.iter().chain(&self.init_containers)
    }

    /// Those that run as long as the pod does.
    pub(super) fn running_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        let sidecars = self
            .init_containers
            .iter()
            .filter(|container| container.is_sidecar());
        self.containers.iter().chain(sidecars)
    }

    /// Where our init container goes: before all others, or after the last native sidecar there is.
    pub(super) fn place(&self, first: bool) -> usize {
        if first {
            return 0;
        }
        let last = self.init_containers.iter().rposition(Container::is_sidecar);
        last.map_or(0, |index| index + 1)
    }

    /// The containers that start after an init container at this place.
    pub(super) fn after(&self, place: usize) -> impl Iterator<Item = &Container<'a>> {
        self.containers
            .iter()
            .chain(self.init_containers.iter().skip(place))
    }

    pub(super) fn volume_names(&self) -> impl Iterator<Item = &'a str> {
        texts(self.volumes, "name")
    }

    /// Who a container runs as, where the pod says it; its image decides otherwise.
    pub(super) fn user(&self, container: &Container<'_>) -> Option<i64> {
        let own = container
            .fields
            .get("securityContext")
            .and_then(|context| context.get("runAsUser"));
        own.filter(|user| !user.is_null())
            .or_else(|| self.security_context("runAsUser"))?
            .as_i64()
    }

    fn security_context(&self, field: &str) -> Option<&'a Value> {
        self.spec
            .get("securityContext")?
            .get(field)
            .filter(|value| !value.is_null())
    }
}

// === impl Container ===

impl<'a> Container<'a> {
    fn parse_all(spec: &'a Object, field: &str) -> Result<Vec<Self>, Refusal> {
        let parse = |(index, value): (usize, &'a Value)| {
            let path = format!("/spec/{field}/{index}");
            let fields = value
                .as_object()
                .ok_or_else(|| Refusal(format!("{path} is not a container")))?;
            Ok(Self {
                path,
                name: fields.get("name").and_then(Value::as_str).unwrap_or_default(),
                fields,
                env: list(fields, "env")?,
                mounts: list(fields, "volumeMounts")?,
                ports: list(fields, "ports")?,
            })
        };
        list(spec, field)?.iter().enumerate().map(parse).collect()
    }

    /// Whether it is an init container that goes on beside the others.
    fn is_sidecar(&self) -> bool {
        self.fields
            .get("restartPolicy")
            .is_some_and(|policy| policy == "Always")
    }

    /// Whether a list of the container is there to add to.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    /// What it starts in place of its image's entrypoint; none where the image decides.
    pub(super) fn command(&self) -> Option<&'a [Value]> {
        let command = self.fields.get("command")?.as_array()?;
        (!command.is_empty()).then_some(command)
    }

    pub(super) fn env_names(&self) -> impl Iterator<Item = &'a str> {
        texts(self.env, "name")
    }

    pub(super) fn mount_paths(&self) -> impl Iterator<Item = &'a str> {
        texts(self.mounts, "mountPath")
    }

    pub(super) fn mounted_volumes(&self) -> impl Iterator<Item = &'a str> {
        texts(self.mounts, "name")
    }

    /// The volumes with the files that variables are read from.
    pub(super) fn env_volumes(&self) -> impl Iterator<Item = &'a str> {
        let volume = |env: &'a Value| env.pointer("/valueFrom/fileKeyRef/volumeName")?.as_str();
        self.env.iter().filter_map(volume)
    }

    /// What it says it listens on. Ports of other protocols are numbered apart.
    pub(super) fn tcp_ports(&self) -> impl Iterator<Item = u64> {
        let is_tcp = |port: &&Value| {
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or_default();
            matches!(protocol, "" | "TCP")
        };
        let tcp = self.ports.iter().filter(is_tcp);
        tcp.filter_map(|port| port.get("containerPort")?.as_u64())
    }

    /// The container's request and limit of one resource.
    pub(super) fn resource(&self, name: &str) -> (Option<&'a Value>, Option<&'a Value>) {
        let resources = self.fields.get("resources");
        let of = |kind: &str| resources?.get(kind)?.get(name);
        (of("requests"), of("limits"))
    }
}

/// A field that is an object or missing; JSON's null is as good as missing.
fn object<'a>(parent: &'a Object, field: &str) -> Result<Option<&'a Object>, Refusal> {
    match parent.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Refusal(format!("the pod's {field} is not an object"))),
    }
}

/// A field that is a list or missing.
fn list<'a>(parent: &'a Object, field: &str) -> Result<&'a [Value], Refusal> {
    match parent.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Refusal(format!("the pod's {field} is not a list"))),
    }
}

fn texts<'a>(items: &'a [Value], field: &'static str) -> impl Iterator<Item = &'a str> {
    items.iter().filter_map(move |item| item.get(field)?.as_str())
}

/// The kubelet's own annotation on what it shows of a static pod.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
