//! Existing paths, chosen keys and optional secrets, as a pod sees them.

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::manifest::{account, global, namespace};
use super::super::operator::paths::{allowing, asking, engines};
use super::super::rig::{self, Method};
use super::{Pod, config};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

pub(super) fn shown(stage: &Stage) -> Result<()> {
    rig::run(stage, "shown", Method::Kubernetes, |rig| {
        engines(rig)?;
        let [app, old, none] =
            ["-v2/data/team-a/app", "-v1/app", "-v1/none"].map(|path| format!("{}{path}", rig.id));
        let manifests = [
            namespace("shop", "team: a"),
            account("shop", "web"),
            allowing(rig),
            global(),
            asking("shop", "web", &[&app, &old, &none]),
        ];
        let mut config = config(rig)?;
        config["secrets"] = json!([
            {"name": "app", "from": {"path": app}, "keys": ["user"]},
            {"name": "old", "from": {"path": old}},
            {"name": "none", "from": {"path": none}, "optional": true},
        ]);
        config["files"] = json!([
            {"path": "app.env", "format": "Dotenv", "secret": "app"},
            {"path": "old.env", "format": "Dotenv", "secret": "old"},
            {"path": "none.env", "format": "Dotenv", "secret": "none"},
        ]);
        config["env"] = json!([
            {"name": "PORT", "secret": "old", "key": "port"},
            {"name": "NONE", "secret": "none", "key": "token"},
        ]);
        let pod = Pod::of(rig, &manifests.concat(), &config)?;
        let mut sidecar = pod.start("run")?;
        pod.opens(&mut sidecar)?;
        pod.expect("files/app.env", "USER='u'\n")?;
        pod.expect("files/old.env", "PORT='5432'\nTOKEN='of-version-1'\n")?;
        pod.expect("private/env", "PORT='5432'\n")?;
        ensure!(
            !pod.folder("files").join("none.env").exists(),
            "what is missing has a file"
        );
        let sentence = format!(
            "nothing at {none} in Vault; in a KV engine of version 2 it would be {0}-v1/data/none",
            rig.id
        );

        rig.ask("bao write @id@-v1/none token=here-now")?;
        rig.ask("bao kv patch -mount=@id@-v2 team-a/app user=v")?;
        wait::until(
            "what is there now has its file",
            PATIENCE,
            Some(&pod.log()),
            || {
                sidecar.check()?;
                // Variables are written after the files.
                Ok(pod.read("files/none.env")? == "TOKEN='here-now'\n"
                    && pod.read("files/app.env")? == "USER='v'\n"
                    && pod.read("private/env")? == "PORT='5432'\nNONE='here-now'\n")
            },
        )?;
        sidecar.stop()?;
        let log = sidecar.log();
        let times = log.matches(&sentence).count();
        ensure!(times == 1, "what is missing was named {times} times: {log}");
        ensure!(
            !log.contains("of-team-a") && !log.contains("of-version-1"),
            "a value is in the log: {log}"
        );
        Ok(())
    })
}
