//! The parts of a release that need no build of the programs.

use std::fs;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::Test;
use crate::release;
use crate::stage::Stage;

pub(super) fn tests() -> Vec<Test> {
    vec![Test::on_servers(
        "release: the chart is packed the same each time, and Helm reads it",
        chart,
    )]
}

fn chart(stage: &Stage) -> Result<()> {
    let folders = [TempDir::new()?, TempDir::new()?];
    let packed = folders.each_ref().map(|folder| {
        let path = release::chart(folder.path(), 1_700_000_000)?;
        anyhow::Ok((fs::read(&path).context("read the chart")?, path))
    });
    let [one, two] = packed;
    let ((one, path), (two, _)) = (one?, two?);
    ensure!(one == two, "packed twice, it has other bytes");
    let path = path.display();
    let rendered = stage.ask(&format!("helm template keystead {path} --set cluster=c1"))?;
    for part in ["kind: Deployment", "name: secretbindings.keystead.dev"] {
        ensure!(rendered.contains(part), "{part:?} is not in it: {rendered}");
    }
    Ok(())
}
