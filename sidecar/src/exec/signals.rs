//! The signals that `exec` hands on, and the one that tells it of a process's end.

use super::Error;
use nix::sys::signal::Signal;
use std::future::poll_fn;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind, signal};

/// What somebody may mean for the application, and the end of a process. The rest are a process's own
/// mistakes or stop a terminal.
const CAUGHT: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

/// Signals, from the moment this is made.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Catches them.
    pub(super) fn catch() -> Result<Self, Error> {
        let caught = CAUGHT.map(|kind| Ok((kind, signal(SignalKind::from_raw(kind as i32))?)));
        let caught: std::io::Result<_> = caught.into_iter().collect();
        caught.map(Self).map_err(Error::Signals)
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut caught = self.0.iter_mut();
            let came =
                caught.find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The next one that asks for the end.
    pub(super) async fn next_end(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if is_end(signal) {
                return signal;
            }
        }
    }
}

/// Whether it asks a program to end.
pub(super) const fn is_end(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)
}
