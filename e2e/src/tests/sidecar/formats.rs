//! All formats beside each other: what each holds, and that a changed value changes no other file.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::super::manifest::{account, binding, company, credential, global, namespace, value};
use super::super::rig::{self, Method};
use super::{CHANGED, MARKED, Pod, config};
use crate::stage::Stage;

/// The files that show the key that changes, and those that don't.
const SHOWS: [&str; 5] = ["key", "hubspot.env", "hubspot.json", "hubspot.yaml", "both.conf"];
const OTHERS: [&str; 2] = ["db.properties", "db/password"];

const BOTH: &str = "{{ secret('crm').api_key }} {{ secret('db').password|urlencode }}\n";

pub(super) fn all(stage: &Stage) -> Result<()> {
    rig::run(stage, "formats", Method::Kubernetes, |rig| {
        let password = value("password", "p = q");
        let manifests = [
            namespace("shop", "company: acme"),
            account("shop", "web"),
            rig.provider(),
            global(),
            company("acme"),
            credential("shop", "crm", "acme", "hubspot", &value("api_key", MARKED)),
            credential("shop", "db", "acme", "postgres", &password),
            binding("shop", "web", "web", &["hubspot", "postgres"]),
        ];
        let mut config = config(rig)?;
        config["secrets"] = json!([
            {"name": "crm", "from": {"service": "hubspot"}},
            {"name": "db", "from": {"service": "postgres"}},
        ]);
        config["files"] = json!([
            {"path": "key", "format": "Raw", "secret": "crm", "key": "api_key", "mode": 0o400},
            {"path": "hubspot.env", "format": "Dotenv", "secret": "crm"},
            {"path": "hubspot.json", "format": "Json", "secret": "crm"},
            {"path": "hubspot.yaml", "format": "Yaml", "secret": "crm"},
            {"path": "both.conf", "format": "Template", "template": {"prefix": "", "text": BOTH}},
            {"path": "db.properties", "format": "Properties", "secret": "db"},
            {"path": "db/password", "format": "Raw", "secret": "db", "key": "password"},
        ]);
        config["env"] = json!([]);
        let pod = Pod::of(rig, &manifests.concat(), &config)?;
        let mut sidecar = pod.start("run")?;
        pod.opens(&mut sidecar)?;
        shown(&pod, MARKED)?;
        pod.expect("files/db.properties", "password=p \\= q\n")?;
        pod.expect("files/db/password", "p = q")?;
        let mode = |path: &str| Ok::<_, anyhow::Error>(metadata(&pod, path)?.permissions().mode() & 0o777);
        ensure!(
            mode("key")? == 0o400 && mode("db/password")? == 0o440,
            "the modes are others"
        );

        let before = inodes(&pod)?;
        rig.ask(&format!(
            "kubectl -n @id@-shop patch credential crm --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/keys/0/from/value\",\"value\":\"{CHANGED}\"}}]'"
        ))?;
        pod.gets(&mut sidecar, "files/key", CHANGED)?;
        shown(&pod, CHANGED)?;
        ensure!(mode("key")? == 0o400, "the new file has another mode");
        ensure!(
            inodes(&pod)? == before,
            "a file that does not show the value was written anew"
        );
        sidecar.stop()?;
        super::silent(&sidecar)
    })
}

/// The value is in every file that shows it.
fn shown(pod: &Pod<'_>, value: &str) -> Result<()> {
    let [key, env, json, yaml, both] = SHOWS.map(|name| format!("files/{name}"));
    pod.expect(&key, value)?;
    pod.expect(&env, &format!("API_KEY='{value}'\n"))?;
    pod.expect(&json, &format!("{{\n  \"api_key\": \"{value}\"\n}}\n"))?;
    pod.expect(&yaml, &format!("\"api_key\": \"{value}\"\n"))?;
    pod.expect(&both, &format!("{value} p%20%3D%20q\n"))
}

/// Which files the others are: a file that is written anew is another one.
fn inodes(pod: &Pod<'_>) -> Result<Vec<u64>> {
    OTHERS.iter().map(|path| Ok(metadata(pod, path)?.ino())).collect()
}

fn metadata(pod: &Pod<'_>, path: &str) -> Result<fs::Metadata> {
    let path = pod.folder("files").join(Path::new(path));
    fs::metadata(&path).with_context(|| format!("look at {}", path.display()))
}
