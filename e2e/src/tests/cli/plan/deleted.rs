//! Credentials that are being deleted.

use anyhow::Result;

use super::{MARKED, ground, plan};
use crate::rig::manifest::{credential, value};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

/// Keeps an object until a test lets it go.
const HOLD: &str = "example.com/hold";

/// One whose values go, one whose values are destroyed, one whose values stay, and one that is to be let
/// go. Others hold them all.
fn declare() -> String {
    let held = |name: &str, policy: &str| {
        credential("secrets", name, "acme", name, &value("api_key", MARKED))
            .replace("metadata: {", &format!("metadata: {{finalizers: [{HOLD}], "))
            + &format!("  deletionPolicy: {policy}\n")
    };
    [
        held("goes", "Delete"),
        held("vanishes", "Destroy"),
        held("stays", "Retain"),
        held("released", "Delete"),
    ]
    .concat()
}

pub(in super::super) fn credentials(stage: &Stage) -> Result<()> {
    rig::run(stage, "gone", Method::Kubernetes, |rig| {
        rig.apply(&[ground(rig), declare()].concat())?;
        let mut operator = rig.operator()?;
        let names = ["goes", "vanishes", "stays", "released"];
        let ready = names.map(|name| format!("credential/{name} -n @id@-secrets"));
        rig.ready(&ready.each_ref().map(String::as_str))?;
        operator.stop()?;
        rig.ask("kubectl -n @id@-secrets annotate credential released keystead.dev/release=true")?;
        rig.ask(&format!(
            "kubectl -n @id@-secrets delete credential {} --wait=false",
            names.join(" ")
        ))?;
        is_told(rig)?;
        // What it said is what the operator does.
        let operator = rig.operator()?;
        rig.stage.until(
            "only the foreign finalizer is left",
            &format!(
                "kubectl -n {}-secrets get credentials -o 'jsonpath={{.items[*].metadata.finalizers[*]}}'",
                rig.id
            ),
            |left| left == [HOLD; 4].join(" "),
        )?;
        plan(rig, "--cluster", "")?.ends(0)?.says(&["Nothing to do"])?;
        drop(operator);
        rig.ask(&format!(
            "kubectl -n @id@-secrets patch credential {} --type merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
            names.join(" ")
        ))
        .map(drop)
    })
}

fn is_told(rig: &Rig<'_>) -> Result<()> {
    let place = format!("kv/{}/production/company/acme", rig.id);
    let of = |name: &str| format!("Credential {}-secrets/{name}", rig.id);
    let said = [
        format!("delete  values {place}/goes  ({})", of("goes")),
        "deleted: version 1".into(),
        format!("delete  values {place}/vanishes  ({})", of("vanishes")),
        "destroyed: version 1".into(),
        "the path is erased".into(),
        format!(
            "left  {}: it is deleted, and its values stay at {place}/stays (deletionPolicy: Retain)",
            of("stays")
        ),
        format!(
            "left  {}: it is deleted, and its values are left behind at {place}/released: the annotation keystead.dev/release asks for it",
            of("released")
        ),
        "2 to delete; 0 unchanged.".into(),
    ];
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    plan(rig, "--cluster", "")?.ends(2)?.says(&said)?;
    // To apply it again does not bring it back.
    plan(rig, "-f -", &declare())?.ends(2)?.says(&said)?;
    Ok(())
}
