//! An object that may not be what its kind says: a definition may be newer or older than we are.
//! One that can't be read must not stop the watch of all others.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An object, or what is known of one that can't be read. kube's own guard makes a tree of values of
/// each object, and copies it; this one keeps the text.
#[derive(Clone, Debug)]
pub(crate) struct Guard<K>(pub(crate) Result<K, Unreadable>);

/// What is known of an object that can't be read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) metadata: ObjectMeta,
    pub(crate) error: String,
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guard<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let error = match serde_json::from_str(text.get()) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error.to_string(),
        };
        let PartialObjectMeta::<K> { metadata, .. } =
            serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self(Err(Unreadable { metadata, error })))
    }
}

impl<K: Resource> Resource for Guard<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0
            .as_ref()
            .map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0
            .as_mut()
            .map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_crds::SecretScope;
    use kube::ResourceExt as _;
    use kube::core::WatchEvent;

    fn event(spec: &str) -> Guard<SecretScope> {
        let text = format!(
            r#"{{"type":"ADDED","object":{{"apiVersion":"keystead.dev/v1alpha1","kind":"SecretScope","metadata":{{"name":"acme"}},"spec":{spec}}}}}"#
        );
        match serde_json::from_str(&text).unwrap() {
            WatchEvent::Added(guard) => guard,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_has_still_a_name() {
        let guard = event(r#"{"level":"Galaxy","providerRef":{"name":"p"}}"#);
        assert_eq!(guard.name_any(), "acme");
        let unreadable = guard.0.unwrap_err();
        assert!(unreadable.error.contains("Galaxy"), "{}", unreadable.error);
    }

    #[test]
    fn what_can_be_read_is() {
        let guard =
            event(r#"{"level":"Global","providerRef":{"name":"p"},"writers":{"namespaceSelector":{}}}"#);
        assert_eq!(guard.0.unwrap().spec.provider_ref.name, "p");
    }
}
