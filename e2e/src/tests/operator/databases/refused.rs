//! What the provider does not open, or closes again.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{CONNECTION, opened, provider, run, secret, shown, user};
use crate::rig::Rig;
use crate::rig::database::{FIRST, Postgres};
use crate::stage::Stage;

pub(in crate::tests) fn hosts_and_statements(stage: &Stage) -> Result<()> {
    run(stage, "dbrefused", |rig, postgres| {
        rig.apply(&secret(FIRST))?;
        let connection = shown(rig, postgres, &["orders"])?;
        let host = format!("host: {}", postgres.server.host);
        let elsewhere = connection.replace(&host, "host: elsewhere.example.com");
        rig.apply(&elsewhere)?;
        let why = "does not open the database host elsewhere.example.com to namespace @id@-shop";
        rig.says(CONNECTION, "False", "NotPermitted", why)?;
        rig.apply(&connection)?;
        rig.ready(&[CONNECTION])?;

        // What Vault keeps is for one server.
        let open = opened(postgres);
        let both = open.replace(
            "hosts: [",
            "hosts: [{host: elsewhere.example.com, namespaces: {}}, ",
        );
        rig.apply(&provider(rig, &both))?;
        rig.apply(&elsewhere)?;
        rig.says(
            CONNECTION,
            "False",
            "Invalid",
            "does not show it to the one at elsewhere.example.com:5432",
        )?;
        rig.apply(&connection.replace(&host, &format!("{host}\n  port: 5433")))?;
        rig.says(CONNECTION, "False", "NotPermitted", "does not open port 5433")?;
        rig.apply(&connection)?;
        rig.ready(&[CONNECTION])?;

        let own = "databaserole/orders-own -n @id@-shop";
        rig.apply(&shown(rig, postgres, &["orders-own"])?)?;
        rig.says(
            own,
            "False",
            "NotPermitted",
            "does not allow namespace @id@-shop statements of its own",
        )?;
        let free = open.replace(
            "{staticUsers",
            "{freeStatements: {matchLabels: {team: a}}, staticUsers",
        );
        rig.apply(&provider(rig, &free))?;
        rig.ready(&[own])?;
        withdrawn(rig, postgres, &free)
    })
}

/// What the provider closes later is taken back, and comes back when it is opened again.
fn withdrawn(rig: &Rig<'_>, postgres: &Postgres<'_>, free: &str) -> Result<()> {
    let (own, legacy) = (
        "databaserole/orders-own -n @id@-shop",
        "databaserole/orders-legacy -n @id@-shop",
    );
    postgres.administer("postgres", &format!("CREATE ROLE \"{}-legacy\" LOGIN", rig.id))?;
    rig.apply(&shown(rig, postgres, &["orders-legacy", "orders-reader"])?)?;
    let reader = "databaserole/orders-reader -n @id@-shop";
    rig.ready(&[legacy, reader])?;
    let at =
        |folder: &str, name: &str| rig.vault(&format!("{0}-db/{folder}/keystead.{0}.{0}.{name}", rig.id));
    let [dynamic, fixed, config] = ["own", "legacy", ""].map(|name| match name {
        "" => format!("c.{}-shop.orders", rig.id),
        name => format!("d.{}-shop.orders-{name}", rig.id),
    });
    ensure!(
        at("roles", &dynamic)?.is_some() && at("static-roles", &fixed)?.is_some(),
        "both are there"
    );
    let root = fs::read_to_string(&rig.stage.bed().context("a bed")?.vault_token_file)?;
    let (name, password, lease) = user(rig, &root, "creds", "orders-reader")?;

    let closed = free
        .replace(
            &format!(
                "staticUsers: [{{username: \"{}-*\", namespaces: {{}}}}], ",
                postgres.database
            ),
            "",
        )
        .replace("team: a", "team: none");
    rig.apply(&provider(rig, &closed))?;
    rig.says(
        own,
        "False",
        "NotPermitted",
        "does not allow namespace @id@-shop statements",
    )?;
    rig.says(
        legacy,
        "False",
        "NotPermitted",
        "does not open the user @id@-legacy to namespace @id@-shop",
    )?;
    ensure!(
        at("roles", &dynamic)?.is_none() && at("static-roles", &fixed)?.is_none(),
        "both are gone"
    );
    let line = "kubectl-keystead plan --cluster --class @id@ --provider @id@ --cluster-name @id@";
    let plan = rig.stage.command(&line.replace("@id@", &rig.id)).output()?;
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    ensure!(plan.contains("what is in Vault already is taken away"), "{plan}");

    rig.apply(&provider(
        rig,
        &closed.replace(&postgres.server.host, "elsewhere.example.com"),
    ))?;
    rig.says(
        CONNECTION,
        "False",
        "NotPermitted",
        "does not open the database host",
    )?;
    rig.says(
        reader,
        "False",
        "NotPermitted",
        "DatabaseConnection orders: spec.host",
    )?;
    let found = at("config", &config)?.context("the connection stays")?;
    let found = &found["data"];
    ensure!(found["allowed_roles"] == json!([]), "{found}");
    ensure!(
        user(rig, &root, "creds", "orders-reader").is_err(),
        "nobody gets a user"
    );
    let reads = postgres.login(&name, &password, "SELECT name FROM things")?;
    ensure!(reads == Ok("one".into()), "who has one keeps it: {reads:?}");
    ensure!(
        rig.ask(&format!("bao lease renew {lease}")).is_err(),
        "to the end of its lease"
    );

    rig.apply(&provider(rig, free))?;
    rig.ready(&[CONNECTION, own, legacy, reader])?;
    let (name, password, _) = user(rig, &root, "creds", "orders-reader")?;
    user(rig, &root, "static-creds", "orders-legacy")?;

    // A connection that was deleted first is still the one by which its roles' users are taken away.
    rig.ask("kubectl delete databaseconnection orders -n @id@-shop --timeout=60s")?;
    rig.says(reader, "False", "NotFound", "DatabaseConnection orders not found")?;
    rig.ask("kubectl delete databaserole --all -n @id@-shop --timeout=60s")?;
    for (folder, name) in [("roles", "own"), ("roles", "reader"), ("static-roles", "legacy")] {
        let left = at(folder, &format!("d.{}-shop.orders-{name}", rig.id))?;
        ensure!(left.is_none(), "{name} is left in Vault");
    }
    let gone = postgres.login(&name, &password, "SELECT 1")?;
    ensure!(gone.is_err(), "its users end with a role");
    ensure!(at("config", &config)?.is_some(), "the connection is retained");
    Ok(())
}
