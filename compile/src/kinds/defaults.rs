//! What holds for a pod's sidecar: what its own annotations say, else its binding, else its namespace's
//! annotations, else the provider's `defaults`, else what is built in.

mod volumes;

pub use self::volumes::Volumes;

use crate::{Key, Problem, World, quantity};
use keystead_crds::common::SidecarMode;
use keystead_crds::condition::Reason;
use keystead_crds::names::{
    REFRESH_ANNOTATION, SIDECAR_CPU_ANNOTATION, SIDECAR_CPU_LIMIT_ANNOTATION, SIDECAR_FIRST_ANNOTATION,
    SIDECAR_MEMORY_ANNOTATION, SIDECAR_MEMORY_LIMIT_ANNOTATION, SIDECAR_MODE_ANNOTATION,
};
use keystead_crds::{SecretBinding, SecretProvider};
use kube::core::Duration as KubeDuration;
use std::time::Duration;

/// How often a pod looks for changed values.
const REFRESH: Duration = Duration::from_mins(1);
/// No pod looks more often, or less.
const BOUNDS: [Duration; 2] = [Duration::from_secs(1), Duration::from_hours(24)];
/// What a sidecar asks the node for.
const CPU: &str = "10m";
/// The same of memory.
const MEMORY: &str = "16Mi";
/// Nothing is no processor time to ask for.
const LEAST_CPU: &str = "1n";
/// Less memory is too little for any sidecar.
const LEAST_MEMORY: &str = "8Mi";

/// What holds for a binding, or for a pod, once everybody was heard who may say something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effective {
    /// How often values are looked at.
    pub refresh: Said<Duration>,
    /// Processor time that the sidecar asks the node for, such as `10m`.
    pub cpu: Said<String>,
    /// Memory that it asks for, such as `16Mi`.
    pub memory: Said<String>,
    /// Processor time that it may use; none where it depends on the pod.
    pub cpu_limit: Said<Option<String>>,
    /// Memory that it may use; none where it depends on the pod.
    pub memory_limit: Said<Option<String>>,
    /// The size of the volume with its files, such as `32Mi`; none where it depends on the limit.
    pub files_size: Said<Option<String>>,
    /// How a pod gets its secrets.
    pub mode: Said<SidecarMode>,
    /// Whether the sidecar comes before all other containers.
    pub first: Said<bool>,
}

/// A setting, and who says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said<T> {
    /// What holds.
    pub value: T,
    /// Because of whom.
    pub by: By,
}

/// Who may say something, most specific first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum By {
    /// An annotation of the pod.
    Pod,
    /// The binding of this name.
    Binding(String),
    /// An annotation of the namespace.
    Namespace,
    /// The provider's `defaults`.
    Provider,
    /// Nobody said anything.
    BuiltIn,
}

/// What holds for a binding. An annotation that can't be understood is a problem of every binding in
/// its namespace.
pub fn effective(
    world: &World,
    provider: &SecretProvider,
    key: &Key,
    binding: &SecretBinding,
) -> Result<Effective, Problem> {
    let namespace = &key.namespace;
    let noted = Noted::read(|name| world.annotation(namespace, name))
        .map_err(|why| Problem::new(Reason::Invalid, format!("namespace {namespace}: its {why}")))?;
    let own = binding.spec.sidecar.clone();
    let resources = own.resources.unwrap_or_default();
    let limits = resources.limits.unwrap_or_default();
    let defaults = provider.spec.defaults.clone();
    let shared = defaults.sidecar.unwrap_or_default();
    let most = shared.resources.limits.unwrap_or_default();
    let refresh = [binding.spec.refresh_interval, defaults.refresh_interval].map(|said| said.map(bounded));
    let [asked, usual] = refresh;
    let held = Effective {
        refresh: heard(key, [asked, noted.refresh, usual], REFRESH),
        cpu: heard(
            key,
            [resources.cpu, noted.cpu, shared.resources.cpu],
            CPU.to_owned(),
        ),
        memory: heard(
            key,
            [resources.memory, noted.memory, shared.resources.memory],
            MEMORY.to_owned(),
        ),
        cpu_limit: heard(
            key,
            [limits.cpu, noted.cpu_limit, most.cpu].map(|said| said.map(Some)),
            None,
        ),
        memory_limit: heard(
            key,
            [limits.memory, noted.memory_limit, most.memory].map(|said| said.map(Some)),
            None,
        ),
        files_size: heard(
            key,
            [own.files_size, None, shared.files_size].map(|said| said.map(Some)),
            None,
        ),
        mode: heard(key, [own.mode, noted.mode, shared.mode], SidecarMode::Sidecar),
        first: heard(key, [own.first, noted.first, shared.first], true),
    };
    let limit = held.memory_limit.value.as_ref();
    let limit = limit.map(|limit| larger(limit, &held.memory.value).as_str());
    held.volumes(limit, held.mode.value == SidecarMode::Exec)
        .map_err(|why| Problem::new(Reason::Invalid, why))?;
    Ok(held)
}

/// The first that says something: the binding, its namespace, the provider.
fn heard<T>(binding: &Key, [own, noted, shared]: [Option<T>; 3], built_in: T) -> Said<T> {
    let (value, by) = match (own, noted, shared) {
        (Some(value), ..) => (value, By::Binding(binding.name.clone())),
        (None, Some(value), _) => (value, By::Namespace),
        (None, None, Some(value)) => (value, By::Provider),
        (None, None, None) => (built_in, By::BuiltIn),
    };
    Said { value, by }
}

fn bounded(interval: KubeDuration) -> Duration {
    let [shortest, longest] = BOUNDS;
    Duration::from(interval).clamp(shortest, longest)
}

impl Effective {
    /// What holds for a pod of both bindings: the shorter interval, the larger requests, the mode that
    /// does more, the place that lets another be first.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let shorter = other.refresh.value < self.refresh.value;
        let larger = |one: Said<String>, other: Said<String>| {
            if is_larger(&other.value, &one.value) {
                other
            } else {
                one
            }
        };
        let wider = |one: Said<Option<String>>, other: Said<Option<String>>| {
            if is_larger(
                other.value.as_deref().unwrap_or_default(),
                one.value.as_deref().unwrap_or_default(),
            ) {
                other
            } else {
                one
            }
        };
        Self {
            refresh: if shorter { other.refresh } else { self.refresh },
            cpu: larger(self.cpu, other.cpu),
            memory: larger(self.memory, other.memory),
            cpu_limit: wider(self.cpu_limit, other.cpu_limit),
            memory_limit: wider(self.memory_limit, other.memory_limit),
            files_size: wider(self.files_size, other.files_size),
            mode: if other.mode.value > self.mode.value {
                other.mode
            } else {
                self.mode
            },
            first: if other.first.value {
                self.first
            } else {
                other.first
            },
        }
    }

    /// The same for a pod whose annotations say something, too: that comes before all else. Else what is
    /// wrong with one of them.
    pub fn of_pod<'a>(self, annotation: impl Fn(&str) -> Option<&'a str>) -> Result<Self, String> {
        let noted = Noted::read(annotation)?;
        Ok(Self {
            refresh: self.refresh.or(noted.refresh),
            cpu: self.cpu.or(noted.cpu),
            memory: self.memory.or(noted.memory),
            cpu_limit: self.cpu_limit.or(noted.cpu_limit.map(Some)),
            memory_limit: self.memory_limit.or(noted.memory_limit.map(Some)),
            files_size: self.files_size,
            mode: self.mode.or(noted.mode),
            first: self.first.or(noted.first),
        })
    }

    /// The sizes of the sidecar's volumes where it has this memory limit, if any, with or without its program among
    /// the files; else why they can't be.
    pub fn volumes(&self, limit: Option<&str>, program: bool) -> Result<Volumes, String> {
        Volumes::fit(self.files_size.value.as_deref(), limit, program)
    }

    /// How often values are looked at, in milliseconds.
    pub fn refresh_millis(&self) -> u64 {
        u64::try_from(self.refresh.value.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The larger of two quantities.
pub fn larger<'a>(one: &'a String, other: &'a String) -> &'a String {
    if is_larger(other, one) { other } else { one }
}

fn is_larger(one: &str, other: &str) -> bool {
    quantity::parse(one) > quantity::parse(other)
}

impl<T> Said<T> {
    /// What the pod says, where it says something.
    fn or(self, pod: Option<T>) -> Self {
        let by = By::Pod;
        pod.map_or(self, |value| Self { value, by })
    }
}

/// What annotations say, of a namespace or a pod.
struct Noted {
    refresh: Option<Duration>,
    cpu: Option<String>,
    memory: Option<String>,
    cpu_limit: Option<String>,
    memory_limit: Option<String>,
    mode: Option<SidecarMode>,
    first: Option<bool>,
}

impl Noted {
    /// Reads them, else says which makes no sense.
    fn read<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Result<Self, String> {
        let quantity = |name, least, right: &str| {
            said(annotation(name), name, right, |text| {
                (quantity::parse(text) >= quantity::parse(least)).then(|| text.to_owned())
            })
        };
        let cpu = |name| quantity(name, LEAST_CPU, "a quantity above zero, such as 10m");
        let memory = |name| quantity(name, LEAST_MEMORY, "a quantity of at least 8Mi, such as 16Mi");
        Ok(Self {
            refresh: said(
                annotation(REFRESH_ANNOTATION),
                REFRESH_ANNOTATION,
                "a duration between 1s and 24h, such as 30s",
                interval,
            )?,
            cpu: cpu(SIDECAR_CPU_ANNOTATION)?,
            memory: memory(SIDECAR_MEMORY_ANNOTATION)?,
            cpu_limit: cpu(SIDECAR_CPU_LIMIT_ANNOTATION)?,
            memory_limit: memory(SIDECAR_MEMORY_LIMIT_ANNOTATION)?,
            mode: said(
                annotation(SIDECAR_MODE_ANNOTATION),
                SIDECAR_MODE_ANNOTATION,
                "a mode: Sidecar, Init or Exec",
                SidecarMode::parse,
            )?,
            first: said(
                annotation(SIDECAR_FIRST_ANNOTATION),
                SIDECAR_FIRST_ANNOTATION,
                "a word of true and false",
                |text| text.parse().ok(),
            )?,
        })
    }
}

/// What an annotation says, if it is there; it must make sense.
pub(super) fn said<T>(
    text: Option<&str>,
    name: &str,
    right: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let wrong = |text| format!("annotation {name} is {text:?}: expected {right}");
    text.map(|text| read(text).ok_or_else(|| wrong(text))).transpose()
}

fn interval(text: &str) -> Option<Duration> {
    let [shortest, longest] = BOUNDS;
    let found: KubeDuration = text.parse().ok()?;
    let makes_sense = !found.is_negative() && (shortest..=longest).contains(&found.into());
    makes_sense.then(|| found.into())
}

#[cfg(test)]
mod tests;
