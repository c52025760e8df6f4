//! A provider: the operator's login there, what must be known of its Vault, and its status.

use super::{Next, jitter, kubernetes};
use crate::affected;
use crate::context::Context;
use crate::providers::{Declaration, Link};
use crate::queue::Unit;
use crate::status;
use crate::values::Values;
use crate::watch::Declared as _;
use keystead_compile::kinds::binding::Account;
use keystead_compile::kinds::provider;
use keystead_compile::{Key, Problem, ProviderFacts};
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_crds::provider::{ProviderStatus, WorkloadMethod};
use keystead_vault::engine::{self, Action};
use keystead_vault::jwks::KeySet;
use keystead_vault::name::Letter;
use keystead_vault::object::{Object, SigningKeys, ValueStore as _};
use keystead_vault::{Client, Connection, Error, Login, Sensitive};
use kube::{Api, ResourceExt as _};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
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
    let ca = authorities(context, &object).await?;
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
    facts.ca = authorities(context, object).await?;
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

/// The certificates to trust. Pods get them too, so nothing else of the text may get through.
async fn authorities(context: &Context, object: &SecretProvider) -> Result<Option<String>, Problem> {
    let vault = &object.spec.vault;
    let (field, text) = if let Some(secret) = &vault.ca_secret_ref {
        let values = Values::new(&context.client);
        let text = values
            .secret_key(&secret.namespace, &secret.name, &secret.key)
            .await
            .map_err(|error| Problem::new(Reason::NotFound, format!("spec.vault.caSecretRef: {error}")))?;
        ("caSecretRef", text)
    } else if let Some(text) = &vault.ca_bundle {
        ("caBundle", Sensitive::from(text.as_str()))
    } else {
        return Ok(None);
    };
    certificates(text.expose()).map(Some).ok_or_else(|| {
        let message = format!("spec.vault.{field}: expected PEM blocks 'BEGIN CERTIFICATE', and found none");
        Problem::new(Reason::Invalid, message)
    })
}

/// The certificates in a text (RFC 7468) and nothing else: a private key may stand beside them.
fn certificates(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    let blocks: Vec<String> = blocks
        .map(|(block, _)| format!("{BEGIN}{block}{END}\n"))
        .collect();
    (!blocks.is_empty()).then(|| blocks.concat())
}

/// Brings the cluster's signing keys into its jwt mount; answers the mount's accessor.
async fn jwt_mount(context: &Context, client: &Client, mount: &str) -> Result<String, Problem> {
    let accessor = accessor(client, mount).await?;
    let keys = signing_keys(&context.client, mount).await?;
    let object = Object::SigningKeys(keys);
    let applied = engine::apply(client, &Values::new(&context.client), &object).await?;
    if applied.action != Action::Unchanged {
        tracing::info!(mount, "wrote the cluster's signing keys to Vault");
    }
    Ok(accessor)
}

/// The cluster's public signing keys, as its API server publishes them.
async fn signing_keys(client: &kube::Client, mount: &str) -> Result<SigningKeys, Problem> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
    }
    let discovery: Discovery = published(client, "/.well-known/openid-configuration").await?;
    let keys: KeySet = published(client, "/openid/v1/jwks").await?;
    let keys = keys
        .to_pem()
        .map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    Ok(SigningKeys {
        mount: mount.to_owned(),
        keys,
        issuer: discovery.issuer,
    })
}

async fn published<T: DeserializeOwned>(client: &kube::Client, path: &str) -> Result<T, Problem> {
    let request = http::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| Problem::new(Reason::KubernetesError, error.to_string()))?;
    client.request(request).await.map_err(|error| kubernetes(&error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_get_through() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n";
        let text = format!("a comment\n{certificate}{key}{certificate}");
        assert_eq!(certificates(&text), Some(certificate.repeat(2)));
        assert_eq!(certificates(key), None);
        assert_eq!(certificates("-----BEGIN CERTIFICATE-----\nAA=="), None);
    }
}
