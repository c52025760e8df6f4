//! The logins: one session per provider, shared by all that is reconciled there.

use keystead_compile::Problem;
use keystead_crds::condition::Reason;
use keystead_vault::{Client, Connection, Error, Login, Session};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The logins of all providers.
#[derive(Default)]
pub(crate) struct Providers(Mutex<HashMap<String, Entry>>);

#[derive(Default)]
struct Entry {
    link: Option<Arc<Link>>,
    /// How the provider's last reconcile ended; none before the first.
    state: Option<Result<(), Problem>>,
}

/// One login.
pub(crate) struct Link {
    connection: Connection,
    login: Login,
    /// Carries the session's token; clones work without the session's lock.
    pub(crate) client: Client,
    /// Only the provider's own reconcile takes it.
    pub(crate) session: tokio::sync::Mutex<Session>,
}

impl Providers {
    /// The link that talks to this server by this login: the one there is, or a new one.
    pub(crate) fn link(&self, name: &str, connection: Connection, login: Login) -> Result<Arc<Link>, Error> {
        let mut entries = self.entries();
        let entry = entries.entry(name.to_owned()).or_default();
        if let Some(link) = &entry.link
            && link.connection == connection
            && link.login == login
        {
            return Ok(Arc::clone(link));
        }
        let client = Client::new(&connection)?;
        let session = tokio::sync::Mutex::new(Session::new(client.clone(), login.clone()));
        let link = Arc::new(Link {
            connection,
            login,
            client,
            session,
        });
        *entry = Entry {
            link: Some(Arc::clone(&link)),
            state: None,
        };
        Ok(link)
    }

    /// Notes how the provider's reconcile ended. Answers whether those who wait for it should look
    /// again: it is there now, or not there for another reason. While it is away, what is in Vault
    /// stays as declared, so nobody is told.
    pub(crate) fn note(&self, name: &str, state: Result<(), Problem>) -> bool {
        let mut entries = self.entries();
        let entry = entries.entry(name.to_owned()).or_default();
        let before = entry.state.replace(state.clone());
        before != Some(Ok(())) && before != Some(state)
    }

    /// Whether the provider's first reconcile is still to come. It queues whoever waits for it.
    pub(crate) fn is_pending(&self, name: &str) -> bool {
        self.entries().get(name).is_none_or(|entry| entry.state.is_none())
    }

    /// A provider is gone.
    pub(crate) fn remove(&self, name: &str) {
        self.entries().remove(name);
    }

    /// A client that is logged in, or why there is none.
    pub(crate) fn client(&self, name: &str) -> Result<Client, Problem> {
        let entries = self.entries();
        let entry = entries.get(name);
        match (
            entry.and_then(|entry| entry.link.as_ref()),
            entry.and_then(|entry| entry.state.as_ref()),
        ) {
            (Some(link), Some(Ok(()))) => Ok(link.client.clone()),
            (_, Some(Err(problem))) => {
                let message = format!("waiting for SecretProvider {name}: {problem}");
                Err(Problem::new(problem.reason, message))
            }
            _ => Err(Problem::new(
                Reason::NotFound,
                format!("waiting for SecretProvider {name}"),
            )),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_look_again_when_it_helps() {
        let providers = Providers::default();
        let away = || Err(Problem::new(Reason::VaultUnreachable, "away"));
        assert!(providers.is_pending("p"));
        assert!(providers.note("p", away()), "the first answer");
        assert!(!providers.is_pending("p"));
        assert!(!providers.note("p", away()), "nothing new");
        assert!(
            providers.note("p", Err(Problem::new(Reason::VaultSealed, "sealed"))),
            "another reason"
        );
        assert!(providers.note("p", Ok(())), "there");
        assert!(!providers.note("p", Ok(())));
        assert!(!providers.note("p", away()), "what is in Vault stays as declared");
        assert!(providers.note("p", Ok(())), "there again");
    }
}
