//! Native Secrets that bindings ask for.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{account, company, credential, global, namespace, scope, secret, value};
use super::super::rig::{self, Method, Rig, is_by, same};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const WEB: &str = "secretbinding/web -n @id@-shop";
/// Of the chart.
const ENABLED: &str = "--set sync.enabled=true";
const CRM: &str = "{name: crm, service: hubspot}";
/// Of postgres only the password, because both have a key `user`.
const PASSWORD: &str = "{name: db, service: postgres, keys: [password]}";

pub(super) fn follows(stage: &Stage) -> Result<()> {
    rig::run(stage, "sync", Method::Kubernetes, |rig| {
        declare(rig)?;
        rig.grant(ENABLED)?;
        rig.apply(&synced("web", &[CRM, PASSWORD], "native"))?;
        let mut operator = rig.operator()?;
        rig.ready(&[WEB])?;
        let mut held = BTreeMap::from([("api_key", "of-acme"), ("password", "pw"), ("user", "of-all")]);
        holds(rig, "native", &held)?;
        marked(rig)?;

        // A Credential that feeds it, a hand on the Secret, and a hand in Vault.
        rig.apply(&credential(
            "shop",
            "acme",
            "acme",
            "hubspot",
            &value("api_key", "next"),
        ))?;
        held.insert("api_key", "next");
        holds(rig, "native", &held)?;
        rig.ask("kubectl -n @id@-shop patch secret native -p '{\"stringData\":{\"password\":\"wrong\",\"more\":\"x\"}}'")?;
        holds(rig, "native", &held)?;
        rig.ask("bao kv patch -mount=kv -cas=1 @id@/production/global/all/hubspot by_hand=in-vault")?;
        held.insert("by_hand", "in-vault");
        holds(rig, "native", &held)?;

        rests(rig, &mut operator)?;
        let operator = rig.operator()?;
        rig.apply(&synced("web", &[CRM, PASSWORD], "renamed"))?;
        holds(rig, "renamed", &held)?;
        gone(rig, "native")?;
        rig.ask("kubectl -n @id@-shop patch secretbinding web --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/sync\"}]'")?;
        gone(rig, "renamed")?;
        let log = operator.log();
        for value in ["of-acme", "in-vault", "of-all"] {
            ensure!(!log.contains(value), "the value {value} is in the log: {log}");
        }
        Ok(())
    })
}

pub(super) fn of_others(stage: &Stage) -> Result<()> {
    rig::run(stage, "mine", Method::Kubernetes, |rig| {
        declare(rig)?;
        rig.grant(ENABLED)?;
        rig.apply(&secret("shop", "mine", "token", "of-a-person"))?;
        rig.apply(&synced("web", &[CRM], "mine"))?;
        let mut operator = rig.operator()?;
        let sentence = "Secret @id@-shop/mine is not of this binding and was left as it is: delete it, or choose another secretName";
        rig.says(WEB, "False", "Conflict", sentence)?;
        holds(rig, "mine", &BTreeMap::from([("token", "of-a-person")]))?;
        rig.ask("kubectl -n @id@-shop delete secret mine")?;
        rig.ready(&[WEB])?;
        let held = BTreeMap::from([("api_key", "of-acme"), ("user", "of-all")]);
        holds(rig, "mine", &held)?;

        // Another binding's is as good as a person's.
        rig.apply(&synced("other", &[CRM], "mine"))?;
        let other = "secretbinding/other -n @id@-shop";
        rig.says(
            other,
            "False",
            "Conflict",
            "Secret @id@-shop/mine is of SecretBinding web",
        )?;
        let both = &["{name: db, service: postgres}", CRM];
        rig.apply(&synced("other", both, "own"))?;
        let sentence = "db and crm of spec.secrets both have a key user";
        rig.says(other, "False", "Invalid", sentence)?;
        rig.apply(&synced("other", &["{name: none, service: none}"], "own"))?;
        let sentence = "spec.secrets[none]: no value for none in company acme, global";
        rig.says(other, "False", "NotFound", sentence)?;
        gone(rig, "own")?;
        rig.apply(&synced(
            "other",
            &[CRM, "{name: none, service: none, optional: true}"],
            "own",
        ))?;
        rig.ready(&[other, WEB])?;
        holds(rig, "own", &held)?;

        // The cluster's garbage collector needs no operator. A bed of servers only has none.
        operator.stop()?;
        rig.ask("kubectl -n @id@-shop delete secretbinding other")?;
        if rig.stage.bed().is_some_and(|bed| bed.node_name.is_some()) {
            gone(rig, "own")?;
        }
        holds(rig, "mine", &held)
    })
}

pub(super) fn without_the_right(stage: &Stage) -> Result<()> {
    rig::run(stage, "right", Method::Kubernetes, |rig| {
        declare(rig)?;
        rig.apply(&synced("web", &[CRM], "native"))?;
        let _operator = rig.operator()?;
        let sentence = "the operator may not write Secret @id@-shop/native: set sync.enabled in the chart";
        rig.says(WEB, "False", "KubernetesError", sentence)?;
        rig.grant(ENABLED)?;
        rig.ready(&[WEB])?;
        rig.apply(&credential(
            "shop",
            "acme",
            "acme",
            "hubspot",
            &value("api_key", "next"),
        ))?;
        let held = BTreeMap::from([("api_key", "next"), ("user", "of-all")]);
        holds(rig, "native", &held)?;
        rig.apply(&synced("web", &[CRM], "renamed"))?;
        gone(rig, "native")?;
        rig.ready(&[WEB])
    })
}

pub(super) fn with_the_right(stage: &Stage) -> Result<()> {
    rig::run(stage, "right", Method::Kubernetes, |rig| {
        declare(rig)?;
        rig.grant(ENABLED)?;
        let second =
            "level: Company, id: globex, members: {namespaceSelector: {matchLabels: {also: globex}}}";
        rig.apply(&scope("globex", second))?;
        rig.apply(&synced("web", &[CRM], "native"))?;
        let mut operator = rig.operator()?;
        rig.ready(&[WEB])?;
        let held = BTreeMap::from([("api_key", "of-acme"), ("user", "of-all")]);
        holds(rig, "native", &held)?;
        // Of two companies it is nobody's.
        rig.ask("kubectl label namespace @id@-shop also=globex")?;
        rig.says(WEB, "False", "Ambiguous", "both select namespace")?;
        gone(rig, "native")?;
        rig.ask("kubectl label namespace @id@-shop also-")?;
        rig.ready(&[WEB])?;
        holds(rig, "native", &held)?;

        // The same while nobody looks.
        operator.stop()?;
        rig.ask("kubectl label namespace @id@-shop also=globex")?;
        let _operator = rig.operator()?;
        rig.says(WEB, "False", "Ambiguous", "both select namespace")?;
        gone(rig, "native")
    })
}

/// Two services, one of them with a company's own key.
fn declare(rig: &Rig<'_>) -> Result<()> {
    let hubspot = [value("api_key", "of-everyone"), value("user", "of-all")].join(", ");
    let postgres = [value("user", "u"), value("password", "pw")].join(", ");
    let manifests = [
        namespace("shop", "company: acme"),
        account("shop", "web"),
        rig.provider(),
        global(),
        company("acme"),
        credential("shop", "acme", "acme", "hubspot", &value("api_key", "of-acme")),
        credential("shop", "everyone", "global", "hubspot", &hubspot),
        credential("shop", "postgres", "global", "postgres", &postgres),
    ];
    rig.apply(&manifests.concat())
}

/// A binding of account `web` whose secrets go into a native Secret too.
fn synced(name: &str, secrets: &[&str], secret: &str) -> String {
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretBinding
metadata: {{name: {name}, namespace: @id@-shop}}
spec:
  providerRef: {{name: @id@}}
  serviceAccounts: [web]
  secrets: [{}]
  refreshInterval: 2s
  sync: {{secretName: {secret}}}
",
        secrets.join(", ")
    )
}

fn read(rig: &Rig<'_>, name: &str) -> Result<Option<Value>> {
    let line = format!("kubectl -n @id@-shop get secret {name} --ignore-not-found -o json");
    let answer = rig.stage.ask(&line.replace("@id@", &rig.id))?;
    Ok(if answer.is_empty() {
        None
    } else {
        Some(serde_json::from_str(&answer)?)
    })
}

/// Waits until a Secret holds exactly this.
fn holds(rig: &Rig<'_>, name: &str, wanted: &BTreeMap<&str, &str>) -> Result<()> {
    let template = "{{range $key, $value := .data}}{{$key}}={{base64decode $value}};{{end}}";
    let line = format!(
        "kubectl -n {}-shop get secret {name} -o 'go-template={template}'",
        rig.id
    );
    let lines: Vec<String> = wanted
        .iter()
        .map(|(key, value)| format!("{key}={value};"))
        .collect();
    let wanted = lines.concat();
    rig.stage
        .until(&format!("Secret {name} holds {wanted}"), &line, |answer| {
            answer == wanted
        })
        .map(drop)
}

fn gone(rig: &Rig<'_>, name: &str) -> Result<()> {
    wait::until(format_args!("there is no Secret {name}"), PATIENCE, None, || {
        Ok(read(rig, name)?.is_none())
    })
}

/// It says whose it is.
fn marked(rig: &Rig<'_>) -> Result<()> {
    let secret = read(rig, "native")?.context("there is no Secret")?;
    same("the type", &secret["type"], &json!("Opaque"))?;
    let metadata = &secret["metadata"];
    same(
        "the label",
        &metadata["labels"],
        &json!({"keystead.dev/synced": "true"}),
    )?;
    let uid = rig.ask("kubectl -n @id@-shop get secretbinding web -o 'jsonpath={.metadata.uid}'")?;
    same(
        "the owner",
        &metadata["ownerReferences"],
        &json!([{
            "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretBinding", "name": "web", "uid": uid, "controller": true,
        }]),
    )
}

/// Holds that another start writes nothing, and that no value is asked for without need.
fn rests(rig: &Rig<'_>, operator: &mut super::super::program::Program) -> Result<()> {
    operator.stop()?;
    let version = |rig: &Rig<'_>| {
        Ok::<_, anyhow::Error>(
            read(rig, "native")?.context("there is no Secret")?["metadata"]["resourceVersion"].clone(),
        )
    };
    let (before, mark) = (version(rig)?, rig.audit_mark()?);
    let mut operator = rig.operator()?;
    let policy = format!("keystead-operator-{}", rig.id);
    let path = rig.kv("data", "production/company/acme/hubspot");
    // One look by the Credential, and two by the sync: the second comes after its interval.
    wait::until("the operator has synced twice", PATIENCE, None, || {
        operator.check()?;
        let entries = rig.audit_since(mark)?;
        let looks = entries
            .iter()
            .filter(|entry| is_by(entry, &policy) && entry["request"]["path"] == path);
        Ok(looks.count() >= 3)
    })?;
    operator.stop()?;
    same("the Secret's version", &version(rig)?, &before)
}
