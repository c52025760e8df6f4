//! The one place that changes Vault: desired objects → read → diff → write what differs.
//!
//! It knows every object by a few verbs (plan, write, delete), so drift healing, dry runs, the refusal
//! of what is not ours and the second pass that writes nothing exist once.

use crate::client::Client;
use crate::error::Error;
use crate::object::{Deletion, Object, ValueStore};
use jiff::Timestamp;
use std::fmt;

/// What is to become of an object, or became of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// It is as it should be.
    #[default]
    Unchanged,
    /// It is not there.
    Create,
    /// It differs.
    Change,
    /// It is somebody's who uses no marks, and is taken over.
    Adopt,
    /// It is ours and goes.
    Delete,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::Create => "create",
            Self::Change => "change",
            Self::Adopt => "adopt",
            Self::Delete => "delete",
        })
    }
}

/// What would be done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Planned {
    /// In a word.
    pub action: Action,
    /// In a few lines, each for people, none with a value.
    pub details: Vec<String>,
}

impl Planned {
    pub(crate) fn new(action: Action, details: Vec<String>) -> Self {
        Self { action, details }
    }

    /// Of something that is there: it is changed if there is anything to say.
    pub(crate) fn of_changes(details: Vec<String>) -> Self {
        if details.is_empty() {
            return Self::default();
        }
        Self::new(Action::Change, details)
    }
}

/// An object that is now as it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Applied {
    /// What was done.
    pub action: Action,
    /// For values that are served: the version that holds them.
    pub version: Option<u64>,
    /// For values: what is known of their rotation.
    pub rotation: Option<Rotated>,
}

/// How often values were replaced.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rotated {
    /// When, the last time; before the first, since when they are known, if they are to be rotated.
    pub at: Option<Timestamp>,
    /// How often.
    pub count: u64,
}

/// An object that is gone now, as far as it was to go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Removed {
    /// What was done, in a few lines for people; none where there was nothing to do.
    pub details: Vec<String>,
}

/// What [`apply`] would do: reads, and writes nothing.
pub async fn plan(client: &Client, store: &impl ValueStore, object: &Object) -> Result<Planned, Error> {
    match object {
        Object::ClosedConnection(connection) => connection.plan(client).await,
        Object::DatabaseConnection(connection) => connection.plan(client).await,
        Object::DatabaseRole(role) => role.plan(client).await,
        Object::KvSecret(secret) => secret.preview(client, store).await,
        Object::Mount(mount) => mount.plan(client).await,
        Object::Policy(policy) => policy.plan(client).await,
        Object::Role(role) => role.plan(client).await,
        Object::SigningKeys(keys) => keys.plan(client).await,
        Object::TransitKey(key) => key.plan(client).await,
    }
}

/// Makes Vault match: nothing is written where nothing differs, and nothing of others is touched.
pub async fn apply(client: &Client, store: &impl ValueStore, object: &Object) -> Result<Applied, Error> {
    match object {
        Object::KvSecret(secret) => return secret.reconcile(client, store).await,
        Object::DatabaseConnection(connection) => {
            let action = connection.reconcile(client, store).await?;
            return Ok(Applied {
                action,
                version: None,
                rotation: None,
            });
        }
        _ => {}
    }
    let action = plan(client, store, object).await?.action;
    if action != Action::Unchanged {
        match object {
            Object::ClosedConnection(connection) => connection.write(client).await?,
            Object::DatabaseRole(role) => role.write(client).await?,
            Object::Mount(mount) => mount.write(client).await?,
            Object::Policy(policy) => policy.write(client).await?,
            Object::Role(role) => role.write(client).await?,
            Object::SigningKeys(keys) => keys.write(client).await?,
            Object::TransitKey(key) => key.write(client).await?,
            Object::DatabaseConnection(_) | Object::KvSecret(_) => {}
        }
    }
    Ok(Applied {
        action,
        version: None,
        rotation: None,
    })
}

/// What [`remove`] would do: reads, and writes nothing.
pub async fn plan_removal(client: &Client, object: &Object, deletion: Deletion) -> Result<Planned, Error> {
    let there = match object {
        Object::KvSecret(secret) => return secret.preview_removal(client, deletion).await,
        Object::DatabaseConnection(connection) => connection.is_there(client).await?,
        Object::DatabaseRole(role) => role.is_there(client).await?,
        Object::Policy(policy) => policy.is_there(client).await?,
        Object::Role(role) => role.is_there(client).await?,
        Object::TransitKey(key) => key.is_there(client).await?,
        Object::ClosedConnection(_) | Object::Mount(_) | Object::SigningKeys(_) => false,
    };
    Ok(if there {
        Planned::new(Action::Delete, Vec::new())
    } else {
        Planned::default()
    })
}

/// Takes away an object that is ours; nothing there is fine. What `deletion` says is for values, which may
/// be the only copy, and for the users that a role of databases made. Mounts stay, others may use them, and so do signing keys: whoever still has a
/// token must be able to end it.
pub async fn remove(client: &Client, object: &Object, deletion: Deletion) -> Result<Removed, Error> {
    match object {
        Object::KvSecret(secret) => {
            let details = secret.remove(client, deletion).await?;
            return Ok(Removed { details });
        }
        Object::DatabaseConnection(connection) => connection.delete(client).await?,
        Object::DatabaseRole(role) => role.delete(client, deletion).await?,
        Object::Policy(policy) => policy.delete(client).await?,
        Object::Role(role) => role.delete(client).await?,
        Object::TransitKey(key) => key.delete(client).await?,
        Object::ClosedConnection(_) | Object::Mount(_) | Object::SigningKeys(_) => {}
    }
    Ok(Removed::default())
}
