//! The loop around the plan: three things are awaited, the token's next date, the next refresh,
//! and the end. No error ends the process, because that would take a working pod out of service.

use crate::config::{Dirs, Environment, Settings};
use crate::error::Error;
use crate::exec;
use crate::files::{Tree, Written};
use crate::gate::Gate;
use crate::http;
use crate::metrics::Metrics;
use crate::notify::{self, Notifier};
use crate::plan::{Plan, Remedy, Step};
use crate::render::{Rendered, render};
use crate::report::{Report, To, Trouble};
use crate::socket::{self, Answers};
use crate::source::{Server, Vault};
use keystead_runtime::probes::Condition;
use keystead_runtime::{Readiness, Shutdown};
use keystead_vault::Error as VaultError;
use keystead_vault::resolve::Secrets;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Longest time for revoking the token at the end: it counts on the pod's grace period, and the
/// token dies by itself at its time to live.
const REVOKE_DEADLINE: Duration = Duration::from_secs(2);
/// How long what is under way at the end may take.
const FINISH_DEADLINE: Duration = Duration::from_secs(1);
/// How often an error that nothing can mend is looked at again, to repeat it in the log.
const STUCK: Duration = Duration::from_mins(1);

/// Why it ends without having done what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An init container that succeeds lets the application start.
    #[error("asked to end before the secrets were there")]
    Early,
    /// The same metric twice.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Serves the pod until the end is asked for; as an init container until everything is there.
pub async fn run(environment: &Environment, shutdown: &Shutdown) -> Result<(), Failure> {
    let gate = Gate::new(&environment.dirs);
    let mut report = Report::new(&environment.last_words);
    // Before anything else: the volume may be older than this process, its files out of date. Readiness
    // begins anew with it, so a pod whose sidecar restarts while Vault is away is not ready until the
    // first pass: to call it ready would say that files are current which nobody has looked at, and let
    // its other containers, should they restart, wait at a closed gate of a pod that gets requests.
    if let Err(error) = gate.close() {
        report.say(Trouble::NotReady, &error);
    }
    let metrics = Metrics::new()?;
    let readiness = Readiness::default();
    let ready = readiness.register("secrets");
    match environment.serves() {
        Ok(Some(address)) => {
            tokio::spawn(http::serve(
                address,
                readiness,
                metrics.registry.clone(),
                shutdown.clone(),
            ));
        }
        Ok(None) => {}
        Err(error) => report.say(Trouble::NotReady, &error.into()),
    }
    let told = |operator| To::new(operator, &environment.dirs.token);
    let (settings, mut vault) = match prepare(environment) {
        Ok(prepared) => prepared,
        Err(error) => {
            report.tell(environment.operator().map(told));
            stay(&error, &mut report, shutdown).await;
            // It may have been an init container.
            return Err(Failure::Early);
        }
    };
    report.tell(settings.operator.clone().map(told));
    let processes = Arc::new(notify::Shared::new(Path::new("/proc")));
    let notifier = Notifier::start(&settings, processes, &metrics, shutdown);
    let mut pod = Pod::new(
        settings,
        &environment.dirs,
        gate,
        notifier,
        metrics,
        ready,
        report,
    );
    if !pod.settings.once {
        pod.answer(shutdown);
    }
    pod.serve(&mut vault, shutdown).await;
    if pod.settings.once && !pod.is_done() {
        return Err(Failure::Early);
    }
    Ok(())
}

fn prepare(environment: &Environment) -> Result<(Settings, Server), Error> {
    let settings = environment.settings()?;
    let vault = Server::new(&settings, &environment.dirs)?;
    Ok((settings, vault))
}

/// Stays with an error that only another pod can be without. Ending would only add a crash loop to
/// it, and take the sentence away with the log.
async fn stay(error: &Error, report: &mut Report, shutdown: &Shutdown) {
    loop {
        report.say(Trouble::Stuck, error);
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            () = tokio::time::sleep(STUCK) => {}
        }
    }
}

/// One pod's secrets.
struct Pod {
    settings: Settings,
    /// The volume with the files.
    files: PathBuf,
    tree: Tree,
    gate: Gate,
    /// Who is told of changed files.
    notifier: Notifier,
    metrics: Metrics,
    ready: Condition,
    report: Report,
    /// What optional secrets lack, as it was said.
    left_out: BTreeSet<String>,
    /// What the application is told on the socket.
    answers: Answers,
    plan: Plan,
}

impl Pod {
    fn new(
        settings: Settings,
        dirs: &Dirs,
        gate: Gate,
        notifier: Notifier,
        metrics: Metrics,
        ready: Condition,
        report: Report,
    ) -> Self {
        let mode = settings.file_mode;
        Self {
            files: dirs.files.clone(),
            tree: Tree::new(&dirs.files, mode),
            gate: if settings.exec { gate.for_exec(mode) } else { gate },
            answers: Answers::new(&settings, metrics.clone()),
            plan: Plan::new(settings.refresh, Instant::now()),
            left_out: BTreeSet::new(),
            notifier,
            metrics,
            ready,
            report,
            settings,
        }
    }

    /// Answers the application on the socket until the end.
    fn answer(&self, shutdown: &Shutdown) {
        let (files, mode) = (self.files.clone(), self.settings.file_mode);
        let (answers, end) = (self.answers.clone(), shutdown.clone());
        tokio::spawn(async move { socket::serve(&files, mode, answers, end).await });
    }

    async fn serve(&mut self, vault: &mut impl Vault, shutdown: &Shutdown) {
        while !self.is_done() {
            let step = self.plan.next(vault.due(), vault.tend_due(), Instant::now());
            let mut taken = pin!(self.take(step, vault));
            tokio::select! {
                biased;
                () = shutdown.requested() => {
                    // What Vault makes after its token has ended would outlive us.
                    if !matches!(step, Step::Wait(_)) {
                        let _ = timeout(FINISH_DEADLINE, taken).await;
                    }
                    break;
                }
                () = &mut taken => {}
            }
        }
        self.end(vault).await;
    }

    /// Whether it is an init container that has nothing left to do.
    const fn is_done(&self) -> bool {
        self.settings.once && self.plan.is_started()
    }

    /// May be dropped at any await: what goes to disk is written between two of them.
    async fn take(&mut self, step: Step, vault: &mut impl Vault) {
        let outcome = match step {
            Step::Wait(until) => return tokio::time::sleep_until(until).await,
            Step::Keep => self.keep(vault).await,
            Step::Refresh => self.refresh(vault).await,
            Step::Tend => return self.tend(vault).await,
        };
        if let Err(error) = outcome {
            self.plan.failed(Instant::now());
            self.say(&error);
        }
    }

    /// Says an error that will be tried again.
    fn say(&mut self, error: &Error) {
        let trouble = Trouble::passing(self.plan.is_started());
        self.report.say(trouble, error);
    }

    async fn keep(&mut self, vault: &mut impl Vault) -> Result<(), Error> {
        let kept = vault.keep().await;
        match kept {
            Ok(kept) => {
                tracing::debug!(?kept, "token");
                self.plan.kept(Instant::now());
                Ok(())
            }
            Err(error) => {
                if matches!(error, VaultError::Login { .. } | VaultError::Jwt { .. }) {
                    self.metrics.auth_failure();
                }
                if self.plan.is_started() {
                    self.metrics.renewal_error();
                }
                Err(error.into())
            }
        }
    }

    async fn refresh(&mut self, vault: &mut impl Vault) -> Result<(), Error> {
        if !self.plan.is_started() {
            // Again, where the first try did not work.
            self.gate.close()?;
            if self.settings.exec {
                exec::install(&self.files)?;
            }
        }
        let secrets = match self.keep(vault).await {
            Ok(()) => self.read(vault).await?,
            Err(Error::Vault(error)) if error.is_unknown_role() => self.settings.all_refused(&error),
            Err(error) => return Err(error),
        };
        let refusal = secrets.values().find_map(|secret| secret.refused.clone());
        if let Some(error) = refusal {
            return self.refused(secrets, &error.into(), vault);
        }
        self.metrics.read(vault.reads());
        let written = self.write(&secrets)?;
        vault.written();
        self.metrics.credentials_end(vault.credentials_end());
        self.answers.set(secrets);
        self.done(written);
        Ok(())
    }

    async fn read(&mut self, vault: &mut impl Vault) -> Result<Secrets, Error> {
        if !self.plan.is_started() {
            // What a predecessor left may be gone since. What Vault refuses is for the read to say.
            let trouble = vault.tend().await.trouble;
            trouble.filter(|error| !error.is_denied()).map_or(Ok(()), Err)?;
        }
        let read = vault.read().await.inspect_err(|_| self.metrics.unread())?;
        if self.settings.once && vault.credentials_end().is_some() {
            return Err(Error::Leased);
        }
        if read.values().any(|secret| secret.refused.is_some()) {
            self.metrics.unread();
        }
        Ok(read)
    }

    /// Vault has answered, and refuses some of the secrets.
    fn refused(&mut self, secrets: Secrets, why: &Error, vault: &mut impl Vault) -> Result<(), Error> {
        match self.plan.refused(Instant::now()) {
            Remedy::LogInAnew => {
                tracing::debug!(error = %why, "logging in anew");
                vault.forget();
            }
            Remedy::TryAgain => self.say(why),
            Remedy::TakeAway => {
                let trouble = if self.plan.is_started() {
                    Trouble::TakenAway
                } else {
                    Trouble::NotReady
                };
                self.report.say(trouble, why);
                let taken = self.take_away(&secrets, why);
                self.answers.set(secrets);
                taken?;
                vault.taken_away();
            }
        }
        Ok(())
    }

    /// Removes what shows refused secrets and keeps the rest current. The gate is closed, because a
    /// container that starts anew would start without them.
    fn take_away(&mut self, secrets: &Secrets, why: &Error) -> Result<(), Error> {
        let refused = secrets.values().filter(|secret| secret.refused.is_some());
        self.metrics.refused(refused.count());
        self.ready.fail(&why.to_string());
        self.gate.close()?;
        match self.render(secrets) {
            Ok(rendered) => self.put(&rendered).map(drop),
            // Trouble with other secrets is no reason to leave these.
            Err(error) => {
                self.gate.write_env(b"")?;
                self.tree
                    .keep(|path| !self.settings.shows_refused(path, secrets))?;
                Err(error)
            }
        }
    }

    fn render(&self, secrets: &Secrets) -> Result<Rendered, Error> {
        render(&self.settings, secrets).inspect_err(|error| {
            if error.is_render() {
                self.metrics.render_error();
            }
        })
    }

    fn put(&self, rendered: &Rendered) -> Result<Written, Error> {
        let files = self.tree.write(&rendered.files)?;
        self.notifier.changed(&files.news);
        let env = self.gate.write_env(rendered.env.expose().as_bytes())?;
        let written = if env == Written::Changed {
            env
        } else {
            files.written
        };
        if written == Written::Changed {
            self.metrics.changed();
        }
        Ok(written)
    }

    /// Everything that goes to disk, in the order that lets nobody see half of it.
    fn write(&mut self, secrets: &Secrets) -> Result<Written, Error> {
        let rendered = self.render(secrets)?;
        let written = self.put(&rendered)?;
        self.gate.open()?;
        self.ready.set(true);
        for missing in rendered.left_out.difference(&self.left_out) {
            tracing::info!("{missing}: it is optional, so what would show it is left out");
        }
        self.left_out = rendered.left_out;
        Ok(written)
    }

    fn done(&mut self, written: Written) {
        let first = !self.plan.is_started();
        self.plan.refreshed(Instant::now());
        self.metrics.refreshed();
        let recovered = self.report.clear();
        let (files, variables) = (self.settings.files.len(), self.settings.env.len());
        if first {
            tracing::info!(files, variables, "the secrets are there");
        } else if recovered {
            tracing::info!(files, variables, "the secrets are current again");
        } else if written == Written::Changed {
            tracing::info!(files, variables, "the secrets have changed");
        }
    }

    async fn end(&mut self, vault: &mut impl Vault) {
        self.ready.set(false);
        if !self.plan.is_started() {
            self.report.end_early();
        }
        // What an init container leaves behind is there to be used.
        if !self.is_done()
            && let Err(error) = self.gate.close()
        {
            tracing::warn!(%error, "the gate stays open");
        }
        match timeout(REVOKE_DEADLINE, vault.revoke()).await {
            Ok(Ok(true)) => tracing::info!("the token is revoked"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the token is not revoked, it ends at its time to live"),
            Err(_) => tracing::warn!("no answer to the token's revocation, it ends at its time to live"),
        }
    }
}

mod tend;
#[cfg(test)]
mod tests;
