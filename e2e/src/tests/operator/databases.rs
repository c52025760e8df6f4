//! Databases: what docs/databases.md shows, on a real PostgreSQL.

pub(super) mod redis;
pub(super) mod refused;

use std::fs;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::super::manifest::{account, namespace};
use super::super::rig::database::{FIRST, Postgres};
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/databases.md"));

/// The page's manifests of these objects, as this test's.
pub(in crate::tests) fn shown(rig: &Rig<'_>, postgres: &Postgres<'_>, names: &[&str]) -> Result<String> {
    let blocks = DOCUMENT.split("```yaml\n").skip(1);
    let objects = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().split("---\n"));
    let objects: Vec<&str> = objects.collect();
    let mut chosen = String::new();
    for name in names {
        let found = objects
            .iter()
            .find(|object| object.contains(&format!("{{name: {name},")));
        chosen.push_str("---\n");
        chosen.push_str(found.with_context(|| format!("the page shows no {name}"))?);
    }
    Ok(chosen
        .replace("namespace: acme-shop", &format!("namespace: {}-shop", rig.id))
        .replace("{name: production}", &format!("{{name: {}}}", rig.id))
        .replace("host: db.example.com", &format!("host: {}", postgres.server.host))
        .replace("database: orders", &format!("database: {}", postgres.database))
        .replace("username: vault", &format!("username: {}", postgres.root))
        .replace("username: legacy", &format!("username: {}-legacy", rig.id)))
}

/// This test's provider, with these `databases`.
pub(in crate::tests) fn provider(rig: &Rig<'_>, databases: &str) -> String {
    let address = rig.stage.bed().map_or("", |bed| bed.vault_address.as_str());
    let provider = rig.provider_with(&format!(
        "address: {address}, caSecretRef: {{name: vault-ca, namespace: vault, key: ca.crt}}, \
         mounts: {{database: @id@-db}}, auth: {{kubernetes: {{mount: @id@, role: keystead-operator-@id@}}}}"
    ));
    format!("{provider}  databases: {databases}\n")
}

pub(in crate::tests) fn opened(postgres: &Postgres<'_>) -> String {
    format!(
        "{{staticUsers: [{{username: \"{}-*\", namespaces: {{}}}}], hosts: [{{host: \"{}\", namespaces: {{}}, caFile: {}}}]}}",
        postgres.database,
        postgres.server.host,
        postgres.server.ca.display()
    )
}

pub(in crate::tests) fn secret(password: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Secret
metadata: {{name: orders-root, namespace: @id@-shop}}
stringData: {{password: {password}}}
"
    )
}

/// Runs a test with a database, an operator and a namespace that may use it.
fn run(stage: &Stage, short: &str, test: impl FnOnce(&Rig<'_>, &Postgres<'_>) -> Result<()>) -> Result<()> {
    rig::run(stage, short, Method::Kubernetes, |rig| {
        let bed = stage.bed().context("this test needs a bed")?;
        let postgres = Postgres::new(bed, &rig.id)?;
        rig.prepare_vault(&format!("--database {}-db", rig.id))?;
        let manifests = [
            namespace("shop", "team: a"),
            account("shop", "web"),
            account("shop", "other"),
            provider(rig, &opened(&postgres)),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&["secretprovider/@id@"])?;
        test(rig, &postgres)
    })
}

/// A user and a password from Vault, as an account of the namespace shop gets them.
fn user(rig: &Rig<'_>, token: &str, folder: &str, role: &str) -> Result<(String, String, String)> {
    let path = format!("{0}-db/{folder}/keystead.{0}.{0}.d.{0}-shop.{role}", rig.id);
    let answer: Value = serde_json::from_str(&rig.allowed(token, &format!("bao read -format=json {path}"))?)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("credentials");
    Ok((
        text(&answer["data"]["username"])?,
        text(&answer["data"]["password"])?,
        text(&answer["lease_id"])?,
    ))
}

const CONNECTION: &str = "databaseconnection/orders -n @id@-shop";

pub(super) fn users(stage: &Stage) -> Result<()> {
    run(stage, "dbusers", |rig, postgres| {
        // What can't log in is said in the server's words, without the password.
        rig.apply(&secret("a-wrong-password"))?;
        rig.apply(&shown(rig, postgres, &["orders"])?)?;
        rig.says(
            CONNECTION,
            "False",
            "VaultError",
            "password authentication failed for user",
        )?;
        let said = rig.ask("kubectl get databaseconnection orders -n @id@-shop -o yaml")?;
        ensure!(!said.contains("a-wrong-password"), "{said}");
        rig.apply(&secret(FIRST))?;
        rig.ready(&[CONNECTION])?;
        let rotated = rig.ask(
            "kubectl get databaseconnection orders -n @id@-shop -o 'jsonpath={.status.conditions[?(@.type==\"RootRotated\")].message}'",
        )?;
        ensure!(
            rotated.contains("Secret orders-root is of no use any more"),
            "{rotated}"
        );
        let first = postgres.login(&postgres.root, FIRST, "SELECT 1")?;
        ensure!(first.is_err(), "the first password works no more");
        rig.ask("kubectl delete secret orders-root -n @id@-shop")?;

        postgres.administer("postgres", &format!("CREATE ROLE \"{}-legacy\" LOGIN", rig.id))?;
        let roles = ["orders-reader", "orders-writer", "orders-owner", "orders-legacy"];
        rig.apply(&shown(rig, postgres, &roles)?)?;
        rig.apply(&shown(rig, postgres, &["shop-database"])?)?;
        for role in roles {
            rig.ready(&[&format!("databaserole/{role} -n @id@-shop")])?;
        }
        rig.ready(&["secretbinding/shop-database -n @id@-shop"])?;
        listed(rig)?;
        presets(rig, postgres)?;
        removed(rig, postgres)
    })
}

/// `kubectl get` says when a password was rotated, when it is due, and who holds it.
fn listed(rig: &Rig<'_>) -> Result<()> {
    let line = format!("kubectl get databaseroles -n {}-shop", rig.id);
    let holder = format!("1: {}-shop/web", rig.id);
    let told = |table: &str| {
        let row = |name: &str| {
            table
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
        };
        let is_due = |row: &str| {
            row.split_whitespace()
                .any(|word| word.parse::<jiff::Timestamp>().is_ok())
        };
        let headings = ["ROTATED", "DUE", "HELD BY"]
            .iter()
            .all(|heading| table.contains(heading));
        headings
            && [row("orders-legacy "), row("orders-reader ")]
                .iter()
                .all(|row| row.contains(&holder))
            && is_due(row("orders-legacy "))
            && !is_due(row("orders-reader "))
            && !row("orders-writer ").contains("shop/web")
    };
    rig.stage.until("the table tells it", &line, told).map(drop)
}

/// Each user may do what its preset says, and a binding's account gets those that it names.
fn presets(rig: &Rig<'_>, postgres: &Postgres<'_>) -> Result<()> {
    let token = rig.log_in(&format!("{}-shop", rig.id), "web")?;
    let (name, password, lease) = user(rig, &token, "creds", "orders-reader")?;
    ensure!(name.starts_with("ks-orders-reader-"), "{name}");
    let does = |name: &str, password: &str, line: &str| postgres.login(name, password, line);
    ensure!(
        does(&name, &password, "SELECT name FROM things")? == Ok("one".into()),
        "it reads"
    );
    let write = does(&name, &password, "INSERT INTO things VALUES ('two')")?;
    ensure!(
        write
            .as_ref()
            .is_err_and(|words| words.contains("permission denied")),
        "{write:?}"
    );
    rig.denied(
        &token,
        &format!(
            "bao read {0}-db/creds/keystead.{0}.{0}.d.{0}-shop.orders-writer",
            rig.id
        ),
    )?;
    let (legacy, fixed, _) = user(rig, &token, "static-creds", "orders-legacy")?;
    ensure!(
        does(&legacy, &fixed, "SELECT 1")? == Ok("1".into()),
        "the static user"
    );

    let root = fs::read_to_string(&rig.stage.bed().context("a bed")?.vault_token_file)?;
    let (writer, word, _) = user(rig, &root, "creds", "orders-writer")?;
    does(&writer, &word, "INSERT INTO things VALUES ('two')")?
        .map_err(|words| anyhow!("it writes: {words}"))?;
    ensure!(
        does(&writer, &word, "CREATE TABLE more (a text)")?.is_err(),
        "it makes nothing"
    );
    let (owner, word, made_by) = user(rig, &root, "creds", "orders-owner")?;
    does(&owner, &word, "CREATE TABLE more (a text)")?
        .map_err(|words| anyhow!("it makes tables: {words}"))?;
    rig.ask(&format!("bao lease revoke -sync {made_by}"))?;
    ensure!(
        does(&owner, &word, "SELECT 1")?.is_err(),
        "a revoked user is gone"
    );
    // What it made is there, and the next reader may read it.
    let (name, password, _) = user(rig, &token, "creds", "orders-reader")?;
    ensure!(
        does(&name, &password, "SELECT count(*) FROM more")? == Ok("0".into()),
        "it reads all"
    );
    // The account may end what it took.
    rig.allowed(&token, &format!("bao write -f sys/leases/revoke/{lease}"))?;
    Ok(())
}

/// What is deleted goes as it declares.
fn removed(rig: &Rig<'_>, postgres: &Postgres<'_>) -> Result<()> {
    let token = rig.log_in(&format!("{}-shop", rig.id), "web")?;
    let (name, password, _) = user(rig, &token, "creds", "orders-reader")?;
    rig.ask("kubectl delete databaserole orders-reader -n @id@-shop --timeout=60s")?;
    let gone = postgres.login(&name, &password, "SELECT 1")?;
    ensure!(gone.is_err(), "its users end with a role");
    let path = format!("{0}-db/roles/keystead.{0}.{0}.d.{0}-shop.orders-reader", rig.id);
    ensure!(rig.vault(&path)?.is_none(), "the role is gone");
    rig.loses(&token, &path.replace("/roles/", "/creds/"))?;

    // A connection waits for its roles.
    rig.ask("kubectl patch databaseconnection orders -n @id@-shop --type=merge -p '{\"spec\":{\"deletionPolicy\":\"Delete\"}}'")?;
    rig.stage.until(
        "it is held",
        &format!(
            "kubectl get databaseconnection orders -n {}-shop -o 'jsonpath={{.metadata.finalizers}}'",
            rig.id
        ),
        |answer| answer.contains("keystead.dev/cleanup"),
    )?;
    rig.ask("kubectl delete databaseconnection orders -n @id@-shop --wait=false")?;
    rig.says(
        CONNECTION,
        "False",
        "CleanupBlocked",
        "still names it: delete it first",
    )?;
    rig.ask("kubectl delete databaserole --all -n @id@-shop --timeout=60s")?;
    rig.ask("kubectl wait --for=delete databaseconnection/orders -n @id@-shop --timeout=60s")?;
    let path = format!("{0}-db/config/keystead.{0}.{0}.c.{0}-shop.orders", rig.id);
    ensure!(rig.vault(&path)?.is_none(), "the connection is gone");
    Ok(())
}

/// What docs/databases.md says of a lost root password, done.
pub(super) fn lost(stage: &Stage) -> Result<()> {
    run(stage, "dblost", |rig, postgres| {
        rig.apply(&secret(FIRST))?;
        postgres.administer("postgres", &format!("CREATE ROLE \"{}-legacy\" LOGIN", rig.id))?;
        let objects = ["orders", "orders-reader", "orders-legacy", "shop-database"];
        rig.apply(&shown(rig, postgres, &objects)?)?;
        rig.ready(&[
            CONNECTION,
            "databaserole/orders-reader -n @id@-shop",
            "secretbinding/shop-database -n @id@-shop",
        ])?;
        let token = rig.log_in(&format!("{}-shop", rig.id), "web")?;

        // Vault's password is not the database's any more: as after a restore of an older backup.
        set_root(postgres, "after-a-restore")?;
        ensure!(
            user(rig, &token, "creds", "orders-reader").is_err(),
            "nobody gets a user"
        );
        rig.apply(&secret("not-even-this-one"))?;
        ask_again(rig, "again-1")?;
        rig.says(
            CONNECTION,
            "False",
            "VaultError",
            "password authentication failed",
        )?;
        rig.apply(&secret("after-a-restore"))?;
        works_again(rig, postgres, &token, "after-a-restore")?;

        // Vault has lost the connection itself.
        rig.ask("bao delete @id@-db/config/keystead.@id@.@id@.c.@id@-shop.orders")?;
        rig.ask("kubectl annotate databaseconnection orders -n @id@-shop keystead.dev/sync=now")?;
        rig.says(CONNECTION, "False", "Lost", "Vault has lost this connection")?;
        set_root(postgres, "after-a-loss")?;
        rig.apply(&secret("after-a-loss"))?;
        ask_again(rig, "again-2")?;
        works_again(rig, postgres, &token, "after-a-loss")
    })
}

fn set_root(postgres: &Postgres<'_>, password: &str) -> Result<()> {
    let line = format!("ALTER ROLE \"{}\" PASSWORD '{password}'", postgres.root);
    postgres.administer("postgres", &line)?;
    // What Vault has open would serve it for a while.
    let root = &postgres.root;
    let line = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{root}'");
    postgres.administer("postgres", &line).map(drop)
}

fn ask_again(rig: &Rig<'_>, value: &str) -> Result<()> {
    let line = format!(
        "kubectl annotate databaseconnection orders -n @id@-shop --overwrite keystead.dev/root-password={value}"
    );
    rig.ask(&line).map(drop)
}

fn works_again(rig: &Rig<'_>, postgres: &Postgres<'_>, token: &str, given: &str) -> Result<()> {
    rig.ready(&[CONNECTION])?;
    wait::until("the given password is rotated", PATIENCE, None, || {
        Ok(postgres.login(&postgres.root, given, "SELECT 1")?.is_err())
    })?;
    let (name, password, _) = user(rig, token, "creds", "orders-reader")?;
    let reads = postgres.login(&name, &password, "SELECT name FROM things")?;
    ensure!(reads == Ok("one".into()), "{reads:?}");
    Ok(())
}
