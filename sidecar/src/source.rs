//! Vault as the loop sees it: a token to be kept, values to be read, and credentials that Vault made for this
//! pod, to be renewed and replaced.

mod held;
mod state;

use self::held::{Due, Held};
use self::state::{State, Store};
use crate::config::{Dirs, Settings};
use crate::error::Error;
use futures::stream::{self, StreamExt as _};
use keystead_crds::names;
use keystead_crds::sidecar::SecretSource;
use keystead_vault::lease;
use keystead_vault::resolve::{Layer, Secrets, Source, read_each, resolve};
use keystead_vault::session::Kept;
use keystead_vault::{Client, Connection, Error as VaultError, Login, Session};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Leases renewed at once.
const PARALLEL_RENEWALS: usize = 4;
/// Longest time for ending leases that nobody uses any more: what does not answer ends by itself.
const REVOKE_DEADLINE: Duration = Duration::from_secs(2);

/// What the loop asks of Vault; a trait, so that tests can answer while time stands still.
pub(crate) trait Vault {
    /// When [`Self::keep`] has something to do.
    fn due(&self) -> Instant;
    /// Logs in or renews where it is time to.
    async fn keep(&mut self) -> Result<Kept, VaultError>;
    /// Reads and resolves everything; what Vault refuses is said of each secret. Credentials that are held
    /// are not asked for again.
    async fn read(&mut self) -> Result<Secrets, Error>;
    /// When [`Self::tend`] has something to do; none where it has not.
    fn tend_due(&self) -> Option<Instant>;
    /// Renews, replaces and ends credentials.
    async fn tend(&mut self) -> Tended;
    /// What was read last is on disk.
    fn written(&mut self);
    /// When the first credential ends, if nothing is done.
    fn credentials_end(&self) -> Option<Instant>;
    /// How many requests a [`Self::read`] takes.
    fn reads(&self) -> usize;
    /// Gives a token up that Vault refuses.
    fn forget(&mut self);
    /// Ends the session at Vault; `false` where there is none.
    async fn revoke(&mut self) -> Result<bool, VaultError>;
}

/// What became of credentials.
#[derive(Debug, Default)]
pub(crate) struct Tended {
    /// All that are held, where one is another than what is on disk.
    pub(crate) news: Option<Secrets>,
    /// Why one could not be renewed or replaced.
    pub(crate) trouble: Option<Error>,
}

/// A layer that is not held, or why there is none.
type Answer = Result<Layer, (SecretSource, VaultError)>;

/// A real server.
pub(crate) struct Server {
    session: Session,
    logged_in: bool,
    sources: Vec<Source>,
    held: Held,
    store: Store,
    /// Whether there may be a credential that nobody knows: its request was sent, and no answer came. It ends
    /// with the token, so that is replaced when Vault answers again.
    astray: bool,
    /// Whether the application has credentials of a token that was given up.
    lingers: bool,
    /// When tokens that were given up are ended, with all that they made.
    end_retired: Option<Instant>,
}

impl Server {
    /// The server that the config names; nothing is sent yet.
    pub(crate) fn new(settings: &Settings, dirs: &Dirs) -> Result<Self, Error> {
        let vault = &settings.vault;
        let client = Client::new(&Connection {
            address: vault.address.clone(),
            ca: vault.ca.clone(),
            namespace: vault.namespace.clone(),
            server_name: vault.server_name.clone(),
            ..Connection::default()
        })?;
        let login = Login::Jwt {
            mount: vault.auth_mount.clone(),
            role: vault.role.clone(),
            jwt_file: dirs.token.join(names::TOKEN_FILE),
        };
        let mut new = Self {
            session: Session::new(client, login).lingering(),
            logged_in: false,
            sources: settings.sources.clone(),
            held: Held::new(settings.overlaps.clone()),
            store: Store::new(&dirs.private),
            astray: false,
            lingers: false,
            end_retired: None,
        };
        new.take_up()?;
        Ok(new)
    }

    /// Goes on with what a predecessor left. What may have made a credential that nobody knows is not used
    /// again.
    fn take_up(&mut self) -> Result<(), Error> {
        let State {
            token,
            mut retired,
            asking,
            credentials,
            retiring,
        } = self.store.load();
        let (given_up, token) = token.into_iter().partition::<Vec<_>, _>(|_| asking);
        retired.extend(given_up.into_iter().map(|token| token.secret));
        self.logged_in = !token.is_empty();
        self.session.resume(token.into_iter().next(), retired)?;
        self.held.retiring = retiring;
        self.lingers = asking && !credentials.is_empty();
        if !asking {
            self.held.credentials = credentials;
        }
        Ok(())
    }

    fn save(&self) -> Result<(), Error> {
        let (token, retired) = (self.session.token(), self.session.retired());
        self.store.save(token, retired, self.astray, &self.held)
    }

    /// What it made ends with it.
    fn give_up_token(&mut self) {
        self.session.forget();
        self.held.outlive_token();
    }

    /// Reads these, keeps what was made for us, and answers the rest. What Vault makes and nobody knows of would
    /// outlive us: so it is written down before that something is asked for, and every answer counts, whatever
    /// became of the others.
    async fn obtain(&mut self, sources: Vec<Source>) -> Result<Vec<Answer>, Error> {
        if !sources.iter().any(|source| self.held.may_lease(source)) {
            return Ok(self.ask(sources).await);
        }
        let before = std::mem::replace(&mut self.astray, true);
        self.save()?;
        let answers = self.ask(sources).await;
        self.astray = answers.iter().any(is_unheard);
        if before && !self.astray {
            // Vault answers again: what it made unheard ends with this token.
            self.give_up_token();
        }
        self.save()?;
        Ok(answers)
    }

    async fn ask(&mut self, sources: Vec<Source>) -> Vec<Answer> {
        let asked: Vec<SecretSource> = sources.iter().map(|source| source.secret.clone()).collect();
        let answers = read_each(self.session.client(), sources).await;
        let now = Instant::now();
        let mut rest = Vec::new();
        for (source, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(layer) => rest.extend(self.held.keep(layer, now).map(Ok)),
                Err(error) => rest.push(Err((source, error))),
            }
        }
        rest
    }

    /// Answers why one could not be renewed, where Vault did not say that it is gone.
    async fn renew(&mut self, due: Vec<SecretSource>) -> Option<VaultError> {
        let held = &self.held;
        let leases = due.into_iter().filter_map(|source| {
            let id = held.lease(&source)?.id.clone();
            Some((source, id))
        });
        let client = self.session.client();
        let renewals: Vec<_> = stream::iter(leases.collect::<Vec<_>>())
            .map(|(source, id)| async move { (source, lease::renew(client, &id).await) })
            .buffer_unordered(PARALLEL_RENEWALS)
            .collect()
            .await;
        let now = Instant::now();
        let mut trouble = None;
        for (source, renewal) in renewals {
            match renewal {
                Ok(left) => self.held.renewed(&source, left, now),
                Err(error @ (VaultError::Unreachable { .. } | VaultError::Sealed { .. })) => {
                    self.held.failed(&source, now);
                    trouble = Some(error);
                }
                Err(error) => {
                    tracing::info!(secret = source.name(), %error, "the credential is gone, another is asked for");
                    self.held.lost(&source);
                }
            }
        }
        trouble
    }

    /// Replaces these. One that Vault refuses is held no more: the next [`Vault::read`] says so.
    async fn replace(&mut self, due: &[SecretSource]) -> Option<Error> {
        let sources = self.sources.iter().filter(|source| due.contains(&source.secret));
        let answers = match self.obtain(sources.cloned().collect()).await {
            Ok(answers) => answers,
            Err(error) => {
                let now = Instant::now();
                for source in due {
                    self.held.failed(source, now);
                }
                return Some(error);
            }
        };
        let now = Instant::now();
        let mut trouble = None;
        for answer in answers {
            match answer {
                Ok(layer) => {
                    self.held.retire(&layer.source.secret);
                    trouble = trouble.or(layer.refused);
                }
                Err((source, error)) => {
                    self.held.failed(&source, now);
                    trouble = Some(error);
                }
            }
        }
        trouble.map(Error::from)
    }

    /// Ends what nobody uses any more. What does not answer ends by itself.
    async fn end_past(&mut self) {
        let now = Instant::now();
        let (past, retiring) = std::mem::take(&mut self.held.retiring)
            .into_iter()
            .partition(|retiring| retiring.at.is_some_and(|at| at <= now));
        self.held.retiring = retiring;
        let client = self.session.client();
        let revoke =
            stream::iter(past).for_each_concurrent(PARALLEL_RENEWALS, async |retiring: held::Retiring| {
                if let Err(error) = lease::revoke(client, &retiring.id).await {
                    tracing::debug!(%error, "a lease that was replaced could not be revoked");
                }
            });
        if timeout(REVOKE_DEADLINE, revoke).await.is_err() {
            tracing::debug!("no answer to the revocation of leases that were replaced");
        }
        if self.end_retired.is_some_and(|at| at <= now) {
            self.end_retired = None;
            self.session.end_retired().await;
        }
    }
}

/// Whether Vault may have made something all the same.
fn is_unheard(answer: &Answer) -> bool {
    matches!(
        answer,
        Err((_, VaultError::Unreachable { .. } | VaultError::Answer { .. }))
    )
}

impl Vault for Server {
    fn due(&self) -> Instant {
        self.session.due()
    }

    async fn keep(&mut self) -> Result<Kept, VaultError> {
        let kept = self.session.keep().await?;
        self.logged_in = true;
        if kept == Kept::LoggedIn {
            self.held.outlive_token();
            self.lingers |= !self.held.credentials.is_empty();
            if !self.lingers {
                self.session.end_retired().await;
            }
            if let Err(error) = self.save() {
                tracing::warn!(%error, "a restart of this container will log in anew");
            }
        }
        Ok(kept)
    }

    async fn read(&mut self) -> Result<Secrets, Error> {
        let held = &self.held.credentials;
        let absent = self
            .sources
            .iter()
            .filter(|source| !held.contains_key(&source.secret));
        let answers = self.obtain(absent.cloned().collect()).await?;
        let layers: Result<Vec<Layer>, _> = answers.into_iter().collect();
        let mut secrets = resolve(layers.map_err(|(_, error)| error)?);
        self.held.add_to(&mut secrets);
        Ok(secrets)
    }

    fn tend_due(&self) -> Option<Instant> {
        self.held.next().into_iter().chain(self.end_retired).min()
    }

    async fn tend(&mut self) -> Tended {
        self.end_past().await;
        let renewals = self.renew(self.held.due(Due::Renew, Instant::now())).await;
        let due = self.held.due(Due::Replace, Instant::now());
        let replacements = self.replace(&due).await;
        let news = self.held.news.then(|| {
            let mut secrets = Secrets::new();
            self.held.add_to(&mut secrets);
            secrets
        });
        Tended {
            news,
            trouble: replacements.or_else(|| renewals.map(Error::from)),
        }
    }

    fn written(&mut self) {
        let now = Instant::now();
        let waiting = self.held.retiring.iter().any(|retiring| retiring.at.is_none());
        self.held.written(now);
        let retires = !self.session.retired().is_empty() && self.held.is_settled();
        let ends = retires && self.end_retired.is_none();
        if ends {
            self.end_retired = Some(now + self.held.longest_overlap());
            self.lingers = false;
        }
        if (waiting || ends)
            && let Err(error) = self.save()
        {
            tracing::warn!(%error, "what was replaced ends by itself");
        }
    }

    fn credentials_end(&self) -> Option<Instant> {
        self.held.end()
    }

    fn reads(&self) -> usize {
        self.sources.len()
    }

    fn forget(&mut self) {
        self.give_up_token();
        self.logged_in = false;
    }

    async fn revoke(&mut self) -> Result<bool, VaultError> {
        let logged_in = std::mem::take(&mut self.logged_in);
        self.session.revoke().await?;
        self.store.clear();
        Ok(logged_in)
    }
}

#[cfg(test)]
mod tests;
