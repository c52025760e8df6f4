//! Ctrl-C and SIGTERM as something every wait looks at, so that whoever started something is the
//! one who ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on a signal does not end the program: [`check`] fails instead.
///
/// Starts a thread, so a program that wants to enter a namespace does that first.
pub fn watch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the signal watch")?;
    let (mut interrupt, mut terminate) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
            INTERRUPTED.store(true, Ordering::Relaxed);
            // Keeps the handlers: a second Ctrl-C must not stop the cleaning up half way.
            loop {
                tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
            }
        });
    });
    Ok(())
}

/// Fails once a signal has arrived.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
