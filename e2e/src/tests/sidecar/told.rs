//! Who is called when files change, how often, and what becomes of a call that fails.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{account, global, namespace};
use super::super::operator::paths::{allowing, asking, engines};
use super::super::rig::{self, Method};
use super::{Pod, config};
use crate::rig::called::Called;
use crate::stage::{PATIENCE, Stage};
use crate::wait;

pub(super) fn called(stage: &Stage) -> Result<()> {
    rig::run(stage, "told", Method::Kubernetes, |rig| {
        engines(rig)?;
        let [app, old] = ["-v2/data/team-a/app", "-v1/app"].map(|path| format!("{}{path}", rig.id));
        let manifests = [
            namespace("shop", "team: a"),
            account("shop", "web"),
            allowing(rig),
            global(),
            asking("shop", "web", &[&app, &old]),
        ];
        let (good, bad) = (Called::start(stage, 0)?, Called::start(stage, 2)?);
        let call = |called: &Called, path: &str| json!({"http": {"port": called.port, "path": path}});
        let mut config = config(rig)?;
        config["secrets"] = json!([
            {"name": "app", "from": {"path": app}, "keys": ["user"]},
            {"name": "old", "from": {"path": old}},
        ]);
        let port = |path: &str, on_change: &Value| json!({"path": path, "format": "Raw", "secret": "old", "key": "port", "onChange": on_change});
        let reload = call(&good, "/-/reload?now=1");
        config["files"] = json!([
            port("port", &reload),
            port("again", &reload),
            port("failing", &call(&bad, "/")),
            {"path": "app.env", "format": "Dotenv", "secret": "app"},
        ]);
        config["env"] = json!([]);
        let pod = Pod::of(rig, &manifests.concat(), &config)?;
        let mut sidecar = pod.start("run")?;
        pod.opens(&mut sidecar)?;

        rig.ask("bao kv patch -mount=@id@-v2 team-a/app user=v")?;
        pod.gets(&mut sidecar, "files/app.env", "USER='v'\n")?;
        for port in 1..=10 {
            rig.ask(&format!("bao write @id@-v1/app port={port} token=t"))?;
        }
        pod.gets(&mut sidecar, "files/again", "10")?;
        wait::until("the failing call succeeds", PATIENCE, Some(&pod.log()), || {
            sidecar.check()?;
            Ok(bad.requests().len() >= 3)
        })?;
        sidecar.stop()?;

        let (good, bad, log) = (good.requests(), bad.requests(), sidecar.log());
        ensure!(
            (1..=2).contains(&good.len()) && good.iter().all(|line| line == "POST /-/reload?now=1 HTTP/1.1"),
            "ten changes of two files were told by {good:?}"
        );
        ensure!(
            (3..=4).contains(&bad.len()),
            "the failing call was made {} times",
            bad.len()
        );
        let failed = log.matches("it answered 503 Service Unavailable").count();
        ensure!(failed == 2, "{failed} failures are in the log: {log}");
        ensure!(!log.contains("of-team-a"), "a value is in the log: {log}");
        Ok(())
    })
}
