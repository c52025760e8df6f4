//! The changes as files, for somebody who reviews them first and applies them without this tool.

mod script;
mod terraform;
#[cfg(test)]
mod tests;

pub(crate) use self::script::script;
pub(crate) use self::terraform::terraform;

use super::change::Change;
use super::cluster;
use crate::args::Bootstrap;
use anyhow::Context as _;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// One of the files.
#[derive(Debug)]
pub(crate) struct File {
    /// Where in the folder.
    path: String,
    text: String,
    /// Whether it is run.
    runs: bool,
}

impl File {
    /// A file that is read.
    pub(crate) fn new(path: impl Into<String>, text: String) -> Self {
        Self {
            path: path.into(),
            text,
            runs: false,
        }
    }

    /// Writes it below a folder, and answers where.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join(&self.path);
        let failed = || format!("cannot write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(failed)?;
        fs::write(&path, &self.text).with_context(failed)?;
        if self.runs {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).with_context(failed)?;
        }
        Ok(path)
    }
}

/// The policies, each where Vault has it.
fn policies(changes: &[Change]) -> impl Iterator<Item = File> {
    changes.iter().filter_map(|change| match change {
        Change::Policy { text, .. } => Some(File::new(policy(change), text.clone())),
        _ => None,
    })
}

/// The file of a policy.
fn policy(change: &Change) -> String {
    format!("{}.hcl", change.path())
}

/// The service account by which Vault asks the API server, for `kubectl apply`, where it is asked.
fn reviewer(args: &Bootstrap, changes: &[Change]) -> anyhow::Result<Option<File>> {
    let asked = changes
        .iter()
        .any(|change| matches!(change, Change::Reviewer { .. }));
    if !asked {
        return Ok(None);
    }
    let objects = cluster::reviewer(&args.operator_namespace);
    let text = |object: &Value| serde_saphyr::to_string(object);
    let documents = objects.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(File::new("reviewer.yaml", documents.join("---\n"))))
}
