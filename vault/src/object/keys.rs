//! The keys by which a `jwt` auth mount checks tokens. API: <https://openbao.org/api-docs/auth/jwt/>.

use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use crate::object::fields::{Fields, differences, fields};
use serde_json::{Value, json};

/// A cluster's public signing keys in the jwt mount that serves this cluster alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SigningKeys {
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    /// PEM public keys; while the cluster rotates them, the old and the new.
    pub keys: Vec<String>,
    /// The tokens' issuer.
    pub issuer: String,
}

impl SigningKeys {
    /// A mount that fetches its keys by itself is left to that.
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        let Some(found) = self.read(client).await? else {
            return Ok(Planned::new(Action::Create, vec![self.count()]));
        };
        let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default();
        let fetches = ["jwks_url", "oidc_discovery_url"].map(text) != [""; 2];
        if fetches {
            return Ok(Planned::default());
        }
        Ok(Planned::of_changes(differences(&self.fields(), &found)))
    }

    /// Writes them beside whatever else is configured: Vault replaces the configuration as a whole.
    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        let mut config = self.read(client).await?.unwrap_or_default();
        config.retain(|_, value| !value.is_null());
        config.extend(self.fields());
        client.write(&self.path(), &Value::Object(config)).await
    }

    async fn read(&self, client: &Client) -> Result<Option<Fields>, Error> {
        client.read_optional(&self.path()).await
    }

    fn count(&self) -> String {
        format!("{} public key(s) of issuer {}", self.keys.len(), self.issuer)
    }

    pub(crate) fn path(&self) -> String {
        format!("auth/{}/config", self.mount)
    }

    fn fields(&self) -> Fields {
        fields(json!({ "jwt_validation_pubkeys": self.keys, "bound_issuer": self.issuer }))
    }
}
