//! Our keys beside those of others; adoption; hiding.

use super::*;
use proptest::prelude::*;

#[test]
fn what_is_not_ours_is_refused() {
    let mut observed = theirs(&[]);
    observed.data = None;
    let refused = |observed: &Observed, adoption| {
        let secret = KvSecret { adoption, ..secret() };
        secret
            .plan(observed, &wanted([]))
            .err()
            .map(|error| error.to_string())
    };
    let error = refused(&observed, Adoption::Refuse).unwrap();
    assert!(error.contains("no mark of Keystead"), "{error}");
    let marks = [("keystead-owner".to_owned(), "c1/other/hubspot".to_owned())];
    observed.marks = Some(Marks(marks.into()));
    for adoption in [Adoption::Refuse, Adoption::Adopt] {
        let error = refused(&observed, adoption).unwrap();
        assert!(error.contains("c1/other/hubspot"), "{error}");
    }
}

#[test]
fn adoption_keeps_what_others_wrote() {
    let secret = KvSecret {
        adoption: Adoption::Adopt,
        ..secret()
    };
    let mut observed = theirs(&[("api_key", "old"), ("note", "mine")]);
    let changes = secret.plan(&observed, &wanted([("api_key", "new")])).unwrap();
    assert_eq!(changes.planned.action, Action::Adopt);
    assert_eq!(
        changes.planned.details,
        ["the path is marked", "key api_key is changed"]
    );
    let done = settle(&secret, &mut observed, &mut None, &wanted([("api_key", "new")]));
    assert_eq!(done, [Action::Adopt]);
    assert_eq!(text(&observed, "api_key").as_deref(), Some("new"));
    assert_eq!(text(&observed, "note").as_deref(), Some("mine"));
    // It is ours now, whatever is said of adoption later.
    assert!(
        super::secret()
            .plan(&observed, &wanted([("api_key", "new")]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn details_name_keys_and_no_values() {
    let (mut observed, before) = (Observed::default(), wanted([("a", "1"), ("b", "2")]));
    settle(&secret(), &mut observed, &mut None, &before);
    let changes = secret()
        .plan(&observed, &wanted([("b", "hunter2"), ("c", "hunter3")]))
        .unwrap();
    assert_eq!(
        changes.planned.details,
        ["key b is changed", "key c is added", "key a is removed"]
    );
}

#[test]
fn too_much_is_refused_before_anything_is_written() {
    let long = "x".repeat(LARGEST);
    let error = secret()
        .plan(&Observed::default(), &wanted([("a", long.as_str())]))
        .err()
        .unwrap();
    assert_eq!(
        error,
        Error::TooLarge {
            path: "kv/keystead/production/global/all/hubspot".into(),
            size: LARGEST + r#"{"a":""}"#.len(),
            largest: LARGEST,
        }
    );
    let fits = &long[r#"{"a":""}"#.len()..];
    assert!(
        secret()
            .plan(&Observed::default(), &wanted([("a", fits)]))
            .is_ok()
    );
}

#[test]
fn what_is_inactive_is_hidden_and_comes_back() {
    let (secret, values) = (secret(), wanted([("a", "1")]));
    let inactive = KvSecret {
        active: false,
        ..secret.clone()
    };
    let (mut observed, mut hidden) = (Observed::default(), None);
    assert!(
        settle(&inactive, &mut observed, &mut hidden, &wanted([])).is_empty(),
        "nothing is there"
    );
    settle(&secret, &mut observed, &mut hidden, &values);
    by_hand(&mut observed, "theirs", &json!(1));
    let done = settle(&inactive, &mut observed, &mut hidden, &wanted([]));
    assert_eq!(
        (done, observed.data.is_none(), observed.version),
        (vec![Action::Change], true, 2)
    );
    // What changed meanwhile is written when it is shown again.
    let done = settle(&secret, &mut observed, &mut hidden, &wanted([("a", "2")]));
    assert_eq!(done, [Action::Change; 2]);
    assert_eq!(text(&observed, "a").as_deref(), Some("2"));
    assert!(observed.data.unwrap().has("theirs"));
}

#[test]
fn an_inactive_secret_hides_what_it_adopts() {
    let inactive = KvSecret {
        active: false,
        adoption: Adoption::Adopt,
        ..secret()
    };
    let (mut observed, mut hidden) = (theirs(&[("note", "mine")]), None);
    settle(&inactive, &mut observed, &mut hidden, &wanted([]));
    assert!(observed.data.is_none() && hidden.is_some());
    settle(&secret(), &mut observed, &mut hidden, &wanted([("a", "1")]));
    assert_eq!(text(&observed, "note").as_deref(), Some("mine"));
}

#[test]
fn a_claim_that_led_to_nothing_is_its_owners() {
    let mut observed = theirs(&[]);
    observed.data = Some(Document::claim(&secret().owner));
    let (mut other, values) = (secret(), wanted([("a", "1")]));
    other.owner.name = "other".into();
    assert!(matches!(
        other.plan(&observed, &values),
        Err(Error::Conflict { .. })
    ));
    let before = observed.clone();
    assert_eq!(
        settle(&secret(), &mut observed, &mut None, &values),
        [Action::Create]
    );
    assert!(observed.data.unwrap() == document(&[("a", "1")]));

    // An owner that goes leaves nothing in the way of the next.
    let mut observed = before;
    let step = Removal::default()
        .next(&secret(), &observed, Deletion::Delete)
        .unwrap()
        .unwrap();
    assert!(matches!(step, Step::GiveUp(_)));
    observed.after(&step);
    assert!(
        Removal::default()
            .next(&secret(), &observed, Deletion::Delete)
            .unwrap()
            .is_none()
    );
    assert_eq!(
        settle(&other, &mut observed, &mut None, &values),
        [Action::Create]
    );
    assert!(observed.data.unwrap() == document(&[("a", "1")]));
}

#[test]
fn keys_that_people_write_are_never_touched() {
    let mut values = wanted([("ours", "1")]);
    values.keys.insert("by_hand", Wanted::InVault);
    let mut observed = Observed::default();
    let changes = secret().plan(&observed, &values).unwrap();
    let error = changes.lacking.as_ref().unwrap().to_string();
    assert!(
        error.contains("has no key by_hand") && error.contains("put -mount=kv -cas=0"),
        "{error}"
    );
    carry_out(&mut observed, &mut None, changes, usize::MAX);
    assert!(!observed.marks.as_ref().unwrap().keys().contains("by_hand"));
    let changes = secret().plan(&observed, &values).unwrap();
    let error = changes.lacking.as_ref().unwrap().to_string();
    assert!(
        changes.is_empty() && error.contains("patch -mount=kv -cas=1"),
        "{error}"
    );

    by_hand(&mut observed, "by_hand", &json!("theirs"));
    let changes = secret().plan(&observed, &values).unwrap();
    assert!(changes.is_empty() && changes.lacking.is_none());
    // Not even when it is declared no more.
    values.keys.remove("by_hand");
    settle(&secret(), &mut observed, &mut None, &values);
    assert_eq!(text(&observed, "by_hand").as_deref(), Some("theirs"));
}

#[test]
fn a_path_of_peoples_keys_alone_is_marked_and_not_written() {
    let values = of([("by_hand", Wanted::InVault)].into());
    let mut observed = Observed::default();
    let changes = secret().plan(&observed, &values).unwrap();
    assert!(changes.mark_first.is_some() && changes.data.is_none());
    carry_out(&mut observed, &mut None, changes, usize::MAX);
    assert_eq!(observed.version, 0);
    assert!(secret().plan(&observed, &values).unwrap().is_empty());
}

proptest! {
    /// Whatever is declared one after the other, with a crash after any request: the last pass
    /// ends with our keys as declared, foreign keys untouched, and nothing left to do.
    #[test]
    fn passes_converge_and_lose_nothing(
        rounds in proptest::collection::vec(
            (proptest::collection::btree_map("[a-d]", "[0-9]{0,2}", 1..4), any::<bool>(), 0usize..4), 1..6),
        adopted in any::<bool>(),
    ) {
        let secret = KvSecret { adoption: Adoption::Adopt, ..secret() };
        let mut observed = if adopted { theirs(&[("of_before", "kept")]) } else { Observed::default() };
        let (mut hidden, mut foreign) = (None, false);
        for (declared, active, crash_after) in &rounds {
            let values = wanted(declared.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            let secret = KvSecret { active: *active, ..secret.clone() };
            let changes = secret.plan(&observed, &values).unwrap();
            carry_out(&mut observed, &mut hidden, changes, *crash_after);
            if observed.data.is_some() {
                by_hand(&mut observed, "theirs", &json!({"not": "text"}));
                foreign = true;
            }
        }
        let last: BTreeMap<_, _> = rounds.last().unwrap().0.clone();
        let values = wanted(last.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        settle(&secret, &mut observed, &mut hidden, &values);

        let mut document = observed.data.clone().unwrap_or_default();
        prop_assert_eq!(document.0.remove("theirs").is_some(), foreign);
        prop_assert_eq!(document.0.remove("of_before").is_some(), adopted);
        let ours: BTreeMap<_, _> = std::mem::take(&mut document.0).into_iter()
            .map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect();
        prop_assert_eq!(ours, last);
    }
}
