//! The native Secrets of `sync`, and the annotations of namespaces.

use anyhow::Result;

use super::{CHANGED, MARKED, ground, plan, service};
use crate::rig::manifest::{binding, namespace, secret};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

/// The binding of `service`, with a native Secret too.
fn synced(secret: &str) -> String {
    binding("shop", "web", "web", &["hubspot"]) + &format!("  sync: {{secretName: {secret}}}\n")
}

pub(in super::super) fn secrets(stage: &Stage) -> Result<()> {
    rig::run(stage, "natives", Method::Kubernetes, |rig| {
        rig.apply(&ground(rig))?;
        let native = format!("Secret {}-shop/native", rig.id);
        let follows = format!(
            "follows what changes at kv/data/{}/production/company/acme/hubspot",
            rig.id
        );
        // Its values are not in Vault yet.
        plan(rig, "-f -", &[service(), synced("native")].concat())?
            .ends(2)?
            .says(&[
                &format!("create  {native}  (SecretBinding {}-shop/web)", rig.id),
                &follows,
            ])?;

        rig.apply(&[service(), synced("native")].concat())?;
        rig.grant("--set sync.enabled=true")?;
        let mut operator = rig.operator()?;
        rig.ready(&[
            "credential/hubspot -n @id@-secrets",
            "secretbinding/web -n @id@-shop",
        ])?;
        operator.stop()?;
        plan(rig, "--cluster", "")?
            .ends(0)?
            .says(&["Nothing to do: 4 object(s)"])?;

        // What is declared changes, and the Secret of a binding that the file does not name follows.
        plan(rig, "-f -", &secret("secrets", "hubspot", "token", CHANGED))?
            .ends(2)?
            .says(&[&format!("change  {native}"), &follows])?;
        a_hand_on_it(rig, &native)?;
        of_another(rig)?;
        renamed(rig, &native)?;
        annotations(rig)
    })
}

/// Somebody changed what it holds.
fn a_hand_on_it(rig: &Rig<'_>, native: &str) -> Result<()> {
    rig.ask(&format!(
        "kubectl -n @id@-shop patch secret native -p '{{\"stringData\":{{\"api_key\":\"{CHANGED}\",\"more\":\"{MARKED}\"}}}}'"
    ))?;
    plan(rig, "--cluster", "")?.ends(2)?.says(&[
        &format!("change  {native}"),
        "key api_key is changed",
        "key more is removed",
        "1 to change; 3 unchanged.",
    ])?;
    Ok(())
}

/// A Secret that is not ours stays, whoever wants its name.
fn of_another(rig: &Rig<'_>) -> Result<()> {
    rig.apply(&secret("shop", "theirs", "token", MARKED))?;
    let sentence = "it is not of this binding, and stays as it is";
    plan(rig, "-f -", &synced("theirs"))?
        .ends(1)?
        .says(&[&format!("conflict  Secret {}-shop/theirs", rig.id), sentence])?;
    let new = synced("native").replace("name: web,", "name: new,");
    plan(rig, "-f -", &new)?.ends(1)?.says(&[
        &format!("conflict  Secret {}-shop/native", rig.id),
        "it is of SecretBinding web",
    ])?;
    Ok(())
}

/// The one that had the old name goes.
fn renamed(rig: &Rig<'_>, native: &str) -> Result<()> {
    plan(rig, "-f -", &synced("renamed"))?.ends(2)?.says(&[
        &format!("create  Secret {}-shop/renamed", rig.id),
        "key api_key is added",
        &format!("delete  {native}"),
    ])?;
    plan(rig, "-f -", &binding("shop", "web", "web", &["hubspot"]))?
        .ends(2)?
        .says(&[&format!("delete  {native}"), "1 to delete"])?;
    Ok(())
}

/// What a namespace says counts, in the file and in the cluster.
fn annotations(rig: &Rig<'_>) -> Result<()> {
    let name = "keystead.dev/refresh-interval";
    let problem = format!("its annotation {name} is \"soon\"");
    let annotated = namespace("shop", "company: acme")
        .replace("labels:", &format!("annotations: {{{name}: soon}}, labels:"));
    plan(rig, "-f -", &annotated)?
        .ends(1)?
        .says(&["problem", &problem])?;
    rig.ask(&format!("kubectl annotate namespace @id@-shop {name}=soon"))?;
    plan(rig, "--cluster", "")?
        .ends(1)?
        .says(&["problem", &problem])?;
    Ok(())
}
