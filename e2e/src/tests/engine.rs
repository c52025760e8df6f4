//! Vault's objects and the engine that applies them, against the real OpenBao: with the rights that
//! the operator's policy gives and no others.

mod databases;
mod keys;
mod logins;
mod others;
mod values;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keystead_vault::client::Method;
use keystead_vault::engine::{self, Action, Applied};
use keystead_vault::hcl::{self, OperatorPolicy};
use keystead_vault::object::{Adoption, KvSecret, Mount, MountKind, Object, Owner, ValueRef, ValueStore};
use keystead_vault::path::KvPath;
use keystead_vault::{Client, Connection, Error, Sensitive};
use serde_json::{Value, json};

use super::Test;
use crate::bed::Bed;
use crate::rig::{self, Inside};
use crate::stage::{PATIENCE, Stage};

/// The engine of all these tests: the first mounts it.
const KV: &str = "engine-tests";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_servers(
            "engine: what others wrote is refused, or adopted when asked",
            |stage| run(stage, others::adoption),
        ),
        Test::on_servers(
            "engine: what a person writes at the same time stays theirs",
            |stage| run(stage, others::beside_a_person),
        ),
        Test::on_servers("engine: of many first writers exactly one wins", |stage| {
            run(stage, others::race)
        }),
        Test::on_servers(
            "engine: values go by each deletion policy, version by version",
            |stage| run(stage, values::deletion),
        ),
        Test::on_servers(
            "engine: somebody else's write is not taken for a rotation that was begun",
            |stage| run(stage, values::begun),
        ),
        Test::on_servers(
            "engine: generated values are made once and a loss is told",
            |stage| run(stage, values::generated),
        ),
        Test::on_servers("engine: an inactive secret is hidden and comes back", |stage| {
            run(stage, values::inactive)
        }),
        Test::on_servers("engine: what Vault would not store is refused before", |stage| {
            run(stage, values::size)
        }),
        Test::on_servers(
            "engine: policies, roles and mounts settle, and those of others stay",
            |stage| run(stage, others::objects),
        ),
        Test::on_servers(
            "engine: AppRoles and given tokens log in, and what is lacking is said",
            |stage| run(stage, logins::logins),
        ),
        Test::on_databases(
            "engine: database connections and roles settle, and users come and go",
            |stage| run(stage, databases::objects),
        ),
        Test::on_databases("engine: a Redis has users of its own", |stage| {
            run(stage, databases::redis)
        }),
        Test::on_servers(
            "engine: an encryption key is made, rotated and deleted",
            |stage| run(stage, keys::objects),
        ),
        Test::on_servers("engine: a Vault namespace is kept to", |stage| {
            run(stage, logins::namespace)
        }),
    ]
}

/// One test's corner of Vault.
struct Corner {
    /// The cluster's name and the path prefix.
    id: String,
    bed: Bed,
    connection: Connection,
    /// The administrator.
    root: Client,
    /// An operator of this corner.
    operator: Client,
}

/// There are no Kubernetes Secrets here.
struct NoSecrets;

impl ValueStore for NoSecrets {
    async fn secret_key(&self, _: &str, _: &str, key: &str) -> Result<Sensitive<String>, Error> {
        Err(Error::Value(format!("no Secret has {key}")))
    }
}

/// Runs a test in a corner of its own.
fn run<F: Future<Output = Result<()>>>(stage: &Stage, test: fn(Corner) -> F) -> Result<()> {
    let bed = stage.bed().context("this test needs a bed")?;
    rig::inside(bed, |inside| {
        let Inside {
            runtime,
            connection,
            root,
        } = inside;
        runtime.block_on(async { test(Corner::new(bed.clone(), connection, root).await?).await })
    })
}

impl Corner {
    async fn new(bed: Bed, connection: Connection, root: Client) -> Result<Self> {
        let id = rig::unique("engine")?;
        engine::apply(&root, &NoSecrets, &mount(KV)).await?;
        usable(&root, KV).await?;
        let policy = hcl::operator(&operator_policy(&id, KV));
        let operator = root.with_token(&token(&root, &id, &policy).await?)?;
        Ok(Self {
            id,
            bed,
            connection,
            root,
            operator,
        })
    }

    /// A secret of this corner with these plain values.
    fn secret(&self, service: &str, pairs: &[(&str, &str)]) -> KvSecret {
        let literal =
            |(key, value): &(&str, &str)| ((*key).to_owned(), ValueRef::Literal((*value).to_owned()));
        KvSecret {
            path: KvPath {
                mount: KV.into(),
                path: format!("{}/production/global/all/{service}", self.id),
            },
            owner: self.owner("shop"),
            keys: pairs.iter().map(literal).collect(),
            adoption: Adoption::Refuse,
            active: true,
            rotation: None,
            asked: None,
            known: false,
        }
    }

    fn owner(&self, name: &str) -> Owner {
        Owner {
            cluster: self.id.clone(),
            namespace: "secrets".into(),
            name: name.into(),
        }
    }

    /// Applies a secret as the operator. What was planned is what is done, and done again it is nothing.
    async fn settle(&self, secret: &KvSecret) -> Result<Applied> {
        let object = Object::KvSecret(secret.clone());
        let planned = engine::plan(&self.operator, &NoSecrets, &object).await?;
        let applied = engine::apply(&self.operator, &NoSecrets, &object).await?;
        ensure!(
            planned.action == applied.action,
            "planned {planned:?}, done {applied:?}"
        );
        self.unchanged(&object).await?;
        Ok(applied)
    }

    /// Holds that a pass writes nothing, as the metadata's and the data's versions tell.
    async fn unchanged(&self, object: &Object) -> Result<()> {
        let before = self.metadata(object).await?;
        let again = engine::apply(&self.operator, &NoSecrets, object).await?;
        ensure!(again.action == Action::Unchanged, "a second pass: {again:?}");
        ensure!(
            self.metadata(object).await? == before,
            "a second pass wrote {object}"
        );
        Ok(())
    }

    async fn metadata(&self, object: &Object) -> Result<Option<Value>> {
        match object {
            Object::KvSecret(secret) => Ok(self.root.read_optional(&secret.path.metadata()).await?),
            _ => Ok(None),
        }
    }

    async fn refused(&self, secret: &KvSecret) -> Result<String> {
        let object = Object::KvSecret(secret.clone());
        for result in [
            engine::plan(&self.operator, &NoSecrets, &object).await.map(drop),
            engine::apply(&self.operator, &NoSecrets, &object).await.map(drop),
        ] {
            ensure!(
                matches!(result, Err(Error::Conflict { .. })),
                "expected a conflict: {result:?}"
            );
        }
        let result = engine::apply(&self.operator, &NoSecrets, &object).await;
        Ok(result.err().map(|error| error.to_string()).unwrap_or_default())
    }

    /// The newest values, as the administrator sees them; none where they are not to be had.
    async fn data(&self, secret: &KvSecret) -> Result<Option<Value>> {
        let found: Option<Value> = self.root.read_optional(&secret.path.data()).await?;
        Ok(found.map(|found| found["data"].clone()))
    }

    /// A person writes.
    async fn by_hand(&self, secret: &KvSecret, data: Value) -> Result<()> {
        let found: Option<Value> = self.root.read_optional(&secret.path.metadata()).await?;
        let cas = found.map_or(0, |found| found["current_version"].as_u64().unwrap_or_default());
        let body = json!({"options": {"cas": cas}, "data": data});
        Ok(self.root.write(&secret.path.data(), &body).await?)
    }
}

fn operator_policy<'a>(id: &'a str, kv: &'a str) -> OperatorPolicy<'a> {
    OperatorPolicy {
        cluster: id,
        workload_mount: id,
        kv_mount: kv,
        prefix: id,
        database_mount: Some(databases::MOUNT),
        transit_mount: Some(keys::MOUNT),
        manage_mounts: true,
    }
}

fn mount(path: &str) -> Object {
    Object::Mount(Mount {
        path: path.into(),
        kind: MountKind::Kv2,
    })
}

/// Waits until a KV engine serves: one that was just mounted first makes itself versioned.
async fn usable(client: &Client, kv: &str) -> Result<()> {
    let served = async {
        while let Err(error) = client.read::<Value>(&format!("{kv}/config")).await {
            let words = error.to_string();
            ensure!(words.contains("for a brief period"), "{words}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, served)
        .await
        .context("the engine does not serve")?
}

/// A token with a policy of this name and text alone.
async fn token(root: &Client, name: &str, text: &str) -> Result<Sensitive<String>> {
    let body = json!({ "policy": text });
    root.write(&format!("sys/policies/acl/{name}"), &body).await?;
    let body = json!({"policies": [name], "no_default_policy": true, "ttl": "10m"});
    let answer = root
        .call::<Value>(Method::Post, "auth/token/create", Some(&body))
        .await?;
    Ok(answer.auth.context("a token was created")?.client_token)
}
