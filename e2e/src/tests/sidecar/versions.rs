//! Values that change faster than anybody reads them: which of them applications see together.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Pod, config};
use crate::rig::changing::Changing;
use crate::rig::manifest::{account, binding, credential, global, namespace};
use crate::rig::{self, Method};
use crate::stage::{PATIENCE, Stage};

/// How often the values change, and how often the sidecar looks.
const CHANGE: Duration = Duration::from_millis(50);
const REFRESH: u64 = 20;
/// How many of them readers must have seen.
const SEEN: usize = 100;
/// Longer than a page, so that half of one would show.
const LENGTH: usize = 10_000;
/// Each shows both keys or one, in its own way.
const FILES: [&str; 4] = ["pair/a", "pair/b", "pair.json", "pair.env"];

pub(super) fn never_mixed(stage: &Stage) -> Result<()> {
    rig::run(stage, "mixed", Method::Kubernetes, |rig| {
        let key = |name: &str| format!("{{name: {name}, from: {{vault: {{}}}}}}");
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            rig.provider(),
            global(),
            credential("shop", "pair", "global", "pair", &[key("a"), key("b")].join(", ")),
            binding("shop", "web", "web", &["pair"]),
        ];
        let pod = Pod::of(rig, &manifests.concat(), &told(config(rig)?))?;
        let place = "production/global/all/pair";
        rig.says("credential/pair -n @id@-shop", "False", "NotFound", "has no key")?;
        let changing = Changing::begin(rig, place, CHANGE, |number| {
            let text = text(number);
            json!({"a": text, "b": text})
        })?;
        let mut sidecar = pod.start("run")?;
        pod.opens(&mut sidecar)?;
        let files = pod.folder("files");
        let (together, alone) = thread::scope(|scope| {
            let together = scope.spawn(|| read_together(&files));
            let alone = read_alone(&files);
            (together.join(), alone)
        });
        let last = changing.end()?;
        together.map_err(|_| anyhow::anyhow!("a reader has died"))??;
        alone?;
        ensure!(last >= SEEN as u64, "there were {last} changes only");
        sidecar.stop()
    })
}

/// Files of one directory, found once by `..data`, are of one version, until it is taken away.
fn read_together(files: &Path) -> Result<()> {
    let mut seen = BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    while seen.len() < SEEN {
        ensure!(Instant::now() < end, "saw {} versions only", seen.len());
        let directory = files.join(fs::read_link(files.join("..data"))?);
        let read = FILES.iter().map(|file| version(&directory, file));
        let Some(found) = read.collect::<Result<Option<Vec<u64>>>>()? else {
            continue;
        };
        ensure!(
            found.iter().all(|number| *number == found[0]),
            "{FILES:?} are of {found:?}"
        );
        seen.insert(found[0]);
    }
    Ok(())
}

/// A file by its own path is whole and there, and never older than before.
fn read_alone(files: &Path) -> Result<()> {
    let mut seen = BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    while seen.len() < SEEN {
        ensure!(Instant::now() < end, "saw {} versions only", seen.len());
        for file in FILES {
            // Who comes in the very moment of a change looks again.
            let found = version(files, file)?.map_or_else(|| version(files, file), |found| Ok(Some(found)));
            let number = found?.with_context(|| format!("{file} is not there"))?;
            ensure!(
                seen.last().is_none_or(|last| *last <= number),
                "{file} was newer before"
            );
            seen.insert(number);
        }
    }
    Ok(())
}

/// Which version a whole file shows; none where there is no file.
fn version(directory: &Path, file: &str) -> Result<Option<u64>> {
    let found = match fs::read_to_string(directory.join(file)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("read {file}"))?,
    };
    let digits: String = found
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    let number = digits
        .parse()
        .with_context(|| format!("{file} begins with {found:.20}"))?;
    let text = text(number);
    let whole = match file {
        "pair.json" => {
            json!({"a": text, "b": text}) == serde_json::from_str::<Value>(&found).unwrap_or_default()
        }
        "pair.env" => found == format!("A='{text}'\nB='{text}'\n"),
        _ => found == text,
    };
    ensure!(whole, "{file} is torn: {} bytes of version {number}", found.len());
    Ok(Some(number))
}

fn text(number: u64) -> String {
    let mut text = format!("{number}-").repeat(LENGTH / 4);
    text.truncate(LENGTH);
    text
}

/// What the sidecar is told: all of one service, in every way.
fn told(mut config: Value) -> Value {
    let raw =
        |key: &str| json!({"path": format!("pair/{key}"), "format": "Raw", "secret": "web/pair", "key": key});
    config["secrets"] = json!([{"name": "web/pair", "from": {"service": "pair"}}]);
    config["files"] = json!([
        raw("a"),
        raw("b"),
        {"path": "pair.json", "format": "Json", "secret": "web/pair"},
        {"path": "pair.env", "format": "Dotenv", "secret": "web/pair"},
    ]);
    config["env"] = json!([]);
    config["refreshMillis"] = json!(REFRESH);
    config["vault"]["scopes"] = json!([{"level": "Global"}]);
    config
}
