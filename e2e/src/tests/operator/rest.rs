//! What the operator does not do: write without need, and say what is secret.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::super::manifest::{
    account, binding, company, credential, from_secret, global, namespace, secret, value,
};
use super::super::rig::{self, Method, Rig, is_by};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// Found nowhere else.
const MARKED: &str = "marked-9f3c1e7a-value";
/// Its form in a Secret.
const MARKED_BASE64: &str = "bWFya2VkLTlmM2MxZTdhLXZhbHVl";

pub(super) fn second_start(stage: &Stage) -> Result<()> {
    rig::run(stage, "still", Method::Jwt, |rig| {
        declare(rig)?;
        rig.apply(&more())?;
        let mut operator = rig.operator()?;
        ready(rig)?;
        more_ready(rig)?;
        operator.stop()?;
        let (objects, events, mark) = (objects(rig)?, events(rig)?, rig.audit_mark()?);

        let mut operator = rig.operator()?;
        let id = &rig.id;
        let role = rig.role(&format!("{id}-shop"), "web");
        let mut wanted: BTreeSet<String> = [
            format!("auth/{}/role/{role}", rig.mount()),
            format!("sys/policies/acl/{role}"),
            rig.kv("data", "production/company/acme/hubspot"),
            rig.kv("data", "production/global/all/hubspot"),
            rig.kv("data", "production/global/all/made"),
            rig.kv("data", "production/global/all/idle"),
            rig.kv("data", "production/global/all/people"),
        ]
        .into();
        looked_at(rig, mark, &mut wanted, || operator.check())?;
        // It finishes what is under way, so what it would write is written when it has ended.
        operator.stop()?;
        wrote_nothing(rig, mark)?;
        let after = self::objects(rig)?;
        ensure!(after == objects, "objects changed, from {objects} to {after}");
        let after = self::events(rig)?;
        ensure!(after == events, "there are new events, from {events} to {after}");
        Ok(())
    })
}

/// Waits until an operator has asked Vault for all of these since.
pub(in crate::tests) fn looked_at(
    rig: &Rig<'_>,
    mark: usize,
    wanted: &mut BTreeSet<String>,
    mut check: impl FnMut() -> Result<()>,
) -> Result<()> {
    wait::until("the operator has looked at everything", PATIENCE, None, || {
        check()?;
        for entry in requests(rig, mark)? {
            wanted.remove(entry["request"]["path"].as_str().unwrap_or_default());
        }
        Ok(wanted.is_empty())
    })
}

/// Holds that no operator wrote anything in Vault since, but for its own token.
pub(in crate::tests) fn wrote_nothing(rig: &Rig<'_>, mark: usize) -> Result<()> {
    for entry in requests(rig, mark)? {
        let operation = entry["request"]["operation"].as_str().unwrap_or_default();
        let path = entry["request"]["path"].as_str().unwrap_or_default();
        let looks = matches!(operation, "read" | "list");
        let own =
            path.starts_with("auth/token/") || path.ends_with("/login") || path == "sys/capabilities-self";
        ensure!(looks || own, "the second start wrote: {operation} {path}");
    }
    Ok(())
}

pub(super) fn no_value_leaks(stage: &Stage) -> Result<()> {
    rig::run(stage, "leak", Method::Jwt, |rig| {
        declare(rig)?;
        let mut operator = rig.operator_with(&["--log-level", "debug"])?;
        ready(rig)?;
        // Also where things go wrong: a path of somebody else's, two credentials of one service, a
        // key that is missing beside one that is there, and a refusal by Vault.
        rig.ask(&format!(
            "bao kv put -mount=kv @id@/production/global/all/theirs api_key={MARKED}"
        ))?;
        let taken = from_secret("api_key", "hubspot", "token");
        let half = [taken.clone(), from_secret("more", "hubspot", "missing")].join(", ");
        let manifests = [
            credential("secrets", "theirs", "global", "theirs", &taken),
            credential("secrets", "twice", "acme", "hubspot", &taken),
            credential("secrets", "half", "global", "half", &half),
        ];
        rig.apply(&manifests.concat())?;
        rig.says(
            "credential/theirs -n @id@-secrets",
            "False",
            "Conflict",
            "not ours",
        )?;
        rig.says(
            "credential/twice -n @id@-secrets",
            "False",
            "Conflict",
            "is older",
        )?;
        rig.says(
            "credential/half -n @id@-secrets",
            "False",
            "NotFound",
            "no key missing",
        )?;
        rig.ask("bao delete sys/policies/acl/keystead-operator-@id@")?;
        rig.apply(&secret("secrets", "hubspot", "token", &format!("{MARKED}-2")))?;
        rig.says(
            "credential/acme -n @id@-secrets",
            "False",
            "VaultDenied",
            "permission denied",
        )?;
        operator.stop()?;

        silent(rig, &operator.log())
    })
}

/// The value is in nothing that people and programs read.
fn silent(rig: &Rig<'_>, log: &str) -> Result<()> {
    ensure!(log.contains("wrote to Vault"), "the log says nothing: {log}");
    let events = rig.stage.ask("kubectl get events -A -o yaml")?;
    ensure!(events.contains("is not ours"), "there are no events");
    let objects = rig.stage.ask("kubectl get keystead -A -o yaml")?;
    for (what, text) in [("the log", log), ("an event", &events), ("an object", &objects)] {
        for marked in [MARKED, MARKED_BASE64] {
            // Around it is what helps to find who says it.
            if let Some(at) = text.find(marked) {
                let start = text[..at].rfind('\n').unwrap_or_default();
                bail!("the value is in {what}: {}", &text[start..at + marked.len()]);
            }
        }
    }
    Ok(())
}

fn declare(rig: &Rig<'_>) -> Result<()> {
    let manifests = [
        namespace("secrets", ""),
        namespace("shop", "company: acme"),
        account("shop", "web"),
        rig.provider(),
        global(),
        company("acme"),
        secret("secrets", "hubspot", "token", MARKED),
        credential(
            "secrets",
            "acme",
            "acme",
            "hubspot",
            &from_secret("api_key", "hubspot", "token"),
        ),
        credential(
            "secrets",
            "everyone",
            "global",
            "hubspot",
            &value("base_url", "u"),
        ),
        binding("shop", "web", "web", &["hubspot"]),
    ];
    rig.apply(&manifests.concat())
}

/// Whatever else a Credential can say.
fn more() -> String {
    let with = |name: &str, keys: &str, rest: &str| {
        let manifest = credential("secrets", name, "global", name, keys);
        format!("{manifest}  deletionPolicy: Delete\n{rest}")
    };
    let (made, people) = (
        "{name: pin, from: {generate: {}}}",
        "{name: by_hand, from: {vault: {}}}",
    );
    let expires = "  expiresAt: \"2999-12-31T12:00:00Z\"\n";
    [
        with("made", made, expires),
        with("idle", made, ""),
        with("people", &[people, &value("base_url", "u")].join(", "), ""),
    ]
    .concat()
}

/// They are all as declared, after a while as something else.
fn more_ready(rig: &Rig<'_>) -> Result<()> {
    let [made, idle, people] =
        ["made", "idle", "people"].map(|name| format!("credential/{name} -n @id@-secrets"));
    rig.ready(&[&made, &idle])?;
    rig.ask(&format!(
        "kubectl patch {idle} --type=merge -p '{{\"spec\":{{\"active\":false}}}}'"
    ))?;
    rig.says(&idle, "True", "Inactive", "")?;
    rig.says(&people, "False", "NotFound", "has no key by_hand")?;
    rig.ask("bao kv patch -mount=kv -cas=1 @id@/production/global/all/people by_hand=x")?;
    rig.ask(&format!("kubectl annotate {people} keystead.dev/sync=1"))?;
    rig.ready(&[&people])
}

fn ready(rig: &Rig<'_>) -> Result<()> {
    rig.ready(&[
        "secretprovider/@id@",
        "secretscope/@id@-global",
        "secretscope/@id@-acme",
        "credential/acme -n @id@-secrets",
        "credential/everyone -n @id@-secrets",
        "secretbinding/web -n @id@-shop",
    ])
}

/// What this test's operator asked of Vault since.
fn requests(rig: &Rig<'_>, mark: usize) -> Result<Vec<Value>> {
    let policy = format!("keystead-operator-{}", rig.id);
    let mut entries = rig.audit_since(mark)?;
    entries.retain(|entry| is_by(entry, &policy));
    Ok(entries)
}

/// Every object of ours in this test with its version.
fn objects(rig: &Rig<'_>) -> Result<String> {
    let all = rig.ask(
        "kubectl get keystead -A -o 'jsonpath={range .items[*]}{.kind} {.metadata.namespace} {.metadata.name} {.metadata.resourceVersion};{end}'",
    )?;
    let own: Vec<&str> = all.split(';').filter(|line| line.contains(&rig.id)).collect();
    ensure!(own.len() == 9, "there are nine objects: {all}");
    Ok(own.join("; "))
}

fn events(rig: &Rig<'_>) -> Result<String> {
    let all = rig.ask(
        "kubectl get events -A -o 'jsonpath={range .items[*]}{.involvedObject.namespace} {.involvedObject.name}: {.message};{end}'",
    )?;
    let own: Vec<&str> = all.split(';').filter(|line| line.contains(&rig.id)).collect();
    Ok(own.join("; "))
}
