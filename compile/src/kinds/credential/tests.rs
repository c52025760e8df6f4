use super::*;
use crate::fixtures::{company, credential, provider, world};
use keystead_crds::credential::DeletionPolicy;
use keystead_vault::object::Deletion;
use serde_json::json;
use std::sync::Arc;

fn declared(world: &World, name: &str) -> Result<KvSecret, Problem> {
    let key = Key {
        namespace: "acme-secrets".into(),
        name: name.into(),
    };
    compile(
        world,
        &key,
        world.credential(&key).unwrap(),
        Timestamp::UNIX_EPOCH,
    )
}

fn acme() -> World {
    let mut world = world([provider("p")], [company("acme", "p", "acme", 1)]);
    world.set_namespace(
        "acme-secrets",
        Some([("writes".to_owned(), "acme".to_owned())].into()),
    );
    world
}

fn add(world: &mut World, credential: Credential) {
    world.set_credential(Key::of(&credential), Some(Arc::new(credential)));
}

#[test]
fn values_go_where_the_scope_says() {
    let mut world = acme();
    add(
        &mut world,
        credential("acme-secrets", "hubspot", "acme", "hubspot", 1),
    );
    let secret = declared(&world, "hubspot").unwrap();
    assert_eq!(
        secret.path.data(),
        "kv/data/keystead/production/company/acme/hubspot"
    );
    assert_eq!(secret.owner.to_string(), "c1/acme-secrets/hubspot");
    assert_eq!(
        secret.keys["base_url"],
        ValueRef::Literal("https://api.example".into())
    );
}

#[test]
fn the_second_of_two_waits_for_the_first_to_go() {
    let mut world = acme();
    add(
        &mut world,
        credential("acme-secrets", "second", "acme", "hubspot", 2),
    );
    add(
        &mut world,
        credential("acme-secrets", "first", "acme", "hubspot", 1),
    );
    assert!(declared(&world, "first").is_ok());
    assert_eq!(declared(&world, "second").unwrap_err().reason, Reason::Conflict);
    world.set_credential(
        Key {
            namespace: "acme-secrets".into(),
            name: "first".into(),
        },
        None,
    );
    assert!(declared(&world, "second").is_ok());
}

#[test]
fn who_may_not_declare_blocks_nobody() {
    let mut world = acme();
    world.set_namespace("elsewhere", Some(BTreeMap::new()));
    add(&mut world, credential("elsewhere", "squat", "acme", "hubspot", 1));
    add(
        &mut world,
        credential("acme-secrets", "hubspot", "acme", "hubspot", 2),
    );
    assert!(declared(&world, "hubspot").is_ok());
}

#[test]
fn nobody_declares_for_another_company() {
    let mut acme = company("acme", "p", "acme", 1);
    acme.spec.writers.namespace_selector = <_>::default();
    let mut world = world([provider("p")], [acme, company("globex", "p", "globex", 2)]);
    let add_by = |world: &mut World, namespace: &str, age| {
        let credential = credential(namespace, "hubspot", "acme", "hubspot", age);
        world.set_credential(Key::of(&credential), Some(Arc::new(credential)));
    };
    for (namespace, company) in [
        ("globex-shop", "globex"),
        ("acme-shop", "acme"),
        ("nobodys", "none"),
    ] {
        world.set_namespace(
            namespace,
            Some([("company".to_owned(), company.to_owned())].into()),
        );
    }
    let compiled = |world: &World, namespace: &str| {
        let key = Key::new(namespace, "hubspot");
        compile(
            world,
            &key,
            world.credential(&key).unwrap(),
            Timestamp::UNIX_EPOCH,
        )
    };
    add_by(&mut world, "globex-shop", 1);
    add_by(&mut world, "acme-shop", 2);
    let problem = compiled(&world, "globex-shop").unwrap_err();
    assert_eq!(problem.reason, Reason::NotPermitted);
    assert_eq!(
        problem.message,
        "SecretScope acme does not let namespace globex-shop declare values: the namespace is a member of SecretScope \
         globex, and would declare them for another company: narrow spec.writers, and declare them elsewhere"
    );
    assert!(
        compiled(&world, "acme-shop").is_ok(),
        "the older one may not, and stands in nobody's way"
    );
    world.set_credential(Key::new("acme-shop", "hubspot"), None);
    add_by(&mut world, "nobodys", 3);
    assert!(compiled(&world, "nobodys").is_ok());
}

#[test]
fn only_writers_declare() {
    let mut world = acme();
    world.set_namespace("acme-secrets", Some(BTreeMap::new()));
    add(
        &mut world,
        credential("acme-secrets", "hubspot", "acme", "hubspot", 1),
    );
    assert_eq!(
        declared(&world, "hubspot").unwrap_err().reason,
        Reason::NotPermitted
    );
}

#[test]
fn it_says_what_it_waits_for() {
    let mut world = World::new("c1", "keystead");
    add(
        &mut world,
        credential("acme-secrets", "hubspot", "acme", "hubspot", 1),
    );
    assert_eq!(
        declared(&world, "hubspot").unwrap_err().message,
        "SecretScope acme not found"
    );
}

#[test]
fn every_source_becomes_its_reference() {
    let mut world = acme();
    let mut all = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
    let keys = json!([
        {"name": "secret", "from": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "value", "from": {"value": "v"}},
        {"name": "generated", "from": {"generate": {}}},
        {"name": "vault", "from": {"vault": {}}},
    ]);
    all.spec.keys = serde_json::from_value(keys).unwrap();
    all.annotations_mut().insert(ROTATE_ANNOTATION.into(), "2".into());
    add(&mut world, all.clone());
    let secret = declared(&world, "hubspot").unwrap();
    assert!(matches!(secret.keys["secret"], ValueRef::SecretKey { .. }));
    assert_eq!(secret.keys["value"], ValueRef::Literal("v".into()));
    assert_eq!(secret.keys["vault"], ValueRef::InVault);
    assert!(matches!(secret.keys["generated"], ValueRef::Generate { .. }));
    assert_eq!(secret.asked.map(|asked| asked.text), Some("2".into()));

    all.status = Some(serde_json::from_value(json!({"rotation": {"followed": "2"}})).unwrap());
    add(&mut world, all);
    let secret = declared(&world, "hubspot").unwrap();
    assert_eq!(secret.asked, None, "that was followed already");
}

#[test]
fn the_rest_of_the_spec_reaches_the_engine() {
    let mut world = acme();
    let mut one = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
    (one.spec.active, one.spec.adoption) = (false, Adoption::Adopt);
    let path = "kv/keystead/production/company/acme/hubspot";
    one.status = Some(serde_json::from_value(json!({"path": path, "version": 1})).unwrap());
    add(&mut world, one.clone());
    let secret = declared(&world, "hubspot").unwrap();
    assert_eq!(
        (secret.active, secret.adoption, secret.known),
        (false, Taking::Adopt, true)
    );
    // What was written elsewhere says nothing of this path.
    one.status = Some(serde_json::from_value(json!({"path": "kv/elsewhere", "version": 1})).unwrap());
    add(&mut world, one);
    assert!(!declared(&world, "hubspot").unwrap().known);
}

#[test]
fn what_is_removed_does_not_depend_on_who_may_declare() {
    let mut world = acme();
    world.set_namespace("acme-secrets", Some(BTreeMap::new()));
    let mut one = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
    one.spec.deletion_policy = DeletionPolicy::Delete;
    add(&mut world, one.clone());
    assert!(declared(&world, "hubspot").is_err());
    let key = Key::of(&one);
    let found = removal(&world, &key, &one).unwrap();
    assert_eq!((found.provider.as_str(), found.deletion), ("p", Deletion::Delete));
    assert_eq!(found.secret.owner.to_string(), "c1/acme-secrets/hubspot");
    let path = "kv/keystead/production/company/acme/hubspot";
    assert_eq!(found.secret.path.to_string(), path);

    one.status = Some(serde_json::from_value(json!({"path": "kv/elsewhere"})).unwrap());
    let problem = removal(&world, &key, &one).unwrap_err();
    assert!(problem.message.contains("kv/elsewhere before"), "{problem}");
    world.set_scope("acme", None);
    let problem = removal(&world, &key, &one).unwrap_err();
    assert_eq!(problem.message, "SecretScope acme not found");
}

#[test]
fn what_becomes_of_a_deleted_one() {
    let mut world = acme();
    let mut one = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
    let key = Key::of(&one);
    let path = "kv/keystead/production/company/acme/hubspot".to_owned();
    let say = |world: &World, one: &Credential| match fate(world, &key, one) {
        Fate::Nothing => "nothing".to_owned(),
        Fate::Retained(path) => format!("retained {path}"),
        Fate::LeftBehind(path, why) => format!("left behind {path}: {why}"),
        Fate::Waiting(path, why) => format!("waiting {path}: {why}"),
        Fate::Goes(removal) => format!("goes {}", removal.secret.path),
    };
    assert_eq!(say(&world, &one), "nothing", "it was never written");
    one.status = Some(serde_json::from_value(json!({"path": path})).unwrap());
    assert_eq!(say(&world, &one), format!("retained {path}"));
    one.spec.deletion_policy = DeletionPolicy::Destroy;
    assert_eq!(
        say(&world, &one),
        "nothing",
        "it was cleaned up, and others hold it"
    );
    one.metadata.finalizers = Some(vec!["keystead.dev/cleanup".into()]);
    assert_eq!(say(&world, &one), format!("goes {path}"));

    let annotate = |one: &Credential, name: &str| {
        let mut one = one.clone();
        one.annotations_mut().insert(name.into(), "true".into());
        one
    };
    let paused = say(&world, &annotate(&one, "keystead.dev/paused"));
    assert!(
        paused.starts_with(&format!("waiting {path}: the annotation")),
        "{paused}"
    );
    let released = annotate(&one, "keystead.dev/release");
    let wanted = format!("left behind {path}: the annotation keystead.dev/release asks for it");
    assert_eq!(say(&world, &released), wanted);
    world.set_scope("acme", None);
    assert_eq!(
        say(&world, &one),
        format!("left behind {path}: SecretScope acme not found")
    );
    one.status = Some(serde_json::from_value(json!({})).unwrap());
    assert_eq!(say(&world, &one), "nothing", "nowhere was it ever written");
    // Whoever wrote it, if anybody did, did not come to say so.
    one.status = None;
    let somewhere = "the path of service hubspot at SecretScope acme, if it was written at all";
    assert_eq!(
        say(&world, &one),
        format!("left behind {somewhere}: SecretScope acme not found")
    );
}
