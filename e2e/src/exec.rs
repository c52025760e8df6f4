//! Running other programs to their end.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{interrupt, wait};

/// Runs a command whose chatter nobody wants to see unless it fails: it goes to `log`, and the end
/// of it into the error. `progress` is called while it runs. A signal ends the command.
pub fn logged(command: &mut Command, log: &Path, mut progress: impl FnMut()) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = File::create(log).with_context(|| format!("create the log {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("start {name}"))?;
    let week = Duration::from_hours(168);
    let ended = wait::until(&name, week, None, || {
        progress();
        Ok(child.try_wait()?.is_some())
    });
    if let Err(error) = ended {
        child
            .kill()
            .and_then(|()| child.wait().map(drop))
            .with_context(|| format!("end {name}"))?;
        return Err(error);
    }
    let status = child.wait()?;
    if !status.success() {
        interrupt::check()?;
        bail!("{name} failed ({status}){}", wait::tail(log));
    }
    Ok(())
}

/// How many lines a log has so far: with most builds, how far they are.
pub fn lines(log: &Path) -> usize {
    fs::read(log).map_or(0, |text| String::from_utf8_lossy(&text).lines().count())
}

/// Runs a command and gives its standard output; its standard error becomes the error.
pub fn output(command: &mut Command) -> Result<String> {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!(
            "{name} failed ({status}): {}",
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Like [`output`], with `input` on the command's standard input.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    use std::io::Write;

    let mut file = tempfile::tempfile().context("create a temporary file")?;
    file.write_all(input)?;
    std::io::Seek::rewind(&mut file)?;
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(file).output()?;
    if !status.success() {
        let name = command.get_program().to_string_lossy().into_owned();
        bail!(
            "{name} failed ({status}): {}",
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
