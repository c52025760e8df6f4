//! Checks in sections, for people and programs.

use serde::Serialize;
use std::process::ExitCode;

/// Every section.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// How many checks passed.
    passed: usize,
    /// How many did not.
    failed: usize,
    /// How many could not be made.
    not_checked: usize,
    /// In the order in which things depend on each other.
    sections: Vec<Section>,
}

/// Checks of one sort.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    /// What they are about.
    pub(crate) name: &'static str,
    /// The checks.
    pub(crate) checks: Vec<Check>,
    /// What is worth a thought though nothing is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hints: Vec<String>,
}

/// One check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) what: String,
    /// How that went.
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

/// How a check went.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub(crate) enum Verdict {
    /// As it should be.
    Passed,
    /// Not so.
    Failed {
        /// What is wrong.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// Nobody knows.
    NotChecked {
        /// What was in the way.
        why: String,
    },
}

impl Section {
    /// One without checks.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            checks: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// It is as it should be.
    pub(crate) fn pass(&mut self, what: impl Into<String>) {
        self.add(what, Verdict::Passed);
    }

    /// It is not.
    pub(crate) fn fail(
        &mut self,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (why, remedy) = (why.into(), remedy.into());
        self.add(what, Verdict::Failed { why, remedy });
    }

    /// Nobody knows.
    pub(crate) fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.add(what, Verdict::NotChecked { why: why.into() });
    }

    /// One more.
    pub(crate) fn add(&mut self, what: impl Into<String>, verdict: Verdict) {
        let what = what.into();
        self.checks.push(Check { what, verdict });
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.checks.iter().filter(|check| wanted(&check.verdict)).count()
    }
}

impl Report {
    /// Counts.
    pub(crate) fn new(sections: Vec<Section>) -> Self {
        let count = |wanted: fn(&Verdict) -> bool| sections.iter().map(|section| section.count(wanted)).sum();
        Self {
            passed: count(|verdict| matches!(verdict, Verdict::Passed)),
            failed: count(|verdict| matches!(verdict, Verdict::Failed { .. })),
            not_checked: count(|verdict| matches!(verdict, Verdict::NotChecked { .. })),
            sections,
        }
    }

    /// 0 where no check failed, else 1.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed > 0))
    }

    /// For people: what passed is only counted.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        for section in &self.sections {
            let passed = section.count(|verdict| *verdict == Verdict::Passed);
            lines.push(format!("{:12}  {passed}/{}", section.name, section.checks.len()));
            for Check { what, verdict } in &section.checks {
                match verdict {
                    Verdict::Passed => {}
                    Verdict::Failed { why, remedy } => {
                        lines.push(format!("  ✗ {what}: {why}"));
                        lines.push(format!("      → {remedy}"));
                    }
                    Verdict::NotChecked { why } => lines.push(format!("  ? {what}: not checked: {why}")),
                }
            }
            lines.extend(section.hints.iter().map(|hint| format!("  · {hint}")));
        }
        let Self {
            passed,
            failed,
            not_checked,
            ..
        } = self;
        let all = passed + failed + not_checked;
        lines.push(format!(
            "\n{passed}/{all} checks passed, {failed} failed, {not_checked} not checked."
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_has_not_passed() {
        let mut section = Section::new("Vault");
        section.pass("p: reachable");
        section.skip("p: mounts", "no Vault token");
        let report = Report::new(vec![section]);
        assert_eq!(
            report.text(),
            "Vault         1/2\n  ? p: mounts: not checked: no Vault token\n\n1/2 checks passed, 0 failed, 1 not checked."
        );
        assert_eq!(report.code(), ExitCode::SUCCESS);
    }

    #[test]
    fn one_failure_fails() {
        let mut section = Section::new("Scopes");
        section.fail("acme", "SecretProvider p not found", "apply it");
        section.hints.push("g has no Credential".into());
        let report = Report::new(vec![section]);
        assert_eq!(report.code(), ExitCode::FAILURE);
        assert_eq!(
            report.text(),
            "Scopes        0/1\n  ✗ acme: SecretProvider p not found\n      → apply it\n  · g has no Credential\n\n\
             0/1 checks passed, 1 failed, 0 not checked."
        );
    }
}
