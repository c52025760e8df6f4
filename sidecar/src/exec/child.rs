//! The process that `exec` starts, and those it leaves behind.

use super::Error;
use super::variables;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::process::Command;

/// The application.
pub(super) struct Child {
    pid: Pid,
    /// Keeps its pipes; it is waited for together with all others.
    _process: std::process::Child,
}

impl Child {
    /// Starts it with our own environment and these variables.
    pub(super) fn start(command: &[OsString], variables: &[u8]) -> Result<Self, Error> {
        let (program, arguments) = command.split_first().ok_or(Error::NoCommand)?;
        let mut command = Command::new(program);
        command.args(arguments).envs(variables::parse(variables));
        let process = command.spawn().map_err(|error| Error::Start {
            program: program.to_string_lossy().into_owned(),
            error,
        })?;
        let pid = i32::try_from(process.id()).unwrap_or(i32::MAX);
        Ok(Self {
            pid: Pid::from_raw(pid),
            _process: process,
        })
    }

    /// Sends it a signal; it may have ended meanwhile.
    pub(super) fn send(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// Takes leave of all that have ended. Answers the exit code if the application is among them.
    pub(super) fn reap(&self) -> Option<u8> {
        let mut code = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == self.pid => {
                    code = u8::try_from(status & 0xff).ok();
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.pid => {
                    code = Some(code_of(signal));
                }
                Ok(WaitStatus::StillAlive) => return code,
                Err(Errno::EINTR) | Ok(_) => {}
                // There are no others.
                Err(_) => return code,
            }
        }
    }
}

/// The exit code by which shells, and Kubernetes, tell of a signal.
pub(super) fn code_of(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)
}
