use super::*;
use crate::ProviderFacts;
use crate::fixtures::{binding, company, credential as fixture, global, provider, world};
use crate::kinds::{binding as bindings, credential};
use std::sync::Arc;

const KEY: (&str, &str) = ("keys", "hubspot");

fn known() -> World {
    let mut world = world(
        [provider("p")],
        [global("g", "p"), company("acme", "p", "acme", 1)],
    );
    let facts = ProviderFacts {
        accessor: Some("auth_jwt_1".into()),
        storage: Some("one".into()),
        ..ProviderFacts::default()
    };
    world.set_facts("p", facts);
    for (namespace, label) in [("keys", "writes"), ("shop", "company")] {
        let value = if label == "writes" { "global" } else { "acme" };
        world.set_namespace(namespace, Some([(label.to_owned(), value.to_owned())].into()));
    }
    world
}

fn of(world: &World, object: &Credential, version: Option<u64>) -> Option<Fingerprint> {
    let secret = credential::compile(
        world,
        &Key::new(KEY.0, KEY.1),
        object,
        jiff::Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    of_credential(world, "p", object, &secret, |_| version)
}

fn stored() -> Credential {
    fixture(KEY.0, KEY.1, "g", "hubspot", 1)
}

#[test]
fn values_have_another_where_anything_of_them_is_another() {
    let world = known();
    let first = of(&world, &stored(), Some(1));
    assert!(first.is_some());
    assert_eq!(of(&world, &stored(), Some(1)), first);
    assert_ne!(of(&world, &stored(), Some(2)), first, "the Secret changed");

    let changed = |change: fn(&mut Credential)| {
        let mut object = stored();
        change(&mut object);
        of(&world, &object, Some(1))
    };
    let edits: [fn(&mut Credential); 5] = [
        |object| object.spec.service = "postgres".into(),
        |object| object.spec.active = false,
        |object| object.spec.adoption = keystead_crds::credential::Adoption::Adopt,
        |object| object.spec.keys[1].from.value = Some("other".into()),
        |object| {
            let annotation = (ROTATE_ANNOTATION.to_owned(), "again".to_owned());
            object.annotations_mut().extend([annotation]);
        },
    ];
    for (number, change) in edits.into_iter().enumerate() {
        let found = changed(change);
        assert!(found.is_some() && found != first, "edit {number}");
    }
    let elsewhere = |change: fn(&mut World)| {
        let mut world = known();
        change(&mut world);
        of(&world, &stored(), Some(1))
    };
    let moved = elsewhere(|world| {
        let mut other = provider("p");
        other.spec.vault.address = "https://other:8200".into();
        world.set_provider("p", Some(Arc::new(other)));
    });
    assert_ne!(moved, first, "another address");
    let wiped = elsewhere(|world| {
        world.set_facts("p", ProviderFacts::default());
    });
    assert_ne!(wiped, first, "another storage");
}

#[test]
fn it_is_the_same_before_and_after_a_new_value_was_made() {
    let world = known();
    let mut object = stored();
    object.spec.keys.truncate(1);
    object.spec.keys[0].from.secret_key_ref = None;
    object.spec.keys[0].from.generate = Some(serde_json::from_str("{}").unwrap());
    let annotation = (ROTATE_ANNOTATION.to_owned(), "again".to_owned());
    object.annotations_mut().extend([annotation]);
    let asked = of(&world, &object, None);
    object.status = Some(keystead_crds::credential::CredentialStatus {
        rotation: Some(keystead_crds::credential::RotationStatus {
            followed: Some("again".into()),
            ..<_>::default()
        }),
        version: Some(1),
        ..<_>::default()
    });
    assert!(asked.is_some());
    assert_eq!(of(&world, &object, None), asked);
}

#[test]
fn what_changes_by_itself_or_is_not_known_has_none() {
    let world = known();
    assert_eq!(of(&world, &stored(), None), None, "the Secret is not there");
    let mut object = stored();
    object.spec.expires_at = Some(crate::fixtures::created(99));
    assert_eq!(of(&world, &object, Some(1)), None);
}

#[test]
fn access_has_another_where_a_scope_a_binding_or_the_vault_is_another() {
    let of = |change: fn(&mut World)| {
        let mut world = known();
        let bound = binding("shop", "b", "p", "web", "hubspot");
        world.set_binding(Key::new("shop", "b"), Some(Arc::new(bound)));
        change(&mut world);
        let account = Account {
            provider: "p".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        let objects = bindings::compile(&world, &account).unwrap().unwrap();
        of_account(&world, &account, &objects)
    };
    let first = of(|_| {});
    assert_eq!(of(|_| {}), first);
    let left = of(|world| {
        world.set_namespace("shop", Some(<_>::default()));
    });
    assert_ne!(left, first, "it left the company");
    let more = of(|world| {
        let bound = binding("shop", "c", "p", "web", "postgres");
        world.set_binding(Key::new("shop", "c"), Some(Arc::new(bound)));
    });
    assert_ne!(more, first, "another service");
    let wiped = of(|world| {
        let facts = ProviderFacts {
            storage: Some("two".into()),
            ..world.facts("p").cloned().unwrap()
        };
        world.set_facts("p", facts);
    });
    assert_ne!(wiped, first, "another storage");
    assert_ne!(of_binding(&[first, more]), of_binding(&[first]));
}
