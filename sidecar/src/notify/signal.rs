//! Signals to a container of the pod, where all of them share one process namespace.
//!
//! Whose process is whose stands in its mounts: the kubelet mounts each container's termination message
//! from `…/pods/UID/containers/NAME/…`. Anyone may read that, while environments and open files may only
//! be read by those of the same user and group. To signal takes the same user, and no right besides.

use super::Error;
use super::deliver::Outcome;
use keystead_crds::binding::Signal;
use keystead_crds::names;
use nix::errno::Errno;
use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};

/// Knows who runs in a container.
pub trait Processes: Send + Sync {
    /// The process that the container was started with; none where it doesn't run.
    fn main(&self, container: &str) -> Result<Option<Process>, Error>;
}

/// A process, and not a later one of the same number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    proc: PathBuf,
    id: i32,
    /// When it began, in the kernel's ticks.
    started: u64,
}

/// The processes of a pod whose containers share a namespace.
pub struct Shared {
    proc: PathBuf,
}

// === impl Process ===

impl Process {
    /// One that runs.
    pub fn of(proc: &Path, id: i32) -> Option<Self> {
        Stat::read(proc, id).map(|stat| Self {
            proc: proc.to_owned(),
            id,
            started: stat.started,
        })
    }

    /// Sends it the signal, if it is still there.
    pub(super) fn tell(&self, signal: Signal, container: &str) -> Result<Outcome, Error> {
        if Self::of(&self.proc, self.id).as_ref() != Some(self) {
            return Ok(Outcome::Nobody);
        }
        match kill(Pid::from_raw(self.id), number(signal)) {
            Ok(()) => Ok(Outcome::Told),
            Err(Errno::ESRCH) => Ok(Outcome::Nobody),
            Err(error) => Err(Error::Unsent {
                container: container.to_owned(),
                why: match error {
                    Errno::EPERM => "it runs as another user than the sidecar".to_owned(),
                    other => other.desc().to_owned(),
                },
            }),
        }
    }
}

const fn number(signal: Signal) -> Number {
    match signal {
        Signal::Hup => Number::SIGHUP,
        Signal::Int => Number::SIGINT,
        Signal::Quit => Number::SIGQUIT,
        Signal::Term => Number::SIGTERM,
        Signal::Usr1 => Number::SIGUSR1,
        Signal::Usr2 => Number::SIGUSR2,
        Signal::Winch => Number::SIGWINCH,
    }
}

// === impl Shared ===

impl Shared {
    /// Those that `proc` shows, usually `/proc`.
    pub fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
        }
    }

    /// The folder of the pod that this process belongs to: another pod has containers of the same names.
    fn own_pod(&self) -> Option<String> {
        let mounts = fs::read_to_string(self.proc.join("self/mountinfo")).ok()?;
        let mut places = places(&mounts);
        places
            .find(|place| place.container == names::CONTAINER)
            .map(|place| place.pod.to_owned())
    }

    fn runs_in(&self, id: i32, pod: &str, container: &str) -> bool {
        let mounts = fs::read_to_string(self.proc.join(id.to_string()).join("mountinfo"));
        mounts.is_ok_and(|mounts| places(&mounts).any(|found| found == Place { pod, container }))
    }
}

impl Processes for Shared {
    /// What was started from outside the namespace has no parent in it. The oldest of these is the
    /// container's own: others are probes, hooks and people's shells.
    fn main(&self, container: &str) -> Result<Option<Process>, Error> {
        let unseen = |why: &str| Error::Unseen {
            container: container.to_owned(),
            why: why.to_owned(),
        };
        let pod = self.own_pod().ok_or_else(|| {
            unseen("the kubelet's mount of the termination message is not in /proc/self/mountinfo")
        })?;
        let entries = fs::read_dir(&self.proc).map_err(|error| unseen(&error.to_string()))?;
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let started = ids.filter_map(|id: i32| {
            let stat = Stat::read(&self.proc, id).filter(|stat| stat.parent == 0)?;
            self.runs_in(id, &pod, container).then_some((stat.started, id))
        });
        let first = started.min();
        Ok(first.map(|(started, id)| Process {
            proc: self.proc.clone(),
            id,
            started,
        }))
    }
}

/// What the kernel says of a process.
struct Stat {
    parent: i32,
    started: u64,
}

impl Stat {
    /// None of one that is gone, or has ended and is about to go.
    fn read(proc: &Path, id: i32) -> Option<Self> {
        let text = fs::read_to_string(proc.join(id.to_string()).join("stat")).ok()?;
        // The program's name stands before, and may hold anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { parent, started })
    }
}

/// Where the kubelet keeps what belongs to a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place<'a> {
    pod: &'a str,
    container: &'a str,
}

/// Those that mounts come from: the fourth field, `…/pods/UID/containers/NAME/ID`.
fn places(mounts: &str) -> impl Iterator<Item = Place<'_>> {
    let roots = mounts.lines().filter_map(|line| line.split(' ').nth(3));
    roots.filter_map(|root| {
        let mut names = root.rsplitn(4, '/');
        let (_, container, folder, pod) = (names.next()?, names.next()?, names.next()?, names.next()?);
        (folder == "containers").then_some(Place { pod, container })
    })
}

#[cfg(test)]
mod tests;
