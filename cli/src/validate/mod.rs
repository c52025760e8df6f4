//! Whether everything is as it should be: a report in sections.

mod conditions;
mod definitions;
mod objects;
mod report;
mod vaults;
mod webhook;

use crate::args::Target;
use crate::output::{self, Format};
use crate::progress;
use crate::view::View;
use report::Report;
use std::process::ExitCode;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to look, and as whom.
    #[command(flatten)]
    target: Target,
    /// For programs.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let view = View::open(&options.target).await?;
    view.chosen()?;
    let sections = async {
        let mut sections = vec![definitions::section(&view).await, vaults::section(&view).await];
        sections.extend(objects::sections(&view));
        sections.push(webhook::section(&view).await);
        sections
    };
    let report = Report::new(progress::during("looking at Vault and the webhook", sections).await);
    output::show(options.output, &report, || report.text())?;
    Ok(report.code())
}
