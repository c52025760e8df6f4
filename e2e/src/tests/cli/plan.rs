//! `kubectl keystead plan`.

pub(super) mod deleted;
pub(super) mod native;

use anyhow::{Result, ensure};

use super::{Answer, run_here};
use crate::rig::manifest::{account, binding, company, credential, from_secret, namespace, secret};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

/// Must be in no output.
const MARKED: &str = "marked-51c0ffee";
const CHANGED: &str = "changed-51c0ffee";

/// The ground on which a company declares things.
fn ground(rig: &Rig<'_>) -> String {
    [
        namespace("secrets", ""),
        namespace("shop", "company: acme"),
        account("shop", "web"),
        rig.provider(),
        company("acme"),
    ]
    .concat()
}

/// A service of the company's with its value in a Secret, and who gets it.
fn service() -> String {
    [
        secret("secrets", "hubspot", "token", MARKED),
        credential(
            "secrets",
            "hubspot",
            "acme",
            "hubspot",
            &from_secret("api_key", "hubspot", "token"),
        ),
        binding("shop", "web", "web", &["hubspot"]),
    ]
    .concat()
}

fn plan(rig: &Rig<'_>, how: &str, input: &str) -> Result<Answer> {
    run_here(rig, &format!("plan {how}"), input)?.hides(&[MARKED, CHANGED])
}

/// Applies all of it and waits until it is in Vault; the operator has ended then.
fn applied(rig: &Rig<'_>) -> Result<()> {
    rig.apply(&[ground(rig), service()].concat())?;
    let mut operator = rig.operator()?;
    rig.ready(&[
        "credential/hubspot -n @id@-secrets",
        "secretbinding/web -n @id@-shop",
    ])?;
    operator.stop()
}

pub(super) fn before_and_after(stage: &Stage) -> Result<()> {
    rig::run(stage, "plan", Method::Jwt, |rig| {
        rig.apply(&ground(rig))?;
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        let values = format!("values kv/{}/production/company/acme/hubspot", rig.id);
        let new = [values.clone(), format!("policy {role}"), format!("role/{role}")];
        let words: Vec<&str> = new.iter().map(String::as_str).collect();
        plan(rig, "-f -", &service())?
            .ends(2)?
            .says(&["create"])?
            .says(&words)?;
        let all = plan(rig, "-f - -o json", &service())?.ends(2)?.json()?;
        let actions = all["changes"].as_array().map_or(0, |changes| {
            changes
                .iter()
                .filter(|change| change["action"] == "create")
                .count()
        });
        ensure!(actions == 3, "three objects were to be created: {all}");

        applied(rig)?;
        plan(rig, "--cluster", "")?.ends(0)?.says(&["Nothing to do"])?;
        plan(rig, "-f -", &service())?
            .ends(0)?
            .says(&["Nothing to do: 3 object(s)"])?;
        // Only what the file brings is shown.
        let more = binding("shop", "more", "web", &["postgres"]);
        plan(rig, "-f -", &more)?
            .ends(2)?
            .says(&["change", &role, "grants read", "postgres"])?
            .hides(&["values"])?;
        Ok(())
    })
}

pub(super) fn what_differs(stage: &Stage) -> Result<()> {
    rig::run(stage, "drift", Method::Kubernetes, |rig| {
        applied(rig)?;
        plan(rig, "--cluster", "")?.ends(0)?;
        let place = format!("{}/production/company/acme", rig.id);
        rig.stage.ask(&format!(
            "bao kv put -mount=kv -cas=1 {place}/hubspot api_key={CHANGED}"
        ))?;
        plan(rig, "--cluster", "")?.ends(2)?.says(&[
            "change",
            &format!("values kv/{place}/hubspot"),
            "1 to change",
        ])?;

        rig.stage
            .ask(&format!("bao kv put -mount=kv {place}/foreign someone=elses"))?;
        let foreign = credential(
            "secrets",
            "foreign",
            "acme",
            "foreign",
            &from_secret("k", "hubspot", "token"),
        );
        plan(rig, "-f -", &foreign)?
            .ends(1)?
            .says(&["conflict", &format!("values kv/{place}/foreign")])?;

        let twin = credential(
            "secrets",
            "twin",
            "acme",
            "hubspot",
            &from_secret("k", "hubspot", "token"),
        );
        let name = format!("Credential {}-secrets/twin", rig.id);
        plan(rig, "-f -", &twin)?
            .ends(1)?
            .says(&["problem", &name, "is older"])?;

        rig.ask("kubectl -n @id@-shop delete secretbinding web")?;
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        plan(rig, "--cluster", "")?
            .ends(2)?
            .says(&["delete", &format!("policy {role}"), "2 to delete"])?;
        Ok(())
    })
}
