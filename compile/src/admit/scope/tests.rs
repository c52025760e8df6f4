use super::*;
use crate::fixtures::{company, global, node, provider, world};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keystead_crds::provider::WorkloadMethod;

/// Two companies, acme and globex, with a shop each.
fn companies_of_two() -> World {
    let mut world = world(
        [provider("p")],
        [
            company("acme", "p", "acme", 1),
            company("globex", "p", "globex", 1),
            global("everyone", "p"),
        ],
    );
    for name in ["acme", "globex"] {
        label(&mut world, &format!("{name}-shop"), &[("company", name)]);
        label(&mut world, &format!("{name}-secrets"), &[("writes", name)]);
    }
    world
}

fn label(world: &mut World, namespace: &str, labels: &[(&str, &str)]) {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    world.set_namespace(namespace, Some(labels.collect()));
}

fn selector(key: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some([(key.to_owned(), value.to_owned())].into()),
        ..LabelSelector::default()
    }
}

fn set_members(scope: &mut SecretScope, selector: LabelSelector) {
    scope.spec.members.as_mut().unwrap().namespace_selector = Some(selector);
}

fn messages(world: &World, scope: &SecretScope) -> Vec<String> {
    scope
        .problems(world)
        .into_iter()
        .map(|problem| problem.message)
        .collect()
}

#[test]
fn good_ones_are_let_through() {
    let world = companies_of_two();
    for scope in world.scopes() {
        assert_eq!(messages(&world, scope), Vec::<String>::new());
    }
    assert_eq!(
        messages(&world, &company("third", "p", "third", 9)),
        Vec::<String>::new()
    );
}

#[test]
fn the_same_place_is_declared_once() {
    let world = companies_of_two();
    let mut twin = company("acme-2", "p", "acme", 0);
    assert_eq!(
        messages(&world, &twin),
        ["spec.id: SecretScope acme is the Company acme of SecretProvider p already: use it, or another id"],
        "also when it seems older: creation times are of seconds"
    );
    twin.spec.provider_ref.name = "another".into();
    assert_eq!(messages(&world, &twin), Vec::<String>::new());
    assert_eq!(
        messages(&world, &global("all", "p")),
        ["spec.level: SecretScope everyone is the Global one of SecretProvider p already: use it"]
    );
}

#[test]
fn a_namespace_is_of_one_company() {
    let mut world = companies_of_two();
    let mut third = company("third", "p", "third", 9);
    set_members(&mut third, LabelSelector::default());
    let why = "spec.members selects namespace acme-shop, which is a member of SecretScope acme already, and a namespace \
               belongs to one company: narrow the selector, or change the namespace's labels";
    let writes = "spec.members selects namespace acme-secrets, which spec.writers of SecretScope acme selects, too: it \
                  would declare values for another company; narrow the writers of acme first";
    assert_eq!(messages(&world, &third), [why, writes]);
    assert_eq!(third.problems(&world)[0].reason, Reason::Ambiguous);

    // What the provider does not admit is served by neither.
    let mut narrow = provider("p");
    narrow.spec.namespaces = Some(selector("company", "globex"));
    world.set_provider("p", Some(narrow.into()));
    set_members(&mut third, selector("company", "acme"));
    assert_eq!(messages(&world, &third), Vec::<String>::new());
}

#[test]
fn a_company_is_not_written_by_another() {
    let world = companies_of_two();
    let mut acme = company("acme", "p", "acme", 1);
    acme.spec.writers.namespace_selector = LabelSelector::default();
    let why = "spec.writers selects namespace globex-shop, a member of SecretScope globex: it would declare values for \
               another company; select namespaces of this company, or of none";
    assert_eq!(messages(&world, &acme), [why]);
    acme.spec.writers.namespace_selector = selector("company", "globex");
    assert_eq!(messages(&world, &acme), [why]);
    acme.spec.writers.namespace_selector = selector("company", "acme");
    assert_eq!(messages(&world, &acme), Vec::<String>::new());
    // Values for everyone are no company's.
    let mut everyone = global("everyone", "p");
    everyone.spec.writers.namespace_selector = LabelSelector::default();
    assert_eq!(messages(&world, &everyone), Vec::<String>::new());
}

#[test]
fn a_new_company_is_told_of_writers_that_were_too_wide() {
    let mut world = world([provider("p")], []);
    let mut acme = company("acme", "p", "acme", 1);
    acme.spec.writers.namespace_selector = LabelSelector::default();
    label(&mut world, "acme-shop", &[("company", "acme")]);
    label(&mut world, "globex-shop", &[("company", "globex")]);
    assert_eq!(
        messages(&world, &acme),
        Vec::<String>::new(),
        "nobody else is there"
    );
    world.set_scope("acme", Some(acme.into()));
    assert_eq!(
        messages(&world, &company("globex", "p", "globex", 2)),
        [
            "spec.members selects namespace globex-shop, which spec.writers of SecretScope acme selects, too: it would \
             declare values for another company; narrow the writers of acme first"
        ]
    );
    assert_eq!(
        messages(&world, &company("other", "p", "other", 2)),
        Vec::<String>::new()
    );
}

#[test]
fn a_node_scope_needs_a_provider_that_can() {
    let mut world = companies_of_two();
    assert_eq!(messages(&world, &node("n", "p", "n1")), Vec::<String>::new());
    let mut kubernetes = provider("p");
    kubernetes.spec.workload_auth.method = WorkloadMethod::Kubernetes;
    world.set_provider("p", Some(kubernetes.into()));
    assert_eq!(
        messages(&world, &node("n", "p", "n1")),
        [
            "spec.level: Node needs a provider with workloadAuth.method Jwt, and SecretProvider p has Kubernetes"
        ]
    );
}

#[test]
fn the_order_does_not_matter_and_others_are_left_alone() {
    let mut world = companies_of_two();
    world.set_provider("p", None);
    let mut third = company("third", "p", "third", 9);
    set_members(&mut third, LabelSelector::default());
    third.spec.writers.namespace_selector = LabelSelector::default();
    assert_eq!(
        messages(&world, &third),
        Vec::<String>::new(),
        "whom the provider will admit is not known"
    );
    let mut foreign = provider("p");
    foreign.spec.class = "another".into();
    world.set_provider("p", Some(foreign.into()));
    assert_eq!(
        messages(&world, &company("acme-2", "p", "acme", 9)),
        Vec::<String>::new()
    );
}
