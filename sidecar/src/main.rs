//! Keystead: the sidecar program.

use keystead_runtime::log::{self, Format};
use keystead_runtime::{crypto, shutdown};
use keystead_sidecar::args::{Command, USAGE, VERSION};
use keystead_sidecar::config::Environment;
use keystead_sidecar::gate::Gate;
use keystead_sidecar::{exec, run};
use nix::sys::prctl;
use std::error::Error;
use std::io::{self, Write as _, stdout};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

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
            Gate::new(&environment.dirs).wait();
            Ok(())
        }
        Command::Gate => hold(&environment),
        Command::Exec(options) => return exec(&environment, &options),
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

/// A thread for everything, and two for the look-up of names and the token's file, which are done at
/// the start and gone soon; a third, where the operator is told something, for its name.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(3)
        .build()
}

fn start(environment: &Environment) -> Result<(), Box<dyn Error>> {
    // Containers that share their processes may run as the same user, which could else read our memory
    // and, through /proc, what only we mount.
    prctl::set_dumpable(false)?;
    crypto::install()?;
    // For people: the pod's own message sends them to this log.
    log::init(Format::Text, environment.log.as_deref().unwrap_or("info"))?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let shutdown = shutdown::on_signals()?;
        tokio::select! {
            outcome = run::run(environment, &shutdown) => outcome.map_err(Into::into),
            () = shutdown.aborted() => Err("asked twice to end: nothing was tidied up".into()),
        }
    });
    // A look-up that hangs can't be called off, and must not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// The gate as an init container: whoever it holds back must not start because it was asked to end.
fn hold(environment: &Environment) -> Result<(), Box<dyn Error>> {
    runtime()?.block_on(async {
        let shutdown = shutdown::on_signals()?;
        let gate = Gate::new(&environment.dirs);
        tokio::select! {
            () = gate.hold() => Ok(()),
            () = shutdown.requested() => Err("asked to end before the secrets were there".into()),
        }
    })
}

/// Its exit code is the command's.
fn exec(environment: &Environment, options: &exec::Options) -> ExitCode {
    let run = || runtime().map(|runtime| runtime.block_on(exec::run(&environment.dirs.files, options)));
    match run() {
        Ok(Ok(code)) => code.into(),
        Ok(Err(error)) => {
            eprintln!("keystead-sidecar exec: {error}");
            error.code().into()
        }
        Err(error) => {
            eprintln!("keystead-sidecar exec: {error}");
            125.into()
        }
    }
}
