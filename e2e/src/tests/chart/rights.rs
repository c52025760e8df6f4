//! The rights of the operator's account: with them it does all that it is for, and each is needed for it. What
//! the API server noted of its requests says so: none was refused, and each right alone allowed one.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::objects;
use crate::rig::chart::{RELEASE, Webhook, configure, webhook_arguments};
use crate::rig::database::{FIRST, Postgres};
use crate::rig::manifest::{account, company, global, namespace, secret};
use crate::rig::program::free_port;
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;
use crate::tests::operator::databases;
use crate::tests::pods::reports;
use crate::{programs, wait};

/// What is granted on top when native Secrets are asked for.
const SYNC: &str = "--set sync.enabled=true";

/// One right: a verb on a resource, or on paths of the API server.
#[derive(Clone, Debug, PartialEq)]
struct Right {
    verb: String,
    /// `group/resource`, or a path.
    what: String,
    /// The objects that it is bound to; all where there are none.
    names: Vec<String>,
    /// The namespace that it is bound to; all where there is none.
    namespace: Option<String>,
}

/// One request, as the API server noted it.
struct Request {
    right: Right,
    /// The HTTP status of its answer.
    status: i64,
}

pub(super) fn used(stage: &Stage) -> Result<()> {
    rig::run(stage, "rights", Method::Jwt, |rig| {
        let postgres = Postgres::new(stage.bed().context("this test needs a bed")?, &rig.id)?;
        rig.prepare_vault(&format!("--database {0}-db --transit {0}-keys", rig.id))?;
        rig.grant(SYNC)?;
        let _operator = declare(rig, &postgres)?;
        reported(rig)?;
        synced(rig)?;
        rig.ask("kubectl label namespace @id@-shop company=acme")?;
        deleted(rig)?;
        renewed(rig)?;
        judge(rig)
    })
}

/// Whoever holds the lease renews it some seconds later.
fn renewed(rig: &Rig<'_>) -> Result<()> {
    let line = format!(
        "kubectl -n {} get lease {RELEASE} -o 'jsonpath={{.spec.acquireTime}} {{.spec.renewTime}}'",
        rig.id
    );
    let is_later = |said: &str| {
        said.split_once(' ')
            .is_some_and(|(acquired, renewed)| acquired != renewed)
    };
    rig.stage.until("the lease is renewed", &line, is_later).map(drop)
}

/// Compares what was granted with what was asked for.
fn judge(rig: &Rig<'_>) -> Result<()> {
    let noted = rig.requests()?;
    let requests: Vec<Request> = noted.iter().map(Request::of).collect();
    let refused: Vec<String> = requests
        .iter()
        .filter(|request| request.status == 403)
        .map(|request| request.right.to_string())
        .collect();
    ensure!(
        refused.is_empty(),
        "the operator was refused {}",
        refused.join(", ")
    );

    let usual = rights(rig, "")?;
    let all = rights(rig, SYNC)?;
    let more: Vec<Right> = all.into_iter().filter(|right| !usual.contains(right)).collect();
    ensure!(usual.len() > 40 && more.len() == 3, "{usual:?} {more:?}");
    let mut idle = idle(&usual, &requests);
    // What the usual rights allow needs no more of them.
    let beyond = requests
        .into_iter()
        .filter(|request| !usual.iter().any(|right| right.allows(&request.right)));
    idle.extend(self::idle(&more, &beyond.collect::<Vec<_>>()));
    ensure!(
        idle.is_empty(),
        "nothing would miss these rights; no request needed them alone: {}",
        idle.join(", ")
    );
    Ok(())
}

/// The rights without which every request would be allowed as well.
fn idle(rights: &[Right], requests: &[Request]) -> Vec<String> {
    let is_needed = |right: &&Right| {
        requests.iter().any(|request| {
            let mut allow = rights.iter().filter(|other| other.allows(&request.right));
            allow.next() == Some(right) && allow.next().is_none()
        })
    };
    let idle = rights.iter().filter(|right| !is_needed(right));
    idle.map(ToString::to_string).collect()
}

/// What the chart grants the operator.
fn rights(rig: &Rig<'_>, options: &str) -> Result<Vec<Right>> {
    let made = objects(&rig.rendered(&format!("-s templates/rbac.yaml {options}"))?)?;
    let mut found = Vec::new();
    for role in made {
        let namespace = (role["kind"] == "Role").then(|| rig.id.clone());
        for rule in role["rules"].as_array().into_iter().flatten() {
            let groups = texts(&rule["apiGroups"]).into_iter().flat_map(|group| {
                let resources = texts(&rule["resources"]);
                resources
                    .into_iter()
                    .map(move |resource| format!("{group}/{resource}"))
            });
            for what in groups.chain(texts(&rule["nonResourceURLs"])) {
                found.extend(texts(&rule["verbs"]).into_iter().map(|verb| Right {
                    verb,
                    what: what.clone(),
                    names: texts(&rule["resourceNames"]),
                    namespace: namespace.clone(),
                }));
            }
        }
    }
    Ok(found)
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

impl Right {
    fn allows(&self, asked: &Self) -> bool {
        self.verb == asked.verb
            && self.what == asked.what
            && (self.namespace.is_none() || self.namespace == asked.namespace)
            && (self.names.is_empty() || asked.names.iter().any(|name| self.names.contains(name)))
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.what)?;
        self.names.iter().try_for_each(|name| write!(f, " {name}"))?;
        self.namespace.iter().try_for_each(|name| write!(f, " in {name}"))
    }
}

impl Request {
    fn of(entry: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &entry["objectRef"];
        let path = text(&entry["requestURI"]);
        let what = match (object["resource"].as_str(), object["subresource"].as_str()) {
            (None, _) => path.split('?').next().unwrap_or_default().to_owned(),
            (Some(resource), None) => format!("{}/{resource}", text(&object["apiGroup"])),
            (Some(resource), Some(part)) => format!("{}/{resource}/{part}", text(&object["apiGroup"])),
        };
        Self {
            right: Right {
                verb: text(&entry["verb"]),
                what,
                names: object["name"].as_str().map(str::to_owned).into_iter().collect(),
                namespace: object["namespace"].as_str().map(str::to_owned),
            },
            status: entry["responseStatus"]["code"].as_i64().unwrap_or_default(),
        }
    }
}

// === what the operator does for its rights ===

/// Of every kind one, all Ready, and the operator that made them so.
fn declare<'a>(rig: &'a Rig<'a>, postgres: &Postgres<'_>) -> Result<Webhook<'a>> {
    let databases = databases::shown(rig, postgres, &["orders", "orders-reader"])?;
    let going = "spec:\n  deletionPolicy: Delete\n";
    let manifests = [
        namespace("shop", ""),
        namespace("probe", ""),
        account("shop", "web"),
        account("probe", "probe"),
        provider(rig, postgres),
        global(),
        company("acme"),
        secret("shop", "hubspot", "token", "of-all"),
        DECLARED.to_owned(),
        databases::secret(FIRST),
        databases.replace("spec:\n", going),
    ];
    rig.apply(&manifests.concat())?;
    let port = free_port()?;
    configure(rig, port)?;
    let mut arguments = webhook_arguments(rig, RELEASE, port, &programs::image("sidecar"));
    arguments.extend(["--lease", RELEASE, "--identity", "one"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let operator = rig.operator_with(&arguments)?;
    let webhook = Webhook { rig, operator };
    webhook.wait()?;
    rig.ready(&[
        "secretprovider/@id@",
        "secretscope/@id@-global",
        "secretscope/@id@-acme",
        "credential/hubspot -n @id@-shop",
        "secretbinding/web -n @id@-shop",
        "encryptionkey/@id@-seals",
        "databaseconnection/orders -n @id@-shop",
        "databaserole/orders-reader -n @id@-shop",
    ])?;
    Ok(webhook)
}

fn provider(rig: &Rig<'_>, postgres: &Postgres<'_>) -> String {
    let provider = databases::provider(rig, &databases::opened(postgres));
    provider.replace("database: @id@-db}", "database: @id@-db, transit: @id@-keys}")
}

const DECLARED: &str = r#"
---
apiVersion: keystead.dev/v1alpha1
kind: Credential
metadata: {name: hubspot, namespace: @id@-shop}
spec:
  scopeRef: {name: @id@-global}
  service: hubspot
  keys: [{name: api_key, from: {secretKeyRef: {name: hubspot, key: token}}}]
  deletionPolicy: Delete
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: @id@-shop}
data: {app: 'key={{ secret("hubspot").api_key }}'}
---
apiVersion: keystead.dev/v1alpha1
kind: SecretBinding
metadata: {name: web, namespace: @id@-shop}
spec:
  providerRef: {name: @id@}
  serviceAccounts: [web]
  secrets: [{name: hubspot, service: hubspot}]
  files: [{path: app.conf, format: Template, templateFrom: {configMapKeyRef: {name: conf, key: app}}}]
  sync: {secretName: native}
---
apiVersion: keystead.dev/v1alpha1
kind: EncryptionKey
metadata: {name: @id@-seals}
spec: {providerRef: {name: @id@}, type: rsa-2048, deletionPolicy: Delete}
"#;

/// A pod's sidecar says twice why its pod waits.
fn reported(rig: &Rig<'_>) -> Result<()> {
    rig.apply(&reports::pod(rig, "one", "web")?)?;
    let token = rig.ask(
        "kubectl -n @id@-shop create token web --audience keystead --bound-object-kind Pod --bound-object-name one",
    )?;
    let operator = reports::operator(rig)?;
    for _ in 0..2 {
        let (status, said) = operator.post("/v1/reports", token.trim(), &reports::report("it waits"))?;
        ensure!(status == 204, "{status}: {said}");
    }
    asked(rig, "patch events.k8s.io/events")
}

/// The native Secret is put right, and goes.
fn synced(rig: &Rig<'_>) -> Result<()> {
    rig.ask("kubectl -n @id@-shop patch secret native -p '{\"stringData\":{\"api_key\":\"wrong\"}}'")?;
    asked(rig, "update /secrets native")?;
    rig.ask("kubectl -n @id@-shop patch secretbinding web --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/sync\"}]'")?;
    asked(rig, "delete /secrets native")
}

/// What has something in Vault goes with it; a connection waits for its roles.
fn deleted(rig: &Rig<'_>) -> Result<()> {
    rig.ask("kubectl -n @id@-shop delete databaseconnection orders --wait=false")?;
    rig.says(
        "databaseconnection/orders -n @id@-shop",
        "False",
        "CleanupBlocked",
        "",
    )?;
    rig.ask("kubectl -n @id@-shop delete databaserole/orders-reader credential/hubspot --timeout=60s")?;
    rig.ask("kubectl delete encryptionkey @id@-seals --timeout=60s")?;
    rig.ask("kubectl -n @id@-shop wait --for=delete databaseconnection/orders --timeout=60s")
        .map(drop)
}

/// Waits until the operator has asked the API server for this.
fn asked(rig: &Rig<'_>, request: &str) -> Result<()> {
    wait::until(
        format_args!("the operator asks to {request}"),
        crate::stage::PATIENCE,
        None,
        || {
            let noted = rig.requests()?;
            Ok(noted
                .iter()
                .any(|entry| Request::of(entry).right.to_string().starts_with(request)))
        },
    )
}
