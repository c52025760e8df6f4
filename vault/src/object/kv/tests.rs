//! What `plan` decides, and a model of Vault to carry it out against.

use super::*;
use proptest::prelude::*;

fn secret() -> KvSecret {
    KvSecret {
        path: KvPath {
            mount: "kv".into(),
            path: "keystead/production/global/all/hubspot".into(),
        },
        owner: Owner {
            cluster: "c1".into(),
            namespace: "shared".into(),
            name: "hubspot".into(),
        },
        keys: BTreeMap::new(),
    }
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, Sensitive<String>> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Sensitive::from(*value)))
        .collect()
}

/// Carries a plan out, as far as `steps` requests go: a crash may come after any of them.
fn carry_out(observed: &mut Observed, changes: Changes, steps: usize) {
    let mut left = steps;
    let mut step = || {
        let go = left > 0;
        left = left.saturating_sub(1);
        go
    };
    if let Some(marks) = changes.mark_first
        && step()
    {
        observed.marks = Some(marks);
        observed.cas_required = true;
        observed.max_versions = MAX_VERSIONS;
    }
    if let Some(data) = changes.data
        && step()
    {
        assert_eq!(changes.version, observed.version, "check-and-set");
        observed.data = Some(data);
        observed.version += 1;
    }
    if let Some(marks) = changes.mark_last
        && step()
    {
        observed.marks = Some(marks);
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let mut observed = Observed {
        marks: Some(BTreeMap::new()),
        version: 1,
        ..Observed::default()
    };
    assert!(matches!(
        secret().plan(&observed, &values(&[])),
        Err(Error::Conflict { .. })
    ));
    observed.marks = Some([(OWNER.to_owned(), "c1/other/hubspot".to_owned())].into());
    let error = secret().plan(&observed, &values(&[])).err().unwrap();
    assert!(error.to_string().contains("c1/other/hubspot"), "{error}");
}

#[test]
fn many_long_keys_fit_into_the_marks() {
    let keys: BTreeSet<String> = (0..64).map(|number| format!("{number:0>128}")).collect();
    let marks = secret().marks(&BTreeMap::new(), &keys);
    assert!(marks.len() <= 64 && marks.values().all(|mark| mark.len() <= LONGEST_METADATA));
    assert_eq!(owned_keys(&marks), keys);
}

proptest! {
    /// Whatever is declared one after the other, with a crash after any request: the last pass
    /// ends with our keys as declared, foreign keys untouched, and nothing left to do.
    #[test]
    fn passes_converge_and_lose_nothing(
        rounds in proptest::collection::vec(
            (proptest::collection::btree_map("[a-d]", "[0-9]{0,2}", 0..4), 0usize..4), 1..5)
    ) {
        let secret = secret();
        let mut observed = Observed::default();
        let mut foreign = false;
        for (declared, crash_after) in &rounds {
            let values = declared.iter().map(|(key, value)| (key.clone(), Sensitive::from(value.as_str()))).collect();
            let changes = secret.plan(&observed, &values).unwrap();
            carry_out(&mut observed, changes, *crash_after);
            if let Some(data) = &mut observed.data {
                data.0.insert("theirs".into(), json!({"not": "text"}));
                foreign = true;
            }
        }
        let last: BTreeMap<_, _> = rounds.last().unwrap().0.iter()
            .map(|(key, value)| (key.clone(), Sensitive::from(value.as_str()))).collect();
        let changes = secret.plan(&observed, &last).unwrap();
        carry_out(&mut observed, changes, usize::MAX);

        let mut document = observed.data.clone().unwrap_or_default();
        prop_assert_eq!(document.0.remove("theirs").is_some(), foreign);
        let ours: BTreeMap<_, _> = std::mem::take(&mut document.0).into_iter()
            .map(|(key, value)| (key, Sensitive::from(value.as_str().unwrap()))).collect();
        prop_assert_eq!(&ours, &last);
        prop_assert!(secret.plan(&observed, &last).unwrap().is_empty());
    }
}
