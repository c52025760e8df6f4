//! Tells the operator, which makes it an event on the pod. A courtesy: nothing waits for it, and what can't
//! be told is one line in the log.

use keystead_crds::names;
use keystead_crds::sidecar::{OperatorConfig, PodReason, PodReport};
use keystead_runtime::backoff::Backoff;
use keystead_runtime::log::Chain;
use keystead_vault::{Connection, Sensitive};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long something must be wrong before it is told: much of it passes. Of a start it counts from there.
const HOLD: Duration = Duration::from_secs(2);
/// Longest time for one try.
const DEADLINE: Duration = Duration::from_secs(5);
/// Between tries, and how many there are.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
const TRIES: u32 = 8;

/// Who takes reports; a trait, so that tests can while time stands still.
pub(super) trait Takes: Sync {
    /// Sends one.
    fn post(
        &self,
        report: &PodReport,
    ) -> impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send;
}

/// The operator, and the token to show it.
#[derive(Clone, Debug)]
pub struct To {
    operator: OperatorConfig,
    token: PathBuf,
}

/// Keeps what is to be said; the task that says it is there only when something was wrong.
#[derive(Debug)]
pub(super) struct Teller {
    since: Instant,
    /// The newest counts.
    latest: watch::Sender<Option<PodReport>>,
    to: Option<To>,
}

// === impl Teller ===

impl Default for Teller {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            latest: watch::Sender::new(None),
            to: None,
        }
    }
}

impl Teller {
    pub(super) fn tell(&mut self, to: Option<To>) {
        self.to = to;
        self.start();
    }

    /// Never waits.
    pub(super) fn say(&mut self, report: PodReport) {
        self.latest.send_replace(Some(report));
        self.start();
    }

    #[cfg(test)]
    pub(super) fn is_silent(&self) -> bool {
        self.latest.borrow().is_none()
    }

    fn start(&mut self) {
        if self.latest.borrow().is_some()
            && let Some(to) = self.to.take()
        {
            tokio::spawn(serve(to, self.since, self.latest.subscribe()));
        }
    }
}

/// Tells the newest of what is said, until nobody can say anything any more.
pub(super) async fn serve(to: impl Takes, since: Instant, mut heard: watch::Receiver<Option<PodReport>>) {
    // Whether the pod has an event that something is wrong.
    let mut told = false;
    loop {
        let Some(report) = held(since, &mut heard).await else {
            return;
        };
        let warns = report.reason.is_warning();
        if (told || warns) && tell(&to, &report, &mut heard).await {
            told = warns;
        }
        if heard.changed().await.is_err() {
            return;
        }
    }
}

/// What is still to be said after a while.
async fn held(since: Instant, heard: &mut watch::Receiver<Option<PodReport>>) -> Option<PodReport> {
    let starting = |report: &PodReport| report.reason == PodReason::SecretsNotReady;
    let starts = heard.borrow().as_ref().is_some_and(starting);
    sleep_until(if starts { since } else { Instant::now() } + HOLD).await;
    heard.borrow_and_update().clone()
}

/// Tries until it is told, there is something newer to tell, or it has been tried often enough.
async fn tell(to: &impl Takes, report: &PodReport, heard: &mut watch::Receiver<Option<PodReport>>) -> bool {
    for failures in 1..=TRIES {
        let sent = timeout(DEADLINE, to.post(report)).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs()).into()));
        let Err(error) = sent else { return true };
        if failures == 1 {
            let error = Chain(&*error);
            tracing::info!(%error, "the operator can't be told, so the pod has no event of it");
        }
        tokio::select! {
            _ = heard.changed() => {
                heard.mark_changed();
                return false;
            }
            () = sleep(RETRY.delay(failures)) => {}
        }
    }
    false
}

// === impl To ===

impl To {
    /// The operator, with the token in this directory.
    pub fn new(operator: OperatorConfig, token_dir: &Path) -> Self {
        Self {
            operator,
            token: token_dir.join(names::REPORT_TOKEN_FILE),
        }
    }
}

impl Takes for To {
    async fn post(&self, report: &PodReport) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Everything is made anew and goes: there is little to say, and memory is dear.
        let token = Sensitive::new(fs::read_to_string(&self.token)?);
        let connection = Connection {
            address: self.operator.address.clone(),
            ca: Some(self.operator.ca.clone()),
            ..Connection::default()
        };
        let address = &self.operator.address;
        let request = connection
            .http()?
            .post(format!("{address}{}", names::REPORT_PATH))
            .bearer_auth(token.expose().trim())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(serde_json::to_vec(report)?);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
