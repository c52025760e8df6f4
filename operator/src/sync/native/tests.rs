use super::*;
use k8s_openapi::ByteString;
use keystead_vault::Sensitive;
use proptest::prelude::*;
use serde_json::{Value, json};

fn binding(uid: &str) -> SecretBinding {
    serde_json::from_value(json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretBinding",
        "metadata": {"name": "web", "namespace": "shop", "uid": uid},
        "spec": {"providerRef": {"name": "p"}, "serviceAccounts": ["web"], "secrets": [{"name": "a", "service": "a"}]},
    }))
    .unwrap()
}

/// A Secret of the binding with this uid, which holds `k: v`.
fn secret(uid: &str, label: bool) -> Secret {
    Secret {
        metadata: ObjectMeta {
            owner_references: Some(binding(uid).controller_owner_ref(&()).into_iter().collect()),
            labels: label.then(|| BTreeMap::from([(SYNCED_LABEL.to_owned(), "true".to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("k".to_owned(), ByteString(b"v".to_vec()))])),
        ..Secret::default()
    }
}

#[test]
fn only_ours_is_written_and_only_where_it_differs() {
    let values = ["v", "w"].map(Sensitive::from);
    let [same, changed] = values.each_ref().map(|value| Data::from([("k", value)]));
    let more = Data::from([("k", &values[0]), ("l", &values[1])]);
    let ours = binding("u1");
    assert_eq!(plan(&secret("u1", true), &ours, &same), Plan::Keep);
    for differs in [&changed, &more, &Data::new()] {
        assert_eq!(plan(&secret("u1", true), &ours, differs), Plan::Replace);
    }
    assert_eq!(
        plan(&secret("u1", false), &ours, &same),
        Plan::Replace,
        "the mark is missing"
    );
    let former = plan(&secret("u0", true), &ours, &changed);
    assert_eq!(
        former,
        Plan::Leave("of SecretBinding web".into()),
        "of one that is gone"
    );
    let mut owned = secret("u1", true);
    owned.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    assert_eq!(
        plan(&owned, &ours, &same),
        Plan::Leave("not of this binding".into())
    );
    owned.metadata.owner_references = None;
    assert_eq!(
        plan(&owned, &ours, &same),
        Plan::Leave("not of this binding".into())
    );
}

proptest! {
    #[test]
    fn a_body_is_the_secret_and_was_never_moved(values in proptest::collection::btree_map("[-._a-zA-Z0-9]{1,8}", ".{0,40}", 0..5)) {
        let values: BTreeMap<String, Sensitive<String>> =
            values.into_iter().map(|(key, value)| (key, Sensitive::from(value))).collect();
        let data: Data<'_> = values.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let metadata = ObjectMeta { name: Some("a\"b".into()), ..ObjectMeta::default() };
        let body = body(&metadata, "Opaque", &data).unwrap();
        prop_assert!(body.len() <= body.capacity());
        let read: Secret = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(read.metadata, metadata);
        prop_assert_eq!(read.type_.as_deref(), Some("Opaque"));
        let held: BTreeMap<String, String> = read.data.unwrap_or_default().into_iter()
            .map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect();
        let wanted: BTreeMap<String, String> =
            values.iter().map(|(key, value)| (key.clone(), value.expose().clone())).collect();
        prop_assert_eq!(held, wanted);
        let exact: Value = serde_json::from_slice(&body).unwrap();
        let separators = exact["data"].as_object().unwrap().len().min(1);
        prop_assert_eq!(body.capacity() - body.len(), separators, "one comma less than there is room for");
    }
}
