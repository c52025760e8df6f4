//! Which nodes a pod can land on at all.

use super::text::Text;
use serde::Deserialize;

/// As far as it is required, and of nodes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Affinity<'a> {
    #[serde(borrow)]
    node_affinity: Option<NodeAffinity<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeAffinity<'a> {
    #[serde(borrow)]
    required_during_scheduling_ignored_during_execution: Option<NodeSelector<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSelector<'a> {
    #[serde(borrow)]
    node_selector_terms: Option<Vec<Term<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term<'a> {
    #[serde(borrow)]
    match_expressions: Option<Vec<Expression<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Expression<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    operator: Option<Text<'a>>,
    #[serde(borrow)]
    values: Option<Vec<Text<'a>>>,
}

impl Affinity<'_> {
    /// Whether no node but one with this value of the label will do: one of the terms must hold, and all of
    /// its expressions.
    pub(super) fn demands(&self, label: &str, value: &str) -> bool {
        let nodes = self.node_affinity.as_ref();
        let required =
            nodes.and_then(|nodes| nodes.required_during_scheduling_ignored_during_execution.as_ref());
        let terms = required.and_then(|required| required.node_selector_terms.as_deref());
        let terms = terms.unwrap_or_default();
        let demands = |term: &Term<'_>| {
            let mut all = term.match_expressions.iter().flatten();
            all.any(|expression| expression.demands(label, value))
        };
        !terms.is_empty() && terms.iter().all(demands)
    }
}

impl Expression<'_> {
    fn demands(&self, label: &str, value: &str) -> bool {
        let values = self.values.as_deref().unwrap_or_default();
        self.key.as_deref() == Some(label)
            && self.operator.as_deref() == Some("In")
            && !values.is_empty()
            && values.iter().all(|found| **found == *value)
    }
}
