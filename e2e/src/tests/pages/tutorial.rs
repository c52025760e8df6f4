//! docs/tutorial.md, typed by a test: each file written, each line run, each output as it is shown.

use std::env;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::bed::{self, Bed, TEST_IMAGE};
use crate::documents::{self, Block};
use crate::{exec, programs};

const BED: &str = "tutorial";
const PAGE: &str = "docs/tutorial.md";
/// The image that the page names: a bed can fetch none, and has its own.
const SHOWN_IMAGE: &str = "busybox:1.37";

/// Types the page on a bed of its own, which is as empty as its reader's cluster.
pub(super) fn typed() -> Result<()> {
    let bed = bed::up(&bed::Options {
        name: BED.into(),
        servers_only: false,
        without_env_files: false,
    })?;
    let typed = programs::import(&bed).and_then(|()| type_page(&bed));
    bed::down(BED)?;
    typed
}

fn type_page(bed: &Bed) -> Result<()> {
    let page = documents::all()?.into_iter().find(|page| page.name == PAGE);
    let blocks = page.with_context(|| format!("there is no {PAGE}"))?.blocks();
    let folder = tempfile::tempdir()?;
    symlink(
        documents::root().canonicalize()?.join("charts"),
        folder.path().join("charts"),
    )?;
    let cli = programs::cli()?;
    let tools = cli.parent().context("a program is in a folder")?;
    let mut said = String::new();
    for Block { info, text, line } in blocks {
        let done = match info.split_once(' ').unwrap_or((&info, "")) {
            ("yaml", name) => write(folder.path(), name, &text),
            ("sh", _) => run(bed, folder.path(), tools, &text).map(|output| said = output),
            ("text", _) => holds(&said, &text),
            _ => bail!("{PAGE}:{line}: a block of the tutorial is `yaml NAME`, `sh` or `text`"),
        };
        done.with_context(|| format!("{PAGE}:{line}"))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    ensure!(!name.is_empty(), "a manifest needs the name of its file");
    let text = text.replace(SHOWN_IMAGE, TEST_IMAGE);
    std::fs::write(folder.join(name), text).context("write the file")
}

/// Runs lines as a person's shell does, with the tool as kubectl's plugin.
fn run(bed: &Bed, folder: &Path, tools: &Path, lines: &str) -> Result<String> {
    let path = env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", bed.state.join("bin").display(), tools.display());
    let mut command = bed.command("bash");
    command
        .args(["-euo", "pipefail", "-c", lines])
        .current_dir(folder)
        .env("PATH", path);
    exec::output(&mut command)
}

/// Holds that an output has all that is shown of it.
fn holds(said: &str, shown: &str) -> Result<()> {
    for line in shown.lines() {
        ensure!(
            said.contains(line),
            "{line:?} is shown, and the output is\n{said}"
        );
    }
    Ok(())
}
