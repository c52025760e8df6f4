//! What holds of everything that is compiled, whatever is declared: names that meet, names that no API
//! server would let through, and objects that come in any order.

use crate::fixtures::{binding, company, created, credential, provider, world};
use crate::kinds::binding::Account;
use crate::kinds::{binding as bindings, credential as credentials, pod, scope};
use crate::{Key, ProviderFacts, World};
use keystead_crds::{Credential, SecretBinding, SecretProvider, SecretScope};
use keystead_vault::hcl::is_plain_path;
use keystead_vault::object::Object;
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::Arc;

const ACCESSOR: &str = "auth_jwt_1";
/// Of providers, of namespaces and of service accounts.
const NAMES: [&str; 2] = ["a", "b"];
const ACCOUNTS: [&str; 2] = ["web", "job"];

/// Something that is declared, as a watch brings it.
#[derive(Clone, Debug)]
enum Declared {
    Provider(Box<SecretProvider>),
    Scope(Box<SecretScope>),
    Credential(Box<Credential>),
    Binding(Box<SecretBinding>),
    Namespace(String, &'static str),
}

impl Declared {
    /// Which object it is: of two states of one the later is there.
    fn id(&self) -> (u8, String, String) {
        let id = |kind, key: Key| (kind, key.namespace, key.name);
        match self {
            Self::Provider(object) => id(0, Key::of(&**object)),
            Self::Scope(object) => id(1, Key::of(object.as_ref())),
            Self::Credential(object) => id(2, Key::of(object.as_ref())),
            Self::Binding(object) => id(3, Key::of(&**object)),
            Self::Namespace(name, _) => id(4, Key::new("", name)),
        }
    }

    fn put(self, world: &mut World) {
        let (_, namespace, name) = self.id();
        let key = Key { namespace, name };
        match self {
            Self::Provider(object) => {
                world.set_provider(&key.name, Some(Arc::new(*object)));
                let accessor = Some(ACCESSOR.to_owned());
                let facts = ProviderFacts {
                    accessor,
                    ..ProviderFacts::default()
                };
                world.set_facts(&key.name, facts);
            }
            Self::Scope(object) => drop(world.set_scope(&key.name, Some(Arc::new(*object)))),
            Self::Credential(object) => drop(world.set_credential(key, Some(Arc::new(*object)))),
            Self::Binding(object) => drop(world.set_binding(key, Some(Arc::from(object)))),
            Self::Namespace(name, company) => {
                let labels = ["company", "writes"].map(|label| (label.to_owned(), company.to_owned()));
                world.set_namespace(&name, Some(labels.into()));
            }
        }
    }
}

fn filled(declared: &[Declared]) -> World {
    let mut world = world([], []);
    for object in declared {
        object.clone().put(&mut world);
    }
    world
}

/// All that is compiled of a world, in words.
fn outcome(world: &World) -> Vec<String> {
    let said = |what: &dyn Debug| format!("{what:?}");
    let mut all: Vec<String> = world
        .scopes()
        .map(|found| said(&scope::check(world, found)))
        .collect();
    let compiled = world.credentials();
    all.extend(compiled.map(|(key, found)| {
        said(&credentials::compile(
            world,
            key,
            found,
            jiff::Timestamp::UNIX_EPOCH,
        ))
    }));
    let checked = world.bindings();
    all.extend(checked.map(|(key, found)| said(&bindings::check(world, key, found))));
    for (provider, namespace, name) in NAMES
        .iter()
        .flat_map(|provider| NAMES.map(|space| (provider, space)))
        .flat_map(|(provider, space)| ACCOUNTS.map(|name| (*provider, space, name)))
    {
        all.push(said(&policy(world, provider, namespace, name)));
        all.push(said(&pod::compile(world, namespace, name, &<_>::default())));
    }
    all
}

/// A policy's name and text for account `name`, which a binding gives a service and a path.
fn policy(world: &World, provider: &str, namespace: &str, name: &str) -> Option<(String, String)> {
    let account = Account {
        provider: provider.into(),
        namespace: namespace.into(),
        name: name.into(),
    };
    match bindings::compile(world, &account) {
        Ok(Some([Object::Policy(policy), Object::Role(role)])) => {
            assert_eq!([&policy.name, &policy.name], [&role.name, &role.policy]);
            Some((policy.name, policy.text))
        }
        _ => None,
    }
}

// === what is declared ===

fn of(names: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(names)
}

fn declared() -> impl Strategy<Value = Declared> {
    let (names, companies) = (|| of(&NAMES), || of(&["acme", "globex"]));
    prop_oneof![
        names().prop_map(|name| Declared::Provider(provider(name).into())),
        (of(&["s", "t", "u"]), names(), companies(), 0..3_i64)
            .prop_map(|(name, provider, id, age)| Declared::Scope(company(name, provider, id, age).into())),
        (names(), names(), of(&["s", "t", "u"]), of(&["x", "y"]), 0..3_i64).prop_map(
            |(space, name, scope, service, age)| {
                Declared::Credential(credential(space, name, scope, service, age).into())
            }
        ),
        (
            (names(), of(&["k", "l", "m"])),
            (names(), of(&ACCOUNTS)),
            of(&["x", "y"]),
            any::<bool>(),
            0..3_i64
        )
            .prop_map(|((space, name), (provider, account), service, shows, age)| {
                let mut found = binding(space, name, provider, account, service);
                found.metadata.creation_timestamp = Some(created(age));
                if shows {
                    let file = serde_json::json!({"path": "f", "format": "Dotenv", "secret": service});
                    found.spec.files = vec![serde_json::from_value(file).unwrap()];
                }
                Declared::Binding(found.into())
            }),
        (names(), companies()).prop_map(|(name, company)| Declared::Namespace(name.to_owned(), company)),
    ]
}

/// Names that are good, that meet others, and that mean something in HCL, a path or a policy's name.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[as](-[as])?",
        2 => "[as](\\.[as]){1,2}",
        1 => "[aAsS./*+]{1,4}",
        1 => "[a\"\\\\{}$%#\n *+./]{1,6}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_order_in_which_objects_come_does_not_matter(
        (declared, shuffled) in vec(declared(), 0..14).prop_flat_map(|all| {
            // One state of each: which of two is the later is not for the order here to say.
            let mut declared: Vec<Declared> = Vec::new();
            for object in all {
                if declared.iter().all(|other| other.id() != object.id()) {
                    declared.push(object);
                }
            }
            (Just(declared.clone()), Just(declared).prop_shuffle())
        }),
        before in vec(declared(), 0..6),
    ) {
        let wanted = outcome(&filled(&declared));
        prop_assert_eq!(&outcome(&filled(&declared)), &wanted);
        prop_assert_eq!(&outcome(&filled(&shuffled)), &wanted);
        // Nor what stood there before: earlier states of the same objects leave no trace.
        let ids: Vec<_> = declared.iter().map(Declared::id).collect();
        let earlier = before.into_iter().filter(|object| ids.contains(&object.id()));
        let all: Vec<Declared> = earlier.chain(shuffled).collect();
        prop_assert_eq!(&outcome(&filled(&all)), &wanted);
    }

    /// Vault folds the case of policies' and roles' names, so no two are the same without it. Words of
    /// one row, cut in two ways, make names that meet wherever a dot is let through.
    #[test]
    fn two_accounts_have_two_names(
        words in vec(prop_oneof![6 => of(&["a", "s"]), 1 => of(&["A", "S"])], 6),
        cuts in [(1..4_usize, 1..3_usize), (1..4_usize, 1..3_usize)],
    ) {
        let named = cuts.iter().filter_map(|(provider_words, space_words)| {
            let (cluster, rest) = words.split_at(1);
            let (first, rest) = rest.split_at(*provider_words);
            let (space, name) = rest.split_at((*space_words).min(rest.len() - 1));
            let [cluster, first, space, name] = [cluster, first, space, name].map(|words| words.join("."));
            let mut world = filled(&[
                Declared::Provider(provider(&first).into()),
                Declared::Namespace(space.clone(), "acme"),
                Declared::Binding(binding(&space, "b", &first, &name, "hubspot").into()),
            ]);
            world.cluster.clone_from(&cluster);
            let (policy, _) = policy(&world, &first, &space, &name)?;
            Some((policy.to_lowercase(), [cluster, first, space, name]))
        });
        if let [(one, whose), (other, others)] = &named.collect::<Vec<_>>()[..] {
            prop_assert_eq!(one == other, whose == others, "{:?} and {:?}", whose, others);
        }
    }

    /// Nor do two services of two scopes have one path.
    #[test]
    fn two_services_have_two_paths(declared in [[name(), name()], [name(), name()]], levels in [any::<bool>(), any::<bool>()]) {
        let paths = declared.iter().zip(levels).filter_map(|([id, service], is_company)| {
            let mut scope = company("s", "p", id, 1);
            if !is_company {
                scope.spec.level = keystead_crds::Level::Node;
                scope.spec.members = None;
            }
            let mut world = filled(&[Declared::Provider(provider("p").into()), Declared::Scope(scope.into())]);
            world.set_namespace("n", Some([("writes".to_owned(), id.clone())].into()));
            let found = credential("n", "c", "s", service, 1);
            let secret = credentials::compile(&world, &Key::of(&found), &found, jiff::Timestamp::UNIX_EPOCH).ok()?;
            Some((secret.path.data(), (is_company, id, service)))
        });
        if let [(one, whose), (other, others)] = &paths.collect::<Vec<_>>()[..] {
            prop_assert_eq!(one == other, whose == others, "{:?} and {:?}", whose, others);
        }
    }

    /// Each line of a policy is one of ours, and each path in it means itself.
    #[test]
    fn no_name_is_more_than_a_name_in_a_policy(
        [provider_name, space, account, service, path] in [name(), name(), name(), name(), name()],
        [id, prefix, mount] in [name(), name(), name()],
    ) {
        let mut place = provider(&provider_name);
        place.spec.vault.path_prefix = prefix;
        place.spec.vault.mounts.kv = mount;
        let open = serde_json::json!([{"prefix": path, "namespaces": {}}]);
        place.spec.allowed_paths = serde_json::from_value(open).unwrap();
        let mut asks = binding(&space, "b", &provider_name, &account, &service);
        let existing = serde_json::json!({"name": "existing", "path": path});
        asks.spec.secrets.push(serde_json::from_value(existing).unwrap());
        let mut scope = company("s", &provider_name, &id, 1);
        scope.spec.members = serde_json::from_value(serde_json::json!({"namespaceSelector": {}})).unwrap();
        let world = filled(&[
            Declared::Provider(place.into()),
            Declared::Scope(scope.into()),
            Declared::Binding(asks.into()),
            Declared::Namespace(space.clone(), "acme"),
        ]);
        if let Some((_, text)) = policy(&world, &provider_name, &space, &account) {
            let (header, rest) = text.split_once('\n').unwrap();
            prop_assert!(header.starts_with("# Keystead: cluster c1, provider "), "{}", header);
            let template = format!("{{{{identity.entity.aliases.{ACCESSOR}.name}}}}");
            let read = " { capabilities = [\"read\"] }";
            let leases = " { capabilities = [\"update\"] denied_parameters = { \"lease_id\" = [] } }";
            let base = keystead_vault::hcl::workload("", &[], &keystead_vault::hcl::Paths::new());
            let rest = rest.strip_prefix(base.split_once('\n').unwrap().1);
            for line in rest.expect("what every token may do stands first").lines() {
                let inside = line.strip_prefix("path \"").and_then(|line| line.split_once('"'));
                let Some((path, rights)) = inside else { panic!("{line}") };
                let path = if rights == leases { path.trim_end_matches("/+") } else { path };
                prop_assert!(rights == read || rights == leases, "{}", line);
                prop_assert!(is_plain_path(&path.replacen(&template, "node", 1)), "{}", line);
            }
        }
    }
}
