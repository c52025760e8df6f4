//! A secret that changes all the time, written in Vault as people would.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::{Inside, Rig, inside};

/// Who writes it.
pub(crate) struct Changing {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Changing {
    /// Writes what `values` makes of 1, 2, 3 and so on to a place in the KV engine, each after this time.
    pub(crate) fn begin(
        rig: &Rig<'_>,
        place: &str,
        every: Duration,
        values: fn(u64) -> Value,
    ) -> Result<Self> {
        let bed = rig.stage.bed().context("this test needs a bed")?.clone();
        let paths = [rig.kv("metadata", place), rig.kv("data", place)];
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let write = move || inside(&bed, |vault| change(&vault, &paths, every, values, &ended));
        Ok(Self {
            ends,
            thread: thread::spawn(write),
        })
    }

    /// Ends it. Answers what was written last.
    pub(crate) fn end(self) -> Result<u64> {
        self.ends.store(true, Ordering::Relaxed);
        let result = self.thread.join();
        result.map_err(|_| anyhow!("who changes the secret has died"))?
    }
}

fn change(
    vault: &Inside,
    [metadata, data]: &[String; 2],
    every: Duration,
    values: fn(u64) -> Value,
    ended: &AtomicBool,
) -> Result<u64> {
    vault.runtime.block_on(async {
        let found: Option<Value> = vault.root.read_optional(metadata).await?;
        let before = found.map_or(0, |found| found["current_version"].as_u64().unwrap_or_default());
        let mut ticks = tokio::time::interval(every);
        let mut written = 0;
        while !ended.load(Ordering::Relaxed) {
            ticks.tick().await;
            let body = json!({"options": {"cas": before + written}, "data": values(written + 1)});
            vault.root.write(data, &body).await?;
            written += 1;
        }
        Ok(written)
    })
}
