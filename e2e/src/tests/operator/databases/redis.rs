//! Users of a Redis, made by presets.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{provider, run, secret, user};
use crate::bed::Bed;
use crate::rig::Rig;
use crate::rig::database::{FIRST, redis, redis_root};
use crate::stage::Stage;

pub(in crate::tests) fn users(stage: &Stage) -> Result<()> {
    run(stage, "dbredis", |rig, _| {
        let bed = rig.stage.bed().context("this test needs a bed")?;
        let server = bed.redis.as_ref().context("this test needs the bed's Redis")?;
        let root = format!("{}-root", rig.id);
        redis_root(bed, &root)?;
        let bundle = fs::read_to_string(&server.ca)?;
        let hosts = json!({"hosts": [{"host": server.host, "namespaces": {}, "caBundle": bundle}]});
        rig.apply(&provider(rig, &hosts.to_string()))?;
        rig.apply(&secret(FIRST))?;
        rig.apply(&declared(&server.host, &root))?;
        rig.ready(&[
            "databaseconnection/cache -n @id@-shop",
            "databaserole/reader -n @id@-shop",
            "databaserole/writer -n @id@-shop",
        ])?;
        let first = redis(bed, &root, FIRST, &["PING"])?;
        ensure!(first.is_err(), "the first password works no more: {first:?}");
        come_and_go(rig, bed)
    })
}

fn declared(host: &str, root: &str) -> String {
    let role = |name: &str, preset: &str| {
        format!(
            "
---
apiVersion: keystead.dev/v1alpha1
kind: DatabaseRole
metadata: {{name: {name}, namespace: @id@-shop}}
spec: {{connectionRef: {{name: cache}}, dynamic: {{preset: {preset}}}}}
"
        )
    };
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: DatabaseConnection
metadata: {{name: cache, namespace: @id@-shop}}
spec:
  providerRef: {{name: @id@}}
  plugin: Valkey
  host: \"{host}\"
  username: {root}
  rootPasswordRef: {{name: orders-root, key: password}}
{}{}",
        role("reader", "readOnly"),
        role("writer", "readWrite")
    )
}

/// Each may do what its preset says, and ends with its role.
fn come_and_go(rig: &Rig<'_>, bed: &Bed) -> Result<()> {
    let token = fs::read_to_string(&bed.vault_token_file)?;
    let (reader, word, _) = user(rig, &token, "creds", "reader")?;
    let (writer, other, _) = user(rig, &token, "creds", "writer")?;
    let set = ["SET", rig.id.as_str(), "one"];
    let wrote = redis(bed, &writer, &other, &set)?;
    ensure!(wrote == Ok("OK".into()), "it writes: {wrote:?}");
    let read = redis(bed, &reader, &word, &["GET", &rig.id])?;
    ensure!(read == Ok("one".into()), "it reads: {read:?}");
    let wrote = redis(bed, &reader, &word, &set)?;
    ensure!(
        wrote.is_err_and(|words| words.contains("NOPERM")),
        "it only reads"
    );
    rig.ask("kubectl delete databaserole reader -n @id@-shop --timeout=60s")?;
    let read = redis(bed, &reader, &word, &["GET", &rig.id])?;
    ensure!(read.is_err(), "its users end with a role: {read:?}");
    Ok(())
}
