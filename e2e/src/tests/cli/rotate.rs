//! Values that people have replaced, and what they are told of all of them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::run;
use crate::rig::manifest::{credential, global, namespace, value};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

/// A minute that begins half a day from now, and the one after: no window is open while this test runs.
fn window() -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(12);
    let from = then.strftime("%H:%M");
    let to = (then + jiff::SignedDuration::from_mins(1)).strftime("%H:%M");
    format!("window: {{from: \"{from}\", to: \"{to}\"}}")
}

fn made(name: &str, more: &str) -> String {
    let generated = "{name: token, from: {generate: {}}}";
    credential("shop", name, "global", name, generated)
        + &format!("  type: ApiKey\n  rotation: {{every: 24h{more}}}\n")
}

/// What is known of each rotation, by name.
fn known(rig: &Rig<'_>, name: &str) -> Result<(i64, Value)> {
    let answer = rig.ask(&format!("kubectl -n @id@-shop get credential {name} -o json"))?;
    let found: Value = serde_json::from_str(&answer)?;
    let status = &found["status"];
    Ok((
        status["rotation"]["count"].as_i64().unwrap_or(0),
        status["version"].clone(),
    ))
}

fn count(rig: &Rig<'_>, name: &str, wanted: i64) -> Result<()> {
    let (count, _) = known(rig, name)?;
    ensure!(
        count == wanted,
        "{name} was replaced {count} times: expected {wanted}"
    );
    Ok(())
}

pub(super) fn replaced(stage: &Stage) -> Result<()> {
    rig::run(stage, "rotate", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            made("made", ""),
            made("night", &format!(", {}", window())),
            credential("shop", "brought", "global", "brought", &value("user", "shop")),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        for name in ["made", "night", "brought"] {
            rig.ready(&[&format!("credential/{name} -n @id@-shop")])?;
        }
        let (_, before) = known(rig, "made")?;
        run(rig, "rotate made -n @id@-shop", "")?.ends(0)?.says(&[
            &format!("{}-shop/made: replaced, once by now, version ", rig.id),
            "1 of 1 replaced.",
        ])?;
        let (_, after) = known(rig, "made")?;
        ensure!(before != after && after.is_i64(), "versions {before} and {after}");
        run(rig, "rotate brought -n @id@-shop", "")?
            .ends(1)?
            .complains(&["left to people", "change user in spec.keys"])?;
        run(rig, "rotate missing -n @id@-shop", "")?
            .ends(1)?
            .complains(&["there is no Credential"])?;
        all(rig)
    })
}

fn all(rig: &Rig<'_>) -> Result<()> {
    run(rig, "rotate --all -n @id@-shop", "")?.ends(0)?.says(&[
        "made: to be replaced at once",
        "night: waits until",
        "--yes",
    ])?;
    count(rig, "made", 1)?;
    run(rig, "rotate --all -n @id@-shop --yes", "")?.ends(2)?.says(&[
        "made: replaced, 2 times by now",
        "night: waits until",
        "brought: left to people",
        "1 of 3 replaced.",
    ])?;
    count(rig, "night", 0)?;
    let urgent = run(rig, "rotate --all -n @id@-shop --now --yes -o json", "")?
        .ends(0)?
        .json()?;
    let entries = urgent["entries"].as_array().context("entries")?;
    let results: Vec<_> = entries
        .iter()
        .map(|entry| (entry["name"].as_str(), entry["result"].as_str()))
        .collect();
    let wanted = [
        ("brought", "leftToPeople"),
        ("made", "rotated"),
        ("night", "rotated"),
    ];
    ensure!(
        results == wanted.map(|(name, result)| (Some(name), Some(result))),
        "{urgent}"
    );
    count(rig, "night", 1)?;
    run(rig, "rotate --type Database -n @id@-shop --yes", "")?
        .ends(0)?
        .says(&["0 of 0 replaced."])?;
    run(rig, "status -n @id@-shop", "")?
        .ends(0)?
        .says(&["credential/made", "credential/night", "Generate"])?
        .hides(&["credential/brought"])
        .map(drop)
}
