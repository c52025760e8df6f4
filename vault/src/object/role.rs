//! A role of a `kubernetes` or `jwt` auth mount, for the pods of one service account.
//! API: <https://openbao.org/api-docs/auth/kubernetes/>, <https://openbao.org/api-docs/auth/jwt/>.

use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use crate::object::fields::{Fields, differences, fields};
use serde_json::{Value, json};
use std::time::Duration;

/// A token's longest life, renewals included, as a multiple of its life without: after it the
/// sidecar logs in anew, and what changed in the role reaches it.
const LONGEST_LIFE: u64 = 24;

/// A role as it should be. Its name has our prefix, which is what makes it ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthRole {
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// Name; Vault folds its case.
    pub name: String,
    /// The mount's method.
    pub method: RoleMethod,
    /// Namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// Audience its tokens must have.
    pub audience: String,
    /// The one policy of its tokens.
    pub policy: String,
    /// Life of a token between renewals.
    pub ttl: Duration,
}

/// How a mount checks tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RoleMethod {
    /// By signature; the alias is the node the pod runs on, for the templated paths of policies.
    /// Every role of the mount must have that same alias.
    Jwt,
    /// By TokenReview.
    Kubernetes,
}

impl AuthRole {
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        let Some(found) = self.read(client).await? else {
            let detail = format!("lets in {}/{}", self.namespace, self.service_account);
            return Ok(Planned::new(Action::Create, vec![detail]));
        };
        Ok(Planned::of_changes(differences(&self.fields(), &found)))
    }

    pub(crate) async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        Ok(self.read(client).await?.is_some())
    }

    async fn read(&self, client: &Client) -> Result<Option<Fields>, Error> {
        client.read_optional(&self.path()).await
    }

    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        client.write(&self.path(), &Value::Object(self.fields())).await
    }

    pub(crate) async fn delete(&self, client: &Client) -> Result<(), Error> {
        client.delete(&self.path()).await
    }

    fn path(&self) -> String {
        format!("auth/{}/role/{}", self.mount, self.name)
    }

    /// What we set, in the form in which Vault answers it.
    fn fields(&self) -> Fields {
        let ttl = self.ttl.as_secs();
        let mut all = fields(json!({
            "token_policies": [self.policy],
            // What a token may do is what its one policy says, and nothing by default.
            "token_no_default_policy": true,
            "token_ttl": ttl,
            "token_explicit_max_ttl": ttl * LONGEST_LIFE,
            // Batch tokens can't be revoked.
            "token_type": "service",
        }));
        let method = match self.method {
            RoleMethod::Jwt => json!({
                "role_type": "jwt",
                "bound_audiences": [self.audience],
                "bound_claims": {
                    "/kubernetes.io/namespace": self.namespace,
                    "/kubernetes.io/serviceaccount/name": self.service_account,
                },
                "user_claim": "/kubernetes.io/node/name",
                "user_claim_json_pointer": true,
            }),
            RoleMethod::Kubernetes => json!({
                "bound_service_account_names": [self.service_account],
                "bound_service_account_namespaces": [self.namespace],
                "audience": self.audience,
                "alias_name_source": "serviceaccount_uid",
            }),
        };
        all.extend(fields(method));
        all
    }
}
