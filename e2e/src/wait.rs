//! Waiting: always for a condition, always with a deadline, always able to say what for.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::interrupt;

const POLL: Duration = Duration::from_millis(40);
const TAIL_LINES: usize = 15;

/// Polls `condition` until it holds. An error of the condition itself ends the wait at once (a
/// server that has died will not become ready); at the deadline the end of `log` is shown.
pub fn until(
    what: impl Display,
    deadline: Duration,
    log: Option<&Path>,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + deadline;
    loop {
        if condition()? {
            return Ok(());
        }
        interrupt::check()?;
        if Instant::now() >= end {
            let tail = log.map(tail).unwrap_or_default();
            bail!("waited {} s for this, in vain: {what}{tail}", deadline.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Like [`until`], for cleaning up: a signal must not stop that half way.
pub fn until_even_if_interrupted(
    what: impl Display,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + deadline;
    while !condition()? {
        if Instant::now() >= end {
            bail!("waited {} s for this, in vain: {what}", deadline.as_secs());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The last lines of a log file, ready to stand below an error message.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(TAIL_LINES);
    let lines: Vec<String> = lines[last..]
        .iter()
        .map(|line| format!("\n  | {}", line.chars().take(400).collect::<String>()))
        .collect();
    let intro = if lines.is_empty() {
        "\nempty log: "
    } else {
        "\nthe end of "
    };
    format!("{intro}{}{}", log.display(), lines.concat())
}
