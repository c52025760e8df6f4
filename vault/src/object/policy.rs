//! An ACL policy. API: <https://openbao.org/api-docs/system/policies/>.

use crate::client::{Client, Method};
use crate::error::Error;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

/// An ACL policy as it should be. Its name has our prefix, which is what makes it ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Name; Vault folds its case.
    pub name: String,
    /// HCL.
    pub text: String,
}

impl Policy {
    /// Whether Vault has it with this very text; none where it has none of the name.
    pub(crate) async fn matches(&self, client: &Client) -> Result<Option<bool>, Error> {
        #[derive(Deserialize)]
        struct Found {
            policy: String,
        }
        let found: Option<Found> = client.read_optional(&self.path()).await?;
        Ok(found.map(|found| found.policy == self.text))
    }

    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        let body = json!({ "policy": self.text });
        client
            .call::<IgnoredAny>(Method::Put, &self.path(), Some(&body))
            .await
            .map(|_| ())
    }

    pub(crate) async fn delete(&self, client: &Client) -> Result<(), Error> {
        client.delete(&self.path()).await
    }

    fn path(&self) -> String {
        format!("sys/policies/acl/{}", self.name)
    }
}
