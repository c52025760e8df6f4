//! Has values of Credentials replaced, as the person at the keyboard, and waits until they are.

mod report;

use crate::output::{self, Format};
use crate::progress;
use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::declared::{Unreadable, readable};
use keystead_cluster::{call, connect};
use keystead_compile::Problem;
use keystead_crds::Credential;
use keystead_crds::names::{ROTATE_ANNOTATION, ROTATE_NOW};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{DeserializeGuard, Duration as Span};
use kube::{Api, Client, ResourceExt as _};
use report::{Entry, Outcome, Report};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Who changed the annotation, as the API server notes it.
const MANAGER: &str = "kubectl-keystead";
/// How many are asked for at once.
const AT_ONCE: usize = 8;
/// How often is looked whether it is done.
const LOOK: Duration = Duration::from_secs(1);

/// What to replace, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to replace.
    #[command(flatten)]
    which: Which,
    /// At once, whatever windows say, and keep no value of before: for when somebody has them who should not.
    #[arg(long)]
    now: bool,
    /// Do it; without this, what --type and --all choose is only shown.
    #[arg(long)]
    yes: bool,
    /// How long to wait until it is done; 0 does not wait.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    timeout: Span,
    /// The kubeconfig's context to use.
    #[arg(long)]
    context: Option<String>,
    /// For programs.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// What to replace.
#[derive(Debug, clap::Args)]
struct Which {
    /// The Credential.
    #[arg(required_unless_present_any = ["of_type", "all"], conflicts_with_all = ["of_type", "all"])]
    name: Option<String>,
    /// All Credentials of this type.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "all", value_parser = [
        "ApiKey", "ConnectionString", "Database", "OAuthToken", "Opaque", "Storage", "WebhookSecret",
    ])]
    of_type: Option<String>,
    /// All Credentials.
    #[arg(long)]
    all: bool,
    /// Those of this namespace [default: the context's].
    #[arg(short, long)]
    namespace: Option<String>,
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    all_namespaces: bool,
}

/// The Credentials to look at.
struct Place {
    client: Client,
    /// None is all of them.
    namespace: Option<String>,
    name: Option<String>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let config = connect::config(options.context.as_deref()).await?;
    let which = options.which;
    let here = which.namespace.clone();
    let here = here.unwrap_or_else(|| config.default_namespace.clone());
    let place = Place {
        client: connect::client(config)?,
        namespace: Some(here.clone()).filter(|_| !which.all_namespaces),
        name: which.name.clone(),
    };
    let text = text(options.now)?;
    let (found, unreadable) = progress::during("reading Credentials", place.look()).await?;
    let chosen = found.into_iter().filter(|found| {
        let type_ = format!("{:?}", found.spec.r#type);
        which.of_type.as_ref().is_none_or(|wanted| *wanted == type_)
    });
    let chosen: Vec<_> = chosen.map(|found| (Entry::new(&found, &text), found)).collect();
    let mut report = Report::new(unreadable.iter().map(Entry::unreadable).collect());
    if let Some(name) = &which.name {
        anyhow::ensure!(
            !chosen.is_empty() || !unreadable.is_empty(),
            "there is no Credential {here}/{name}"
        );
        if let [(entry, _)] = &chosen[..]
            && matches!(entry.outcome, Outcome::LeftToPeople { .. })
        {
            anyhow::bail!("{entry}");
        }
    } else if !options.yes {
        report.entries.extend(chosen.into_iter().map(|(entry, _)| entry));
        output::show(options.output, &report, || report.preview())?;
        return Ok(ExitCode::SUCCESS);
    }
    let says = options.output.is_none();
    let entries = stream::iter(chosen).map(|(entry, _)| ask(&place.client, entry, &text));
    let entries: Vec<Entry> = entries.buffered(AT_ONCE).collect().await;
    report.entries.extend(entries);
    let timeout = Duration::from(options.timeout);
    if timeout > Duration::ZERO {
        wait(&place, &mut report, &text, timeout, says).await;
    }
    output::show(options.output, &report, || report.rest())?;
    Ok(report.code())
}

/// What the annotation is to say: nobody asked by this text before.
fn text(now: bool) -> anyhow::Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).context("the system gives no random numbers")?;
    let random = u32::from_be_bytes(random);
    let urgent = if now {
        format!("{ROTATE_NOW}-")
    } else {
        String::new()
    };
    // Microseconds of it say nothing to anybody.
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    Ok(format!("{urgent}{time}-{random:08x}"))
}

/// Asks for one to be replaced, unless it is left to people.
async fn ask(client: &Client, mut entry: Entry, text: &str) -> Entry {
    if matches!(entry.outcome, Outcome::LeftToPeople { .. }) {
        return entry;
    }
    let api: Api<DeserializeGuard<Credential>> = Api::namespaced(client.clone(), &entry.namespace);
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { ROTATE_ANNOTATION: text } } }));
    let parameters = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    if let Err(problem) = call("patch", api.patch(&entry.name, &parameters, &patch)).await {
        entry.outcome = Outcome::Failed {
            message: problem.message,
        };
    }
    entry
}

/// Waits until all that was asked for is done, and says of each when it is.
async fn wait(place: &Place, report: &mut Report, text: &str, timeout: Duration, says: bool) {
    let end = Instant::now() + timeout;
    while report.is_open() {
        let looked = place.look().await;
        if let Ok((found, _)) = &looked {
            for done in report.note(found, text) {
                if says {
                    output::line(&mut std::io::stdout(), &done);
                }
            }
        }
        if !report.is_open() {
            break;
        }
        if Instant::now() >= end {
            let seen = looked.map(|(found, _)| found);
            return report.give_up(
                seen.as_deref().map_err(|problem| problem.message.as_str()),
                timeout,
            );
        }
        sleep(LOOK.min(end - Instant::now())).await;
    }
}

impl Place {
    /// Those that can be read, and those that can't.
    async fn look(&self) -> Result<(Vec<Arc<Credential>>, Vec<Unreadable>), Problem> {
        let api = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let chosen = match &self.name {
            Some(name) => ListParams::default().fields(&format!("metadata.name={name}")),
            None => ListParams::default(),
        };
        let mut unreadable = Vec::new();
        let found = readable::<Credential>(&api, chosen, &mut unreadable).await?;
        let mut found: Vec<_> = found.into_iter().map(|(_, found)| found).collect();
        found.sort_by_key(|found| (found.namespace(), found.name_any()));
        Ok((found, unreadable))
    }
}
