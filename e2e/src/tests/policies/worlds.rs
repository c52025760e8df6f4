//! Small random worlds as plain data: what is declared, and how it changes.
//!
//! Names are few, so that they meet, and begin like each other. Some are what the API server refuses.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{option, sample::select};
use std::collections::{BTreeMap, BTreeSet};

/// Namespaces that exist, each after the run's name.
pub(super) const SPACES: [&str; 2] = ["shop", "shop-1"];
/// Service accounts that exist in each of them.
pub(super) const ACCOUNTS: [&str; 3] = ["web", "web.v2", "web-1"];
/// Nodes that tokens name, each after the run's name.
pub(super) const NODES: [&str; 2] = ["node", "node.x"];
pub(super) const ENVIRONMENTS: [&str; 3] = ["development", "testing", "production"];
const SERVICES: [&str; 4] = ["db", "db-1", "db-1-x", "mail"];
const COMPANIES: [&str; 3] = ["acme", "acme.eu", "acme-1"];
/// Existing paths that bindings name, and what providers open.
pub(super) const PATHS: [&str; 4] = [
    "secret/data/team",
    "secret/data/team/app",
    "secret/data/team-1/app",
    "database/creds/app",
];
const OPENED: [&str; 5] = [
    "secret/data/team",
    "secret/data/team-1",
    "secret",
    "database/creds",
    "sys",
];
/// What labels say, and what selectors ask for.
const LABELS: [&str; 2] = ["company", "also"];
const VALUES: [&str; 2] = ["acme", "globex"];

/// What no name may be: a policy or a request would take it for something else than itself.
const STRANGE: [&str; 12] = [
    "*",
    "+",
    "db*",
    "acme*",
    "{{identity.entity.id}}",
    "db/x",
    "..",
    "DB",
    "ACME",
    "WEB",
    "db\" {",
    "a b",
];
/// Namespaces that can't be: the names they would make are those of others.
const STRANGE_SPACES: [&str; 2] = ["SHOP", "shop.web"];
/// Likewise for providers.
const STRANGE_PROVIDERS: [&str; 2] = ["P", "p.s.shop"];
const STRANGE_PREFIXES: [&str; 2] = ["+", "a/.."];
/// Likewise for existing paths, each below one that may be open.
const STRANGE_PATHS: [&str; 5] = [
    "secret/data/*",
    "secret/data/+/app",
    "secret/../kv/data",
    "secret/data/team\" {",
    "sys/policies/acl",
];

/// All that is declared.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    pub(super) providers: Vec<Provider>,
    pub(super) companies: Vec<Company>,
    pub(super) changing: Changing,
}

/// What changes in the course of a story.
#[derive(Clone, Debug, Default)]
pub(super) struct Changing {
    /// Of each of [`SPACES`].
    pub(super) labels: Vec<Labels>,
    pub(super) bindings: Vec<Binding>,
}

/// A world, and what becomes of it while pods run.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) before: Declared,
    pub(super) then: Changing,
    /// Where the pods run: which of [`NODES`].
    pub(super) node: usize,
}

pub(super) type Labels = BTreeMap<&'static str, &'static str>;

#[derive(Clone, Debug)]
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) jwt: bool,
    pub(super) environment: &'static str,
    /// After the run's name.
    pub(super) prefix: &'static str,
    /// Who may use it; all where there is none.
    pub(super) admits: Option<Selector>,
    /// Existing paths, and whom they are open to.
    pub(super) opens: BTreeMap<&'static str, Selector>,
}

/// A scope of level Company; the scopes of the other levels serve everyone.
#[derive(Clone, Debug)]
pub(super) struct Company {
    /// Index of its provider.
    pub(super) provider: usize,
    pub(super) id: &'static str,
    pub(super) members: Selector,
    /// When it was made, in seconds.
    pub(super) made: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) space: &'static str,
    /// Index of its provider.
    pub(super) provider: usize,
    pub(super) accounts: BTreeSet<&'static str>,
    pub(super) services: BTreeSet<&'static str>,
    pub(super) paths: BTreeSet<&'static str>,
}

/// Which namespaces.
#[derive(Clone, Debug)]
pub(super) enum Selector {
    All,
    Is(&'static str, &'static str),
    IsNot(&'static str, &'static str),
}

/// Whether a name is one that can't be.
pub(super) fn is_strange(name: &str) -> bool {
    [
        &STRANGE[..],
        &STRANGE_SPACES,
        &STRANGE_PROVIDERS,
        &STRANGE_PREFIXES,
        &STRANGE_PATHS,
    ]
    .concat()
    .contains(&name)
}

impl Story {
    /// All that is declared in the end.
    pub(super) fn after(&self) -> Declared {
        Declared {
            changing: self.then.clone(),
            ..self.before.clone()
        }
    }
}

/// Stories, small ones first when one fails.
pub(super) fn stories() -> impl Strategy<Value = Story> {
    let providers = vec(provider(), 1..=2).prop_map(|mut providers| {
        // Two objects have two names.
        if let [first, second] = &mut providers[..]
            && first.name == second.name
        {
            second.name = if first.name == "p" { "p-s" } else { "p" };
        }
        providers
    });
    let companies = vec(company(), 0..=3);
    (providers, companies, changing(), changing(), 0..NODES.len()).prop_map(
        |(providers, companies, changing, then, node)| Story {
            before: Declared {
                providers,
                companies,
                changing,
            },
            then,
            node,
        },
    )
}

fn provider() -> impl Strategy<Value = Provider> {
    (
        mostly(&["p", "p-s", "p-s-shop"], &STRANGE_PROVIDERS),
        any::<bool>(),
        select(&ENVIRONMENTS[..]),
        mostly(&["", "-1"], &STRANGE_PREFIXES),
        option::weighted(0.1, selector()),
        btree_map(select(&OPENED[..]), selector(), 0..=2),
    )
        .prop_map(|(name, jwt, environment, prefix, admits, opens)| Provider {
            name,
            jwt,
            environment,
            prefix,
            admits,
            opens,
        })
}

fn company() -> impl Strategy<Value = Company> {
    (
        which_provider(),
        mostly(&COMPANIES, &STRANGE),
        selector(),
        0..3_i64,
    )
        .prop_map(|(provider, id, members, made)| Company {
            provider,
            id,
            members,
            made,
        })
}

fn changing() -> impl Strategy<Value = Changing> {
    let labels = vec(
        btree_map(select(&LABELS[..]), select(&VALUES[..]), 0..=2),
        SPACES.len(),
    );
    (labels, vec(binding(), 1..=4)).prop_map(|(labels, bindings)| Changing { labels, bindings })
}

fn binding() -> impl Strategy<Value = Binding> {
    (
        mostly(&SPACES, &STRANGE_SPACES),
        which_provider(),
        btree_set(mostly(&ACCOUNTS, &STRANGE), 1..=2),
        btree_set(mostly(&SERVICES, &STRANGE), 0..=3),
        btree_set(mostly(&PATHS, &STRANGE_PATHS), 0..=1),
    )
        .prop_map(|(space, provider, accounts, services, paths)| Binding {
            space,
            provider,
            accounts,
            services,
            paths,
        })
}

/// Mostly the first; the second is not always there.
fn which_provider() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => Just(1)]
}

fn selector() -> impl Strategy<Value = Selector> {
    let label = || (select(&LABELS[..]), select(&VALUES[..]));
    prop_oneof![
        1 => Just(Selector::All),
        4 => label().prop_map(|(name, value)| Selector::Is(name, value)),
        1 => label().prop_map(|(name, value)| Selector::IsNot(name, value)),
    ]
}

/// One of the good names, now and then one of the others.
fn mostly(
    good: &'static [&'static str],
    strange: &'static [&'static str],
) -> impl Strategy<Value = &'static str> {
    prop_oneof![15 => select(good), 1 => select(strange)]
}
