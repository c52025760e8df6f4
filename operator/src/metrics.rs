//! What the operator counts. Labels are kinds and reasons, never names.

use crate::queue::Queue;
use keystead_compile::Key;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, histogram_opts, opts};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Reconciles by kind, failures by reason.
pub(crate) struct Metrics {
    pub(crate) durations: HistogramVec,
    pub(crate) problems: IntCounterVec,
    /// Rotations done, by method.
    pub(crate) rotations: IntCounterVec,
    reminders: IntGauge,
    reminded: Arc<Mutex<HashSet<Key>>>,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry, queue: Arc<Queue>) -> Result<Self, prometheus::Error> {
        let durations = HistogramVec::new(
            histogram_opts!(
                "keystead_operator_reconcile_duration_seconds",
                "Time that one reconcile took.",
                vec![0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0]
            ),
            &["kind"],
        )?;
        let problems = IntCounterVec::new(
            opts!(
                "keystead_operator_reconcile_problems_total",
                "Count of reconciles that ended with a problem."
            ),
            &["kind", "reason"],
        )?;
        let build = IntGaugeVec::new(
            opts!("keystead_build_info", "Always 1; says what runs."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let rotations = IntCounterVec::new(
            opts!(
                "keystead_operator_rotations_total",
                "Count of rotations of Credentials' values."
            ),
            &["method"],
        )?;
        let reminders = IntGauge::new(
            "keystead_operator_rotations_due",
            "Credentials whose new values are due and are to be brought by people.",
        )?;
        registry.register(Box::new(rotations.clone()))?;
        registry.register(Box::new(reminders.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(problems.clone()))?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(Depth::of(queue)?))?;
        Ok(Self {
            durations,
            problems,
            rotations,
            reminders,
            reminded: Arc::default(),
        })
    }

    /// Notes whether people are to bring new values of a Credential.
    pub(crate) fn remind(&self, credential: &Key, is_due: bool) {
        let mut reminded = self.reminded.lock().unwrap_or_else(PoisonError::into_inner);
        if is_due {
            reminded.insert(credential.clone());
        } else {
            reminded.remove(credential);
        }
        self.reminders.set(reminded.len().try_into().unwrap_or(i64::MAX));
    }
}

/// How much there is to do, counted when somebody asks.
struct Depth {
    queue: Arc<Queue>,
    gauge: IntGauge,
}

impl Depth {
    fn of(queue: Arc<Queue>) -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new(
            "keystead_operator_queue_depth",
            "Objects whose reconcile is due or under way.",
        )?;
        Ok(Self { queue, gauge })
    }
}

impl Collector for Depth {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(self.queue.depth().try_into().unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}
