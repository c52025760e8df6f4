use super::*;
use keystead_vault::Sensitive;
use proptest::prelude::*;
use serde_json::Value;

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
