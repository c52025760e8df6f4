//! The Keystead operator.

use clap::Parser as _;
use keystead_operator::args::Args;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = keystead_runtime::crypto::install() {
        return fail(&error);
    }
    if let Err(error) = keystead_runtime::log::init(args.log_format, &args.log_level) {
        return fail(&error);
    }
    // One thread: waiting is most of the work, and a second one would cost memory.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = if args.release {
        runtime.block_on(keystead_operator::release(args))
    } else if args.check {
        runtime.block_on(keystead_operator::check(args))
    } else {
        runtime.block_on(keystead_operator::run(args))
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says what went wrong and why, down to the first cause. The log may not be there yet.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("keystead-operator: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    // Nobody is left to tell if this can't be written.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
    ExitCode::FAILURE
}
