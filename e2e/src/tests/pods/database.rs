//! Users of a database, one for each pod, as docs/databases.md binds them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::operator::databases;
use super::binding_in_shop;
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::database::{FIRST, Postgres};
use crate::rig::manifest::{account, namespace};
use crate::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const REPLICAS: usize = 20;
const ROUNDS: usize = 5;

pub(super) fn one_each(stage: &Stage) -> Result<()> {
    rig::run(stage, "dbpods", Method::Kubernetes, |rig| {
        let bed = stage.bed().context("this test needs a bed")?;
        let postgres = Postgres::new(bed, &rig.id)?;
        postgres.administer("postgres", &format!("CREATE ROLE \"{}-legacy\" LOGIN", rig.id))?;
        rig.prepare_vault(&format!("--database {}-db", rig.id))?;
        let objects = ["orders", "orders-reader", "orders-legacy", "shop-database"];
        let manifests = [
            namespace("shop", "team: a"),
            account("shop", "web"),
            databases::provider(rig, &databases::opened(&postgres)),
            databases::secret(FIRST),
            databases::shown(rig, &postgres, &objects)?,
        ];
        rig.apply(&manifests.concat())?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[
            "databaserole/orders-reader -n @id@-shop",
            &binding_in_shop("shop-database"),
        ])?;
        rig.apply(&deployment())?;
        for _ in 0..ROUNDS {
            scale(rig, REPLICAS)?;
            let users = users(&postgres)?;
            ensure!(users.len() == REPLICAS, "{users:?}");
            ensure!(said(rig, &postgres)? == users, "each pod has one of them");
            scale(rig, 0)?;
            wait::until("the users have gone", PATIENCE, None, || {
                Ok(self::users(&postgres)?.is_empty())
            })?;
        }
        Ok(())
    })
}

/// Scales, and waits until it is so.
fn scale(rig: &Rig<'_>, replicas: usize) -> Result<()> {
    rig.ask(&format!(
        "kubectl -n @id@-shop scale deployment web --replicas={replicas}"
    ))?;
    rig.ask("kubectl -n @id@-shop rollout status deployment web --timeout=180s")?;
    if replicas == 0 {
        rig.ask("kubectl -n @id@-shop wait pod -l app=web --for=delete --timeout=60s")?;
    }
    Ok(())
}

/// The dynamic users that there are.
fn users(postgres: &Postgres<'_>) -> Result<BTreeSet<String>> {
    let members = format!(
        "SELECT u.usename FROM pg_user u JOIN pg_auth_members m ON m.member = u.usesysid \
         JOIN pg_roles g ON g.oid = m.roleid WHERE g.rolname = 'keystead:{}:public:read' AND u.usename <> '{}'",
        postgres.database, postgres.root
    );
    let found = postgres.administer(&postgres.database, &members)?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// The users that pods have, who can all log in by what their files and variables say.
fn said(rig: &Rig<'_>, postgres: &Postgres<'_>) -> Result<BTreeSet<String>> {
    let all = rig.ask("kubectl -n @id@-shop logs -l app=web -c app --tail=-1 --max-log-requests=50")?;
    let mut users = BTreeSet::new();
    for line in all.lines() {
        let found: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let text = |key: &str| found[key].as_str().with_context(|| format!("no {key} in {line}"));
        let (name, password) = (text("username")?, text("password")?);
        let at = postgres.server;
        let url = format!(
            "postgresql://{name}:{password}@{}:{}/{}",
            at.host, at.port, postgres.database
        );
        ensure!(text("url")? == url, "{line}");
        let answer = postgres.login(name, password, "SELECT name FROM things")?;
        ensure!(answer == Ok("one".to_owned()), "{answer:?}");
        users.insert(name.to_owned());
    }
    Ok(users)
}

/// Each pod says what it has, if file, template and variable agree.
fn deployment() -> String {
    let says = "test \"$(cat /keystead/orders.conf)\" = \"dsn = $ORDERS_URL\" && grep -q ^PASSWORD= /keystead/legacy.env \
                && echo $(cat /keystead/orders.json); trap \"exit 0\" TERM; sleep 9999 & wait";
    format!(
        "
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: @id@-shop}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web, keystead.dev/inject: 'true'}}}}
    spec:
      serviceAccountName: web
      shareProcessNamespace: true
      containers:
      - name: app
        image: {TEST_IMAGE}
        imagePullPolicy: IfNotPresent
        command: [/bin/sh, -c, '{says}']
        securityContext: {{runAsUser: 1000}}
"
    )
}
