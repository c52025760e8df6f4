//! Existing paths in Vault: granted as they stand, to those whom the provider allows them.

use anyhow::Result;

use super::super::manifest::{account, binding_of, global, namespace};
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

pub(super) fn granted(stage: &Stage) -> Result<()> {
    rig::run(stage, "paths", Method::Kubernetes, |rig| {
        engines(rig)?;
        let manifests = [
            namespace("shop", "team: a"),
            namespace("other", "team: b"),
            account("shop", "web"),
            account("other", "web"),
            allowing(rig),
            global(),
            asking("shop", "web", &["@id@-v2/data/team-a/app", "@id@-v1/app"]),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&["secretbinding/web -n @id@-shop"])?;
        let shop = format!("{}-shop", rig.id);
        let token = rig.log_in(&shop, "web")?;
        let ask = |line: &str| line.replace("@id@", &rig.id);
        for path in ["@id@-v2/data/team-a/app", "@id@-v1/app"] {
            rig.allowed(&token, &ask(&format!("bao read {path}")))?;
        }
        for line in [
            "bao read @id@-v2/metadata/team-a/app",
            "bao read @id@-v2/data/team-a/other",
            "bao read @id@-v2/data/team-a/app/below",
            "bao read @id@-v2/data/team-a",
            "bao list @id@-v2/metadata/team-a",
            "bao read @id@-v1/other",
            "bao list @id@-v1",
            "bao write @id@-v1/app x=y",
            "bao delete @id@-v1/app",
            "bao delete @id@-v2/data/team-a/app",
        ] {
            rig.denied(&token, &ask(line))?;
        }
        refused(rig)?;
        // Whom a path is not allowed any more loses it, with the token it has.
        rig.apply(&rig.provider())?;
        rig.says(
            "secretbinding/web -n @id@-shop",
            "False",
            "NotPermitted",
            "SecretProvider @id@ does not open @id@-v2/data/team-a/app to namespace @id@-shop",
        )?;
        rig.loses(&token, &ask("@id@-v2/data/team-a/app"))?;
        rig.loses(&token, &ask("@id@-v1/app"))
    })
}

/// What no binding gets, and what it is told.
fn refused(rig: &Rig<'_>) -> Result<()> {
    let cases = [
        (
            "other",
            "@id@-v2/data/team-a/app",
            "NotPermitted",
            "does not open @id@-v2/data/team-a/app to namespace @id@-other",
        ),
        (
            "shop",
            "@id@-v2/data/team-ab",
            "NotPermitted",
            "does not open @id@-v2/data/team-ab",
        ),
        (
            "shop",
            "kv/data/@id@/production/global/all/hubspot",
            "NotPermitted",
            "name the service instead of the path",
        ),
        (
            "shop",
            "kv/metadata/@id@/production/company/acme/hubspot",
            "NotPermitted",
            "name the service instead of the path",
        ),
        (
            "shop",
            "sys/policies/acl/root",
            "Invalid",
            "is below sys, which is Vault's own",
        ),
    ];
    for (space, path, reason, sentence) in cases {
        rig.apply(&asking(space, "asks", &[path]))?;
        let object = format!("secretbinding/asks -n @id@-{space}");
        rig.says(&object, "False", reason, sentence)?;
    }
    Ok(())
}

/// An engine of each version, with something in them.
pub(in crate::tests) fn engines(rig: &Rig<'_>) -> Result<()> {
    for version in ["1", "2"] {
        rig.ask(&format!(
            "bao secrets enable -path=@id@-v{version} -version={version} kv"
        ))?;
    }
    // An engine of version 2 needs a moment before it takes the first value.
    wait::until("the engine is there", PATIENCE, None, || {
        Ok(rig
            .ask("bao kv put -mount=@id@-v2 team-a/app user=u password=of-team-a")
            .is_ok())
    })?;
    rig.ask("bao kv put -mount=@id@-v2 team-a/other x=y")?;
    rig.ask("bao write @id@-v1/app token=of-version-1 port=5432")?;
    rig.ask("bao write @id@-v1/other x=y").map(drop)
}

/// This test's provider, which opens paths of both to namespaces of team a, and all of `kv` to all.
pub(in crate::tests) fn allowing(rig: &Rig<'_>) -> String {
    let team = "namespaces: {matchLabels: {team: a}}";
    format!(
        "{}  allowedPaths:
  - {{prefix: @id@-v2/data/team-a, {team}}}
  - {{prefix: @id@-v1, {team}}}
  - {{prefix: kv, namespaces: {{}}}}
",
        rig.provider()
    )
}

/// A binding `name` of account `web` that asks for paths, as secrets `s0`, `s1`, …
pub(in crate::tests) fn asking(space: &str, name: &str, paths: &[&str]) -> String {
    let secrets: Vec<String> = paths
        .iter()
        .enumerate()
        .map(|(index, path)| format!("{{name: s{index}, path: {path}}}"))
        .collect();
    binding_of(space, name, "web", &secrets)
}
