//! `exec -- CMD`: starts a container's own command with the variables that the sidecar has resolved,
//! and stays as its parent, as thin as it can be: signals go through, the exit code is the command's
//! own, and orphans are taken leave of, because in a container this is process 1.

mod child;
mod handed;
mod program;
mod signals;
mod told;
pub(crate) mod variables;

pub(crate) use self::program::install;

use self::child::{Child, code_of};
use self::handed::Handed;
use self::signals::{Signals, is_end};
use self::told::Told;
use crate::files::FilePath;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How often a changed value is looked for. One that is the same at two looks in a row counts, so that
/// several changes at once are one restart.
const LOOK: Duration = Duration::from_secs(1);
/// How long a command may take to end before it is started anew.
const RESTART_GRACE: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Whether it is started anew when a value changes.
    pub restart: bool,
    /// By which signal it is told that a file has changed.
    pub signals: Vec<Wanted>,
}

/// A signal that tells of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Which signal.
    pub signal: Signal,
    /// Which file, relative to the volume.
    pub file: FilePath,
}

/// Why the command does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sidecar has not got the secrets.
    #[error("the secrets are not there after {0} s; kubectl logs -c keystead says why")]
    Late(u64),
    /// Nothing to start.
    #[error("no command given: exec -- COMMAND ARGUMENT…")]
    NoCommand,
    /// Signals can't be caught.
    #[error("failed to listen for signals: {0}")]
    Signals(#[source] io::Error),
    /// It can't be started.
    #[error("cannot start {program:?}: {error}")]
    Start {
        /// What.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// The variables are there, for others.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// Where they are.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

impl Error {
    /// The exit code that shells, `env` and `timeout` give the same trouble.
    pub fn code(&self) -> u8 {
        match self {
            Self::Start { error, .. } if error.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            _ => 125,
        }
    }
}

/// Waits for the secrets in `files`, runs the command, and answers its exit code: 128 and the signal's
/// number where one ended it.
pub async fn run(files: &Path, options: &Options) -> Result<u8, Error> {
    // Where this is not process 1, orphans would go to somebody else; that costs only that they are
    // taken leave of elsewhere.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let mut signals = Signals::catch()?;
    loop {
        let handed = tokio::select! {
            biased;
            signal = signals.next_end() => return Ok(code_of(signal)),
            handed = Handed::awaited(files) => handed?,
        };
        // Before it starts: what changes from now on it may not have read.
        let told = Told::new(files, &options.signals);
        let child = Child::start(&options.command, handed.variables.expose())?;
        let changed = changed(files, &handed, options.restart);
        if let End::Code(code) = attend(&child, &mut signals, told, changed).await {
            return Ok(code);
        }
    }
}

/// How a command ended.
enum End {
    /// By itself, or because somebody asked for it.
    Code(u8),
    /// To be started with other values.
    Anew,
}

/// Serves the command until it has ended.
async fn attend(
    child: &Child,
    signals: &mut Signals,
    mut told: Told<'_>,
    changed: impl Future<Output = ()>,
) -> End {
    let mut changed = std::pin::pin!(changed);
    let mut deadline: Option<Instant> = None;
    let mut asked = false;
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signal::SIGCHLD => match child.reap() {
                    Some(_) if deadline.is_some() && !asked => return End::Anew,
                    Some(code) => return End::Code(code),
                    None => {}
                },
                signal => {
                    asked |= is_end(signal);
                    child.send(signal);
                }
            },
            () = &mut changed, if deadline.is_none() => {
                child.send(Signal::SIGTERM);
                deadline = Some(Instant::now() + RESTART_GRACE);
            }
            news = told.next(), if deadline.is_none() => news.into_iter().for_each(|signal| child.send(signal)),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && !asked => {
                child.send(Signal::SIGKILL);
                deadline = Some(Instant::now() + RESTART_GRACE);
            }
        }
    }
}

/// Waits until other values are there than these; for ever where nobody asks.
async fn changed(files: &Path, current: &Handed, wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        looks.tick().await;
        // What is taken away or can't be read is no other value.
        let found = Handed::read(files)
            .ok()
            .flatten()
            .filter(|found| found != current);
        if found.is_some() && found == last {
            return;
        }
        last = found;
    }
}
