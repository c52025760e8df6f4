//! A provider: the operator's login there, what must be known of its Vault, and its status.

use super::{Next, jitter, kubernetes};
use crate::affected;
use crate::context::Context;
use crate::providers::{Declaration, Link};
use crate::queue::Unit;
use crate::status;
use crate::watch::Declared as _;
use keystead_cluster::keys::{self, Published};
use keystead_cluster::{Values, authorities};
use keystead_compile::kinds::binding::Account;
use keystead_compile::kinds::provider;
use keystead_compile::{Key, Problem, ProviderFacts};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_crds::provider::{ProviderStatus, WorkloadMethod};
use keystead_vault::engine::{self, Action};
use keystead_vault::name::Letter;
use keystead_vault::object::{Object, SigningKeys};
use keystead_vault::{Client, Connection, Error, Login};
use kube::{Api, ResourceExt as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often Vault is asked whether it is there and the token good.
const CHECK: Duration = Duration::from_secs(30);
/// How often it is looked for while it is away.
const AWAY: Duration = Duration::from_secs(5);
/// Least time between two logins because Vault refuses a token that is not old: then rights are
/// missing, and each login would leave a token at Vault.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

pub(super) async fn reconcile(context: &Arc<Context>, name: &str) -> Result<Next, Problem> {
    let Some(object) = served(context, name) else {
        context.providers.remove(name);
        return Ok(Next::OnChange);
    };
    let result = connect(context, &object).await;
    let state = result.clone().map(|_| ());
    if context.providers.note(name, Declaration::of(&object), &state) {
        for unit in affected::dependants(&context.world(), name) {
            context.queue.push(unit);
        }
    }
    if state.is_ok() && !context.providers.is_swept(name) {
        sweep(context, &object).await;
    }
    let api = Api::all(context.client.clone());
    let written = status::report(context, api, &*object, result.as_ref().err(), None, |basic| {
        ProviderStatus {
            basic,
            ..ProviderStatus::default()
        }
    })
    .await;
    if let Some(new) = written.map_err(|error| kubernetes(&error))? {
        SecretProvider::remember(&mut context.world_mut(), &Key::of(&new), new);
    }
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
    let ca = authorities(&context.client, &object).await?;
    context
        .world_mut()
        .set_facts(name, ProviderFacts { ca, accessor: None });
    Ok(Next::After(jitter(CHECK)))
}

/// A provider that is there and this operator's.
fn served(context: &Context, name: &str) -> Option<Arc<SecretProvider>> {
    let world = context.world();
    world.provider(name).filter(|_| !world.is_foreign(name)).cloned()
}

/// Logs in or keeps the login, and finds out what compiling needs. Answers when the login is due.
async fn connect(context: &Context, object: &SecretProvider) -> Result<Instant, Problem> {
    let name = object.name_any();
    let mut facts = context.world().facts(&name).cloned().unwrap_or_default();
    facts.ca = authorities(&context.client, object).await?;
    learn(context, &name, facts.clone());
    let connection = Connection {
        address: object.spec.vault.address.clone(),
        ca: facts.ca.clone(),
        ..Connection::default()
    };
    let auth = &object.spec.vault.auth;
    let role = auth.kubernetes.as_ref().or(auth.jwt.as_ref());
    let role =
        role.ok_or_else(|| Problem::new(Reason::Invalid, "spec.vault.auth needs kubernetes or jwt"))?;
    let method = if auth.kubernetes.is_some() {
        "kubernetes"
    } else {
        "jwt"
    };
    let login = Login::Jwt {
        mount: role.mount.clone().unwrap_or_else(|| method.into()),
        role: role.role.clone(),
        jwt_file: context.vault_token_file.clone(),
    };
    let link = context.providers.link(&name, connection, login)?;
    let due = keep(&link).await?;
    facts.accessor = match object.spec.workload_auth.method {
        WorkloadMethod::Jwt => {
            Some(jwt_mount(context, &link.client, &object.spec.workload_auth.mount).await?)
        }
        WorkloadMethod::Kubernetes => None,
    };
    learn(context, &name, facts);
    Ok(due)
}

/// Keeps the session, and sees that Vault still takes its token.
async fn keep(link: &Link) -> Result<Instant, Error> {
    let mut session = link.session.lock().await;
    session.keep().await?;
    if let Err(error) = look_up(&link.client).await {
        if !error.is_denied() || !link.may_log_in_anew(REFUSED_PAUSE) {
            return Err(error);
        }
        session.forget();
        session.keep().await?;
        look_up(&link.client).await?;
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
    if context.world_mut().set_facts(name, facts) {
        for unit in affected::dependants(&context.world(), name) {
            context.queue.push(unit);
        }
    }
}

/// Brings the cluster's signing keys into its jwt mount; answers the mount's accessor.
async fn jwt_mount(context: &Context, client: &Client, mount: &str) -> Result<String, Problem> {
    let accessor = accessor(client, mount).await?;
    let Published { issuer, keys } = keys::published(&context.client).await?;
    let object = Object::SigningKeys(SigningKeys {
        mount: mount.to_owned(),
        keys,
        issuer,
    });
    let applied = engine::apply(client, &Values::new(&context.client), &object).await?;
    if applied.action != Action::Unchanged {
        tracing::info!(mount, "wrote the cluster's signing keys to Vault");
    }
    Ok(accessor)
}

/// The accessor of an auth mount, by the one path that needs no further rights.
async fn accessor(client: &Client, mount: &str) -> Result<String, Problem> {
    #[derive(Deserialize)]
    struct Mount {
        accessor: String,
    }
    match client
        .read::<Mount>(&format!("sys/internal/ui/mounts/auth/{mount}"))
        .await
    {
        Ok(found) => Ok(found.accessor),
        Err(Error::Denied { .. } | Error::NotFound { .. }) => Err(Problem::new(
            Reason::VaultDenied,
            format!(
                "spec.workloadAuth.mount: there is no auth mount {mount} in Vault, or the operator's policy does not know it; run kubectl keystead bootstrap"
            ),
        )),
        Err(error) => Err(error.into()),
    }
}

/// What was undeclared while nobody looked goes, by the reconciles of its accounts.
async fn sweep(context: &Context, object: &SecretProvider) {
    match left_behind(context, object).await {
        Ok(units) => {
            for unit in units {
                context.queue.push(unit);
            }
            context.providers.note_swept(&object.name_any());
        }
        Err(problem) => {
            tracing::warn!(provider = object.name_any(), %problem, "what is left behind in Vault can't be listed yet");
        }
    }
}

/// Accounts that have a policy or a role of this provider in Vault: by their names they are ours,
/// and whichever no binding names any more is removed by its own reconcile.
async fn left_behind(context: &Context, object: &SecretProvider) -> Result<BTreeSet<Unit>, Problem> {
    let client = context.providers.client(&object.name_any())?;
    let prefix = provider::prefix(&context.world(), object);
    let mut names = client.list("sys/policies/acl").await?;
    names.extend(
        client
            .list(&format!("auth/{}/role", object.spec.workload_auth.mount))
            .await?,
    );
    let accounts = names
        .iter()
        .filter_map(|name| prefix.parse(Letter::ServiceAccount, name));
    Ok(accounts
        .map(|(namespace, name)| {
            Unit::Account(Account {
                provider: object.name_any(),
                namespace: namespace.into(),
                name: name.into(),
            })
        })
        .collect())
}
