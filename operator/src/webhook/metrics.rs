//! What the webhook counts. Labels are bounded: no names of objects.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    /// Reviews by entry and outcome.
    pub(super) requests: IntCounterVec,
    /// From a review's arrival to its answer, in seconds.
    pub(super) duration: Histogram,
    /// Wall-clock seconds at which a certificate ends, by `ca` and `leaf`.
    pub(super) expiry: IntGaugeVec,
    /// Passes over the certificates that failed.
    pub(super) certificate_failures: IntCounter,
    /// What sidecars said of their pods, by outcome.
    pub(super) reports: IntCounterVec,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("keystead_webhook_requests_total", "Admission reviews answered."),
                &["entry", "outcome"],
            )?,
            duration: Histogram::with_opts(
                HistogramOpts::new(
                    "keystead_webhook_duration_seconds",
                    "Time to answer an admission review.",
                )
                .buckets(BUCKETS.to_vec()),
            )?,
            expiry: IntGaugeVec::new(
                Opts::new(
                    "keystead_webhook_certificate_not_after_seconds",
                    "When the certificate ends, in seconds since 1970.",
                ),
                &["certificate"],
            )?,
            certificate_failures: IntCounter::new(
                "keystead_webhook_certificate_failures_total",
                "Passes over the webhook's certificates that failed.",
            )?,
            reports: IntCounterVec::new(
                Opts::new(
                    "keystead_pod_reports_total",
                    "What sidecars said of their pods, to be events.",
                ),
                &["outcome"],
            )?,
        };
        let all: [Box<dyn Collector>; 5] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.duration.clone()),
            Box::new(metrics.expiry.clone()),
            Box::new(metrics.certificate_failures.clone()),
            Box::new(metrics.reports.clone()),
        ];
        all.into_iter()
            .try_for_each(|collector| registry.register(collector))?;
        Ok(metrics)
    }
}

/// An answer takes a fraction of a millisecond, so they begin there.
const BUCKETS: [f64; 11] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5,
];
