//! What Vault gives for a while: a lease, which is renewed and ended by its id, or a password that Vault
//! itself changes from time to time. API: <https://openbao.org/api-docs/system/leases/>.

use crate::client::{Client, Method};
use crate::error::{Error, Request};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime};

/// How long what was read is good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Term {
    /// Until the lease ends. It never outlives the token by which it was asked for.
    Lease(Lease),
    /// Vault puts another in its place after this time.
    Rotates(Duration),
}

/// A lease, by which Vault keeps alive what it made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// Its name, which begins with the path that made it; empty where nothing has to be ended.
    pub id: String,
    /// Its life from the answer on.
    pub life: Duration,
    /// Whether it can be renewed at all.
    pub renewable: bool,
}

/// Makes a lease live on, and answers for how long. Whatever it stands for is looked at: a database's user
/// that is gone is an error here, while a look-up of the lease would still find it.
pub async fn renew(client: &Client, id: &str) -> Result<Duration, Error> {
    let path = format!("sys/leases/renew/{id}");
    let answer = client
        .call::<IgnoredAny>(Method::Post, &path, Some(&json!({})))
        .await?;
    answer.lease.map(|lease| lease.life).ok_or_else(|| Error::Answer {
        request: Request { method: "POST", path },
        why: "a renewal without a lease".into(),
    })
}

/// Ends a lease, and takes back what it stands for.
pub async fn revoke(client: &Client, id: &str) -> Result<(), Error> {
    client.write(&format!("sys/leases/revoke/{id}"), &json!({})).await
}

/// How long a certificate lives, which needs no lease to end. Source: the `expiration` that Vault's `pki` engine
/// answers, in seconds since 1970.
pub(crate) fn expiry(data: &Map<String, Value>) -> Option<Term> {
    let end = Duration::from_secs(data.get("expiration")?.as_u64()?);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Some(Term::Lease(Lease {
        id: String::new(),
        life: end.saturating_sub(now),
        renewable: false,
    }))
}

/// When Vault changes these values, if it says so: static roles of the database engine do.
pub(crate) fn rotation(data: &Map<String, Value>) -> Option<Term> {
    data.get("last_vault_rotation")?;
    // In seconds; below zero when it is late.
    let left = data.get("ttl")?.as_f64()?;
    Duration::try_from_secs_f64(left.max(0.0)).ok().map(Term::Rotates)
}
