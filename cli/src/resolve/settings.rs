//! How a pod gets it: what may be said in several places, and who is told of changes.

use super::subject::Subject;
use keystead_compile::kinds::defaults::{By, Said};
use keystead_compile::kinds::pod::PodSecrets;
use keystead_crds::names::{
    CONTAINERS_ANNOTATION, MOUNT_PATH_ANNOTATION, REFRESH_ANNOTATION, SIDECAR_CPU_ANNOTATION,
    SIDECAR_FIRST_ANNOTATION, SIDECAR_MEMORY_ANNOTATION, SIDECAR_MODE_ANNOTATION,
};
use keystead_crds::sidecar::{FileConfig, OnChange};
use serde::Serialize;

/// What holds where a binding may be silent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Defaults {
    pub(crate) mode: Setting,
    pub(crate) place: Setting,
    pub(crate) containers: Setting,
    pub(crate) mount_path: Setting,
    pub(crate) refresh_interval: Setting,
    pub(crate) sidecar_cpu: Setting,
    pub(crate) sidecar_memory: Setting,
}

/// One of them, and who says so.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) from: String,
}

/// A file, and who is told when it changes.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) file: String,
    pub(crate) tells: String,
}

impl Defaults {
    pub(super) fn new(subject: &Subject, bound: &PodSecrets, provider: &str) -> Self {
        let from = |by: &By, annotation: &str| match by {
            By::Pod => format!("annotation {annotation} of the pod"),
            By::Binding(name) => format!("SecretBinding {name}"),
            By::Namespace => format!("annotation {annotation} of namespace {}", subject.namespace),
            By::Provider => format!("SecretProvider {provider}"),
            By::BuiltIn => "built in".to_owned(),
        };
        let (held, shape) = (&bound.defaults, &bound.shape);
        let restarts = if bound.restart {
            ", restarted on change"
        } else {
            ""
        };
        let all = shape.containers.value.is_empty();
        Self {
            mode: setting(&held.mode, SIDECAR_MODE_ANNOTATION, from, |mode| {
                format!("{mode:?}{restarts}")
            }),
            place: setting(&held.first, SIDECAR_FIRST_ANNOTATION, from, |first| {
                let place = if *first { "first" } else { "after native sidecars" };
                place.to_owned()
            }),
            containers: setting(&shape.containers, CONTAINERS_ANNOTATION, from, |names| {
                if all { "all".to_owned() } else { names.join(", ") }
            }),
            mount_path: setting(&shape.mount_path, MOUNT_PATH_ANNOTATION, from, Clone::clone),
            refresh_interval: setting(&held.refresh, REFRESH_ANNOTATION, from, |every| {
                format!("{every:?}")
            }),
            sidecar_cpu: setting(&held.cpu, SIDECAR_CPU_ANNOTATION, from, Clone::clone),
            sidecar_memory: setting(&held.memory, SIDECAR_MEMORY_ANNOTATION, from, Clone::clone),
        }
    }

    /// Each with its name.
    pub(super) const fn all(&self) -> [(&'static str, &Setting); 7] {
        [
            ("mode", &self.mode),
            ("place", &self.place),
            ("containers", &self.containers),
            ("mount path", &self.mount_path),
            ("refresh interval", &self.refresh_interval),
            ("sidecar cpu", &self.sidecar_cpu),
            ("sidecar memory", &self.sidecar_memory),
        ]
    }
}

fn setting<T>(
    said: &Said<T>,
    annotation: &str,
    from: impl Fn(&By, &str) -> String,
    write: impl Fn(&T) -> String,
) -> Setting {
    Setting {
        value: write(&said.value),
        from: from(&said.by, annotation),
    }
}

impl Told {
    /// Of every file that somebody is told of.
    pub(super) fn all(bound: &PodSecrets) -> Vec<Self> {
        let told = |file: &FileConfig| {
            Some(Self {
                file: place(bound, file),
                tells: words(file.on_change.as_ref()?),
            })
        };
        bound.config.files.iter().filter_map(told).collect()
    }
}

fn words(on_change: &OnChange) -> String {
    match on_change {
        OnChange::Signal { name, container } => {
            let whom = container.as_deref().map(|name| format!("container {name}"));
            format!(
                "{} to {}",
                name.as_str(),
                whom.unwrap_or_else(|| "its container".to_owned())
            )
        }
        OnChange::Http { port, path } => format!("POST to port {port}, path {path}"),
    }
}

/// Where the pod finds a file.
pub(super) fn place(bound: &PodSecrets, file: &FileConfig) -> String {
    format!("{}/{}", bound.shape.mount_path.value, file.path)
}
