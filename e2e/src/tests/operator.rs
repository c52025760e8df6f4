//! The operator against real servers, by real logins. Each test has an operator of its own.

mod access;
mod bindings;
mod replicas;
mod rest;
mod tenants;
mod values;
mod waiting;

use anyhow::Result;

use super::Test;
use crate::stage::Stage;

/// The tests, the widest first.
pub(super) fn tests() -> Vec<Test> {
    let test = |&(name, run)| Test::on_servers(name, run);
    TESTS.iter().map(test).collect()
}

/// What holds, and the function that sees to it.
type Named = (&'static str, fn(&Stage) -> Result<()>);

const TESTS: &[Named] = &[
    (
        "operator: an account reads what its bindings grant and nothing else (Kubernetes)",
        access::kubernetes,
    ),
    (
        "operator: an account reads what its bindings grant and nothing else (Jwt)",
        access::jwt,
    ),
    (
        "operator: nothing is written where nothing differs",
        rest::second_start,
    ),
    (
        "operator: no value is in its log, an event, a condition or a status",
        rest::no_value_leaks,
    ),
    (
        "operator: a binding that goes takes its grants, from running tokens too",
        bindings::deleted,
    ),
    (
        "operator: what was undeclared while it was down is swept at its start",
        bindings::deleted_while_down,
    ),
    (
        "operator: a namespace that leaves a company loses its paths with the token it had",
        tenants::leaves_company,
    ),
    (
        "operator: a namespace of two companies is served by neither",
        tenants::two_companies,
    ),
    (
        "operator: of two scopes with one id the older serves, and then the other",
        tenants::two_scopes,
    ),
    (
        "operator: of two replicas one writes, and the other takes over",
        replicas::one_writes,
    ),
    (
        "operator: what somebody else wrote in Vault stays as it is",
        values::of_others,
    ),
    (
        "operator: keys of others survive, keys of ours come and go",
        values::keys_of_others,
    ),
    (
        "operator: conditions say who waits for what, and turn True by themselves",
        waiting::for_each_other,
    ),
    (
        "operator: an unreachable Vault is said, and taken up when it is there",
        waiting::for_vault,
    ),
    (
        "operator: a provider of another class is left alone",
        waiting::other_class,
    ),
];
