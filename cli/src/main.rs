//! `kubectl keystead`: the people's tool.

mod args;
mod bootstrap;
mod installation;
mod output;
mod plan;
mod progress;
mod release;
mod resolve;
mod rotate;
mod seal;
mod status;
mod validate;
mod vault;
mod view;
mod words;

use args::{Args, Command};
use clap::Parser as _;
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
            Command::Complete { words } => {
                output::line(&mut std::io::stdout(), &words::complete(words)?);
                Ok(ExitCode::SUCCESS)
            }
            Command::Completion { shell } => {
                words::completion(shell);
                Ok(ExitCode::SUCCESS)
            }
            Command::Man { folder } => words::manual(&folder).map(|()| ExitCode::SUCCESS),
            Command::Plan(options) => plan::run(options).await,
            Command::Release(options) => release::run(options).await,
            Command::Resolve(options) => resolve::run(options).await,
            Command::Rotate(options) => rotate::run(options).await,
            Command::Seal(options) => seal::run(options).await,
            Command::Status(options) => status::run(options).await,
            Command::Validate(options) => validate::run(options).await,
        }
    })
}
