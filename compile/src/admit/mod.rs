//! What may be declared, given all that is declared already: asked when somebody applies an object,
//! as a courtesy. What two replicas both let through is decided when it is compiled.
//!
//! What merely waits is let through: the order in which things are applied must not matter.

mod binding;
mod credential;
mod database;
mod encryption;
pub mod namespace;
mod provider;
mod scope;

use crate::{Problem, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keystead_crds::condition::Reason;
use kube::core::Selector;

/// A kind that is looked at when it is applied.
pub trait Admit {
    /// All that is wrong with it. An earlier state of it may stand in the world.
    fn problems(&self, world: &World) -> Vec<Problem>;
}

/// What is said of an object that somebody applies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// What it brings in. It is refused for these.
    pub new: Vec<Problem>,
    /// What was wrong before and still is. A change of something else is not refused for it.
    pub old: Vec<Problem>,
}

/// Looks at an object, and at what it was before.
pub fn admit<K: Admit>(world: &World, object: &K, before: Option<&K>) -> Findings {
    let known = before.map_or_else(Vec::new, |before| before.problems(world));
    let (old, new) = object
        .problems(world)
        .into_iter()
        .partition(|problem| known.contains(problem));
    Findings { new, old }
}

/// The problems among the answers of an object's checks.
fn collect<const N: usize>(checks: [Result<(), Problem>; N]) -> Vec<Problem> {
    checks.into_iter().filter_map(Result::err).collect()
}

/// Whether a selector can be read: one that can't chooses nothing, and nobody would see why.
fn readable(field: &str, selector: Option<&LabelSelector>) -> Result<(), Problem> {
    match selector.map(|selector| Selector::try_from(selector.clone())) {
        Some(Err(_)) => Err(Problem::new(
            Reason::Invalid,
            format!(
                "{field}: each of matchExpressions needs an operator, In or NotIn with values, Exists or DoesNotExist without"
            ),
        )),
        Some(Ok(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{company, provider, world};

    #[test]
    fn what_was_wrong_before_is_no_reason_to_refuse_a_change() {
        let world = world(
            [provider("p")],
            [company("a", "p", "acme", 1), company("b", "p", "acme", 2)],
        );
        let b = world.scope("b").unwrap().as_ref();
        let created = admit(&world, b, None);
        assert_eq!((created.new.len(), created.old.len()), (1, 0), "{created:?}");
        let changed = admit(&world, b, Some(b));
        assert_eq!((changed.new, changed.old), (Vec::new(), created.new));
    }

    #[test]
    fn a_selector_has_operators_that_there_are() {
        let selector = |text| serde_json::from_str::<LabelSelector>(text).unwrap();
        let good = selector(r#"{"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]}"#);
        assert_eq!(readable("spec.namespaces", Some(&good)), Ok(()));
        assert_eq!(readable("spec.namespaces", None), Ok(()));
        for bad in [
            r#"{"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["x"]}]}"#,
            r#"{"matchExpressions": [{"key": "a", "operator": "In"}]}"#,
        ] {
            let problem = readable("spec.namespaces", Some(&selector(bad))).unwrap_err();
            assert!(
                problem
                    .message
                    .starts_with("spec.namespaces: each of matchExpressions"),
                "{problem}"
            );
        }
    }
}
