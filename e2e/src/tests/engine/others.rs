//! What is not ours, or not ours alone.

use anyhow::{Context, Result, bail, ensure};
use keystead_vault::client::Method;
use keystead_vault::engine::{self, Action};
use keystead_vault::hcl;
use keystead_vault::object::{Adoption, AuthRole, Deletion, KvSecret, Object, Policy, RoleMethod};
use keystead_vault::{Client, Error};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

use super::{Corner, KV, NoSecrets, mount, operator_policy, token, usable};

/// Writers at once, and paths they meet at.
const WRITERS: usize = 8;
const PATHS: usize = 5;
/// Paths at which a person may be met at the right moment; about every third is.
const TRIES: usize = 200;

pub(super) async fn adoption(corner: Corner) -> Result<()> {
    let mut secret = corner.secret("hubspot", &[("api_key", "ours")]);
    let theirs = json!({"api_key": "of-before", "note": {"not": "text"}});
    corner.by_hand(&secret, theirs.clone()).await?;
    let error = corner.refused(&secret).await?;
    ensure!(error.contains("no mark of Keystead"), "{error}");
    ensure!(
        corner.data(&secret).await? == Some(theirs),
        "it was left as it was"
    );

    secret.adoption = Adoption::Adopt;
    let adopted = corner.settle(&secret).await?;
    ensure!(
        (adopted.action, adopted.version) == (Action::Adopt, Some(2)),
        "{adopted:?}"
    );
    let merged = json!({"api_key": "ours", "note": {"not": "text"}});
    ensure!(corner.data(&secret).await? == Some(merged.clone()), "merged");

    // Nobody adopts from another owner.
    let mut other = secret.clone();
    other.owner = corner.owner("other");
    let error = corner.refused(&other).await?;
    ensure!(error.contains(&secret.owner.to_string()), "{error}");
    ensure!(
        corner.data(&secret).await? == Some(merged),
        "the owner's values stay"
    );

    // A key that people write is waited for, and never written.
    let mut waiting = corner.secret("by-hand", &[]);
    waiting
        .keys
        .insert("token".into(), keystead_vault::object::ValueRef::InVault);
    let object = Object::KvSecret(waiting.clone());
    let error = engine::apply(&corner.operator, &NoSecrets, &object).await.err();
    let error = error.context("the key is missing")?.to_string();
    ensure!(
        error.contains("no key token") && error.contains("kv put"),
        "{error}"
    );
    corner.by_hand(&waiting, json!({"token": "typed"})).await?;
    corner.settle(&waiting).await?;
    ensure!(
        corner.data(&waiting).await? == Some(json!({"token": "typed"})),
        "as it was typed"
    );
    Ok(())
}

/// Once with check-and-set for metadata, and once as with a server that has none: there the paths are
/// claimed first.
pub(super) async fn race(corner: Corner) -> Result<()> {
    let policy = hcl::operator(&operator_policy(&corner.id, KV));
    let blind = policy.replace("/config\" { capabilities = [\"read\"] }", "/nothing\" {}");
    let blind = token(&corner.root, &format!("{}-blind", corner.id), &blind).await?;
    let blind = corner.root.with_token(&blind)?;
    for number in 0..PATHS {
        meet(&corner, &corner.operator, &format!("counted-{number}"), 1).await?;
        meet(&corner, &blind, &format!("claimed-{number}"), 2).await?;
    }
    Ok(())
}

/// A person writes to a path at the same time. Where that comes between our look and our values, it is
/// the person's path, without a trace of us; servers count such a write for data only.
pub(super) async fn beside_a_person(corner: Corner) -> Result<()> {
    let typed = json!({"token": "typed"});
    for number in 0..TRIES {
        let secret = corner.secret(&format!("met-{number}"), &[("token", "declared")]);
        let object = Object::KvSecret(secret.clone());
        let (path, body) = (secret.path.data(), json!({"options": {"cas": 0}, "data": typed}));
        let person = corner.root.write(&path, &body);
        let (applied, wrote) = tokio::join!(engine::apply(&corner.operator, &NoSecrets, &object), person);
        ensure!(
            applied.is_ok() != wrote.is_ok(),
            "one of both wins: {applied:?} and {wrote:?}"
        );
        let Err(error) = applied else {
            corner.unchanged(&object).await?;
            continue;
        };
        ensure!(
            corner.data(&secret).await? == Some(typed.clone()),
            "what was typed stays"
        );
        let metadata = corner.metadata(&object).await?.context("metadata")?;
        let marks = metadata["custom_metadata"].as_object();
        ensure!(
            marks.is_none_or(serde_json::Map::is_empty),
            "there is a trace of us: {metadata}"
        );
        corner.refused(&secret).await?;
        if error.to_string().contains("wrote there first") {
            return Ok(());
        }
    }
    bail!("in {TRIES} tries nobody wrote between a look and the values")
}

async fn meet(corner: &Corner, client: &Client, service: &str, version: u64) -> Result<()> {
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let name = format!("writer-{number}");
        let mut secret = corner.secret(service, &[("winner", &name), (&name, "was here")]);
        secret.owner = corner.owner(&name);
        let client = client.clone();
        writers.spawn(async move {
            let object = Object::KvSecret(secret.clone());
            (secret, engine::apply(&client, &NoSecrets, &object).await)
        });
    }
    let mut winners: Vec<KvSecret> = Vec::new();
    for (secret, result) in writers.join_all().await {
        match result {
            Ok(applied) => {
                ensure!(
                    (applied.action, applied.version) == (Action::Create, Some(version)),
                    "{applied:?}"
                );
                winners.push(secret);
            }
            Err(Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let [winner] = &winners[..] else {
        bail!("{service}: {} of {WRITERS} won", winners.len());
    };
    let name = &winner.owner.name;
    ensure!(
        corner.data(winner).await? == Some(json!({"winner": name, name: "was here"})),
        "{service}: the data are the winner's alone"
    );
    // It is the mark's owner too: it goes on, and nobody else.
    corner.unchanged(&Object::KvSecret(winner.clone())).await?;
    let mut loser = winner.clone();
    loser.owner = corner.owner("late");
    corner.refused(&loser).await.map(drop)
}

pub(super) async fn objects(corner: Corner) -> Result<()> {
    let auth = json!({"type": "kubernetes"});
    corner
        .root
        .write(&format!("sys/auth/{}", corner.id), &auth)
        .await?;
    let name = format!("keystead.{}.p.s.shop.web", corner.id);
    let policy = |services: &[&str]| {
        let paths: Vec<_> = services
            .iter()
            .map(|service| corner.secret(service, &[]).path)
            .collect();
        Object::Policy(Policy {
            name: name.clone(),
            text: hcl::workload("a test", &paths, &hcl::Paths::new()),
        })
    };
    let role = |audience: &str| {
        Object::Role(AuthRole {
            mount: corner.id.clone(),
            name: name.clone(),
            method: RoleMethod::Kubernetes,
            namespace: "shop".into(),
            service_account: "web".into(),
            audience: audience.into(),
            policy: name.clone(),
            ttl: Duration::from_mins(10),
        })
    };
    for (object, action) in [
        (policy(&["a"]), Action::Create),
        (policy(&["a", "b"]), Action::Change),
        (role("vault"), Action::Create),
        (role("other"), Action::Change),
    ] {
        let planned = engine::plan(&corner.operator, &NoSecrets, &object).await?;
        let applied = engine::apply(&corner.operator, &NoSecrets, &object).await?;
        ensure!(
            (planned.action, applied.action) == (action, action),
            "{object}: {planned:?}"
        );
        corner.unchanged(&object).await?;
    }
    for object in [role("other"), policy(&[])] {
        let planned = engine::plan_removal(&corner.operator, &object, Deletion::Retain).await?;
        ensure!(planned.action == Action::Delete, "{object}: {planned:?}");
        engine::remove(&corner.operator, &object, Deletion::Retain).await?;
        engine::remove(&corner.operator, &object, Deletion::Retain).await?;
        let planned = engine::plan(&corner.operator, &NoSecrets, &object).await?;
        ensure!(planned.action == Action::Create, "{object} is gone: {planned:?}");
    }

    // Somebody else's policy of that name.
    let theirs = json!({"policy": "path \"a\" { capabilities = [\"read\"] }"});
    let path = format!("sys/policies/acl/{name}");
    corner.root.write(&path, &theirs).await?;
    let write = engine::apply(&corner.operator, &NoSecrets, &policy(&["a"]))
        .await
        .map(drop);
    let remove = engine::remove(&corner.operator, &policy(&[]), Deletion::Retain)
        .await
        .map(drop);
    for result in [write, remove] {
        ensure!(matches!(result, Err(Error::Conflict { .. })), "{result:?}");
    }
    let found: Value = corner.root.read(&path).await?;
    ensure!(found["policy"] == theirs["policy"], "{found}");
    mounts(&corner).await
}

/// The operator may mount the one engine that its policy names.
async fn mounts(corner: &Corner) -> Result<()> {
    let own = format!("{}-kv", corner.id);
    let policy = hcl::operator(&operator_policy(&corner.id, &own));
    let operator = corner
        .root
        .with_token(&token(&corner.root, &own, &policy).await?)?;
    let made = engine::apply(&operator, &NoSecrets, &mount(&own)).await?;
    ensure!(made.action == Action::Create, "{made:?}");
    usable(&operator, &own).await?;
    let again = engine::apply(&operator, &NoSecrets, &mount(&own)).await?;
    ensure!(again.action == Action::Unchanged, "{again:?}");
    let body = json!({"data": {"a": "1"}});
    let path = format!("{own}/data/{}/x", corner.id);
    operator.call::<Value>(Method::Post, &path, Some(&body)).await?;
    engine::remove(&operator, &mount(&own), Deletion::Destroy).await?;
    operator
        .read::<Value>(&path)
        .await
        .context("a mount is never taken away")?;
    for forbidden in [format!("{own}/tune"), format!("{own}2"), "other".into()] {
        let result = engine::apply(&operator, &NoSecrets, &mount(&forbidden)).await;
        ensure!(
            matches!(result, Err(Error::Denied { .. })),
            "{forbidden}: {result:?}"
        );
    }
    let removal = operator.delete(&format!("sys/mounts/{own}")).await;
    ensure!(matches!(removal, Err(Error::Denied { .. })), "{removal:?}");

    let other = format!("{}-old", corner.id);
    let body = json!({"type": "kv", "options": {"version": "1"}});
    corner.root.write(&format!("sys/mounts/{other}"), &body).await?;
    let refused = engine::apply(&corner.root, &NoSecrets, &mount(&other)).await;
    let words = refused.err().context("it is another engine")?.to_string();
    ensure!(
        words.contains("kv version 1") && words.contains("kv version 2"),
        "{words}"
    );
    for path in [own, other] {
        corner.root.delete(&format!("sys/mounts/{path}")).await?;
    }
    Ok(())
}
