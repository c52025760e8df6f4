//! The operator against real servers, by real logins. Each test has an operator of its own.

mod access;
mod bindings;
mod clash;
mod credentials;
pub(super) mod databases;
mod deletion;
mod holders;
mod keys;
mod logins;
pub(super) mod paths;
mod process;
mod provider;
mod replicas;
pub(super) mod rest;
mod rotation;
pub(super) mod seals;
mod sync;
mod tenants;
mod unreadable;
mod values;
mod waiting;
mod ways;

use anyhow::Result;

use super::Test;
use crate::stage::Stage;

/// The tests, the widest first.
pub(super) fn tests() -> Vec<Test> {
    let test = |&(name, run)| Test::on_servers(name, run);
    let with_databases = |&(name, run)| Test::on_databases(name, run);
    let databases = DATABASES.iter().map(with_databases);
    TESTS.iter().map(test).chain(databases).collect()
}

/// What holds, and the function that sees to it.
type Named = (&'static str, fn(&Stage) -> Result<()>);

const DATABASES: &[Named] = &[
    (
        "operator: accounts get the database users that bindings grant, each with its rights, as the page shows",
        databases::users,
    ),
    (
        "operator: users of a Redis come and go as their presets say (databases)",
        databases::redis::users,
    ),
    (
        "operator: database hosts, users and statements that are not opened, or closed later, are refused",
        databases::refused::hosts_and_statements,
    ),
    (
        "operator: a lost root password comes back as the page says",
        databases::lost,
    ),
];

const TESTS: &[Named] = &[
    (
        "operator: an encryption key is made, rotates, and goes as it declares, as the page shows",
        keys::keys,
    ),
    (
        "operator: a sealed value opens at its place alone, before and after its key rotates, and is told when it does not",
        seals::seals,
    ),
    (
        "operator: values are replaced in their time, or when somebody asks and the window is open",
        rotation::in_their_time,
    ),
    (
        "operator: an endpoint is asked for new values, signed and by one id for each rotation",
        rotation::by_endpoint,
    ),
    (
        "operator: people are reminded of values that they replace, and what they bring is counted",
        rotation::by_people,
    ),
    (
        "operator: who holds a Credential stands in its status, as bindings come and go",
        holders::credentials,
    ),
    (
        "operator: killed at any request to Vault, a rotation is done once",
        rotation::killed,
    ),
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
        "operator: of two bindings that give a pod one file or variable the older serves",
        clash::older_serves,
    ),
    (
        "operator: an existing path is read where the provider allows it, and nothing beside it",
        paths::granted,
    ),
    (
        "operator: a native Secret holds what its binding shows, and follows it",
        sync::follows,
    ),
    (
        "operator: a native Secret of somebody else is left alone, and a binding's goes with it",
        sync::of_others,
    ),
    (
        "operator: a native Secret goes with the right to what it holds, and comes back with it",
        sync::with_the_right,
    ),
    (
        "operator: what can't be read leaves access as it is",
        unreadable::leaves_access,
    ),
    (
        "operator: without the right to write Secrets a binding says what to set",
        sync::without_the_right,
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
        "operator: a replica that is killed is followed by another",
        replicas::killed,
    ),
    (
        "operator: it logs in by every method, with Secrets as they are now",
        logins::every_method,
    ),
    ("operator: it logs in once for 50 credentials", logins::once),
    (
        "operator: everything is in the provider's Vault namespace, for pods too",
        ways::vault_namespace,
    ),
    (
        "operator: certificates of both sides are taken up while it runs",
        ways::certificates,
    ),
    ("operator: a proxy is gone through", ways::proxy),
    (
        "operator: a sealed Vault is said, and taken up when it is unsealed",
        provider::sealed,
    ),
    (
        "operator: what its token may not do is said in words",
        provider::lacking_rights,
    ),
    (
        "operator: wrong signing keys are replaced, and two are kept together",
        provider::signing_keys,
    ),
    (
        "operator: its start waits for the kinds and says so",
        process::waits_for_kinds,
    ),
    (
        "operator: what is paused stands still and goes on at once",
        process::paused,
    ),
    (
        "operator: an annotation has it look at once, and its lines tell requests apart",
        process::sync_and_log,
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
        "operator: a generated value is made once, anew when asked, and never in silence after a loss",
        credentials::generated,
    ),
    (
        "operator: a value that people write in Vault is waited for, and never written",
        credentials::of_people,
    ),
    (
        "operator: an inactive credential is hidden, and comes back as it was",
        credentials::inactive,
    ),
    (
        "operator: a credential that ends is said ahead of time",
        credentials::expiry,
    ),
    (
        "operator: what nobody has marked is taken over where that is asked for",
        credentials::adopted,
    ),
    (
        "operator: scopes of users are accepted, and so are users of companies",
        credentials::of_users,
    ),
    (
        "operator: a deleted credential's versions go as its policy says",
        deletion::by_policy,
    ),
    (
        "operator: keys of others survive a deletion, and so does all that is to be retained",
        deletion::others_keys,
    ),
    (
        "operator: who waited for a path gets it when the other is deleted",
        deletion::twin_takes_over,
    ),
    (
        "operator: a deletion that is interrupted ends well",
        deletion::interrupted,
    ),
    (
        "operator: what can't be found any more is let go and told",
        deletion::left_behind,
    ),
    (
        "operator: a deletion waits for Vault, says so, and can be let go",
        deletion::blocked,
    ),
    (
        "operator: a namespace does not wait for ever for a Vault that is away",
        deletion::namespace_goes,
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
