//! Removal by each policy.

use super::*;
use proptest::prelude::*;

fn written(foreign: bool) -> Observed {
    let mut observed = Observed::default();
    settle(&secret(), &mut observed, &mut None, &wanted([("a", "1")]));
    settle(&secret(), &mut observed, &mut None, &wanted([("a", "2")]));
    if foreign {
        by_hand(&mut observed, "theirs", &json!("x"));
    }
    observed
}

/// Runs a removal as far as `steps` requests go; answers its words.
fn remove(
    observed: &mut Observed,
    hidden: &mut Option<Document>,
    deletion: Deletion,
    steps: usize,
) -> Vec<String> {
    let mut removal = Removal::default();
    let mut said = Vec::new();
    for _ in 0..steps {
        let Some(step) = removal.next(&secret(), observed, deletion).unwrap() else {
            return said;
        };
        said.push(step.to_string());
        assert!(said.len() < 8, "it does not end: {said:?}");
        observed.after(&step);
        match step {
            Step::Show(_) => observed.data = hidden.take(),
            Step::Destroy(versions) if versions.contains(&observed.version) => *hidden = None,
            _ => {}
        }
    }
    said
}

#[test]
fn retained_values_stay_and_stay_ours() {
    let mut observed = written(false);
    assert!(remove(&mut observed, &mut None, Deletion::Retain, 9).is_empty());
    assert!(
        secret()
            .plan(&observed, &wanted([("a", "2")]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn every_version_is_deleted_and_the_path_is_free() {
    let mut observed = written(false);
    let said = remove(&mut observed, &mut None, Deletion::Delete, 9);
    assert_eq!(
        said,
        [
            "deleted: version 1, 2",
            "the mark is taken away: others may use the path"
        ]
    );
    assert!(
        remove(&mut observed, &mut None, Deletion::Delete, 9).is_empty(),
        "a second time"
    );
    // Another may have it, and what was deleted does not come back.
    let other = KvSecret {
        owner: Owner {
            cluster: "c1".into(),
            namespace: "other".into(),
            name: "hubspot".into(),
        },
        ..secret()
    };
    for steps in 0..3 {
        let (mut observed, mut hidden) = (observed.clone(), Some(document(&[("a", "2")])));
        let changes = other.plan(&observed, &wanted([("b", "1")])).unwrap();
        carry_out(&mut observed, &mut hidden, changes, steps);
        settle(&other, &mut observed, &mut hidden, &wanted([("b", "1")]));
        assert_eq!(text(&observed, "a"), None);
        assert_eq!(text(&observed, "b").as_deref(), Some("1"));
    }
    // Unless somebody wrote there meanwhile.
    by_hand(&mut observed, "note", &json!("mine"));
    assert!(other.plan(&observed, &wanted([("b", "1")])).is_err());
}

#[test]
fn every_version_is_destroyed_and_the_path_with_them() {
    let mut observed = written(false);
    let said = remove(&mut observed, &mut None, Deletion::Destroy, 9);
    assert_eq!(said, ["destroyed: version 1, 2", "the path is erased"]);
    assert!(observed.marks.is_none());
    assert!(remove(&mut observed, &mut None, Deletion::Destroy, 9).is_empty());
}

#[test]
fn keys_of_others_stay_readable() {
    for (deletion, word) in [
        (Deletion::Delete, "deleted: version 3"),
        (Deletion::Destroy, "destroyed: version 3"),
    ] {
        let mut observed = written(true);
        let said = remove(&mut observed, &mut None, deletion, 9);
        assert_eq!(said[0], "our keys are taken out; those of others stay readable");
        assert_eq!(said[1], word);
        assert!(said[2].starts_with("the mark is taken away"));
        assert!(observed.data.as_ref().unwrap() == &document(&[("theirs", "x")]));
        assert_eq!(observed.marks.as_ref().unwrap().owner(), None);
        assert!(remove(&mut observed, &mut None, deletion, 9).is_empty());
    }
}

#[test]
fn what_is_not_ours_is_not_removed() {
    let mut observed = theirs(&[("note", "mine")]);
    for deletion in [Deletion::Retain, Deletion::Delete, Deletion::Destroy] {
        let refused = Removal::default().next(&secret(), &observed, deletion);
        assert!(matches!(refused, Err(Error::Conflict { .. })));
    }
    observed = Observed::default();
    assert!(
        remove(&mut observed, &mut None, Deletion::Destroy, 9).is_empty(),
        "nothing is there"
    );
}

proptest! {
    /// Interrupted after any request and begun again, a removal ends where one that ran through does.
    #[test]
    fn a_removal_may_be_interrupted(
        destroy in any::<bool>(), foreign in any::<bool>(), inactive in any::<bool>(),
        crashes in proptest::collection::vec(0usize..5, 0..4),
    ) {
        let deletion = if destroy { Deletion::Destroy } else { Deletion::Delete };
        let mut observed = written(foreign);
        let mut hidden = None;
        if inactive {
            let secret = KvSecret { active: false, ..secret() };
            settle(&secret, &mut observed, &mut hidden, &wanted([]));
        }
        for steps in crashes {
            remove(&mut observed, &mut hidden, deletion, steps);
        }
        remove(&mut observed, &mut hidden, deletion, usize::MAX);
        prop_assert_eq!(text(&observed, "a"), None);
        let shown = foreign && (destroy || !inactive);
        prop_assert_eq!(text(&observed, "theirs").is_some(), shown);
        if destroy {
            prop_assert!(hidden.is_none());
            prop_assert_eq!(observed.marks.is_none(), !foreign);
            for (version, destroyed) in &observed.versions {
                prop_assert!(*destroyed || *version == observed.version && foreign);
            }
        } else {
            let marks = observed.marks.unwrap();
            prop_assert_eq!(marks.owner(), None);
        }
    }
}
