//! The logins: one session per provider, shared by all that is reconciled there.

use keystead_compile::Problem;
use keystead_crds::condition::Reason;
use keystead_vault::{Client, Connection, Error, Login, Session};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The logins of all providers.
#[derive(Default)]
pub(crate) struct Providers(Mutex<HashMap<String, Entry>>);

struct Entry {
    link: Arc<Link>,
    state: Result<(), Problem>,
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
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(name)
            && entry.link.connection == connection
            && entry.link.login == login
        {
            return Ok(Arc::clone(&entry.link));
        }
        let client = Client::new(&connection)?;
        let session = tokio::sync::Mutex::new(Session::new(client.clone(), login.clone()));
        let link = Arc::new(Link {
            connection,
            login,
            client,
            session,
        });
        let state = Err(Problem::new(Reason::NotFound, "not logged in yet"));
        entries.insert(
            name.to_owned(),
            Entry {
                link: Arc::clone(&link),
                state,
            },
        );
        Ok(link)
    }

    /// Notes how the provider's reconcile ended; answers whether it was not in order before.
    pub(crate) fn note(&self, name: &str, state: Result<(), Problem>) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get_mut(name)
            .is_some_and(|entry| std::mem::replace(&mut entry.state, state).is_err())
    }

    /// A provider is gone.
    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// A client that is logged in, or why there is none.
    pub(crate) fn client(&self, name: &str) -> Result<Client, Problem> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(name) else {
            return Err(Problem::new(
                Reason::NotFound,
                format!("waiting for SecretProvider {name}"),
            ));
        };
        match &entry.state {
            Ok(()) => Ok(entry.link.client.clone()),
            Err(problem) => {
                let message = format!("waiting for SecretProvider {name}: {problem}");
                Err(Problem::new(problem.reason, message))
            }
        }
    }
}
