//! The native Secret of a binding's `sync`: whose it is, and what is to be done so that it holds what
//! it should. Doing it is the operator's.

use crate::deadline::answer;
use crate::declared::list;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use keystead_compile::kinds::sync::Data;
use keystead_compile::{Key, Problem};
use keystead_crds::SecretBinding;
use keystead_crds::names::SYNCED_LABEL;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Error, Resource as _, ResourceExt as _};
use std::ops::Deref;
use zeroize::Zeroize as _;

/// What is to be done about a Secret.
pub enum Plan {
    /// It is not there.
    Create,
    /// It is as it should be.
    Keep(Held),
    /// It is ours and differs.
    Replace(Held),
    /// It is somebody else's, who is named.
    Leave(String),
}

/// A Secret that was read; it is wiped when it is dropped.
pub struct Held(Secret);

/// Reads a Secret, and says what is to be done so that it holds this and nothing else, for the binding
/// with this uid.
pub async fn plan(
    client: &Client,
    secret: &Key,
    uid: Option<&str>,
    data: &Data<'_>,
) -> Result<Result<Plan, Error>, Problem> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &secret.namespace);
    let found = answer(&name(secret), api.get_opt(&secret.name)).await?;
    Ok(found.map(|found| found.map_or(Plan::Create, |found| decide(Held(found), uid, data))))
}

fn decide(found: Held, uid: Option<&str>, data: &Data<'_>) -> Plan {
    let owner = controller(&found.metadata);
    if owner.is_none_or(|owner| Some(owner.uid.as_str()) != uid) {
        return Plan::Leave(match owner {
            Some(owner) => format!("of {} {}", owner.kind, owner.name),
            None => "not of this binding".into(),
        });
    }
    if found.differences(data).is_empty() && found.labels().contains_key(SYNCED_LABEL) {
        Plan::Keep(found)
    } else {
        Plan::Replace(found)
    }
}

/// Every Secret with our mark, and the uid of the binding it is of; none of its values is asked for.
pub async fn synced(client: &Client) -> Result<Vec<(Key, String)>, Problem> {
    let marked = ListParams::default().labels(SYNCED_LABEL);
    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    let found = list(&secrets, marked).await?;
    let owned = found.iter();
    Ok(owned
        .filter_map(|secret| Some((Key::of(secret), owner(secret)?.1)))
        .collect())
}

/// The binding that a Secret with our mark says it is of, and that binding's uid.
pub fn owner(secret: &PartialObjectMeta<Secret>) -> Option<(Key, String)> {
    secret.labels().get(SYNCED_LABEL)?;
    let owner = controller(&secret.metadata)?;
    let ours = owner.kind == SecretBinding::kind(&()) && owner.api_version == SecretBinding::api_version(&());
    let binding = Key {
        namespace: secret.namespace().unwrap_or_default(),
        name: owner.name.clone(),
    };
    ours.then(|| (binding, owner.uid.clone()))
}

/// The controller that an object says it has.
fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// A Secret as messages name it.
pub fn name(secret: &Key) -> String {
    format!("Secret {}/{}", secret.namespace, secret.name)
}

impl Held {
    /// What tells this from what it holds, a line for each key.
    pub fn differences(&self, data: &Data<'_>) -> Vec<String> {
        let held = self.data.as_ref();
        let here = data
            .iter()
            .filter_map(|(key, value)| match held.and_then(|held| held.get(*key)) {
                None => Some(format!("key {key} is added")),
                Some(old) if old.0 != value.expose().as_bytes() => Some(format!("key {key} is changed")),
                Some(_) => None,
            });
        let gone = held.into_iter().flat_map(|held| held.keys());
        let gone = gone.filter(|key| !data.contains_key(key.as_str()));
        here.chain(gone.map(|key| format!("key {key} is removed")))
            .collect()
    }
}

impl Deref for Held {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for value in self.0.data.iter_mut().flat_map(|data| data.values_mut()) {
            value.0.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use keystead_vault::Sensitive;
    use std::collections::BTreeMap;

    /// A Secret of the binding with this uid, which holds `k: v`.
    fn secret(uid: &str, label: bool) -> Secret {
        Secret {
            metadata: ObjectMeta {
                owner_references: Some(vec![OwnerReference {
                    api_version: "keystead.dev/v1alpha1".into(),
                    kind: "SecretBinding".into(),
                    name: "web".into(),
                    uid: uid.into(),
                    controller: Some(true),
                    ..OwnerReference::default()
                }]),
                labels: label.then(|| BTreeMap::from([(SYNCED_LABEL.to_owned(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([("k".to_owned(), ByteString(b"v".to_vec()))])),
            ..Secret::default()
        }
    }

    fn say(found: Secret, uid: Option<&str>, data: &Data<'_>) -> String {
        match decide(Held(found), uid, data) {
            Plan::Create => "create".into(),
            Plan::Keep(_) => "keep".into(),
            Plan::Replace(held) => format!("replace: {}", held.differences(data).join(", ")),
            Plan::Leave(owner) => format!("leave, it is {owner}"),
        }
    }

    #[test]
    fn only_ours_is_written_and_only_where_it_differs() {
        let values = ["v", "w"].map(Sensitive::from);
        let [same, changed] = values.each_ref().map(|value| Data::from([("k", value)]));
        let more = Data::from([("k", &values[0]), ("l", &values[1])]);
        let ours = Some("u1");
        assert_eq!(say(secret("u1", true), ours, &same), "keep");
        for (data, wanted) in [
            (&changed, "replace: key k is changed"),
            (&more, "replace: key l is added"),
            (&Data::new(), "replace: key k is removed"),
        ] {
            assert_eq!(say(secret("u1", true), ours, data), wanted);
        }
        assert_eq!(
            say(secret("u1", false), ours, &same),
            "replace: ",
            "the mark is missing"
        );
        let former = say(secret("u0", true), ours, &changed);
        assert_eq!(former, "leave, it is of SecretBinding web", "of one that is gone");
        let unmade = say(secret("u1", true), None, &same);
        assert_eq!(
            unmade, "leave, it is of SecretBinding web",
            "of one that is not made yet"
        );
        let mut owned = secret("u1", true);
        owned.metadata.owner_references.as_mut().unwrap()[0].controller = None;
        assert_eq!(
            say(owned.clone(), ours, &same),
            "leave, it is not of this binding"
        );
        owned.metadata.owner_references = None;
        assert_eq!(
            say(owned.clone(), ours, &same),
            "leave, it is not of this binding"
        );
        assert_eq!(say(owned, None, &same), "leave, it is not of this binding");
    }
}
