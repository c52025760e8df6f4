//! What the sidecar counts. No label takes a value from outside, so the series stay few.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::SystemTime;
use tokio::time::Instant;

/// The sidecar's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// All of them, for `/metrics`.
    pub registry: Registry,
    read: IntCounter,
    unread: IntCounter,
    hits: IntCounter,
    auth_failures: IntCounter,
    renewal_errors: IntCounter,
    render_errors: IntCounter,
    last_refresh: IntGauge,
    last_change: IntGauge,
    refused: IntGauge,
    credentials_end: IntGauge,
    notified: IntCounter,
    not_notified: IntCounter,
}

impl Metrics {
    /// Metrics that have counted nothing yet.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "vault_secret_requests_total",
                "Reads of secrets at Vault. A pass that fails counts once as an error.",
            ),
            &["result"],
        )?;
        let auth_failures = IntCounter::new("vault_auth_failures_total", "Logins that did not work.")?;
        let hits = IntCounter::new(
            "vault_secret_cache_hits_total",
            "Values that the application was given from memory, through the socket.",
        )?;
        let renewal_errors = IntCounter::new(
            "vault_lease_renewal_errors_total",
            "Tries to renew or replace the pod's token or a credential that did not work.",
        )?;
        let last_change = IntGauge::new(
            "keystead_last_change_timestamp_seconds",
            "Since when the files and variables are as they are, in seconds since 1970; 0 before the first time.",
        )?;
        let render_errors = IntCounter::new(
            "keystead_render_errors_total",
            "Passes in which a value was missing or did not fit where it should go.",
        )?;
        let last_refresh = IntGauge::new(
            "keystead_last_refresh_timestamp_seconds",
            "When all values were last known to be current, in seconds since 1970; 0 before the first time.",
        )?;
        let refused = IntGauge::new(
            "keystead_secrets_refused",
            "Secrets that were taken away from the pod because Vault refuses them.",
        )?;
        let credentials_end = IntGauge::new(
            "keystead_credentials_end_timestamp_seconds",
            "When the first credential with a lease ends if it can't be renewed, in seconds since 1970; 0 where there is none.",
        )?;
        let notifications = IntCounterVec::new(
            Opts::new(
                "keystead_notifications_total",
                "How often the application was told that its files have changed (sent), and how often it could not be (failed).",
            ),
            &["result"],
        )?;
        let build = IntGaugeVec::new(Opts::new("keystead_build_info", "Always 1."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(auth_failures.clone()))?;
        registry.register(Box::new(hits.clone()))?;
        registry.register(Box::new(renewal_errors.clone()))?;
        registry.register(Box::new(last_change.clone()))?;
        registry.register(Box::new(render_errors.clone()))?;
        registry.register(Box::new(last_refresh.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(credentials_end.clone()))?;
        registry.register(Box::new(notifications.clone()))?;
        registry.register(Box::new(build))?;
        let (read, unread) = (
            requests.with_label_values(&["ok"]),
            requests.with_label_values(&["error"]),
        );
        Ok(Self {
            registry,
            read,
            unread,
            hits,
            auth_failures,
            renewal_errors,
            render_errors,
            last_refresh,
            last_change,
            refused,
            credentials_end,
            notified: notifications.with_label_values(&["sent"]),
            not_notified: notifications.with_label_values(&["failed"]),
        })
    }

    /// So many reads were answered.
    pub fn read(&self, count: usize) {
        self.read.inc_by(count as u64);
    }

    /// A pass was cut short by a read that failed.
    pub fn unread(&self) {
        self.unread.inc();
    }

    /// A value was answered from memory.
    pub fn hit(&self) {
        self.hits.inc();
    }

    /// A token that is in use could not be renewed or replaced.
    pub fn renewal_error(&self) {
        self.renewal_errors.inc();
    }

    /// Files or variables have changed.
    pub fn changed(&self) {
        self.last_change.set(now());
    }

    /// A login did not work.
    pub fn auth_failure(&self) {
        self.auth_failures.inc();
    }

    /// Values could not be made into files.
    pub fn render_error(&self) {
        self.render_errors.inc();
    }

    /// So many secrets are taken away.
    pub fn refused(&self, count: usize) {
        self.refused.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// When the first credential ends, if any does.
    pub fn credentials_end(&self, end: Option<Instant>) {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()).as_secs());
        let end = left.map_or(0, |left| {
            now().saturating_add(i64::try_from(left).unwrap_or(i64::MAX))
        });
        self.credentials_end.set(end);
    }

    /// The application was told of a change.
    pub fn notified(&self) {
        self.notified.inc();
    }

    /// The application could not be told of a change.
    pub fn not_notified(&self) {
        self.not_notified.inc();
    }

    /// Everything is current.
    pub fn refreshed(&self) {
        self.last_refresh.set(now());
        self.refused.set(0);
    }
}

/// In seconds since 1970.
fn now() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    i64::try_from(now).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    #[test]
    fn all_series_are_there_from_the_start() {
        let metrics = Metrics::new().unwrap();
        metrics.read(3);
        metrics.refreshed();
        let page = TextEncoder::new()
            .encode_to_string(&metrics.registry.gather())
            .unwrap();
        for line in [
            "vault_secret_requests_total{result=\"ok\"} 3",
            "vault_secret_requests_total{result=\"error\"} 0",
            "vault_auth_failures_total 0",
            "keystead_render_errors_total 0",
            "keystead_secrets_refused 0",
            "keystead_notifications_total{result=\"sent\"} 0",
            "keystead_notifications_total{result=\"failed\"} 0",
            "keystead_last_change_timestamp_seconds 0",
            "keystead_credentials_end_timestamp_seconds 0",
            "vault_secret_cache_hits_total 0",
            "vault_lease_renewal_errors_total 0",
            concat!(
                "keystead_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in\n{page}"
            );
        }
        assert!(
            !page.contains("keystead_last_refresh_timestamp_seconds 0"),
            "{page}"
        );
    }
}
