//! What OpenBao and the API server note of each request.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Rig;
use super::chart::RELEASE;

impl Rig<'_> {
    /// How long OpenBao's audit file is now.
    pub(crate) fn audit_mark(&self) -> Result<usize> {
        let bed = self.stage.bed().context("this test needs a bed")?;
        Ok(usize::try_from(fs::metadata(&bed.vault_audit_file)?.len())?)
    }

    /// The answered requests that OpenBao noted since.
    pub(crate) fn audit_since(&self, mark: usize) -> Result<Vec<Value>> {
        let bed = self.stage.bed().context("this test needs a bed")?;
        let entries = entries(&bed.vault_audit_file, mark)?.into_iter();
        Ok(entries.filter(|entry| entry["type"] == "response").collect())
    }

    /// What the API server noted of the requests of the operator's account, their answers' status among it.
    pub(crate) fn requests(&self) -> Result<Vec<Value>> {
        let bed = self.stage.bed().context("this test needs a bed")?;
        let account = format!("system:serviceaccount:{}:{RELEASE}", self.id);
        let entries = entries(&bed.kubernetes_audit_file, 0)?.into_iter();
        Ok(entries
            .filter(|entry| entry["user"]["username"] == *account)
            .collect())
    }
}

/// The whole lines of a file of JSON objects from a byte on.
fn entries(file: &Path, mark: usize) -> Result<Vec<Value>> {
    let bytes = fs::read(file)?;
    let new = bytes.get(mark..).context("the audit file became shorter")?;
    // The last line may not be whole yet.
    let lines = new.split_inclusive(|byte| *byte == b'\n');
    let lines = lines.filter(|line| line.ends_with(b"\n"));
    Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
}

/// Whether an entry of the audit file is a request by a token with this policy.
pub(crate) fn is_by(entry: &Value, policy: &str) -> bool {
    let policies = entry["auth"]["policies"].as_array();
    policies.is_some_and(|policies| policies.iter().any(|found| found == policy))
}
