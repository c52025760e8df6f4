//! A provider: the operator's login there, what must be known of its Vault, and its status.

mod mounts;
mod sweep;

use super::{Next, RECHECK, jitter};
use crate::context::Context;
use crate::providers::{Declaration, Link, News};
use crate::status::{self, Finding};
use crate::{affected, settled};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::{Values, connection};
use keystead_compile::kinds::provider;
use keystead_compile::{Problem, ProviderFacts, pause};
use keystead_crds::SecretProvider;
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::{PERMITTED, Reason};
use keystead_crds::provider::ProviderStatus;
use keystead_vault::rights::{self, Lacking};
use keystead_vault::{Client, Error, Health};
use kube::{Api, ResourceExt as _};
use serde::de::IgnoredAny;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often Vault is asked whether it is there and the token good.
const CHECK: Duration = Duration::from_secs(10);
/// How often it is looked for while it is away.
const AWAY: Duration = Duration::from_secs(5);
/// Least time between two logins because Vault refuses a token that is not old: then rights are
/// missing, and each login would leave a token at Vault.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// Longest time for a look, which is a dozen calls with deadlines of their own. It ends before a reconcile
/// is given up, because everybody waits to hear how it ended.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a look at a provider's Vault found, as far as it came.
#[derive(Default)]
struct Seen {
    health: Option<Health>,
    lacking: Option<Vec<Lacking>>,
}

pub(super) async fn reconcile(context: &Arc<Context>, name: &str) -> Result<Next, Problem> {
    let Some(object) = served(context, name) else {
        context.providers.remove(name);
        return Ok(Next::OnChange);
    };
    let mut seen = Seen::default();
    let result = timeout(PATIENCE, look(context, &object, &mut seen)).await;
    let result = result.unwrap_or_else(|_| Err(too_slow()));
    let state = result.clone().map(|_| ());
    let news = context.providers.note(name, Declaration::of(&object), &state);
    let dependants = || affected::dependants(&context.world(), name);
    match news {
        Some(News::First) => settled::begin(context, dependants()),
        Some(News::Changed) => dependants().into_iter().for_each(|unit| context.queue.push(unit)),
        None => {}
    }
    if state.is_ok() && !context.providers.is_swept(name) {
        sweep::sweep(context, &object).await;
    }
    report(context, &object, &seen, &state).await?;
    match result {
        Ok(due) => Ok(Next::After(
            due.saturating_duration_since(Instant::now()).min(jitter(CHECK)),
        )),
        // Everybody waits for its return, and looking costs one request.
        Err(problem) if matches!(problem.reason, Reason::VaultSealed | Reason::VaultUnreachable) => {
            Ok(Next::After(jitter(AWAY)))
        }
        Err(problem) => Err(problem),
    }
}

/// What a replica that does not write must know: its webhook tells sidecars whom to trust.
pub(super) async fn observe(context: &Arc<Context>, name: &str) -> Result<Next, Problem> {
    let Some(object) = served(context, name) else {
        return Ok(Next::OnChange);
    };
    authorities(context, &object).await?;
    Ok(Next::After(jitter(RECHECK)))
}

/// A provider that is there and this operator's.
fn served(context: &Context, name: &str) -> Option<Arc<SecretProvider>> {
    let world = context.world();
    world.provider(name).filter(|_| !world.is_foreign(name)).cloned()
}

/// Logs in or keeps the login, and finds out what compiling needs. Answers when the login is due.
async fn look(context: &Context, object: &SecretProvider, seen: &mut Seen) -> Result<Instant, Problem> {
    let name = object.name_any();
    let trusted = authorities(context, object).await;
    pause::check(&context.world(), object, &name)?;
    let mut facts = trusted?;
    let link = link(context, object, facts.ca.clone()).await?;
    let health = link.health().await?;
    let sealed = health.sealed;
    facts.storage = health.cluster_id.clone();
    seen.health = Some(health);
    if sealed {
        let address = link.address().to_owned();
        return Err(Error::Sealed { address }.into());
    }
    let due = keep(&link).await?;
    let needed = provider::rights(&context.world(), object);
    seen.lacking = Some(rights::lacking(&link, &needed).await?);
    facts.accessor = mounts::check(context, &link, object).await?;
    learn(context, &name, facts);
    Ok(due)
}

fn too_slow() -> Problem {
    let message = format!(
        "Vault or the API server answers too slowly: a look at Vault took longer than {} s",
        PATIENCE.as_secs()
    );
    Problem::new(Reason::VaultUnreachable, message)
}

/// Whom to trust, noted at once: pods are told even while Vault is away.
async fn authorities(context: &Context, object: &SecretProvider) -> Result<ProviderFacts, Problem> {
    let name = object.name_any();
    let ca = connection::authorities(&Values::new(&context.client), object).await?;
    let known = context.world().facts(&name).cloned().unwrap_or_default();
    let facts = ProviderFacts { ca, ..known };
    learn(context, &name, facts.clone());
    Ok(facts)
}

/// The login as it is declared now, with the Secrets as they are now.
async fn link(context: &Context, object: &SecretProvider, ca: Option<String>) -> Result<Arc<Link>, Problem> {
    provider::check_auth(object)?;
    let values = Values::new(&context.client);
    let connection = connection::connection(&values, object, ca).await?;
    let login = connection::login(&values, object, &context.vault_token_file).await?;
    let link = context.providers.link(&object.name_any(), connection, login);
    link.map_err(|error| Problem::new(error.reason(), format!("spec.vault: {error}")))
}

/// Keeps the session, and sees that Vault still takes its token.
async fn keep(link: &Link) -> Result<Instant, Error> {
    let mut session = link.session.lock().await;
    session.keep().await?;
    if let Err(error) = look_up(link).await {
        if !error.is_denied() || !link.may_log_in_anew(REFUSED_PAUSE) {
            return Err(error);
        }
        session.forget();
        session.keep().await?;
        look_up(link).await?;
    }
    Ok(session.due())
}

async fn look_up(client: &Client) -> Result<(), Error> {
    client
        .read::<IgnoredAny>("auth/token/lookup-self")
        .await
        .map(|_| ())
}

/// Notes facts; what was compiled from others is compiled again.
fn learn(context: &Context, name: &str, facts: ProviderFacts) {
    let changed = context.world_mut().set_facts(name, facts);
    let world = context.world();
    // Whoever waits for the end of this reconcile is queued then.
    if changed && !context.waits_for(&world, name) {
        for unit in affected::dependants(&world, name) {
            context.queue.push(unit);
        }
    }
}

// === status ===

async fn report(
    context: &Context,
    object: &SecretProvider,
    seen: &Seen,
    state: &Result<(), Problem>,
) -> Result<(), Problem> {
    let before = object.status.clone().unwrap_or_default();
    let findings = seen.lacking.as_deref().map(|lacking| [permitted(lacking)]);
    let findings = findings.as_ref().map(<[Finding; 1]>::as_slice);
    let build = |basic| status_of(before, basic, seen, state, Timestamp::now());
    let api = Api::all(context.client.clone());
    status::report(context, api, object, state.as_ref().err(), findings, build).await
}

/// What is known of the server now.
fn status_of(
    before: ProviderStatus,
    basic: BasicStatus,
    seen: &Seen,
    state: &Result<(), Problem>,
    now: Timestamp,
) -> ProviderStatus {
    if state
        .as_ref()
        .is_err_and(|problem| problem.reason == Reason::Paused)
    {
        return ProviderStatus { basic, ..before };
    }
    let version = seen.health.as_ref().map(|health| health.version.clone());
    ProviderStatus {
        basic,
        version: version.filter(|version| !version.is_empty()).or(before.version),
        sealed: seen.health.as_ref().map(|health| health.sealed),
        reachable_since: state.is_ok().then(|| before.reachable_since.unwrap_or(Time(now))),
    }
}

/// Whether the operator's token may do all that it should, in words.
fn permitted(lacking: &[Lacking]) -> Finding {
    let (reason, message) = if lacking.is_empty() {
        let message = "the operator's token may do all that it should";
        (Reason::Permitted, message.to_owned())
    } else {
        let missing: Vec<String> = lacking.iter().map(|Lacking(right)| right.to_string()).collect();
        let message = format!(
            "the operator's token lacks {}; run kubectl keystead bootstrap",
            missing.join("; ")
        );
        (Reason::VaultDenied, message)
    };
    Finding {
        type_: PERMITTED,
        holds: lacking.is_empty(),
        reason,
        message,
        warns: !lacking.is_empty(),
    }
}

#[cfg(test)]
mod tests;
