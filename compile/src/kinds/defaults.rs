//! What holds where a binding says nothing: what its namespace's annotations say, else the provider's
//! `defaults`, else what is built in.

use crate::{Key, Problem, World, quantity};
use keystead_crds::common::SidecarMode;
use keystead_crds::condition::Reason;
use keystead_crds::names::{
    REFRESH_ANNOTATION, SIDECAR_CPU_ANNOTATION, SIDECAR_FIRST_ANNOTATION, SIDECAR_MEMORY_ANNOTATION,
    SIDECAR_MODE_ANNOTATION,
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
    /// The binding of this name.
    Binding(String),
    /// An annotation of the namespace.
    Namespace,
    /// The provider's `defaults`.
    Provider,
    /// Nobody said anything.
    BuiltIn,
}

/// Quantities as Kubernetes writes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requests {
    /// Processor time, such as `10m`.
    pub cpu: String,
    /// Memory, such as `16Mi`.
    pub memory: String,
}

/// What holds for a binding. An annotation that can't be understood is a problem of every binding in
/// its namespace.
pub fn effective(
    world: &World,
    provider: &SecretProvider,
    key: &Key,
    binding: &SecretBinding,
) -> Result<Effective, Problem> {
    let noted = Noted {
        world,
        namespace: &key.namespace,
    };
    let own = binding.spec.sidecar.clone();
    let requests = own.resources.unwrap_or_default();
    let defaults = provider.spec.defaults.clone();
    let shared = defaults.sidecar.unwrap_or_default();
    let refresh = [
        binding.spec.refresh_interval,
        noted.read(
            REFRESH_ANNOTATION,
            "a duration between 1s and 24h, such as 30s",
            interval,
        )?,
        defaults.refresh_interval,
    ];
    let cpu = [
        requests.cpu,
        noted.read(SIDECAR_CPU_ANNOTATION, "a quantity above zero, such as 10m", cpu)?,
        shared.resources.cpu,
    ];
    let memory = [
        requests.memory,
        noted.read(
            SIDECAR_MEMORY_ANNOTATION,
            "a quantity of at least 8Mi, such as 16Mi",
            memory,
        )?,
        shared.resources.memory,
    ];
    let mode = [
        own.mode,
        noted.read(
            SIDECAR_MODE_ANNOTATION,
            "a mode: Sidecar, Init or Exec",
            SidecarMode::parse,
        )?,
        shared.mode,
    ];
    let first = [
        own.first,
        noted.read(SIDECAR_FIRST_ANNOTATION, "a word of true and false", |text| {
            text.parse().ok()
        })?,
        shared.first,
    ];
    let [shortest, longest] = BOUNDS;
    let refresh = refresh.map(|said| said.map(|said| Duration::from(said).clamp(shortest, longest)));
    Ok(Effective {
        refresh: heard(key, refresh, REFRESH),
        cpu: heard(key, cpu, CPU.to_owned()),
        memory: heard(key, memory, MEMORY.to_owned()),
        mode: heard(key, mode, SidecarMode::Sidecar),
        first: heard(key, first, true),
    })
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
        Self {
            refresh: if shorter { other.refresh } else { self.refresh },
            cpu: larger(self.cpu, other.cpu),
            memory: larger(self.memory, other.memory),
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

    /// What the sidecar asks the node for.
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests {
            cpu: self.cpu.value.clone(),
            memory: self.memory.value.clone(),
        }
    }
}

impl Requests {
    /// The larger of each.
    #[must_use]
    pub fn at_least(self, other: &Self) -> Self {
        let larger = |one: String, other: &str| {
            if is_larger(other, &one) {
                other.to_owned()
            } else {
                one
            }
        };
        Self {
            cpu: larger(self.cpu, &other.cpu),
            memory: larger(self.memory, &other.memory),
        }
    }
}

fn is_larger(one: &str, other: &str) -> bool {
    quantity::parse(one) > quantity::parse(other)
}

/// The annotations of a binding's namespace.
struct Noted<'a> {
    world: &'a World,
    namespace: &'a str,
}

impl Noted<'_> {
    /// What one says, if it is there and makes sense.
    fn read<T>(&self, name: &str, right: &str, read: fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let namespace = self.namespace;
        let Some(text) = self.world.annotation(namespace, name) else {
            return Ok(None);
        };
        read(text).map(Some).ok_or_else(|| {
            Problem::new(
                Reason::Invalid,
                format!("namespace {namespace}: its annotation {name} is {text:?}: expected {right}"),
            )
        })
    }
}

fn interval(text: &str) -> Option<KubeDuration> {
    let [shortest, longest] = BOUNDS;
    let makes_sense =
        |found: &KubeDuration| !found.is_negative() && (shortest..=longest).contains(&(*found).into());
    text.parse().ok().filter(makes_sense)
}

fn cpu(text: &str) -> Option<String> {
    (quantity::parse(text) > Some(0)).then(|| text.to_owned())
}

fn memory(text: &str) -> Option<String> {
    (quantity::parse(text) >= quantity::parse(LEAST_MEMORY)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
