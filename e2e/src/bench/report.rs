//! Numbers for people and for programs.

use std::fmt::Write as _;
use std::thread;

use anyhow::Result;
use clap::ValueEnum as _;
use serde_json::{Value, json};

use crate::args::{BENCH_OBJECTS, Row};

/// What is measured in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// From the start of the process until every object is Ready.
    Ready,
    /// CPU that the process has used by then.
    Cpu,
    /// The most memory it had until then.
    Peak,
    /// From a second start until it has nothing to do.
    Settled,
    /// CPU used by then.
    SettledCpu,
    /// From a second start until every object was read in Vault, each in its turn.
    LookedAt,
    /// CPU used by then.
    LookCpu,
    /// Memory by then.
    LookPeak,
    /// Writes to Vault after a second start, by its audit file.
    VaultWrites,
    /// Writes to the API server, by its metrics.
    ClusterWrites,
    /// Logins, and what else concerns the operator's own token only.
    OwnToken,
    /// CPU of an operator that has nothing to do.
    Rest,
    /// Memory without Secrets of others.
    PeakWithout,
    /// Memory with them.
    PeakWith,
}

/// What must be reached, and who else was measured.
struct Bound {
    row: Row,
    what: What,
    at_most: f64,
    peer: &'static str,
}

const BOUNDS: &[Bound] = &[
    bound(
        Row::Credentials,
        What::Ready,
        3.0,
        "External Secrets' PushSecret 19.7",
    ),
    bound(
        Row::Credentials,
        What::Cpu,
        0.6,
        "External Secrets' PushSecret 5.9",
    ),
    bound(
        Row::Credentials,
        What::Peak,
        18.0,
        "External Secrets' PushSecret 176",
    ),
    bound(Row::Bindings, What::Ready, 3.0, "vault-config-operator 18.2"),
    bound(Row::Bindings, What::Cpu, 0.6, "vault-config-operator 4.9"),
    bound(Row::Bindings, What::Peak, 18.0, "vault-config-operator 155"),
    bound(Row::Sync, What::Ready, 4.0, "Vault Secrets Operator 12.9"),
    bound(Row::Sync, What::VaultWrites, 0.0, ""),
    bound(Row::Sync, What::ClusterWrites, 0.0, ""),
    bound(Row::Many, What::Peak, 40.0, ""),
    bound(Row::Many, What::Rest, 0.5, ""),
    bound(Row::Credentials, What::Settled, 0.5, ""),
    bound(Row::Credentials, What::VaultWrites, 0.0, ""),
    bound(Row::Credentials, What::ClusterWrites, 0.0, ""),
    bound(Row::Bindings, What::Settled, 0.5, ""),
    bound(Row::Bindings, What::VaultWrites, 0.0, ""),
    bound(Row::Bindings, What::ClusterWrites, 0.0, ""),
];

const fn bound(row: Row, what: What, at_most: f64, peer: &'static str) -> Bound {
    Bound {
        row,
        what,
        at_most,
        peer,
    }
}

/// All that was measured.
pub(super) struct Report {
    /// Objects of a row of one kind. The bounds speak of [`BENCH_OBJECTS`].
    objects: usize,
    measured: Vec<Measured>,
}

/// What people call a row.
pub(super) fn name(row: Row) -> String {
    row.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

/// One measure of a row, in all its runs.
struct Measured {
    row: Row,
    what: What,
    values: Vec<f64>,
}

impl What {
    const fn title(self) -> &'static str {
        match self {
            Self::Ready => "start until all are Ready",
            Self::Settled => "second start until nothing is to do",
            Self::LookedAt => "second start until all were looked at in Vault, in their turn",
            Self::Cpu | Self::SettledCpu | Self::LookCpu => "CPU until then",
            Self::Peak | Self::LookPeak => "peak memory until then",
            Self::VaultWrites => "writes to Vault after a second start",
            Self::ClusterWrites => "writes to the API server after a second start",
            Self::OwnToken => "requests about the operator's own token",
            Self::Rest => "CPU at rest",
            Self::PeakWithout => "peak memory without Secrets of others",
            Self::PeakWith => "peak memory with five times as many, 100 KiB each",
        }
    }

    /// In what people read it.
    const fn unit(self) -> &'static str {
        match self {
            Self::Ready | Self::Settled | Self::LookedAt | Self::Cpu | Self::SettledCpu | Self::LookCpu => {
                "s"
            }
            Self::Peak | Self::LookPeak | Self::PeakWithout | Self::PeakWith => "MB",
            Self::VaultWrites | Self::ClusterWrites | Self::OwnToken => "",
            Self::Rest => "% of a core",
        }
    }
}

impl Report {
    /// Nothing yet.
    pub(super) const fn new(objects: usize) -> Self {
        Self {
            objects,
            measured: Vec::new(),
        }
    }

    /// One run's value, in the unit that [`What`] has.
    pub(super) fn add(&mut self, row: Row, what: What, value: f64) {
        let same = |found: &&mut Measured| found.row == row && found.what == what;
        match self.measured.iter_mut().find(same) {
            Some(found) => found.values.push(value),
            None => self.measured.push(Measured {
                row,
                what,
                values: vec![value],
            }),
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{} objects a row (in `many` ten times as many): half-way value (least to most) of the runs\n",
            self.objects
        );
        let mut row = None;
        for measured in &self.measured {
            if row != Some(measured.row) {
                row = Some(measured.row);
                let _ = writeln!(text, "\n{}", name(measured.row));
            }
            let _ = writeln!(text, "{}", measured.line(self.bound(measured)));
        }
        let missed: Vec<String> = self
            .measured
            .iter()
            .filter_map(|measured| {
                let bound = self
                    .bound(measured)
                    .filter(|bound| measured.median() > bound.at_most)?;
                Some(format!(
                    "{}: {} (at most {})",
                    name(measured.row),
                    measured.what.title(),
                    bound.at_most
                ))
            })
            .collect();
        let judged = self.objects == BENCH_OBJECTS;
        let end = match missed.as_slice() {
            _ if !judged => format!("\nThe bounds speak of {BENCH_OBJECTS} objects, so none is applied."),
            [] => "\nEvery bound is kept.".to_owned(),
            missed => format!("\nMissed:\n  {}", missed.join("\n  ")),
        };
        text + &end
    }

    /// For programs.
    pub(super) fn json(&self) -> Result<String> {
        let measures: Vec<Value> = self
            .measured
            .iter()
            .map(|measured| {
                let bound = self.bound(measured);
                json!({
                    "row": name(measured.row),
                    "what": format!("{:?}", measured.what),
                    "title": measured.what.title(),
                    "unit": measured.what.unit(),
                    "values": measured.values,
                    "median": measured.median(),
                    "min": measured.least(),
                    "max": measured.most(),
                    "atMost": bound.map(|bound| bound.at_most),
                    "kept": bound.map(|bound| measured.median() <= bound.at_most),
                    "peer": bound.map(|bound| bound.peer).filter(|peer| !peer.is_empty()),
                })
            })
            .collect();
        let cores = thread::available_parallelism()?.get();
        let all = json!({ "objects": self.objects, "cores": cores, "measures": measures });
        Ok(serde_json::to_string_pretty(&all)?)
    }

    fn bound(&self, measured: &Measured) -> Option<&'static Bound> {
        let same = |bound: &&Bound| bound.row == measured.row && bound.what == measured.what;
        BOUNDS.iter().find(same).filter(|_| self.objects == BENCH_OBJECTS)
    }
}

impl Measured {
    /// The middle one, or the mean of the middle two.
    fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() % 2 {
            _ if sorted.is_empty() => f64::NAN,
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn line(&self, bound: Option<&Bound>) -> String {
        let number = |value: f64| match self.what.unit() {
            "" => format!("{value:.0}"),
            "MB" => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        };
        let mut line = format!(
            "  {:<50} {:>8} {:<11} ({} to {}, {} runs)",
            self.what.title(),
            number(self.median()),
            self.what.unit(),
            number(self.least()),
            number(self.most()),
            self.values.len(),
        );
        if let Some(bound) = bound {
            let kept = if self.median() <= bound.at_most {
                "kept"
            } else {
                "MISSED"
            };
            let _ = write!(line, "  at most {}: {kept}", bound.at_most);
            if !bound.peer.is_empty() {
                let _ = write!(line, "  [{}]", bound.peer);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(objects: usize, values: &[f64]) -> Report {
        let mut report = Report::new(objects);
        for value in values {
            report.add(Row::Many, What::Rest, *value);
        }
        report
    }

    #[test]
    fn the_median_is_judged() {
        let kept = report(BENCH_OBJECTS, &[0.9, 0.1, 0.2]);
        assert!(
            kept.table().contains("0.20 % of a core (0.10 to 0.90, 3 runs)"),
            "{}",
            kept.table()
        );
        assert!(kept.table().ends_with("Every bound is kept."));
        let missed = report(BENCH_OBJECTS, &[0.4, 0.8]);
        assert!(
            missed.table().ends_with("many: CPU at rest (at most 0.5)"),
            "{}",
            missed.table()
        );
    }

    #[test]
    fn other_numbers_of_objects_are_not_judged() {
        let report = report(7, &[9.0]);
        assert!(!report.table().contains("MISSED"));
        let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["measures"][0]["kept"], Value::Null);
        assert_eq!(json["measures"][0]["median"], 9.0);
    }
}
