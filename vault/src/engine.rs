//! The one place that changes Vault: desired objects → read → diff → write what differs.
//!
//! It knows every object by four verbs (matches, write, delete, and for values plan), so drift
//! healing, the refusal of what is not ours and the second pass that writes nothing exist once.

use crate::client::Client;
use crate::error::Error;
use crate::object::{KvSecret, Object, ValueStore};

/// What became of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was as it should be; nothing was written.
    Unchanged,
    /// It was not there and is now.
    Created,
    /// It differed and does not any more.
    Changed,
}

/// An object that is now as it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Applied {
    /// What was done.
    pub outcome: Outcome,
    /// For values: the version that holds them.
    pub version: Option<u64>,
}

/// Makes Vault match: nothing is written where nothing differs, and nothing of others is touched.
pub async fn apply(client: &Client, store: &impl ValueStore, object: &Object) -> Result<Applied, Error> {
    let found = match object {
        Object::KvSecret(secret) => return apply_values(client, store, secret).await,
        Object::Policy(policy) => policy.matches(client).await?,
        Object::Role(role) => role.matches(client).await?,
        Object::SigningKeys(keys) => keys.matches(client).await?,
    };
    let outcome = match found {
        Some(true) => {
            return Ok(Applied {
                outcome: Outcome::Unchanged,
                version: None,
            });
        }
        Some(false) => Outcome::Changed,
        None => Outcome::Created,
    };
    match object {
        Object::Policy(policy) => policy.write(client).await?,
        Object::Role(role) => role.write(client).await?,
        Object::SigningKeys(keys) => keys.write(client).await?,
        Object::KvSecret(_) => {}
    }
    Ok(Applied {
        outcome,
        version: None,
    })
}

/// Takes away an object that only its name identifies. Values are kept: they may be the only copy.
/// So are signing keys: whoever still has a token must be able to end it.
pub async fn remove(client: &Client, object: &Object) -> Result<(), Error> {
    match object {
        Object::Policy(policy) => policy.delete(client).await,
        Object::Role(role) => role.delete(client).await,
        Object::KvSecret(_) | Object::SigningKeys(_) => Ok(()),
    }
}

async fn apply_values(client: &Client, store: &impl ValueStore, secret: &KvSecret) -> Result<Applied, Error> {
    let values = secret.fetch(store).await?;
    let observed = secret.observe(client).await?;
    let changes = secret.plan(&observed, &values)?;
    if changes.is_empty() {
        return Ok(Applied {
            outcome: Outcome::Unchanged,
            version: Some(changes.version()),
        });
    }
    let outcome = if changes.creates {
        Outcome::Created
    } else {
        Outcome::Changed
    };
    let version = secret.apply(client, changes).await?;
    Ok(Applied {
        outcome,
        version: Some(version),
    })
}
