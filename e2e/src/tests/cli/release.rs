//! Finalizers, and who takes them off.

use anyhow::{Result, ensure};

use super::run;
use crate::rig::manifest::{company, credential, namespace, value};
use crate::rig::program::Program;
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

/// A Credential that waits for an operator which will not come, and one of another class that waits, too.
fn declare(rig: &Rig<'_>) -> Result<()> {
    let other = rig
        .provider()
        .replace("name: @id@}", "name: @id@-other}")
        .replace("class: @id@", "class: @id@-other");
    let scope = company("acme")
        .replace("name: @id@-acme", "name: @id@-other")
        .replace("{name: @id@}", "{name: @id@-other}");
    let held = |name: &str, scope: &str| {
        credential("secrets", name, scope, name, &value("user", "shop"))
            .replace("metadata: {", "metadata: {finalizers: [keystead.dev/cleanup], ")
    };
    let manifests = [
        namespace("secrets", ""),
        rig.provider(),
        company("acme"),
        other,
        scope,
        held("mine", "acme"),
        held("other", "other"),
    ];
    rig.apply(&manifests.concat())?;
    rig.ask("kubectl -n @id@-secrets delete credential mine other --wait=false")
        .map(drop)
}

/// The Credentials that are still there.
fn left(rig: &Rig<'_>) -> Result<String> {
    rig.ask("kubectl -n @id@-secrets get credentials -o 'jsonpath={.items[*].metadata.name}'")
}

pub(super) fn by_person(stage: &Stage) -> Result<()> {
    rig::run(stage, "release", Method::Kubernetes, |rig| {
        declare(rig)?;
        let mine = format!("Credential {}-secrets/mine (deleted, and waits for it)", rig.id);
        run(rig, "release --class @id@", "")?
            .ends(0)?
            .says(&[&mine, "1 to release", "--yes"])?;
        ensure!(
            left(rig)? == "mine other",
            "it did something without --yes: {}",
            left(rig)?
        );
        run(rig, "release --yes --class @id@", "")?
            .ends(0)?
            .says(&["released", &mine])?;
        ensure!(left(rig)? == "other", "left were {}", left(rig)?);
        run(rig, "release --yes --class @id@", "")?
            .ends(0)?
            .says(&["Nothing to do"])?;
        run(rig, "release --yes --class @id@-other", "")?.ends(0)?;
        ensure!(left(rig)?.is_empty(), "left were {}", left(rig)?);
        Ok(())
    })
}

pub(super) fn by_operator(stage: &Stage) -> Result<()> {
    rig::run(stage, "letgo", Method::Kubernetes, |rig| {
        declare(rig)?;
        for class in [rig.id.clone(), format!("{}-other", rig.id)] {
            let log = rig.path("operator.log");
            let mut operator = Program::start(stage, "operator", &log, |command| {
                command.args([
                    "--release",
                    "--cluster",
                    &rig.id,
                    "--class",
                    &class,
                    "--log-format",
                    "text",
                ]);
            })?;
            let status = operator.ended()?;
            ensure!(status.success(), "it ended with {status}: {}", operator.log());
            let other = class == rig.id;
            ensure!(
                left(rig)? == if other { "other" } else { "" },
                "left were {}",
                left(rig)?
            );
        }
        Ok(())
    })
}
