//! What injection must know of a pod: a view of its JSON that borrows from it, and that nothing is
//! written back from.

use super::Refusal;
use super::affinity::Affinity;
use super::text::{Resources, Text, Texts};
use super::volume::{Mount, Volume};
use keystead_crds::names;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Deref;

/// A pod. Fields that are missing are as good as null, as everywhere in Kubernetes.
#[derive(Debug, Default, Deserialize)]
pub struct Pod<'a> {
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    spec: Spec<'a>,
}

#[derive(Debug, Deserialize)]
struct Metadata<'a> {
    labels: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    annotations: Option<Texts<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    volumes: Option<Vec<Volume<'a>>>,
    #[serde(borrow)]
    image_pull_secrets: Option<Vec<Named<'a>>>,
    #[serde(borrow)]
    service_account_name: Option<Text<'a>>,
    #[serde(borrow)]
    os: Option<Named<'a>>,
    #[serde(borrow)]
    node_selector: Option<Texts<'a>>,
    #[serde(borrow)]
    affinity: Option<Affinity<'a>>,
    host_network: Option<bool>,
    share_process_namespace: Option<bool>,
    security_context: Option<SecurityContext>,
    #[serde(borrow)]
    resources: Option<Resources<'a>>,
}

/// One container or init container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    command: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    env: Option<Vec<Variable<'a>>>,
    #[serde(borrow)]
    volume_mounts: Option<Vec<Mount<'a>>>,
    #[serde(borrow)]
    volume_devices: Option<Vec<Device<'a>>>,
    #[serde(borrow)]
    ports: Option<Vec<Port<'a>>>,
    #[serde(borrow)]
    resources: Option<Resources<'a>>,
    #[serde(borrow)]
    restart_policy: Option<Text<'a>>,
    security_context: Option<SecurityContext>,
}

/// Whether a pod has annotations to add to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Annotated {
    /// It has no metadata even.
    Bare,
    No,
    Yes,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    #[serde(borrow)]
    device_path: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    value_from: Option<Origin<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin<'a> {
    #[serde(borrow)]
    file_key_ref: Option<EnvFile<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvFile<'a> {
    #[serde(borrow)]
    volume_name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port<'a> {
    container_port: Option<i64>,
    #[serde(borrow)]
    protocol: Option<Text<'a>>,
}

/// Of a pod or of a container: both say who runs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext {
    run_as_user: Option<i64>,
    fs_group: Option<i64>,
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// Reads a pod. The error says where, and repeats nothing of what is there.
    pub(in crate::webhook) fn parse(json: &'a str) -> Result<Self, Refusal> {
        serde_json::from_str(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Refusal(format!(
                "what was sent is not a pod: see its line {line}, column {column}"
            ))
        })
    }

    /// Whether it needs nothing: it has it already, or is a mirror pod, which the kubelet made from a
    /// file, and no patch would reach that.
    pub(in crate::webhook) fn is_settled(&self) -> bool {
        self.annotation(MIRROR_ANNOTATION).is_some() || self.is_injected()
    }

    /// Whether the webhook was here before: the API server may ask twice, and people copy pods.
    fn is_injected(&self) -> bool {
        self.annotation(names::INJECTED_ANNOTATION).is_some()
            && self
                .init_containers()
                .iter()
                .any(|container| *container.name == *names::CONTAINER)
    }

    pub(super) fn annotated(&self) -> Annotated {
        match &self.metadata {
            None => Annotated::Bare,
            Some(metadata) if metadata.annotations.is_none() => Annotated::No,
            Some(_) => Annotated::Yes,
        }
    }

    fn annotation(&self, key: &'static str) -> Option<&str> {
        let annotations = self.metadata.as_ref()?.annotations.as_ref()?;
        annotations.get(&Text::from(key)).map(Deref::deref)
    }

    /// The account it runs as. The API server fills it in before it asks, so the default is for others.
    pub(in crate::webhook) fn service_account(&self) -> &str {
        let name = self.spec.service_account_name.as_deref();
        name.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    pub(in crate::webhook) fn labels(&self) -> &BTreeMap<String, String> {
        let labels = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.as_ref());
        labels.unwrap_or(const { &BTreeMap::new() })
    }

    pub(super) fn is_windows(&self) -> bool {
        let os = self.spec.os.as_ref().and_then(|os| os.name.as_ref());
        let selector = self.spec.node_selector.as_ref();
        let node = selector.and_then(|labels| labels.get(&Text::from(OS_LABEL)));
        let affinity = self.spec.affinity.as_ref();
        [os, node].into_iter().flatten().any(|name| **name == *WINDOWS)
            || affinity.is_some_and(|affinity| affinity.demands(OS_LABEL, WINDOWS))
    }

    pub(super) fn has_host_network(&self) -> bool {
        self.spec.host_network.unwrap_or(false)
    }

    /// Whether its containers see each other's processes.
    pub(super) fn shares_processes(&self) -> bool {
        self.spec.share_process_namespace.unwrap_or(false)
    }

    pub(super) fn has_fs_group(&self) -> bool {
        let context = self.spec.security_context.as_ref();
        context.is_some_and(|context| context.fs_group.is_some())
    }

    /// Whether there are volumes, or an empty list of them, to add to.
    pub(super) fn has_volumes(&self) -> bool {
        self.spec.volumes.is_some()
    }

    /// The same of init containers.
    pub(super) fn has_init_containers(&self) -> bool {
        self.spec.init_containers.is_some()
    }

    /// The pod's request and limit of one resource as a whole, which bound the sum of its containers'.
    pub(super) fn own(&self, resource: &'static str) -> (Option<&str>, Option<&str>) {
        let resources = self.spec.resources.as_ref();
        resources.map_or((None, None), |resources| resources.of(resource))
    }

    /// Its annotations.
    pub(super) fn annotation_texts(&self) -> BTreeMap<&str, &str> {
        let all = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.annotations.as_ref());
        let all = all.into_iter().flatten();
        all.map(|(name, text)| (&**name, &**text)).collect()
    }

    pub(super) fn containers(&self) -> &[Container<'a>] {
        self.spec.containers.as_deref().unwrap_or_default()
    }

    fn init_containers(&self) -> &[Container<'a>] {
        self.spec.init_containers.as_deref().unwrap_or_default()
    }

    pub(super) fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers().iter().chain(self.init_containers())
    }

    /// Those that run as long as the pod does.
    pub(super) fn running_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        let init = self.init_containers().iter();
        let sidecars = init.filter(|container| container.is_sidecar());
        self.containers().iter().chain(sidecars)
    }

    /// Where our init container goes: before all others, or after the last native sidecar there is.
    pub(super) fn place(&self, first: bool) -> usize {
        if first {
            return 0;
        }
        let last = self.init_containers().iter().rposition(Container::is_sidecar);
        last.map_or(0, |index| index + 1)
    }

    /// The containers that start after an init container at this place, each with the JSON pointer to it.
    pub(super) fn after(&self, place: usize) -> impl Iterator<Item = (String, &Container<'a>)> {
        let at =
            |field: &'static str| move |(index, container)| (format!("/spec/{field}/{index}"), container);
        let containers = self.containers().iter().enumerate().map(at("containers"));
        let init = self.init_containers().iter().enumerate().skip(place);
        containers.chain(init.map(at("initContainers")))
    }

    /// Which of these Secrets it is not pulled with yet.
    pub(super) fn lacks_pull_secrets<'b>(&self, names: &'b [String]) -> impl Iterator<Item = &'b String> {
        let own = self.spec.image_pull_secrets.as_deref().unwrap_or_default();
        let has = |name: &str| own.iter().any(|own| own.name.as_deref() == Some(name));
        names.iter().filter(move |name| !has(name))
    }

    /// Whether there are such Secrets, or an empty list of them, to add to.
    pub(super) fn has_pull_secrets(&self) -> bool {
        self.spec.image_pull_secrets.is_some()
    }

    pub(super) fn volume_names(&self) -> impl Iterator<Item = &str> {
        let volumes = self.spec.volumes.as_deref().unwrap_or_default();
        volumes.iter().filter_map(|volume| volume.name.as_deref())
    }

    /// Its volume of this name.
    pub(super) fn volume(&self, name: &str) -> Option<&Volume<'a>> {
        let volumes = self.spec.volumes.as_deref().unwrap_or_default();
        volumes.iter().find(|volume| volume.name.as_deref() == Some(name))
    }

    /// Who a container runs as, where the pod says it; its image decides otherwise.
    pub(super) fn user(&self, container: &Container<'_>) -> Option<i64> {
        let user = |context: &Option<SecurityContext>| context.as_ref()?.run_as_user;
        user(&container.security_context).or_else(|| user(&self.spec.security_context))
    }
}

// === impl Container ===

impl Container<'_> {
    /// Whether it is an init container that goes on beside the others.
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    /// Whether there are variables, or an empty list of them, to add to.
    pub(super) fn has_env(&self) -> bool {
        self.env.is_some()
    }

    /// The same of mounts.
    pub(super) fn has_mounts(&self) -> bool {
        self.volume_mounts.is_some()
    }

    /// What it starts in place of its image's entrypoint; none where the image decides.
    pub(super) fn command(&self) -> Option<&[Text<'_>]> {
        self.command.as_deref().filter(|command| !command.is_empty())
    }

    pub(super) fn env_names(&self) -> impl Iterator<Item = &str> {
        let env = self.env.iter().flatten();
        env.filter_map(|variable| variable.name.as_deref())
    }

    /// Where it has anything of its own, files or devices.
    pub(super) fn mount_paths(&self) -> impl Iterator<Item = &str> {
        let devices = self.volume_devices.iter().flatten();
        let devices = devices.filter_map(|device| device.device_path.as_deref());
        self.mounts().filter_map(Mount::path).chain(devices)
    }

    pub(super) fn mounts(&self) -> impl Iterator<Item = &Mount<'_>> {
        self.volume_mounts.iter().flatten()
    }

    pub(super) fn mounted_volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts().filter_map(|mount| mount.name.as_deref())
    }

    /// The volumes with the files that variables are read from.
    pub(super) fn env_volumes(&self) -> impl Iterator<Item = &str> {
        let origins = self.env.iter().flatten();
        let origins = origins.filter_map(|variable| variable.value_from.as_ref());
        let files = origins.filter_map(|origin| origin.file_key_ref.as_ref());
        files.filter_map(|file| file.volume_name.as_deref())
    }

    /// What it says it listens on. Ports of other protocols are numbered apart.
    pub(super) fn tcp_ports(&self) -> impl Iterator<Item = i64> {
        let is_tcp = |port: &&Port<'_>| matches!(port.protocol.as_deref(), None | Some("" | "TCP"));
        let tcp = self.ports.iter().flatten().filter(is_tcp);
        tcp.filter_map(|port| port.container_port)
    }

    /// The container's request and limit of one resource.
    pub(super) fn resource(&self, name: &'static str) -> (Option<&str>, Option<&str>) {
        let resources = self.resources.as_ref();
        resources.map_or((None, None), |resources| resources.of(name))
    }
}

/// The label by which nodes say what they run, and what the sidecar can't.
const OS_LABEL: &str = "kubernetes.io/os";
const WINDOWS: &str = "windows";

/// The kubelet's own annotation on what it shows of a static pod.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
