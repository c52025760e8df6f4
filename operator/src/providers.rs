//! The logins: one session per provider, shared by all that is reconciled there.

use keystead_compile::Problem;
use keystead_crds::SecretProvider;
use keystead_crds::condition::Reason;
use keystead_vault::{Client, Connection, Error, Login, Session};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

/// Longest time for giving a token back.
const REVOKE_DEADLINE: Duration = Duration::from_secs(2);

/// The logins of all providers.
#[derive(Default)]
pub(crate) struct Providers(Mutex<HashMap<String, Entry>>);

#[derive(Default)]
struct Entry {
    /// The login as it is declared now.
    link: Option<Arc<Link>>,
    /// The login that works: the same, or the one before it until the new one works too.
    serving: Option<Arc<Link>>,
    /// How the last reconcile ended, and of which declaration; none before the first.
    state: Option<(Declaration, Result<(), Problem>)>,
    /// What those who wait for it were last told.
    told: Option<Result<(), Reason>>,
    /// Whether what was undeclared while nobody looked was found.
    swept: bool,
}

/// What those who wait for a provider hear of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum News {
    /// It is there, and they have heard nothing before.
    First,
    /// It is there, or is not there, and that was otherwise.
    Changed,
}

/// Which provider a state speaks of: one made anew under the same name, or changed, is another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Declaration {
    uid: Option<String>,
    generation: Option<i64>,
}

/// One login. Its token is given back when nobody holds it any more.
pub(crate) struct Link {
    connection: Connection,
    login: Login,
    /// Carries the session's token, and works without the session's lock.
    client: Client,
    /// Only the provider's own reconcile takes it.
    pub(crate) session: Arc<tokio::sync::Mutex<Session>>,
    /// When a new token was last asked for because Vault refused the one before.
    refused: Mutex<Option<Instant>>,
}

impl Declaration {
    /// The declaration as it is now.
    pub(crate) fn of(provider: &SecretProvider) -> Self {
        Self {
            uid: provider.metadata.uid.clone(),
            generation: provider.metadata.generation,
        }
    }
}

impl Providers {
    /// The link that talks to this server by this login: the one there is, or a new one. The one there
    /// is goes on to serve until the new one works ([`Self::note`]).
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
        let session = Session::new(client.clone(), login.clone());
        let link = Arc::new(Link {
            connection,
            login,
            client,
            session: Arc::new(tokio::sync::Mutex::new(session)),
            refused: Mutex::default(),
        });
        entry.link = Some(Arc::clone(&link));
        entry.swept = false;
        Ok(link)
    }

    /// Notes how the provider's reconcile ended. Answers what those who wait for it should hear of it:
    /// it is there now, or not there for another reason. While it is away, what is in Vault stays as
    /// declared, so nobody is told.
    pub(crate) fn note(
        &self,
        name: &str,
        declaration: Declaration,
        state: &Result<(), Problem>,
    ) -> Option<News> {
        let mut entries = self.entries();
        let entry = entries.entry(name.to_owned()).or_default();
        match state {
            Ok(()) => entry.serving.clone_from(&entry.link),
            // Whatever is undeclared meanwhile is left behind.
            Err(problem) if problem.reason == Reason::Paused => entry.swept = false,
            Err(_) => {}
        }
        let new = (declaration, state.clone());
        let before = entry.state.replace(new.clone());
        let same = before
            .as_ref()
            .is_some_and(|(declaration, state)| (declaration, state.is_ok()) == (&new.0, new.1.is_ok()));
        let changed = before.is_none_or(|(declaration, _)| declaration != new.0);
        if changed {
            // What was undeclared while this was under way did not wait for it.
            entry.swept = false;
        }
        let tell = match (state, &entry.told) {
            (Ok(()), _) => !same,
            (Err(_), Some(Ok(()))) => changed,
            (Err(problem), Some(Err(reason))) => changed || problem.reason != *reason,
            (Err(_), None) => true,
        };
        let news = tell.then_some(if entry.told.is_none() && state.is_ok() {
            News::First
        } else {
            News::Changed
        });
        if tell {
            entry.told = Some(state.clone().map_err(|problem| problem.reason));
        }
        news
    }

    /// Whether the provider's reconcile, as it is declared now, is still to come. It queues whoever
    /// waits for it.
    pub(crate) fn is_pending(&self, name: &str, declaration: &Declaration) -> bool {
        let entries = self.entries();
        let state = entries.get(name).and_then(|entry| entry.state.as_ref());
        state.is_none_or(|(reconciled, _)| reconciled != declaration)
    }

    /// Whether what is left behind in this provider's Vault was found already.
    pub(crate) fn is_swept(&self, name: &str) -> bool {
        self.entries().get(name).is_some_and(|entry| entry.swept)
    }

    /// It was.
    pub(crate) fn note_swept(&self, name: &str) {
        if let Some(entry) = self.entries().get_mut(name) {
            entry.swept = true;
        }
    }

    /// A provider is gone.
    pub(crate) fn remove(&self, name: &str) {
        self.entries().remove(name);
    }

    /// Ends every session.
    pub(crate) async fn end(&self) {
        let entries: Vec<_> = self.entries().drain().map(|(_, entry)| entry).collect();
        let links = entries.iter().flat_map(|entry| [&entry.link, &entry.serving]);
        let ends = links.flatten().map(|link| end(Arc::clone(&link.session)));
        futures::future::join_all(ends).await;
    }

    /// A client that is logged in, or why there is none.
    pub(crate) fn client(&self, name: &str) -> Result<Arc<Link>, Problem> {
        let entries = self.entries();
        let entry = entries.get(name);
        match (
            entry.and_then(|entry| entry.serving.as_ref()),
            entry.and_then(|entry| entry.state.as_ref()),
        ) {
            (Some(link), Some((_, Ok(())))) => Ok(Arc::clone(link)),
            (_, Some((_, Err(problem)))) => Err(Problem::new(
                problem.reason,
                // The provider's own condition has the details, which may change by the minute.
                format!("waiting for SecretProvider {name}: {}", problem.reason.as_str()),
            )),
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

impl Link {
    /// Whether a token that Vault refuses may be replaced now; if so, that is noted.
    pub(crate) fn may_log_in_anew(&self, pause: Duration) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let may = refused.is_none_or(|when| when.elapsed() >= pause);
        if may {
            *refused = Some(Instant::now());
        }
        may
    }
}

impl Deref for Link {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(end(Arc::clone(&self.session)));
        }
    }
}

/// Gives a session's token back. If that does not work it ends at its time to live.
async fn end(session: Arc<tokio::sync::Mutex<Session>>) {
    let mut session = session.lock().await;
    let revoked = timeout(REVOKE_DEADLINE, session.revoke()).await;
    if !matches!(revoked, Ok(Ok(()))) {
        let address = session.client().address();
        tracing::debug!(address, "the operator's token was not revoked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(generation: i64) -> Declaration {
        Declaration {
            uid: None,
            generation: Some(generation),
        }
    }

    fn away(reason: Reason) -> Result<(), Problem> {
        Err(Problem::new(reason, "whatever the transport says this time"))
    }

    #[test]
    fn those_who_wait_look_again_when_it_helps() {
        let providers = Providers::default();
        let note = |state: Result<(), Problem>| providers.note("p", declared(1), &state);
        assert!(providers.is_pending("p", &declared(1)));
        assert_eq!(
            note(away(Reason::VaultUnreachable)),
            Some(News::Changed),
            "the first answer"
        );
        assert!(!providers.is_pending("p", &declared(1)));
        assert_eq!(note(away(Reason::VaultUnreachable)), None, "nothing new");
        assert_eq!(
            note(away(Reason::VaultSealed)),
            Some(News::Changed),
            "another reason"
        );
        assert_eq!(note(Ok(())), Some(News::Changed), "there");
        assert_eq!(note(Ok(())), None);
    }

    #[test]
    fn an_outage_tells_nobody_whatever_its_reasons() {
        let providers = Providers::default();
        let note = |state: Result<(), Problem>| providers.note("p", declared(1), &state);
        assert_eq!(note(Ok(())), Some(News::First));
        assert_eq!(note(away(Reason::VaultUnreachable)), None);
        assert_eq!(note(away(Reason::VaultSealed)), None);
        assert_eq!(
            note(Ok(())),
            Some(News::Changed),
            "there again: who failed meanwhile goes on"
        );
    }

    #[test]
    fn a_changed_provider_is_pending_again() {
        let providers = Providers::default();
        assert_eq!(providers.note("p", declared(1), &Ok(())), Some(News::First));
        assert!(providers.is_pending("p", &declared(2)));
        assert_eq!(
            providers.note("p", declared(2), &away(Reason::VaultUnreachable)),
            Some(News::Changed),
            "it never was there as declared"
        );
    }

    #[test]
    fn a_login_serves_until_the_next_one_works() {
        // Whoever comes second finds it installed.
        let _ = keystead_runtime::crypto::install();
        let providers = Providers::default();
        let link = |port: u16| {
            let connection = Connection {
                address: format!("http://127.0.0.1:{port}"),
                ..Connection::default()
            };
            let login = Login::Token("s.given".into());
            providers.link("p", connection, login).unwrap()
        };
        let serving = || providers.client("p").map(|link| link.address().to_owned());
        let first = link(1);
        assert!(serving().is_err(), "it was not seen to work yet");
        providers.note("p", declared(1), &Ok(()));
        assert!(Arc::ptr_eq(&link(1), &first), "nothing differs");
        link(2);
        assert_eq!(serving().as_deref(), Ok("http://127.0.0.1:1"));
        providers.note("p", declared(1), &Ok(()));
        assert_eq!(serving().as_deref(), Ok("http://127.0.0.1:2"));
        assert_eq!(Arc::strong_count(&first), 1, "it ends with who still holds it");
    }
}
