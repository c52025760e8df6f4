//! Vault as the loop sees it: a token to be kept, values to be read, and credentials that Vault made for this
//! pod, to be renewed and replaced.

mod held;
mod state;
mod vault;

pub(crate) use vault::{Tended, Vault};

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
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Leases renewed at once.
const PARALLEL_RENEWALS: usize = 4;
/// Longest time for a renewal: the others wait for it, and it can be asked for again without harm.
const RENEW_DEADLINE: Duration = Duration::from_secs(3);
/// Longest time for ending leases that nobody uses any more: what does not answer ends by itself.
const REVOKE_DEADLINE: Duration = Duration::from_secs(2);

/// A layer that is not held, or why there is none.
type Answer = Result<Layer, (SecretSource, VaultError)>;

/// A real server.
pub(crate) struct Server {
    session: Session,
    logged_in: bool,
    sources: Vec<Source>,
    held: Held,
    store: Store,
    /// Where there may be a credential that nobody knows: its request was sent, and no answer came. It ends with
    /// the token, so that is replaced when Vault answers again there.
    astray: BTreeSet<SecretSource>,
    /// Whether something is asked for just now.
    asking: bool,
    /// Whether the application has credentials of a token that was given up.
    lingers: bool,
    /// When so many tokens that were given up are ended, with all that they made.
    end_retired: Option<(Instant, usize)>,
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
            astray: BTreeSet::new(),
            asking: false,
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
        // The application may have what they made.
        self.lingers = !self.session.retired().is_empty();
        self.held.shown = self.lingers || !credentials.is_empty();
        if !asking {
            self.held.credentials = credentials;
        }
        Ok(())
    }

    fn save(&self) -> Result<(), Error> {
        let (token, retired) = (self.session.token(), self.session.retired());
        let asking = self.asking || !self.astray.is_empty();
        self.store.save(token, retired, asking, &self.held)
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
        let asked: Vec<SecretSource> = sources.iter().map(|source| source.secret.clone()).collect();
        self.asking = true;
        let saved = self.save();
        self.asking = false;
        saved?;
        let answers = self.ask(sources).await;
        let unheard: BTreeSet<&SecretSource> = answers.iter().filter_map(unheard).collect();
        if asked
            .iter()
            .any(|source| self.astray.contains(source) && !unheard.contains(source))
        {
            // Vault answers again: what it made unheard ends with this token.
            self.give_up_token();
            self.astray.clear();
        }
        self.astray.extend(unheard.into_iter().cloned());
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
            .map(|(source, id)| async move {
                let renewal = timeout(RENEW_DEADLINE, lease::renew(client, &id)).await;
                let late = |_| {
                    let why = format!("no answer to a renewal in {} s", RENEW_DEADLINE.as_secs());
                    let address = client.address().to_owned();
                    Err(VaultError::Unreachable { address, why })
                };
                (source, renewal.unwrap_or_else(late))
            })
            .buffer_unordered(PARALLEL_RENEWALS)
            .collect()
            .await;
        let now = Instant::now();
        let mut trouble = None;
        for (source, renewal) in renewals {
            match renewal {
                Ok(left) => self.held.renewed(&source, left, now),
                Err(error) if is_gone(&error) => {
                    tracing::info!(secret = source.name(), %error, "the credential is gone, another is asked for");
                    self.held.lost(&source);
                }
                Err(error) => {
                    self.held.failed(&source, now);
                    trouble = Some(error);
                }
            }
        }
        trouble
    }

    /// Replaces these. Whether one that Vault refuses is to be taken away is for the next [`Vault::read`] to say.
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
                    self.held.refuse(&layer.source.secret);
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
        if let Some((_, count)) = self.end_retired.take_if(|(at, _)| *at <= now) {
            self.session.end_retired(count).await;
        }
    }
}

/// Where Vault may have made something all the same.
fn unheard(answer: &Answer) -> Option<&SecretSource> {
    match answer {
        Err((source, VaultError::Unreachable { .. } | VaultError::Answer { .. })) => Some(source),
        _ => None,
    }
}

/// Whether Vault says that a lease is gone, or what it stands for. That it can't tell now is no reason to ask for
/// another.
fn is_gone(error: &VaultError) -> bool {
    match error {
        VaultError::Denied { .. } | VaultError::NotFound { .. } => true,
        VaultError::Refused { code, .. } => (400..500).contains(code) && *code != 429,
        _ => false,
    }
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
            self.lingers |= self.held.shown && !self.held.is_settled();
            if !self.lingers {
                self.session.end_retired(usize::MAX).await;
            }
            if let Err(error) = self.save() {
                tracing::warn!(%error, "a restart of this container will log in anew");
            }
        }
        Ok(kept)
    }

    async fn read(&mut self) -> Result<Secrets, Error> {
        let sources = self.sources.iter();
        let asked = sources.filter(|source| self.held.is_read(&source.secret));
        let answers = self.obtain(asked.cloned().collect()).await?;
        let layers: Result<Vec<Layer>, _> = answers.into_iter().collect();
        let layers = layers.map_err(|(_, error)| error)?;
        let now = Instant::now();
        for Layer { source, refused, .. } in &layers {
            if refused.is_some() {
                self.held.refuse(&source.secret);
            } else {
                // There is none any more.
                self.held.retire(&source.secret, now);
            }
        }
        let mut secrets = resolve(layers);
        self.held.add_to(&mut secrets);
        Ok(secrets)
    }

    fn tend_due(&self) -> Option<Instant> {
        let retired = self.end_retired.map(|(at, _)| at);
        self.held.next().into_iter().chain(retired).min()
    }

    async fn tend(&mut self) -> Tended {
        self.end_past().await;
        let renewals = self.renew(self.held.due(Due::Renew, Instant::now())).await;
        let due = self.held.due(Due::Replace, Instant::now());
        let (rotated, ending): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|source| self.held.rotates(source));
        let mut replacements = self.replace(&rotated).await;
        // A password that has changed is of use at once, and a database may be slow to make users.
        if !self.held.news {
            replacements = self.replace(&ending).await.or(replacements);
        }
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
            let count = self.session.retired().len();
            self.end_retired = Some((now + self.held.longest_overlap(), count));
            self.lingers = false;
        }
        if (waiting || ends)
            && let Err(error) = self.save()
        {
            tracing::warn!(%error, "what was replaced ends by itself");
        }
    }

    fn taken_away(&mut self) {
        self.held.taken_away(Instant::now());
    }

    fn credentials_end(&self) -> Option<Instant> {
        self.held.end()
    }

    fn reads(&self) -> usize {
        self.sources.len()
    }

    fn forget(&mut self) {
        // Credentials would end with it, and it may be good all the same: a renewal tells.
        if self.held.shown && self.held.end().is_some() {
            return self.session.doubt();
        }
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
