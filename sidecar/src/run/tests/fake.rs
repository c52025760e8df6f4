//! A Vault that answers what the test wants, while time stands still.

use crate::error::Error;
use crate::source::{Tended, Vault};
use keystead_crds::scope::Level;
use keystead_crds::sidecar::SecretSource;
use keystead_vault::resolve::{Origin, Resolved, ScopeName, Secret, Secrets};
use keystead_vault::session::Kept;
use keystead_vault::{Error as VaultError, Sensitive};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Clones speak of the same Vault.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Rc<RefCell<State>>);

#[derive(Default)]
pub(super) struct State {
    /// What goes wrong next, and how often it does.
    pub(super) troubles: VecDeque<(VaultError, usize)>,
    /// What becomes of logins.
    pub(super) login: Option<VaultError>,
    /// Whether there is a second secret, at an existing path.
    pub(super) lacks_app: bool,
    pub(super) value: String,
    /// When the token wants to be renewed; none where there is no token.
    due: Option<Instant>,
    /// How long a token is left alone.
    pub(super) period: Duration,
    pub(super) calls: Vec<(&'static str, Duration)>,
    start: Option<Instant>,
    pub(super) revocation_hangs: bool,
}

impl Fake {
    pub(super) fn new(value: &str) -> Self {
        let state = State {
            value: value.into(),
            start: Some(Instant::now()),
            period: Duration::from_hours(1),
            ..State::default()
        };
        Self(Rc::new(RefCell::new(state)))
    }

    pub(super) fn set(&self, value: &str) {
        self.0.borrow_mut().value = value.into();
    }

    pub(super) fn trouble(&self, error: VaultError, times: usize) {
        self.0.borrow_mut().troubles.push_back((error, times));
    }

    /// Everything is well again.
    pub(super) fn mend(&self) {
        let mut state = self.0.borrow_mut();
        state.troubles.clear();
        (state.login, state.lacks_app) = (None, false);
    }

    fn next_trouble(&self) -> Option<VaultError> {
        let mut state = self.0.borrow_mut();
        let (error, times) = state.troubles.front_mut()?;
        let error = error.clone();
        *times -= 1;
        if *times == 0 {
            state.troubles.pop_front();
        }
        Some(error)
    }

    fn note(&self, call: &'static str) {
        let mut state = self.0.borrow_mut();
        let since = state.start.unwrap().elapsed();
        state.calls.push((call, since));
    }

    /// The calls since the last look, without their times.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.borrow_mut().calls)
            .into_iter()
            .map(|(call, _)| call)
            .collect()
    }
}

impl Vault for Fake {
    fn due(&self) -> Instant {
        self.0.borrow().due.unwrap_or_else(Instant::now)
    }

    async fn keep(&mut self) -> Result<Kept, VaultError> {
        let kept = match self.0.borrow().due {
            Some(due) if Instant::now() < due => return Ok(Kept::Fresh),
            Some(_) => Kept::Renewed,
            None => Kept::LoggedIn,
        };
        self.note(if kept == Kept::Renewed { "renew" } else { "log in" });
        if let Some(error) = self.0.borrow().login.clone() {
            return Err(error);
        }
        let mut state = self.0.borrow_mut();
        state.due = Some(Instant::now() + state.period);
        Ok(kept)
    }

    async fn read(&mut self) -> Result<Secrets, Error> {
        self.note("read");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = match self.next_trouble() {
            Some(error) if !error.is_denied() => return Err(error.into()),
            refused => refused,
        };
        let state = self.0.borrow();
        let scope = ScopeName {
            level: Level::Global,
            id: None,
        };
        let keys = |key: &str, origin| {
            let value = Sensitive::from(state.value.as_str());
            BTreeMap::from([(
                key.to_owned(),
                Resolved {
                    value,
                    origin,
                    version: None,
                    ends: None,
                },
            )])
        };
        let mut hubspot = Secret {
            keys: keys("api_key", Origin::Scope(scope.clone())),
            searched: vec![scope],
            refused: None,
        };
        if refused.is_some() {
            (hubspot.keys, hubspot.refused) = (BTreeMap::new(), refused);
        }
        let mut app = Secret::default();
        if !state.lacks_app {
            app.keys = keys("port", Origin::Path);
        }
        Ok(Secrets::from([
            (SecretSource::Service("hubspot".to_owned()), hubspot),
            (SecretSource::Path("kv1/app".to_owned()), app),
        ]))
    }

    fn tend_due(&self) -> Option<Instant> {
        None
    }

    async fn tend(&mut self) -> Tended {
        Tended::default()
    }

    fn written(&mut self) {}

    fn taken_away(&mut self) {}

    fn credentials_end(&self) -> Option<Instant> {
        None
    }

    fn reads(&self) -> usize {
        1
    }

    fn forget(&mut self) {
        self.note("forget");
        self.0.borrow_mut().due = None;
    }

    async fn revoke(&mut self) -> Result<bool, VaultError> {
        self.note("revoke");
        if self.0.borrow().revocation_hangs {
            std::future::pending::<()>().await;
        }
        Ok(true)
    }
}
