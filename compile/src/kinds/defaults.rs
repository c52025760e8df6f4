//! What holds where a binding says nothing: what its namespace's annotations say, else the provider's
//! `defaults`, else what is built in.

use crate::{Key, Problem, World, quantity};
use keystead_crds::condition::Reason;
use keystead_crds::names::{REFRESH_ANNOTATION, SIDECAR_CPU_ANNOTATION, SIDECAR_MEMORY_ANNOTATION};
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
    let noted = |name, right, read| annotation(world, &key.namespace, name, right, read);
    let refresh = noted(
        REFRESH_ANNOTATION,
        "a duration between 1s and 24h, such as 30s",
        is_interval,
    )?;
    let cpu = noted(
        SIDECAR_CPU_ANNOTATION,
        "a quantity above zero, such as 10m",
        is_cpu,
    )?;
    let memory = noted(
        SIDECAR_MEMORY_ANNOTATION,
        "a quantity of at least 8Mi, such as 16Mi",
        is_memory,
    )?;

    let own = binding.spec.sidecar.resources.as_ref();
    let defaults = &provider.spec.defaults;
    let shared = defaults.sidecar.as_ref();
    let [shortest, longest] = BOUNDS;
    let refresh = [
        binding.spec.refresh_interval,
        refresh.and_then(|refresh| refresh.parse().ok()),
        defaults.refresh_interval,
    ];
    let cpu = [
        own.and_then(|own| own.cpu.as_deref()),
        cpu,
        shared.and_then(|shared| shared.cpu.as_deref()),
    ];
    let memory = [
        own.and_then(|own| own.memory.as_deref()),
        memory,
        shared.and_then(|shared| shared.memory.as_deref()),
    ];
    let refresh = refresh.map(|said| said.map(|said| Duration::from(said).clamp(shortest, longest)));
    Ok(Effective {
        refresh: first(key, refresh, REFRESH),
        cpu: first(key, cpu.map(|said| said.map(str::to_owned)), CPU.to_owned()),
        memory: first(key, memory.map(|said| said.map(str::to_owned)), MEMORY.to_owned()),
    })
}

/// The first that says something: the binding, its namespace, the provider.
fn first<T>(binding: &Key, [own, noted, shared]: [Option<T>; 3], built_in: T) -> Said<T> {
    let (value, by) = match (own, noted, shared) {
        (Some(value), ..) => (value, By::Binding(binding.name.clone())),
        (None, Some(value), _) => (value, By::Namespace),
        (None, None, Some(value)) => (value, By::Provider),
        (None, None, None) => (built_in, By::BuiltIn),
    };
    Said { value, by }
}

impl Effective {
    /// What holds for a pod of both bindings: the shorter interval, the larger requests.
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

/// What an annotation of the namespace says, if it is there and makes sense.
fn annotation<'a>(
    world: &'a World,
    namespace: &str,
    name: &str,
    right: &str,
    makes_sense: fn(&str) -> bool,
) -> Result<Option<&'a str>, Problem> {
    match world.annotation(namespace, name) {
        Some(text) if !makes_sense(text) => Err(Problem::new(
            Reason::Invalid,
            format!("namespace {namespace}: its annotation {name} is {text:?}: expected {right}"),
        )),
        noted => Ok(noted),
    }
}

fn is_interval(text: &str) -> bool {
    let [shortest, longest] = BOUNDS;
    text.parse::<KubeDuration>()
        .is_ok_and(|duration| !duration.is_negative() && (shortest..=longest).contains(&duration.into()))
}

fn is_cpu(text: &str) -> bool {
    quantity::parse(text) > Some(0)
}

fn is_memory(text: &str) -> bool {
    quantity::parse(text) >= quantity::parse(LEAST_MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{binding, provider, world};
    use serde_json::{Value, json};

    /// What holds in a namespace with these annotations, by these parts of the provider and the binding.
    fn held(defaults: Value, annotations: &[(&str, &str)], spec: &Value) -> Result<Effective, Problem> {
        let (mut provider, binding) = (provider("p"), bound(spec));
        provider.spec.defaults = of_json(defaults);
        let mut world = world([], []);
        let annotations = annotations.iter();
        let annotations = annotations.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        world.set_annotations("shop", annotations.collect());
        effective(&world, &provider, &Key::of(&binding), &binding)
    }

    /// A binding with these fields.
    fn bound(spec: &Value) -> SecretBinding {
        let mut binding = binding("shop", "b", "p", "web", "hubspot");
        let mut whole = serde_json::to_value(&binding.spec).unwrap();
        whole
            .as_object_mut()
            .unwrap()
            .append(&mut spec.as_object().unwrap().clone());
        binding.spec = of_json(whole);
        binding
    }

    fn of_json<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn says(defaults: Value, annotations: &[(&str, &str)], spec: &Value) -> String {
        let Effective { refresh, cpu, memory } = held(defaults, annotations, spec).unwrap();
        let by = |by: &By| match by {
            By::Binding(name) => format!("binding {name}"),
            By::Namespace => "namespace".into(),
            By::Provider => "provider".into(),
            By::BuiltIn => "built in".into(),
        };
        let said = [
            (format!("{}", refresh.value.as_secs()), refresh.by),
            (cpu.value, cpu.by),
            (memory.value, memory.by),
        ];
        said.map(|(value, said)| format!("{value} {}", by(&said)))
            .join(", ")
    }

    #[test]
    fn the_binding_wins_then_the_namespace_then_the_provider() {
        let provider = || json!({"refreshInterval": "10m", "sidecar": {"cpu": "20m", "memory": "32Mi"}});
        let namespace = [
            (REFRESH_ANNOTATION, "5m"),
            (SIDECAR_CPU_ANNOTATION, "30m"),
            ("other.example/refresh-interval", "nonsense"),
        ];
        let binding = || json!({"refreshInterval": "30s", "sidecar": {"resources": {"memory": "64Mi"}}});
        let none = || json!({});
        for (provider, namespace, binding, wanted) in [
            (
                none(),
                &[][..],
                none(),
                "60 built in, 10m built in, 16Mi built in",
            ),
            (
                provider(),
                &[],
                none(),
                "600 provider, 20m provider, 32Mi provider",
            ),
            (
                provider(),
                &namespace,
                none(),
                "300 namespace, 30m namespace, 32Mi provider",
            ),
            (
                provider(),
                &namespace,
                binding(),
                "30 binding b, 30m namespace, 64Mi binding b",
            ),
            (
                none(),
                &[],
                binding(),
                "30 binding b, 10m built in, 64Mi binding b",
            ),
        ] {
            assert_eq!(says(provider, namespace, &binding), wanted);
        }
    }

    #[test]
    fn an_annotation_that_makes_no_sense_is_said() {
        for (name, text) in [
            (REFRESH_ANNOTATION, "soon"),
            (REFRESH_ANNOTATION, "0s"),
            (REFRESH_ANNOTATION, "-5m"),
            (REFRESH_ANNOTATION, "25h"),
            (SIDECAR_CPU_ANNOTATION, "0"),
            (SIDECAR_CPU_ANNOTATION, "ten"),
            (SIDECAR_MEMORY_ANNOTATION, "4Mi"),
            (SIDECAR_MEMORY_ANNOTATION, ""),
        ] {
            let problem = held(json!({}), &[(name, text)], &json!({"refreshInterval": "30s"})).unwrap_err();
            assert_eq!(problem.reason, Reason::Invalid);
            let wanted = format!("namespace shop: its annotation {name} is {text:?}: expected a ");
            assert!(problem.message.starts_with(&wanted), "{problem}");
        }
    }

    #[test]
    fn a_pod_of_several_looks_as_often_and_asks_as_much_as_any() {
        fn by<T>(name: &str, value: T) -> Said<T> {
            let by = By::Binding(name.into());
            Said { value, by }
        }
        let effective = |name, seconds, cpu: &str, memory: &str| Effective {
            refresh: by(name, Duration::from_secs(seconds)),
            cpu: by(name, cpu.into()),
            memory: by(name, memory.into()),
        };
        let (one, other) = (
            effective("a", 30, "0.2", "16Mi"),
            effective("b", 60, "100m", "1Gi"),
        );
        let wanted = Effective {
            memory: other.memory.clone(),
            ..one.clone()
        };
        assert_eq!(one.clone().and(other.clone()), wanted);
        assert_eq!(other.and(one), wanted);
    }
}
