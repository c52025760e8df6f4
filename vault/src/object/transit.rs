//! A key of the transit engine, which encrypts and decrypts and never shows it.
//! API: <https://openbao.org/api-docs/secret/transit/>.

use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use crate::object::fields::{Fields, differences, fields};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A key as it should be. What makes it ours is its name, which has our prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransitKey {
    /// Path of the transit engine.
    pub mount: String,
    /// Name.
    pub name: String,
    /// Its type, by Vault's name.
    pub key_type: &'static str,
    /// How old a version gets; as old as it may, where it is zero.
    pub rotate_every: Duration,
    /// The oldest version that decrypts; as Vault has it where there is none.
    pub min_decryption_version: Option<i64>,
}

/// What is known of a key that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransitState {
    /// The newest version.
    pub latest: i64,
    /// When it was made, in seconds since 1970.
    pub made_at: Option<i64>,
    /// The oldest version that decrypts.
    pub oldest: i64,
    /// The public halves of the versions that decrypt, oldest first; none of a key that has no halves.
    pub public_keys: Vec<(i64, String)>,
}

impl TransitKey {
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        let Some(found) = self.read(client).await? else {
            let detail = format!("a key of type {} is made", self.key_type);
            return Ok(Planned::new(Action::Create, vec![detail]));
        };
        let there = text(&found, "type");
        if there != self.key_type {
            return Err(Error::Conflict {
                object: format!("a key at {}", self.path()),
                owner: format!("it is of type {there}, and {} is declared", self.key_type),
            });
        }
        Ok(Planned::of_changes(differences(&self.fields(), &found)))
    }

    pub(crate) async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        Ok(self.read(client).await?.is_some())
    }

    /// Vault takes a key's type when it is made, and the rest only afterwards.
    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        if !self.is_there(client).await? {
            client
                .write(&self.path(), &json!({ "type": self.key_type }))
                .await?;
        }
        self.configure(client, self.fields()).await
    }

    /// Takes it away, for which Vault wants to be told so twice; nothing there is fine.
    pub(crate) async fn delete(&self, client: &Client) -> Result<(), Error> {
        if !self.is_there(client).await? {
            return Ok(());
        }
        self.configure(client, fields(json!({ "deletion_allowed": true })))
            .await?;
        client.delete(&self.path()).await
    }

    /// What is known of it, if it is there.
    pub async fn state(&self, client: &Client) -> Result<Option<TransitState>, Error> {
        Ok(self.read(client).await?.map(|found| state(&found)))
    }

    /// Where it is.
    pub fn path(&self) -> String {
        format!("{}/keys/{}", self.mount, self.name)
    }

    async fn configure(&self, client: &Client, fields: Fields) -> Result<(), Error> {
        let path = format!("{}/config", self.path());
        client.write(&path, &Value::Object(fields)).await
    }

    async fn read(&self, client: &Client) -> Result<Option<Fields>, Error> {
        client.read_optional(&self.path()).await
    }

    /// What we set, in the form in which Vault answers it.
    fn fields(&self) -> Fields {
        let mut all = fields(json!({
            "auto_rotate_period": self.rotate_every.as_secs(),
            // Whoever is killed between leave to delete it and doing so leaves that.
            "deletion_allowed": false,
        }));
        if let Some(oldest) = self.min_decryption_version {
            all.insert("min_decryption_version".into(), oldest.into());
        }
        all
    }
}

fn state(found: &Fields) -> TransitState {
    let number = |name: &str| found.get(name).and_then(Value::as_i64).unwrap_or_default();
    let latest = number("latest_version");
    let versions = found.get("keys").and_then(Value::as_object);
    let newest = versions.and_then(|versions| versions.get(&latest.to_string()));
    let public = |(version, key): (&String, &Value)| {
        let pem = key.get("public_key")?.as_str().filter(|pem| !pem.is_empty())?;
        Some((version.parse().ok()?, pem.to_owned()))
    };
    let mut public_keys: Vec<(i64, String)> = versions.into_iter().flatten().filter_map(public).collect();
    // As texts 10 is before 2.
    public_keys.sort();
    TransitState {
        latest,
        made_at: newest.and_then(made_at),
        oldest: number("min_decryption_version"),
        public_keys,
    }
}

/// When a version was made, in seconds: of a key without halves Vault says nothing else, of others it says
/// it in words.
fn made_at(version: &Value) -> Option<i64> {
    let words = version.get("creation_time").and_then(Value::as_str);
    let time = words.and_then(|words| words.parse::<Timestamp>().ok());
    version.as_i64().or_else(|| time.map(Timestamp::as_second))
}

fn text<'a>(found: &'a Fields, name: &str) -> &'a str {
    found.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
