//! Tells the application that files have changed: by a signal, or by a call on the pod's loopback.
//!
//! Each receiver has a task of its own, so that one that hangs holds up neither the files nor another.

mod deliver;
mod http;
mod signal;

pub use signal::{Process, Processes, Shared};

use crate::config::Settings;
use crate::files::FilePath;
use crate::metrics::Metrics;
use deliver::{Message, Outcome};
use keystead_crds::binding::Signal;
use keystead_crds::sidecar::OnChange;
use keystead_runtime::Shutdown;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// Everybody who is to be told something.
pub struct Notifier {
    receivers: Vec<Receiver>,
    processes: Arc<dyn Processes>,
}

/// One of them.
struct Receiver {
    on_change: OnChange,
    /// Of which files.
    files: BTreeSet<FilePath>,
    /// The newest call counts: it tells of all changes before it.
    calls: watch::Sender<Option<Call>>,
}

/// What is to be said, once it is known to whom.
#[derive(Clone, Debug)]
enum Call {
    /// To the process that ran when the files changed. One that starts later has read the new ones, and
    /// may not handle the signal yet.
    Signal {
        signal: Signal,
        container: String,
        process: Result<Option<Process>, Error>,
    },
    Http {
        port: u16,
        path: String,
    },
}

/// Why somebody could not be told. Nothing of a file is in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nobody answers there, or not with success.
    #[error("POST http://localhost:{port}{path}: {why}")]
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
        /// What came instead.
        why: String,
    },
    /// It took too long.
    #[error("no answer within {} s", deliver::DEADLINE.as_secs())]
    Late,
    /// The processes of a container can't be told from others.
    #[error("cannot tell the processes of container {container} from others: {why}")]
    Unseen {
        /// Whose.
        container: String,
        /// What stands against it.
        why: String,
    },
    /// The system does not let it happen.
    #[error("cannot signal container {container}: {why}")]
    Unsent {
        /// Which.
        container: String,
        /// The system's words.
        why: String,
    },
}

// === impl Notifier ===

impl Notifier {
    /// Tells until the end. `processes` knows who gets signals.
    pub fn start(
        settings: &Settings,
        processes: Arc<dyn Processes>,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Self {
        let mut files: BTreeMap<&OnChange, BTreeSet<FilePath>> = BTreeMap::new();
        for (path, file) in &settings.files {
            if let Some(on_change) = &file.on_change {
                files.entry(on_change).or_default().insert(path.clone());
            }
        }
        let receivers = files.into_iter().map(|(on_change, files)| {
            let (calls, heard) = watch::channel(None);
            let (metrics, shutdown) = (metrics.clone(), shutdown.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = shutdown.requested() => {}
                    () = deliver::serve(heard, &metrics) => {}
                }
            });
            Receiver {
                on_change: on_change.clone(),
                files,
                calls,
            }
        });
        Self {
            receivers: receivers.collect(),
            processes,
        }
    }

    /// Has everybody told to whom one of these files matters. Never waits.
    pub fn changed(&self, files: &BTreeSet<FilePath>) {
        let concerned = |receiver: &&Receiver| !receiver.files.is_disjoint(files);
        for receiver in self.receivers.iter().filter(concerned) {
            let call = Call::new(&receiver.on_change, &*self.processes);
            receiver.calls.send_replace(Some(call));
        }
    }
}

// === impl Call ===

impl Call {
    fn new(on_change: &OnChange, processes: &dyn Processes) -> Self {
        match on_change.clone() {
            OnChange::Signal { name, container } => {
                let container = container.unwrap_or_default();
                Self::Signal {
                    signal: name,
                    process: processes.main(&container),
                    container,
                }
            }
            OnChange::Http { port, path } => Self::Http { port, path },
        }
    }
}

impl Message for Call {
    async fn tell(&self) -> Result<Outcome, Error> {
        match self {
            Self::Signal {
                signal,
                container,
                process,
            } => match process.clone()? {
                Some(process) => process.tell(*signal, container),
                None => Ok(Outcome::Nobody),
            },
            Self::Http { port, path } => http::post(*port, path).await.map(|()| Outcome::Told),
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal {
                signal, container, ..
            } => write!(f, "{} to container {container}", signal.as_str()),
            Self::Http { port, path } => write!(f, "POST http://localhost:{port}{path}"),
        }
    }
}

// === impl Error ===

impl Error {
    /// Whether another try may have more success: a server may be about to start.
    const fn may_pass(&self) -> bool {
        matches!(self, Self::Http { .. } | Self::Late)
    }
}

#[cfg(test)]
mod tests;
