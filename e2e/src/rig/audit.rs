//! What OpenBao notes of each request.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Rig;

impl Rig<'_> {
    /// How long OpenBao's audit file is now.
    pub(crate) fn audit_mark(&self) -> Result<usize> {
        let bed = self.stage.bed().context("this test needs a bed")?;
        Ok(usize::try_from(fs::metadata(&bed.vault_audit_file)?.len())?)
    }

    /// The answered requests that OpenBao noted since.
    pub(crate) fn audit_since(&self, mark: usize) -> Result<Vec<Value>> {
        let bed = self.stage.bed().context("this test needs a bed")?;
        let bytes = fs::read(&bed.vault_audit_file)?;
        let new = bytes.get(mark..).context("the audit file became shorter")?;
        // The last line may not be whole yet.
        let lines = new.split_inclusive(|byte| *byte == b'\n');
        let lines = lines.filter(|line| line.ends_with(b"\n"));
        let entries: Vec<Value> = lines.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        Ok(entries
            .into_iter()
            .filter(|entry| entry["type"] == "response")
            .collect())
    }
}

/// Whether an entry of the audit file is a request by a token with this policy.
pub(crate) fn is_by(entry: &Value, policy: &str) -> bool {
    let policies = entry["auth"]["policies"].as_array();
    policies.is_some_and(|policies| policies.iter().any(|found| found == policy))
}
