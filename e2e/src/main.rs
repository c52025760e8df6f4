//! `cargo e2e …`: see the library.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use keystead_e2e::args::{Arguments, Bench, Command};
use keystead_e2e::{bed, bench, demo, interrupt, programs, release, tests, ui};

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::note(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    keystead_runtime::crypto::install()?;
    match arguments.command {
        // Before anything starts a thread: it enters the bed's network.
        Command::Shell { bed, command } => bed::shell(&bed.name, &command),
        Command::Up {
            bed,
            servers_only,
            without_env_files,
        } => {
            interrupt::watch()?;
            let bed = bed::up(&bed::Options {
                name: bed.name,
                servers_only,
                without_env_files,
            })?;
            bed::status(&bed.name)
        }
        Command::Down { bed } => {
            interrupt::watch()?;
            bed::down(&bed.name)
        }
        Command::Status { bed } => bed::status(&bed.name),
        Command::Demo(options) => {
            interrupt::watch()?;
            demo::demo(options)
        }
        Command::Test(options) => {
            interrupt::watch()?;
            tests::test(&options)
        }
        Command::Bench(Bench::Leases(options)) => {
            interrupt::watch()?;
            bench::leases(&options)
        }
        Command::Bench(Bench::Operator(options)) => {
            interrupt::watch()?;
            bench::operator(&options)
        }
        Command::Bench(Bench::Pod(options)) => {
            interrupt::watch()?;
            bench::pod(&options)
        }
        Command::Bench(Bench::Sidecar(options)) => {
            interrupt::watch()?;
            bench::sidecar(&options)
        }
        Command::Bench(Bench::Webhook(options)) => {
            interrupt::watch()?;
            bench::webhook(&options)
        }
        Command::Image { out } => {
            interrupt::watch()?;
            programs::images(&out).map(drop)
        }
        Command::Release(options) => {
            interrupt::watch()?;
            release::release(&options)
        }
    }
}
