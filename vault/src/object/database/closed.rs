//! A connection that no role may use any more.

use crate::client::Client;
use crate::engine::Planned;
use crate::error::Error;
use serde::Deserialize;
use serde_json::json;

/// A connection that no role may use any more. All else of it stays: with it would go a password that
/// nobody else knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClosedConnection {
    /// Path of the database engine.
    pub mount: String,
    /// Name.
    pub name: String,
}

impl ClosedConnection {
    /// One that is not there is closed.
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            allowed_roles: Vec<String>,
        }
        let found: Option<Found> = client.read_optional(&self.path()).await?;
        let is_open = found.is_some_and(|found| !found.allowed_roles.is_empty());
        let change = is_open.then(|| "no role may use it any more".to_owned());
        Ok(Planned::of_changes(change.into_iter().collect()))
    }

    /// No server is asked: one that does not answer is closed, too. There is nothing to believe, either,
    /// because nothing is said of where it is and how to log in.
    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        let body = json!({ "allowed_roles": [], "verify_connection": false });
        client.write(&self.path(), &body).await
    }

    fn path(&self) -> String {
        format!("{}/config/{}", self.mount, self.name)
    }
}
