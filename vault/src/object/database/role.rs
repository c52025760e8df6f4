//! A role: by what statements Vault makes users, or whose password it rotates.

use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use crate::object::Deletion;
use crate::object::fields::{Fields, differences, fields};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A role as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseRole {
    /// Path of the database engine.
    pub mount: String,
    /// Name.
    pub name: String,
    /// Name of its connection.
    pub connection: String,
    /// What it does.
    pub kind: RoleKind,
}

/// What a role does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoleKind {
    /// Makes a user for each who asks.
    Dynamic {
        /// How a user is made.
        creation: Vec<String>,
        /// How it is taken away; the plugin's own way where there are none.
        revocation: Vec<String>,
        /// Life of a user between renewals.
        default_ttl: Duration,
        /// Longest life of a user.
        max_ttl: Duration,
    },
    /// Rotates the password of a user that is there, for all who ask.
    Static {
        /// The user.
        username: String,
        /// How often.
        rotation_period: Duration,
    },
}

/// What is known of a static role's password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PasswordState {
    /// When Vault rotated it last, in seconds since 1970.
    pub rotated_at: i64,
    /// When it is to do so next.
    pub due: i64,
}

impl DatabaseRole {
    /// What is known of the password, where it is a static role's that is there.
    pub async fn password(&self, client: &Client) -> Result<Option<PasswordState>, Error> {
        if !matches!(self.kind, RoleKind::Static { .. }) {
            return Ok(None);
        }
        let found = self.read(client).await?;
        Ok(found.and_then(|found| password(&found)))
    }

    /// Where who may use the role reads what it gives.
    pub fn credentials(&self) -> String {
        let folder = match self.kind {
            RoleKind::Dynamic { .. } => "creds",
            RoleKind::Static { .. } => "static-creds",
        };
        format!("{}/{folder}/{}", self.mount, self.name)
    }

    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        let Some(found) = self.read(client).await? else {
            let detail = match &self.kind {
                RoleKind::Dynamic { .. } => format!("makes users by {}", self.connection),
                RoleKind::Static { username, .. } => {
                    format!(
                        "rotates the password of {username} by {}, at once",
                        self.connection
                    )
                }
            };
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

    /// Takes it away, after all users that it made: their leases could not be told from others' later.
    /// Users that are retained end with their leases, which nobody can renew any more.
    pub(crate) async fn delete(&self, client: &Client, users: Deletion) -> Result<(), Error> {
        if users != Deletion::Retain && matches!(self.kind, RoleKind::Dynamic { .. }) {
            let leases = format!("sys/leases/revoke-prefix/{}", self.credentials());
            client.write(&leases, &json!({ "sync": true })).await?;
        }
        client.delete(&self.path()).await
    }

    fn path(&self) -> String {
        let folder = match self.kind {
            RoleKind::Dynamic { .. } => "roles",
            RoleKind::Static { .. } => "static-roles",
        };
        format!("{}/{folder}/{}", self.mount, self.name)
    }

    /// What we set, in the form in which Vault answers it.
    fn fields(&self) -> Fields {
        let connection = &self.connection;
        fields(match &self.kind {
            RoleKind::Dynamic {
                creation,
                revocation,
                default_ttl,
                max_ttl,
            } => json!({
                "db_name": connection,
                "creation_statements": creation,
                "revocation_statements": revocation,
                "default_ttl": default_ttl.as_secs(),
                "max_ttl": max_ttl.as_secs(),
            }),
            RoleKind::Static {
                username,
                rotation_period,
            } => json!({
                "db_name": connection,
                "username": username,
                "rotation_period": rotation_period.as_secs(),
            }),
        })
    }
}

fn password(found: &Fields) -> Option<PasswordState> {
    let last = found.get("last_vault_rotation").and_then(Value::as_str)?;
    let rotated_at = last.parse::<Timestamp>().ok()?.as_second();
    let period = found.get("rotation_period").and_then(Value::as_i64)?;
    Some(PasswordState {
        rotated_at,
        due: rotated_at.saturating_add(period),
    })
}

#[cfg(test)]
mod tests;
