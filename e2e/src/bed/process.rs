//! The bed's servers as processes: started detached with a clean environment, recorded with their
//! start time, and found again by a mark in their environment, so that only what the bed started
//! is ever ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::pki::write_private;
use crate::wait;

/// In the environment of every server, and through containerd in its shims': the state folder.
pub(super) const MARK: &str = "KEYSTEAD_E2E_SERVER_OF";

/// A process, told apart from a later one with the same id by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl Process {
    /// The process that has this id now.
    pub(super) fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, also spaces and parentheses.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ended = matches!(fields.first().copied(), Some("Z" | "X"));
        let started = fields.get(19)?.parse().ok()?;
        (!ended).then_some(Self { pid, started })
    }

    /// Whether it still runs (an ended process that nobody has waited for does not).
    pub(crate) fn alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Sends a signal, if it still runs.
    pub(super) fn signal(self, signal: Signal) -> Result<()> {
        if !self.alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("send {signal} to process {}", self.pid)),
        }
    }

    /// Asks it to end and waits until it has.
    pub(super) fn end(self, name: &str, log: &Path) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let ended = wait::until(
            format_args!("{name} ends"),
            Duration::from_secs(20),
            Some(log),
            || Ok(!self.alive()),
        );
        ended.or_else(|_| self.signal(Signal::SIGKILL))
    }
}

/// Where records and logs of servers are kept.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    state: PathBuf,
}

impl Registry {
    /// The registry of a bed's state folder.
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.into() }
    }

    /// The log of a server.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.state.join("run").join(format!("{name}.json"))
    }

    /// The servers on record, by name.
    pub(super) fn servers(&self) -> Vec<(String, Process)> {
        let entries = fs::read_dir(self.state.join("run"))
            .into_iter()
            .flatten()
            .flatten();
        let mut servers: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.path().file_stem()?.to_str()?.to_owned();
                self.server(&name).map(|process| (name, process))
            })
            .collect();
        servers.sort_by_key(|(_, process)| process.started);
        servers
    }

    /// One server on record.
    pub(super) fn server(&self, name: &str) -> Option<Process> {
        serde_json::from_slice(&fs::read(self.record(name)).ok()?).ok()
    }

    /// Starts a server that outlives this program and records it. The command's environment is
    /// cleared first, whatever was set: `environment` is all it gets, and the mark.
    pub(super) fn start(
        &self,
        name: &str,
        command: &[String],
        environment: &[(String, String)],
    ) -> Result<Process> {
        let log = self.log(name);
        let out = File::options().create(true).append(true).open(&log)?;
        // `setsid` keeps the process id, and takes the server out of the reach of Ctrl-C.
        let child = Command::new("setsid")
            .args(command)
            .env_clear()
            .envs(environment.iter().cloned())
            .env(MARK, &self.state)
            .current_dir(&self.state)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {name} (setsid comes with Debian's util-linux)"))?;
        let pid = i32::try_from(child.id())?;
        let Some(process) = Process::find(pid) else {
            bail!("{name} ended as soon as it was started{}", wait::tail(&log));
        };
        write_private(&self.record(name), &serde_json::to_vec(&process)?)?;
        Ok(process)
    }

    /// Fails when a server that should run has ended.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        match self.server(name) {
            Some(process) if process.alive() => Ok(()),
            _ => bail!("{name} has ended{}", wait::tail(&self.log(name))),
        }
    }
}

/// Every process that carries the mark of this state folder.
pub(super) fn marked(state: &Path) -> Vec<Process> {
    let mark = format!("{MARK}={}", state.display());
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let carries = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        if carries { Process::find(pid) } else { None }
    })
    .collect()
}
