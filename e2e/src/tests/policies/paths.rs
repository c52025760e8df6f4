//! The paths that Vault is asked about: all that could be granted in a world, what lies around it, and
//! what no pod should ever reach.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::model::Account;
use super::objects::Run;
use super::worlds::{Declared, ENVIRONMENTS, NODES, PATHS, Provider, Story};

/// Every path of the KV engine's API that speaks of one secret.
const KINDS: [&str; 7] = [
    "data",
    "metadata",
    "delete",
    "undelete",
    "destroy",
    "subkeys",
    "detailed-metadata",
];
/// Those that grants speak of.
const GRANTED: [&str; 2] = ["data", "metadata"];
/// What pods never reach.
const OTHERS: [&str; 26] = [
    "auth/token/create",
    "auth/token/lookup",
    "auth/token/lookup-accessor",
    "auth/token/renew",
    "auth/token/revoke",
    "auth/token/revoke-orphan",
    "cubbyhole/x",
    "identity/entity/id",
    "identity/entity/name/x",
    "identity/lookup/entity",
    "kv",
    "kv/",
    "kv/config",
    "kv/data/",
    "kv/metadata/",
    "sys/auth",
    "sys/capabilities",
    "sys/capabilities-self",
    "sys/internal/ui/mounts",
    "sys/leases/lookup",
    "sys/leases/renew",
    "sys/leases/revoke",
    "sys/leases/revoke-prefix/database/creds/app",
    "sys/mounts",
    "sys/policies/acl",
    "sys/raw/x",
];

/// What lies around a provider's values.
const AROUND: [&str; 12] = [
    "",
    "/",
    "/company",
    "/company/",
    "/company/acme",
    "/company/acme/",
    "/global/all/",
    "/global/all/db/",
    "/global/all/db/x",
    "/global/all/d",
    "/node",
    "/user/web/db",
];

/// All paths to ask about for an account's token.
pub(super) fn all(world: &Declared, run: &Run, account: &Account) -> Vec<String> {
    let mut paths = tokens_own();
    paths.extend(OTHERS.map(str::to_owned));
    let role = run.role(world, account);
    for mount in [&run.jwt, &run.kubernetes] {
        paths.extend(["config", "login", "role"].map(|path| format!("auth/{mount}/{path}")));
        paths.push(format!("auth/{mount}/role/{role}"));
    }
    paths.push(format!("sys/policies/acl/{role}"));
    for path in PATHS {
        paths.extend(["", "/x", "/"].map(|more| format!("{path}{more}")));
        for verb in ["renew", "revoke"] {
            let leases = ["/lease", "/x/lease", "-1/lease"];
            paths.extend(leases.map(|more| format!("sys/leases/{verb}/{path}{more}")));
        }
    }
    let places = places(world, run, &services(world));
    for (index, provider) in world.providers.iter().enumerate() {
        let own = provider.environment;
        if index != account.provider {
            paths.extend(below(&roots(run, provider, own, &GRANTED), &places));
            continue;
        }
        paths.extend(below(&roots(run, provider, own, &KINDS), &places));
        paths.extend(below(&roots(run, provider, own, &GRANTED), &AROUND));
        let next = ENVIRONMENTS
            .into_iter()
            .find(|next| *next != own)
            .unwrap_or_default();
        paths.extend(below(&roots(run, provider, next, &GRANTED), &places));
    }
    paths
}

/// Where an account's values are and were, and what else it may and might, for a look after a change.
pub(super) fn few(story: &Story, after: &Declared, run: &Run, account: &Account) -> Vec<String> {
    let mut paths = tokens_own();
    paths.extend(PATHS.map(str::to_owned));
    let services = &services(&story.before) | &services(after);
    if let Some(provider) = after.providers.get(account.provider) {
        let roots = roots(run, provider, provider.environment, &GRANTED);
        paths.extend(below(&roots, &places(after, run, &services)));
    }
    paths
}

fn tokens_own() -> Vec<String> {
    ["lookup-self", "renew-self", "revoke-self"]
        .map(|own| format!("auth/token/{own}"))
        .into()
}

/// Where a provider's values would be in an environment, by each path of the engine's API.
fn roots(run: &Run, provider: &Provider, environment: &str, kinds: &[&str]) -> Vec<String> {
    let root = |kind| format!("kv/{kind}/{}{}/{environment}", run.id, provider.prefix);
    kinds.iter().map(root).collect()
}

fn below(roots: &[String], places: &[impl Display]) -> Vec<String> {
    let all = roots
        .iter()
        .flat_map(|root| places.iter().map(move |place| format!("{root}{place}")));
    all.collect()
}

/// Every service at every scope there is, and at some that are not.
fn places(world: &Declared, run: &Run, services: &BTreeSet<&str>) -> Vec<String> {
    let companies: BTreeSet<&str> = world.companies.iter().map(|company| company.id).collect();
    let companies = companies.into_iter().map(|company| format!("/company/{company}"));
    let nodes = NODES.iter().map(|node| format!("/node/{}", run.real(node)));
    let others = ["/global/all", "/company/none", "/node/{{identity.entity.id}}"].map(str::to_owned);
    let scopes: Vec<String> = companies.chain(nodes).chain(others).collect();
    let places = scopes
        .iter()
        .flat_map(|scope| services.iter().map(move |name| format!("{scope}/{name}")));
    places.collect()
}

/// Every service that is asked for, and one that is not.
fn services(world: &Declared) -> BTreeSet<&'static str> {
    let asked = world
        .changing
        .bindings
        .iter()
        .flat_map(|binding| &binding.services);
    asked.copied().chain(["dbx"]).collect()
}
