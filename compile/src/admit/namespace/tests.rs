use super::*;
use crate::fixtures::{company, global, provider, world};
use keystead_crds::provider::AllowedPath;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn selector(key: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels(&[(key, value)])),
        ..LabelSelector::default()
    }
}

fn shared() -> World {
    let mut provider = provider("p");
    provider.spec.namespaces = Some(selector("stage", "live"));
    provider.spec.allowed_paths = vec![AllowedPath {
        prefix: "secret/data/team-a".into(),
        namespaces: selector("team", "a"),
        methods: Vec::new(),
    }];
    world(
        [provider],
        [
            company("acme", "p", "acme", 1),
            company("globex", "p", "globex", 1),
            global("everyone", "p"),
        ],
    )
}

fn said(world: &World, before: Option<&[(&str, &str)]>, after: &[(&str, &str)]) -> Vec<String> {
    let before = before.map(labels);
    let changes = changes(world, before.as_ref(), &labels(after));
    changes
        .into_iter()
        .map(|change| format!("{}/{}: {}", change.kind.resource(), change.name, change.what))
        .collect()
}

#[test]
fn who_joins_or_leaves_is_named_with_the_label_that_does_it() {
    let world = shared();
    assert_eq!(
        said(&world, Some(&[("a", "b")]), &[("a", "b"), ("company", "acme")]),
        ["secretscopes/acme: adding label company=acme would make it a member of SecretScope acme"]
    );
    assert_eq!(
        said(&world, Some(&[("company", "acme")]), &[("company", "globex")]),
        [
            "secretscopes/acme: changing label company from acme to globex would end its membership of SecretScope acme",
            "secretscopes/globex: changing label company from acme to globex would make it a member of SecretScope globex",
        ]
    );
    assert_eq!(
        said(&world, Some(&[("company", "acme")]), &[]),
        ["secretscopes/acme: removing label company would end its membership of SecretScope acme"]
    );
    assert_eq!(
        said(&world, Some(&[]), &[("writes", "global")]),
        [
            "secretscopes/everyone: adding label writes=global would let it declare values for SecretScope everyone"
        ]
    );
    assert_eq!(
        said(&world, Some(&[("stage", "live"), ("team", "a")]), &[]),
        [
            "secretproviders/p: removing label stage would stop it from using SecretProvider p",
            "secretproviders/p: removing label team would close the path secret/data/team-a of SecretProvider p to it",
        ]
    );
}

#[test]
fn other_labels_are_anybodys() {
    let world = shared();
    let before: &[(&str, &str)] = &[("company", "acme"), ("tier", "web")];
    let nothing = Vec::<String>::new();
    assert_eq!(
        said(
            &world,
            Some(before),
            &[("company", "acme"), ("tier", "db"), ("x", "y")]
        ),
        nothing
    );
    assert_eq!(
        said(&world, Some(&[("company", "none")]), &[("company", "nobody")]),
        nothing
    );
    assert_eq!(said(&world, None, &[("tier", "web")]), nothing);
}

#[test]
fn a_new_namespace_has_what_it_is_created_with() {
    let mut world = shared();
    assert_eq!(
        said(&world, None, &[("company", "acme")]),
        ["secretscopes/acme: creating it with label company=acme would make it a member of SecretScope acme"]
    );
    // A name is a label, too.
    let mut named = company("named", "p", "named", 1);
    named.spec.writers.namespace_selector = selector("kubernetes.io/metadata.name", "shop");
    named.spec.members.as_mut().unwrap().namespace_selector = Some(LabelSelector::default());
    world.set_scope("named", Some(named.into()));
    assert_eq!(
        said(&world, None, &[("kubernetes.io/metadata.name", "shop")]),
        [
            "secretscopes/named: creating it with label kubernetes.io/metadata.name=shop would let it declare values \
             for SecretScope named"
        ],
        "and that all are members is no change"
    );
}

#[test]
fn what_selects_by_the_lack_of_a_label_is_joined_by_removing_it() {
    let mut world = shared();
    let mut free = company("free", "p", "free", 1);
    let none = serde_json::json!({"matchExpressions": [{"key": "company", "operator": "DoesNotExist"}]});
    free.spec.members.as_mut().unwrap().namespace_selector = serde_json::from_value(none).unwrap();
    world.set_scope("free", Some(free.into()));
    world.set_scope("acme", None);
    assert_eq!(
        said(&world, Some(&[("company", "acme")]), &[]),
        ["secretscopes/free: removing label company would make it a member of SecretScope free"]
    );
    assert_eq!(
        said(&world, None, &[("company", "x")]),
        Vec::<String>::new(),
        "it never was a member"
    );
}

#[test]
fn other_operators_guard_what_is_theirs() {
    let mut world = shared();
    let mut foreign = provider("p");
    foreign.spec.class = "another".into();
    foreign.spec.namespaces = Some(selector("stage", "live"));
    world.set_provider("p", Some(foreign.into()));
    assert_eq!(
        said(&world, Some(&[]), &[("stage", "live"), ("company", "acme")]),
        Vec::<String>::new()
    );
    world.set_provider("p", None);
    assert_eq!(
        said(&world, Some(&[]), &[("company", "acme")]).len(),
        1,
        "what is nobody's is guarded by all"
    );
}
