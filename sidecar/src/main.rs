//! Keystead: the sidecar program.

use keystead_runtime::log::{self, Format};
use keystead_runtime::{crypto, shutdown};
use keystead_sidecar::args::{Command, USAGE, VERSION};
use keystead_sidecar::config::Environment;
use keystead_sidecar::gate::Gate;
use keystead_sidecar::run;
use nix::sys::prctl;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprint!("keystead-sidecar: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let environment = Environment::read(|name| std::env::var(name).ok());
    let outcome = match command {
        Command::Run => start(&environment),
        Command::Wait => {
            Gate::new(&environment.dirs.private).wait();
            Ok(())
        }
        Command::Help => stdout().write_all(USAGE.as_bytes()).map_err(Into::into),
        Command::Version => stdout().write_all(VERSION.as_bytes()).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keystead-sidecar: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(environment: &Environment) -> Result<(), Box<dyn Error>> {
    // Containers that share their processes may run as the same user, which could else read our memory
    // and, through /proc, what only we mount.
    prctl::set_dumpable(false)?;
    crypto::install()?;
    // For people: the pod's own message sends them to this log.
    log::init(Format::Text, environment.log.as_deref().unwrap_or("info"))?;
    // Two, for the look-up of names and the token's file, which are done by then and gone soon.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()?;
    let outcome = runtime.block_on(async {
        let shutdown = shutdown::on_signals()?;
        tokio::select! {
            outcome = run::run(environment, &shutdown) => outcome.map_err(Into::into),
            () = shutdown.aborted() => Ok(()),
        }
    });
    // A look-up that hangs can't be called off, and must not hold up the end.
    runtime.shutdown_background();
    outcome
}
