//! What the operator would do in Vault and with the Secrets of `sync`: the same compilers and the same
//! engine, and nothing is written.

mod compare;
mod desired;
mod overlay;
mod show;

use crate::args::Target;
use crate::output::{self, Format};
use crate::progress;
use crate::view::View;
use compare::compare;
use desired::{Desired, Step, Subject, Synced};
use keystead_cluster::keys::{self, Published};
use keystead_cluster::native;
use keystead_compile::kinds::binding::Account;
use keystead_compile::kinds::provider;
use keystead_crds::provider::WorkloadMethod;
use keystead_vault::Client;
use keystead_vault::left;
use keystead_vault::object::{Object, ValueRef};
use kube::ResourceExt as _;
use overlay::Overlay;
use show::{Report, Trouble};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

/// What to plan.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to look, and as whom.
    #[command(flatten)]
    target: Target,
    /// Manifests to lay over what is declared in the cluster; `-` is standard input. Shown is what
    /// concerns them or differs because of them.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        required_unless_present = "cluster"
    )]
    files: Vec<PathBuf>,
    /// All that is declared in the cluster.
    #[arg(long, conflicts_with = "files")]
    cluster: bool,
    /// Namespace of the manifests' objects that name none [default: the context's].
    #[arg(short, long)]
    namespace: Option<String>,
    /// For programs.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// The Vaults by provider: a client, or why there is none.
type Vaults = BTreeMap<String, Result<Client, String>>;

pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut view = View::open(&options.target).await?;
    view.named()?;
    view.one_address()?;
    let report = progress::during("comparing with what is in Vault", async {
        let mut vaults = Vaults::new();
        log_in(&mut view, &mut vaults, |_| true).await;
        let keys = published(&view).await?;
        let (synced, unlisted) = synced(&view).await;
        let mut report = if options.cluster {
            whole(&view, &vaults, &keys, &synced).await
        } else {
            laid(&mut view, vaults, &keys, &synced, &options).await
        }?;
        report.problems.extend(unlisted);
        anyhow::Ok(report)
    })
    .await?;
    output::show(options.output, &report, || report.text())?;
    Ok(report.code())
}

/// All that is declared, and what is left of what was.
async fn whole(view: &View, vaults: &Vaults, keys: &Published, synced: &Synced) -> anyhow::Result<Report> {
    view.chosen()?;
    let mut left = BTreeSet::new();
    for provider in view.providers() {
        if let Some(Ok(client)) = vaults.get(&provider.name_any()) {
            let prefix = provider::prefix(&view.world, &provider);
            let accounts = left::accounts(client, &prefix, &provider.spec.workload_auth.mount).await?;
            left.extend(accounts.into_iter().map(|(namespace, name)| Account {
                provider: provider.name_any(),
                namespace,
                name,
            }));
        }
    }
    let all = desired::all(&view.world, keys, &left, synced);
    let mut report = compare(view, vaults, &Overlay::default(), all).await;
    for unreadable in view.unreadable.iter().filter(|_| view.concerns(None)) {
        report.problems.push(Trouble {
            object: unreadable.to_string(),
            problem: format!("it can't be read: {}", unreadable.why),
        });
    }
    Ok(report)
}

/// What concerns manifests, and what differs because of them.
async fn laid(
    view: &mut View,
    mut vaults: Vaults,
    keys: &Published,
    synced: &Synced,
    options: &Options,
) -> anyhow::Result<Report> {
    let before = desired::all(&view.world, keys, &BTreeSet::new(), synced);
    let mut overlay = Overlay::default();
    let namespace = options
        .namespace
        .clone()
        .unwrap_or_else(|| view.namespace.clone());
    for file in &options.files {
        overlay.lay(file, &namespace, &mut view.world)?;
    }
    view.one_address()?;
    // A provider of the manifests may be another than the one that was there.
    let subjects = overlay.subjects.clone();
    log_in(view, &mut vaults, |name| {
        subjects.contains(&Subject::Provider(name.to_owned()))
    })
    .await;
    let were = before.keys().filter_map(|subject| match subject {
        Subject::Account(account) => Some(account.clone()),
        _ => None,
    });
    let mut after = desired::all(&view.world, keys, &were.collect(), synced);
    let concerned = |subject: &Subject, desired: &Desired| {
        overlay.subjects.contains(subject) || uses(&overlay, desired) || before.get(subject) != Some(desired)
    };
    let of = after
        .iter()
        .filter(|(subject, desired)| concerned(subject, desired));
    let places: BTreeSet<String> = of
        .flat_map(|(_, desired)| desired.steps.iter().flatten())
        .filter_map(desired::place)
        .collect();
    after.retain(|subject, desired| concerned(subject, desired) || follows(&places, desired));
    Ok(compare(view, &vaults, &overlay, after).await)
}

/// Whether values of the manifests' Secrets are wanted.
fn uses(overlay: &Overlay, desired: &Desired) -> bool {
    let steps = desired.steps.iter().flatten();
    steps.into_iter().any(|step| match step {
        Step::Apply(Object::KvSecret(secret)) => secret.keys.values().any(|value| match value {
            ValueRef::SecretKey { namespace, name, .. } => overlay.has_secret(namespace, name),
            _ => false,
        }),
        _ => false,
    })
}

/// Whether a native Secret holds values of these places.
fn follows(places: &BTreeSet<String>, desired: &Desired) -> bool {
    let steps = desired.steps.iter().flatten();
    steps.into_iter().any(|step| match step {
        Step::Sync(native, _) => native.sources.iter().any(|source| places.contains(&source.path)),
        _ => false,
    })
}

/// The native Secrets that there are. Whoever has none need not be allowed to list them.
async fn synced(view: &View) -> (Synced, Option<Trouble>) {
    let mut synced = Synced::new();
    match native::synced(&view.client).await {
        Ok(found) => {
            for (secret, uid) in found {
                synced.entry(uid).or_default().push(secret);
            }
            (synced, None)
        }
        Err(problem) => {
            let mut bindings = view.world.bindings().map(|(_, found)| &found.spec);
            let any =
                bindings.any(|spec| spec.sync.is_some() && view.concerns(Some(&spec.provider_ref.name)));
            let trouble = Trouble {
                object: "Secrets of spec.sync".into(),
                problem: problem.message,
            };
            (synced, any.then_some(trouble))
        }
    }
}

/// Logs in to the Vaults of these providers.
async fn log_in(view: &mut View, vaults: &mut Vaults, chosen: impl Fn(&str) -> bool) {
    for provider in view.providers() {
        let name = provider.name_any();
        if chosen(&name) {
            let client = view.log_in(&provider).await;
            vaults.insert(name, client.map_err(|error| format!("{error:#}")));
        }
    }
}

/// The cluster's signing keys, where a provider needs them.
async fn published(view: &View) -> anyhow::Result<Published> {
    let all = view.world.providers();
    let mut methods = all.map(|provider| provider.spec.workload_auth.method);
    if methods.any(|method| method == WorkloadMethod::Jwt) {
        return Ok(keys::published(&view.client).await?);
    }
    Ok(Published::default())
}
