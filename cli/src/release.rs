//! For the day Keystead itself is gone: nothing waits for it any more.

use crate::installation::Installation;
use crate::output;
use crate::progress;
use keystead_cluster::connect;
use keystead_cluster::release;
use std::process::ExitCode;

/// What to let go of.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Do it; without this it is only shown.
    #[arg(long)]
    yes: bool,
    /// Leave alone what is known to be of another class of providers [default: all of it is let go].
    #[arg(long)]
    class: Option<String>,
    /// The kubeconfig's context to use.
    #[arg(long)]
    context: Option<String>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let client = connect::client(connect::config(options.context.as_deref()).await?)?;
    let class = options.class.as_deref();
    let held = progress::during("looking for finalizers", release::held(&client, class)).await?;
    let mut out = std::io::stdout();
    if held.is_empty() {
        output::line(&mut out, "Nothing to do: nothing carries Keystead's finalizer.");
        return Ok(ExitCode::SUCCESS);
    }
    warn(&client, class).await;
    for found in &held {
        let state = if found.deleted {
            " (deleted, and waits for it)"
        } else {
            ""
        };
        if options.yes {
            release::let_go(&client, found).await?;
            output::line(&mut out, &format!("released: {found}{state}"));
        } else {
            output::line(&mut out, &format!("holds {found}{state}"));
        }
    }
    if !options.yes {
        let count = held.len();
        let text = format!(
            "{count} to release. What these have in Vault stays there. Run it again with --yes to do it."
        );
        output::line(&mut out, &text);
    }
    Ok(ExitCode::SUCCESS)
}

/// An operator that runs puts its finalizers back.
async fn warn(client: &kube::Client, class: Option<&str>) {
    let class = class.unwrap_or(keystead_crds::provider::DEFAULT_CLASS);
    if let Ok(Some(Installation { namespace, name, .. })) = Installation::find(client, class).await {
        let text = format!(
            "warning: an operator is still installed (Deployment {namespace}/{name}). It cleans up by itself, and puts its finalizers back: uninstall it first"
        );
        output::line(&mut std::io::stderr(), &text);
    }
}
