//! `kubectl keystead`: the people's tool.

mod args;
mod bootstrap;
mod installation;
mod output;
mod plan;
mod progress;
mod release;
mod resolve;
mod seal;
mod validate;
mod vault;
mod view;

use args::{Args, Command};
use clap::{CommandFactory as _, Parser as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            output::line(&mut std::io::stderr(), &format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    keystead_runtime::crypto::install()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match args.command {
            Command::Bootstrap(bootstrap) => bootstrap::run(bootstrap).await.map(|()| ExitCode::SUCCESS),
            Command::Completion { shell } => {
                clap_complete::generate(
                    shell,
                    &mut Args::command(),
                    "kubectl-keystead",
                    &mut std::io::stdout(),
                );
                Ok(ExitCode::SUCCESS)
            }
            Command::Plan(options) => plan::run(options).await,
            Command::Release(options) => release::run(options).await,
            Command::Resolve(options) => resolve::run(options).await,
            Command::Seal(options) => seal::run(options).await,
            Command::Validate(options) => validate::run(options).await,
        }
    })
}
