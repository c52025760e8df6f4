//! Numbers for people and for programs.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::ui;

/// What a number speaks of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    /// What people call the row.
    pub(super) row: String,
    pub(super) title: String,
    /// In what people read it.
    pub(super) unit: &'static str,
    pub(super) bound: Option<Bound>,
}

/// What must be reached, and what was measured of others; nothing where that is in the report itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) limit: Limit,
    pub(super) peer: &'static str,
}

/// How far a median may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// All that was measured.
pub(super) struct Report {
    /// What the numbers speak of, in a sentence.
    about: String,
    measured: Vec<Measured>,
}

/// One measure, in all its runs.
struct Measured {
    measure: Measure,
    values: Vec<f64>,
}

impl Limit {
    fn is_kept(self, median: f64) -> bool {
        match self {
            Self::AtMost(limit) => median <= limit,
            Self::AtLeast(limit) => median >= limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit}"),
            Self::AtLeast(limit) => write!(f, "at least {limit}"),
        }
    }
}

impl Report {
    /// Nothing yet.
    pub(super) fn new(about: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            measured: Vec::new(),
        }
    }

    /// One run's value, in the measure's unit.
    pub(super) fn add(&mut self, measure: Measure, value: f64) {
        match self.measured.iter_mut().find(|found| found.measure == measure) {
            Some(found) => found.values.push(value),
            None => self.measured.push(Measured {
                measure,
                values: vec![value],
            }),
        }
    }

    /// Prints the table, and writes the numbers for programs where somebody wants them.
    pub(super) fn publish(&self, file: Option<&Path>) -> Result<()> {
        ui::say(self.table());
        match file {
            Some(file) => fs::write(file, self.json()?).with_context(|| format!("write {}", file.display())),
            None => Ok(()),
        }
    }

    /// For people.
    fn table(&self) -> String {
        let mut text = format!("{}: half-way value (least to most) of the runs\n", self.about);
        let mut row = "";
        for measured in &self.measured {
            if row != measured.measure.row {
                row = &measured.measure.row;
                let _ = writeln!(text, "\n{row}");
            }
            let _ = writeln!(text, "{}", measured.line());
        }
        let missed: Vec<String> = self.measured.iter().filter_map(Measured::missed).collect();
        let end = if missed.is_empty() {
            "\nEvery bound is kept.".to_owned()
        } else {
            format!("\nMissed:\n  {}", missed.join("\n  "))
        };
        text + &end
    }

    /// For programs.
    fn json(&self) -> Result<String> {
        let measures: Vec<Value> = self.measured.iter().map(Measured::json).collect();
        let cores = thread::available_parallelism()?.get();
        let all = json!({ "about": self.about, "cores": cores, "measures": measures });
        Ok(serde_json::to_string_pretty(&all)?)
    }
}

impl Measured {
    fn median(&self) -> f64 {
        median(&self.values)
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn missed(&self) -> Option<String> {
        let Measure {
            row, title, bound, ..
        } = &self.measure;
        let limit = bound.filter(|bound| !bound.limit.is_kept(self.median()))?.limit;
        Some(format!("{row}: {title} ({limit})"))
    }

    fn json(&self) -> Value {
        let Measure {
            row,
            title,
            unit,
            bound,
        } = &self.measure;
        json!({
            "row": row,
            "title": title,
            "unit": unit,
            "values": self.values,
            "median": self.median(),
            "min": self.least(),
            "max": self.most(),
            "bound": bound.map(|bound| bound.limit.to_string()),
            "kept": bound.map(|bound| bound.limit.is_kept(self.median())),
            "peer": bound.map(|bound| bound.peer).filter(|peer| !peer.is_empty()),
        })
    }

    fn line(&self) -> String {
        let number = |value: f64| match self.measure.unit {
            "" | "/s" => format!("{value:.0}"),
            "MB" | "ms" => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        };
        let mut line = format!(
            "  {:<50} {:>8} {:<11} ({} to {}, {} runs)",
            self.measure.title,
            number(self.median()),
            self.measure.unit,
            number(self.least()),
            number(self.most()),
            self.values.len(),
        );
        if let Some(Bound { limit, peer }) = self.measure.bound {
            let kept = if limit.is_kept(self.median()) {
                "kept"
            } else {
                "MISSED"
            };
            let _ = write!(line, "  {limit}: {kept}");
            if !peer.is_empty() {
                let _ = write!(line, "  [{peer}]");
            }
        }
        line
    }
}

/// The middle one, or the mean of the middle two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => f64::NAN,
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(limit: Limit, values: &[f64]) -> Report {
        let mut report = Report::new("ten objects");
        for value in values {
            let measure = Measure {
                row: "many".into(),
                title: "CPU at rest".into(),
                unit: "% of a core",
                bound: Some(Bound { limit, peer: "" }),
            };
            report.add(measure, *value);
        }
        report
    }

    #[test]
    fn the_median_is_judged() {
        let kept = report(Limit::AtMost(0.5), &[0.9, 0.1, 0.2]).table();
        assert!(kept.contains("0.20 % of a core (0.10 to 0.90, 3 runs)"), "{kept}");
        assert!(kept.ends_with("Every bound is kept."), "{kept}");
        let missed = report(Limit::AtMost(0.5), &[0.4, 0.8]).table();
        assert!(missed.ends_with("many: CPU at rest (at most 0.5)"), "{missed}");
        let missed = report(Limit::AtLeast(0.5), &[0.4, 0.3]).table();
        assert!(missed.ends_with("many: CPU at rest (at least 0.5)"), "{missed}");
    }

    #[test]
    fn programs_read_the_same() {
        let report = report(Limit::AtLeast(3.0), &[9.0]);
        let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["measures"][0]["kept"], true);
        assert_eq!(json["measures"][0]["median"], 9.0);
    }
}
