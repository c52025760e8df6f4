//! What a run of tests says.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::ui;

/// How a test ended.
pub(super) enum Outcome {
    /// Well.
    Passed,
    /// Not; why, and what helps.
    Failed(String),
    /// It could not run here; why.
    Skipped(&'static str),
}

/// The tests so far.
#[derive(Default)]
pub(super) struct Report {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    /// Notes how a test ended, and says so.
    pub(super) fn add(&mut self, name: &str, outcome: Outcome, duration: Duration) {
        let took = ui::human(duration);
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                ui::say(format_args!("ok       {name}  ({took})"));
            }
            Outcome::Failed(why) => {
                self.failed.push(name.to_owned());
                ui::say(format_args!("FAILED   {name}  ({took})\n{why}\n"));
            }
            Outcome::Skipped(why) => {
                self.skipped.push(name.to_owned());
                ui::say(format_args!("skipped  {name}: {why}"));
            }
        }
    }

    /// The last words. A failure fails the run; a skip does where nothing may be skipped.
    pub(super) fn close(self, strict: bool) -> Result<()> {
        for name in &self.failed {
            ui::say(format_args!("failed: {name}"));
        }
        for name in &self.skipped {
            ui::say(format_args!("skipped: {name}"));
        }
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        ui::say(format_args!(
            "{} passed, {failed} failed, {skipped} skipped",
            self.passed
        ));
        if failed > 0 {
            bail!("{failed} test(s) failed");
        }
        if strict && skipped > 0 {
            bail!("{skipped} test(s) were skipped, and CI=true allows none");
        }
        Ok(())
    }
}
