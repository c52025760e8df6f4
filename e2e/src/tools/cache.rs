//! The cache of tools: one folder per tool and pin, there whole or not at all.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::ui::Step;

/// What to make, and what it is made from.
pub(super) struct Recipe<'a> {
    /// The tool's name in the cache.
    pub(super) name: &'a str,
    /// What the step is called while it runs.
    pub(super) title: &'a str,
    /// Everything that decides the outcome.
    pub(super) pins: &'a [&'a str],
}

/// A folder to make the tool in, and a log for the chatter of doing so.
pub(super) struct Workshop<'a> {
    /// Becomes the cached folder.
    pub(super) folder: &'a Path,
    /// Shown when something fails.
    pub(super) log: &'a Path,
    /// For progress.
    pub(super) step: Step,
}

/// The cached folder of a tool; made by `make` if it is not there yet.
pub(super) fn get(
    recipe: &Recipe<'_>,
    make: impl FnOnce(&mut Workshop<'_>) -> Result<()>,
) -> Result<PathBuf> {
    let root = root()?;
    let finished = root.join(format!("{}-{}", recipe.name, fingerprint(recipe.pins)));
    if finished.is_dir() {
        return Ok(finished);
    }
    fs::create_dir_all(&root).with_context(|| format!("create the tool cache {}", root.display()))?;
    // One build at a time: a second caller waits here and then finds the result.
    let lock = File::create(root.join(format!("{}.lock", recipe.name)))?;
    lock.lock()
        .with_context(|| format!("lock the tool cache {}", root.display()))?;
    if finished.is_dir() {
        return Ok(finished);
    }
    let prefix = format!(".{}-", recipe.name);
    remove_unfinished(&root, &prefix)?;
    let unfinished = tempfile::Builder::new().prefix(&prefix).tempdir_in(&root)?;
    let log = root.join(format!("{}.log", recipe.name));
    let mut workshop = Workshop {
        folder: unfinished.path(),
        log: &log,
        step: Step::begin(recipe.title),
    };
    make(&mut workshop)?;
    let step = workshop.step;
    // `tempfile` makes private folders; containers' programs run from here as other users.
    fs::set_permissions(
        unfinished.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    fs::rename(unfinished.keep(), &finished).with_context(|| format!("finish {}", finished.display()))?;
    step.done();
    Ok(finished)
}

/// What a killed build left behind. The caller holds the lock, so nobody is building.
fn remove_unfinished(root: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn fingerprint(pins: &[&str]) -> String {
    let mut hash = Sha256::new();
    for pin in pins {
        hash.update(pin.len().to_le_bytes());
        hash.update(pin);
    }
    hash.finalize()
        .iter()
        .take(6)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn root() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))) {
        Some(cache) => Ok(cache.join("keystead-e2e")),
        None => bail!("no place for built tools: set HOME or XDG_CACHE_HOME"),
    }
}
