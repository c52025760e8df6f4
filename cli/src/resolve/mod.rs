//! What a pod gets, from which scope, and why: compiled as for the webhook, read and resolved as by the
//! sidecar.

mod report;
mod settings;
mod show;
mod subject;

use crate::args::Target;
use crate::output::{self, Format};
use crate::view::View;
use crate::{progress, vault};
use anyhow::{Context as _, anyhow, bail, ensure};
use keystead_compile::kinds::pod::{self, Bound, PodSecrets};
use keystead_compile::kinds::provider;
use keystead_compile::{Key, ProviderFacts};
use keystead_crds::sidecar::VaultConfig;
use keystead_crds::{Level, SecretProvider};
use keystead_vault::resolve::{Layer, ScopeName, read_all, sources};
use kube::ResourceExt as _;
use report::Report;
use std::process::ExitCode;
use std::sync::Arc;
use subject::Subject;

/// Of whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A pod or a service account: pod/web-1, serviceaccount/web, sa/web. A name alone is a pod's where
    /// there is one, else a service account's.
    #[arg(value_name = "POD|SERVICEACCOUNT")]
    subject: String,
    /// Its namespace [default: the context's].
    #[arg(short, long)]
    namespace: Option<String>,
    /// Where to look, and as whom.
    #[command(flatten)]
    target: Target,
    /// For programs.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut view = View::open(&options.target).await?;
    let namespace = options.namespace.as_ref().unwrap_or(&view.namespace);
    let subject = subject::find(&view.client, namespace, &options.subject).await?;
    let bound = bound(&mut view, &subject)?;
    let provider = provider(&view, &subject, &bound)?;
    let scopes = scopes(&bound.config.vault, subject.node.as_deref());
    let layers = read(&view, &subject, &bound, &provider, &scopes).await?;
    let report = Report::new(&subject, &bound, &provider.name_any(), &scopes, layers);
    output::show(options.output, &report, || report.text())?;
    Ok(report.code())
}

/// What the webhook would give a pod of the account.
fn bound(view: &mut View, subject: &Subject) -> anyhow::Result<PodSecrets> {
    let Subject {
        namespace, account, ..
    } = subject;
    let unreadable = view.unreadable.iter();
    if let Some(found) = unreadable
        .filter(|found| found.kind == "SecretBinding")
        .find(|found| found.key.namespace == *namespace)
    {
        bail!(
            "{found} can't be read, so what it gives to whom is not known: {}",
            found.why
        );
    }
    // What is known of a provider says how a pod reaches its Vault, not what it gets there.
    let providers: Vec<String> = view
        .world
        .providers()
        .map(|provider| provider.name_any())
        .collect();
    for provider in providers {
        view.world.set_facts(&provider, ProviderFacts::default());
    }
    let world = &view.world;
    match pod::compile(world, namespace, account, &subject.labels)? {
        Bound::Yes(bound) => {
            let annotations = subject.annotations.iter();
            let annotations = annotations.map(|(name, text)| (name.as_str(), text.as_str()));
            let bound = bound.of_pod(&annotations.collect());
            bound.map_err(|why| anyhow!("{subject} gets nothing: {why}"))
        }
        Bound::No => bail!(
            "{subject} gets nothing: no SecretBinding in namespace {namespace} names service account {account}"
        ),
        Bound::Unselected(bindings) => bail!(
            "{subject} gets nothing: service account {account} is named by SecretBinding {}, for pods with other labels (spec.podSelector)",
            bindings.join(", ")
        ),
        Bound::Elsewhere => bail!(
            "{subject} gets nothing from providers of class {}: its SecretBindings name one of another class; see --class",
            world.class
        ),
        Bound::NotYet => bail!("what {subject} depends on is not known: see kubectl keystead validate"),
    }
}

/// The provider that all of it is from.
fn provider(view: &View, subject: &Subject, bound: &PodSecrets) -> anyhow::Result<Arc<SecretProvider>> {
    view.chosen()?;
    let world = &view.world;
    let mut keys = bound
        .bindings
        .iter()
        .map(|name| Key::new(&subject.namespace, name));
    let found = keys.find_map(|key| world.provider(&world.binding(&key)?.spec.provider_ref.name));
    let provider = found.context("bindings without a provider")?;
    let name = provider.name_any();
    ensure!(
        view.concerns(Some(&name)),
        "{subject} gets nothing from that provider, but from SecretProvider {name}: leave --provider out"
    );
    Ok(Arc::clone(provider))
}

/// The scopes that are searched, most specific first. Where no node is known there is none to search.
fn scopes(vault: &VaultConfig, node: Option<&str>) -> Vec<ScopeName> {
    let known = vault.scopes.iter().filter_map(|scope| {
        let id = match scope.level {
            Level::Node => Some(node?.to_owned()),
            _ => scope.id.clone(),
        };
        Some(ScopeName {
            level: scope.level,
            id,
        })
    });
    known.collect()
}

/// Reads what such a pod would read.
async fn read(
    view: &View,
    subject: &Subject,
    bound: &PodSecrets,
    provider: &SecretProvider,
    scopes: &[ScopeName],
) -> anyhow::Result<Vec<Layer>> {
    let asked = bound.config.secrets.iter().map(|secret| &secret.from);
    // To ask for these would make something.
    let asked = asked.filter(|from| !from.is_made());
    let sources = sources(&provider::kv_base(provider), scopes, asked)?;
    let client = vault::log_in(&view.vault, &view.client, provider).await?;
    let read = progress::during("reading values in Vault", read_all(&client, sources)).await;
    read.map_err(|error| {
        let denied = error.is_denied();
        let whole = anyhow::Error::new(error).context(format!("cannot tell what {subject} gets"));
        if denied {
            whole.context("your Vault token may not read what such a pod reads, or has ended")
        } else {
            whole
        }
    })
}
