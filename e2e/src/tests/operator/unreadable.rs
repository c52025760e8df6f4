//! Objects that this version can't read: of a newer one, or of a definition that somebody has changed.
//! The API server gives them as they are, so a proxy before it changes what a list has.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::super::manifest::{account, binding, company, credential, global, namespace, value};
use super::super::program::Program;
use super::super::rig::proxy::Amiss;
use super::super::rig::{self, Method, Rig, is_by, same};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const WEB: &str = "secretbinding/web -n @id@-shop";
const JOB: &str = "secretbinding/job -n @id@-shop";
const SCOPES: &str = "/apis/keystead.dev/v1alpha1/secretscopes";
const BINDINGS: &str = "/apis/keystead.dev/v1alpha1/secretbindings";

pub(super) fn leaves_access(stage: &Stage) -> Result<()> {
    rig::run(stage, "strange", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", "company: acme"),
            account("shop", "web"),
            account("shop", "job"),
            rig.provider(),
            global(),
            company("acme"),
            credential("shop", "acme", "acme", "hubspot", &value("api_key", "x")),
            binding("shop", "web", "web", &["hubspot"]),
            binding("shop", "job", "job", &["hubspot"]),
        ];
        rig.apply(&manifests.concat())?;
        let mut operator = rig.operator()?;
        rig.ready(&[WEB, JOB])?;
        operator.stop()?;
        let before = access(rig)?;

        // Without what acme's scope says, policies would lose its paths.
        let scope = format!("{}-acme", rig.id);
        let (mut operator, _api) = start(rig, SCOPES, &scope, |found| {
            found["spec"]["level"] = json!("Galaxy");
        })?;
        let sentence = "SecretScope @id@-acme can't be read by this version of Keystead";
        rig.says(WEB, "False", "Invalid", sentence)?;
        rig.says(JOB, "False", "Invalid", sentence)?;
        operator.stop()?;
        same("the accounts' access", &access(rig)?, &before)?;

        // A binding that nobody can read may be the one that names an account.
        let mark = rig.audit_mark()?;
        let (mut operator, _api) = start(rig, BINDINGS, "web", |found| {
            found["spec"]["serviceAccounts"] = json!("web");
        })?;
        let sentence = "a SecretBinding of namespace @id@-shop can't be read";
        rig.says(JOB, "False", "Invalid", sentence)?;
        swept(rig, mark, &mut operator)?;
        operator.stop()?;
        same("the accounts' access", &access(rig)?, &before)?;

        let _operator = rig.operator()?;
        rig.ready(&[WEB, JOB])
    })
}

/// What both accounts have in Vault.
fn access(rig: &Rig<'_>) -> Result<Value> {
    let mut all = Vec::new();
    for account in ["web", "job"] {
        let name = rig.role(&format!("{}-shop", rig.id), account);
        let (role, policy) = (
            format!("auth/{}/role/{name}", rig.mount()),
            format!("sys/policies/acl/{name}"),
        );
        let role = rig
            .vault(&role)?
            .with_context(|| format!("{account} has a role"))?;
        let policy = rig
            .vault(&policy)?
            .with_context(|| format!("{account} has a policy"))?;
        all.push(json!([role["data"], policy["data"]]));
    }
    Ok(all.into())
}

/// An operator that is told of one object in a way that it can't read.
fn start(rig: &Rig<'_>, list: &'static str, name: &str, spoil: fn(&mut Value)) -> Result<(Program, Amiss)> {
    let mut answer: Value = serde_json::from_str(&rig.stage.ask(&format!("kubectl get --raw {list}"))?)?;
    let items = answer["items"].as_array_mut().context("a list has items")?;
    let space = |found: &Value| {
        found["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let own = items.iter_mut().find(|found| {
        found["metadata"]["name"] == name && (space(found).is_empty() || space(found).starts_with(&rig.id))
    });
    spoil(own.with_context(|| format!("{name} is in the list"))?);
    let api = Amiss::start(rig, None, vec![(list, answer)])?;
    let (operator, _) = rig.start("strange", |command| {
        command.env("KUBECONFIG", &api.kubeconfig);
    })?;
    Ok((operator, api))
}

/// Waits until it has swept, and looks at the provider again: whatever that found was looked at long ago.
fn swept(rig: &Rig<'_>, mark: usize, operator: &mut Program) -> Result<()> {
    let policy = format!("keystead-operator-{}", rig.id);
    wait::until("the operator looks at Vault again", PATIENCE, None, || {
        operator.check()?;
        let entries = rig.audit_since(mark)?;
        let looks = entries
            .iter()
            .filter(|entry| is_by(entry, &policy) && entry["request"]["path"] == "auth/token/lookup-self");
        Ok(looks.count() > 1)
    })
}
