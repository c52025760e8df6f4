//! An ACL policy. API: <https://openbao.org/api-docs/system/policies/>.

use crate::client::{Client, Method};
use crate::engine::{Action, Planned};
use crate::error::Error;
use crate::hcl;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::collections::BTreeSet;

/// An ACL policy as it should be. What makes it ours is its name, which has our prefix, and the comment
/// that it begins with: see [`hcl::workload`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Name; Vault folds its case.
    pub name: String,
    /// HCL.
    pub text: String,
}

impl Policy {
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        Ok(match self.read(client).await? {
            Some(found) if found == self.text => Planned::default(),
            Some(found) => Planned::new(Action::Change, differences(&found, &self.text)),
            None => Planned::new(Action::Create, differences("", &self.text)),
        })
    }

    pub(crate) async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        Ok(self.read(client).await?.is_some())
    }

    /// Its text in Vault; a [`Error::Conflict`] where it is somebody else's.
    async fn read(&self, client: &Client) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Found {
            policy: String,
        }
        match client.read_optional::<Found>(&self.path()).await? {
            Some(found) if !hcl::is_ours(&found.policy) => Err(Error::Conflict {
                object: format!("policy {}", self.name),
                owner: format!("it does not begin with the comment {}", hcl::HEADER),
            }),
            found => Ok(found.map(|found| found.policy)),
        }
    }

    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        let body = json!({ "policy": self.text });
        client
            .call::<IgnoredAny>(Method::Put, &self.path(), Some(&body))
            .await
            .map(|_| ())
    }

    pub(crate) async fn delete(&self, client: &Client) -> Result<(), Error> {
        if self.is_there(client).await? {
            client.delete(&self.path()).await?;
        }
        Ok(())
    }

    fn path(&self) -> String {
        format!("sys/policies/acl/{}", self.name)
    }
}

/// What another text grants more and less; both are of the form that `hcl` writes.
fn differences(old: &str, new: &str) -> Vec<String> {
    let lines = |text| -> BTreeSet<String> { hcl::rights(text).iter().map(ToString::to_string).collect() };
    let (old, new) = (lines(old), lines(new));
    let granted = new.difference(&old).map(|right| format!("grants {right}"));
    let taken = old
        .difference(&new)
        .map(|right| format!("no longer grants {right}"));
    let mut all: Vec<String> = granted.chain(taken).collect();
    if all.is_empty() {
        all.push("only its comments differ".into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Answer, Fake};
    use crate::path::KvPath;
    use serde_json::Value;

    fn policy(services: &[&str]) -> Policy {
        let path = |service: &&str| KvPath {
            mount: "kv".into(),
            path: format!("keystead/{service}"),
        };
        let paths: Vec<KvPath> = services.iter().map(path).collect();
        Policy {
            name: "keystead.c1.p.s.shop.web".into(),
            text: hcl::workload("cluster c1", &paths, &hcl::Paths::new()),
        }
    }

    async fn server(there: String) -> Fake {
        Fake::start(move |asked| match asked.method.as_str() {
            "GET" => Answer::ok(json!({"data": {"policy": there}})),
            _ => Answer::ok(Value::Null),
        })
        .await
    }

    #[tokio::test]
    async fn a_plan_names_the_paths_that_come_and_go() {
        let fake = server(policy(&["a", "b"]).text).await;
        let planned = policy(&["b", "c"]).plan(&fake.client()).await.unwrap();
        assert_eq!(planned.action, Action::Change);
        assert_eq!(
            planned.details,
            [
                "grants read on kv/data/keystead/c",
                "grants read on kv/metadata/keystead/c",
                "no longer grants read on kv/data/keystead/a",
                "no longer grants read on kv/metadata/keystead/a",
            ]
        );
        let same = policy(&["a", "b"]).plan(&fake.client()).await;
        assert_eq!(same, Ok(Planned::default()));
    }

    #[tokio::test]
    async fn a_persons_policy_is_neither_overwritten_nor_deleted() {
        let fake = server("path \"*\" { capabilities = [\"read\"] }".into()).await;
        let client = fake.client();
        for result in [
            policy(&[]).plan(&client).await.map(drop),
            policy(&[]).delete(&client).await,
        ] {
            assert!(matches!(result, Err(Error::Conflict { .. })), "{result:?}");
        }
        assert!(fake.asked().iter().all(|line| line.starts_with("GET ")));
    }
}
