//! `kubectl keystead resolve`.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Answer, run_here};
use crate::rig::manifest::{account, binding_of, company, credential, global, namespace, scope, value};
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

const OF_ACME: &str = "the-key-of-acme-51c0";
const OF_NODE: &str = "the-key-of-the-node-ffee";
const OF_ALL: &str = "the-key-of-everyone-0a0a";
const URL: &str = "https://api.example/v1";
const SHORT: &str = "hunter2";
const AT_PATH: &str = "the-value-at-a-path-beef";

/// A node that a pod names, though no kubelet runs there.
struct Node<'a>(&'a Rig<'a>);

impl Drop for Node<'_> {
    fn drop(&mut self) {
        // A later test must not find a node that nothing runs on.
        let _ = self.0.ask("kubectl delete node @id@ --wait=false");
    }
}

/// Runs it; whatever it says, no value is in it.
fn resolve(rig: &Rig<'_>, line: &str) -> Result<Answer> {
    run_here(rig, &format!("resolve -n @id@-shop {line}"), "")?.hides(&[
        "the-key",
        "the-value",
        "hunter",
        "api.example",
    ])
}

pub(super) fn who_gets_what(stage: &Stage) -> Result<()> {
    rig::run(stage, "resolve", Method::Jwt, |rig| {
        declare(rig)?;
        let _node = Node(rig);
        let mut operator = rig.operator()?;
        rig.ready(&[
            "credential/acme -n @id@-secrets",
            "credential/all -n @id@-secrets",
            "credential/node -n @id@-secrets",
            "secretbinding/web -n @id@-shop",
        ])?;
        operator.stop()?;
        of_account(rig)?;
        of_pod(rig)?;
        defaults(rig)?;
        nothing(rig)?;
        what_is_missing(rig)?;
        what_may_not_be_read(rig)
    })
}

/// A company's own key, what it inherits, what is for a node, and an existing path.
fn declare(rig: &Rig<'_>) -> Result<()> {
    rig.stage.ask(&format!(
        "bao kv put -mount=kv {}-team/app token={AT_PATH}",
        rig.id
    ))?;
    let provider = rig.provider()
        + "  allowedPaths: [{prefix: kv/data/@id@-team, namespaces: {}}]
  defaults: {refreshInterval: 5m, sidecar: {cpu: 20m}}
";
    let shop = namespace("shop", "company: acme").replace(
        "labels:",
        "annotations: {keystead.dev/sidecar-memory: 32Mi}, labels:",
    );
    let secrets = [
        "{name: crm, service: hubspot}",
        "{name: app, path: kv/data/@id@-team/app}",
        "{name: spare, service: none, optional: true}",
    ];
    let bound = binding_of("shop", "web", "web", &secrets.map(str::to_owned))
        + "  files: [{path: crm.env, format: Dotenv, secret: crm}, {path: url, format: Raw, secret: crm, key: base_url}]
  env: [{name: CRM_KEY, secret: crm, key: api_key}]
";
    let all = [
        value("api_key", OF_ALL),
        value("base_url", URL),
        value("user", SHORT),
    ]
    .join(", ");
    let manifests = [
        namespace("secrets", ""),
        shop,
        account("shop", "web"),
        account("shop", "stranger"),
        provider,
        global(),
        company("acme"),
        scope("node", "level: Node, id: @id@"),
        credential("secrets", "all", "global", "hubspot", &all),
        credential("secrets", "acme", "acme", "hubspot", &value("api_key", OF_ACME)),
        credential("secrets", "node", "node", "hubspot", &value("api_key", OF_NODE)),
        bound,
        "
---
apiVersion: v1
kind: Node
metadata: {name: @id@}
spec: {unschedulable: true}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: @id@-shop}
spec:
  serviceAccountName: web
  nodeName: @id@
  containers: [{name: app, image: none.invalid/none}]
"
        .to_owned(),
    ];
    rig.apply(&manifests.concat())
}

/// Without a pod there is no node: the company's key wins, and everyone's is overridden.
fn of_account(rig: &Rig<'_>) -> Result<()> {
    let words = [
        "Service account ",
        "company acme, global (no pod is named, so no node's)",
        "••••51c0  company acme",
        "overrides global",
        "/keystead/crm.env, $CRM_KEY",
        "missing  web/spare: no value for none in company acme, global (optional, left out)",
    ];
    resolve(rig, "sa/web")?.ends(0)?.says(&words)?;
    // A name alone is a service account's where no pod has it.
    let answer = resolve(rig, "web -o json")?.ends(0)?.json()?;
    same("scopes", &answer["scopes"], &json!(["company acme", "global"]))?;
    let path = format!("kv/data/{}-team/app", rig.id);
    for (key, wanted) in [
        (
            "api_key",
            json!({
                "secret": "web/crm", "key": "api_key", "value": "••••51c0", "from": "company acme", "version": 1,
                "why": "overrides global", "notIn": [], "overrides": ["global"],
                "files": ["/keystead/crm.env"], "env": ["CRM_KEY"],
            }),
        ),
        (
            "base_url",
            json!({
                "secret": "web/crm", "key": "base_url", "value": "••••e/v1", "from": "global", "version": 1,
                "why": "not in company acme", "notIn": ["company acme"], "overrides": [],
                "files": ["/keystead/crm.env", "/keystead/url"], "env": [],
            }),
        ),
        (
            "user",
            json!({
                "secret": "web/crm", "key": "user", "value": "••••", "from": "global", "version": 1,
                "why": "not in company acme", "notIn": ["company acme"], "overrides": [],
                "files": ["/keystead/crm.env"], "env": [],
            }),
        ),
        (
            "token",
            json!({
                "secret": "web/app", "key": "token", "value": "••••beef", "from": path, "version": 1,
                "why": "the binding names this path", "notIn": [], "overrides": [], "files": [], "env": [],
            }),
        ),
    ] {
        same(key, value_of(&answer, key)?, &wanted)?;
    }
    Ok(())
}

/// A pod is on a node, whose key wins.
fn of_pod(rig: &Rig<'_>) -> Result<()> {
    let answer = resolve(rig, "web-1 -o json")?.ends(0)?.json()?;
    let node = format!("node {}", rig.id);
    let found = value_of(&answer, "api_key")?;
    same("value", &found["value"], &json!("••••ffee"))?;
    same("from", &found["from"], &json!(node))?;
    same(
        "overrides",
        &found["overrides"],
        &json!(["company acme", "global"]),
    )?;
    same("node", &answer["node"], &json!(rig.id))?;
    same("injected", &answer["injected"], &json!(false))?;
    resolve(rig, "pod/web-1 -o yaml")?
        .ends(0)?
        .says(&["serviceAccount: web", "••••ffee"])?;
    resolve(rig, "pod/web-1")?
        .ends(0)?
        .says(&["has no sidecar of Keystead's"])?;
    resolve(rig, "pod/web")?.ends(1)?;
    Ok(())
}

/// The provider's, the namespace's, then the binding's own.
fn defaults(rig: &Rig<'_>) -> Result<()> {
    let found = |rig: &Rig<'_>| {
        Ok::<_, anyhow::Error>(resolve(rig, "sa/web -o json")?.ends(0)?.json()?["defaults"].clone())
    };
    let provider = format!("SecretProvider {}", rig.id);
    let namespace = format!(
        "annotation keystead.dev/sidecar-memory of namespace {}-shop",
        rig.id
    );
    let built_in = |value: &str| json!({"value": value, "from": "built in"});
    let mut wanted = json!({
        "mode": built_in("Sidecar"),
        "place": built_in("first"),
        "containers": built_in("all"),
        "mountPath": built_in("/keystead"),
        "refreshInterval": {"value": "300s", "from": provider},
        "sidecarCpu": {"value": "20m", "from": provider},
        "sidecarMemory": {"value": "32Mi", "from": namespace},
    });
    same("defaults", &found(rig)?, &wanted)?;
    rig.ask("kubectl -n @id@-shop patch secretbinding web --type merge -p '{\"spec\":{\"refreshInterval\":\"30s\"}}'")?;
    wanted["refreshInterval"] = json!({"value": "30s", "from": "SecretBinding web"});
    same("defaults", &found(rig)?, &wanted)
}

/// Who gets nothing is told why.
fn nothing(rig: &Rig<'_>) -> Result<()> {
    resolve(rig, "nobody")?
        .ends(1)?
        .complains(&["neither a pod nor a service account nobody"])?;
    resolve(rig, "sa/stranger")?
        .ends(1)?
        .complains(&["no SecretBinding in namespace", "service account stranger"])?;
    Ok(())
}

/// What nobody has is named, with where it was looked for.
fn what_is_missing(rig: &Rig<'_>) -> Result<()> {
    rig.ask("kubectl -n @id@-shop patch secretbinding web --type json -p '[{\"op\":\"add\",\"path\":\"/spec/env/-\",\"value\":{\"name\":\"CRM_PLAN\",\"secret\":\"crm\",\"key\":\"plan\"}}]'")?;
    resolve(rig, "web")?.ends(1)?.says(&[
        "missing  web/crm: no value for hubspot/plan in company acme, global (the pod waits for it)",
        "••••51c0",
    ])?;
    let answer = resolve(rig, "web-1 -o json")?.ends(1)?.json()?;
    let searched = json!([format!("node {}", rig.id), "company acme", "global"]);
    same("searched", &answer["missing"][0]["searched"], &searched)?;
    same("key", &answer["missing"][0]["key"], &json!("plan"))
}

/// What the person may not read is not called missing.
fn what_may_not_be_read(rig: &Rig<'_>) -> Result<()> {
    let policy = rig.path("policy.hcl");
    fs::write(
        &policy,
        format!(
            "path \"{}\" {{ capabilities = [\"read\"] }}\n",
            rig.kv("data", "production/global/*")
        ),
    )?;
    rig.stage
        .ask(&format!("bao policy write {} {}", rig.id, policy.display()))?;
    let token = rig
        .stage
        .ask(&format!("bao token create -field=token -policy={}", rig.id))?;
    let file = rig.path("token");
    fs::write(&file, token)?;
    resolve(rig, &format!("web --token-file {}", file.display()))?
        .ends(1)?
        .hides(&["missing", "••••"])?
        .complains(&[
            "your Vault token may not read",
            "permission denied: GET kv/data/",
            "/company/acme/hubspot",
        ])?;
    Ok(())
}

/// What is said of a key.
fn value_of<'a>(answer: &'a Value, key: &str) -> Result<&'a Value> {
    let values = answer["values"].as_array().context("no values")?;
    let found = values.iter().find(|value| value["key"] == key);
    found.with_context(|| format!("no {key} in {answer}"))
}
