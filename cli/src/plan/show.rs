//! What would be done, for people and programs.

use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// What would be done.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What differs, or stands in the way.
    pub(crate) changes: Vec<Change>,
    /// How many objects are as they should be.
    pub(crate) unchanged: usize,
    /// What is declared and can't be.
    pub(crate) problems: Vec<Trouble>,
    /// What is left alone because somebody said so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) paused: Vec<Trouble>,
    /// What stays though its owner goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left: Vec<Trouble>,
}

/// One object in Vault, or a native Secret.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    /// `create`, `change`, `adopt`, `delete`, `conflict` or `error`.
    pub(crate) action: String,
    /// What it is.
    pub(crate) object: String,
    /// Who says so.
    pub(crate) from: String,
    /// In whose Vault.
    pub(crate) provider: String,
    /// More lines, none with a value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) details: Vec<String>,
}

/// One object in the cluster.
#[derive(Debug, Serialize)]
pub(crate) struct Trouble {
    /// Which one.
    pub(crate) object: String,
    /// Why it can't be, or what there is to know of it.
    pub(crate) problem: String,
}

/// Somebody else's, which is left as it is.
pub(crate) const CONFLICT: &str = "conflict";
/// It could not be looked at.
pub(crate) const ERROR: &str = "error";

impl Change {
    /// Whether it is done, and not in the way.
    pub(crate) fn is_done(&self) -> bool {
        ![CONFLICT, ERROR].contains(&self.action.as_str())
    }
}

impl Report {
    /// Takes in what was found of an object; nothing of one that is as it should be.
    pub(crate) fn note(&mut self, change: Option<Change>) {
        match change {
            Some(change) => self.changes.push(change),
            None => self.unchanged += 1,
        }
    }

    /// As `diff` does: 0 where nothing differs, 2 where something does, 1 where something is wrong.
    pub(crate) fn code(&self) -> ExitCode {
        if !self.problems.is_empty() || !self.changes.iter().all(Change::is_done) {
            ExitCode::from(1)
        } else if self.changes.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        let width = self
            .changes
            .iter()
            .map(|change| change.action.len())
            .max()
            .unwrap_or(0);
        for change in &self.changes {
            let Change {
                action, object, from, ..
            } = change;
            lines.push(format!("{action:width$}  {object}  ({from})"));
            lines.extend(
                change
                    .details
                    .iter()
                    .map(|detail| format!("{:width$}    {detail}", "")),
            );
        }
        for (word, found) in [
            ("problem", &self.problems),
            ("paused", &self.paused),
            ("left", &self.left),
        ] {
            let said = found
                .iter()
                .map(|Trouble { object, problem }| format!("{word}  {object}: {problem}"));
            lines.extend(said);
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(self.summary());
        lines.join("\n")
    }

    fn summary(&self) -> String {
        let mut counts = BTreeMap::new();
        for change in &self.changes {
            *counts.entry(change.action.as_str()).or_insert(0) += 1;
        }
        let mut parts: Vec<String> = ["create", "change", "adopt", "delete"]
            .into_iter()
            .filter_map(|action| counts.get(action).map(|count| format!("{count} to {action}")))
            .collect();
        let others = [(CONFLICT, counts.get(CONFLICT)), (ERROR, counts.get(ERROR))];
        parts.extend(
            others
                .into_iter()
                .filter_map(|(what, count)| Some(format!("{} {what}(s)", count?))),
        );
        if !self.problems.is_empty() {
            parts.push(format!("{} problem(s)", self.problems.len()));
        }
        if parts.is_empty() {
            return format!("Nothing to do: {} object(s) are as declared.", self.unchanged);
        }
        format!("{}; {} unchanged.", parts.join(", "), self.unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: &str) -> Change {
        Change {
            action: action.into(),
            object: "values kv/x".into(),
            from: "Credential a/b".into(),
            provider: "p".into(),
            details: vec!["sets api_key".into()],
        }
    }

    #[test]
    fn it_tells_as_diff_does() {
        let report = |changes: &[&str]| Report {
            changes: changes.iter().map(|action| change(action)).collect(),
            ..Report::default()
        };
        assert_eq!(report(&[]).code(), ExitCode::SUCCESS);
        assert_eq!(report(&["create"]).code(), ExitCode::from(2));
        assert_eq!(report(&["create", CONFLICT]).code(), ExitCode::from(1));
    }

    #[test]
    fn people_read_a_line_each_and_a_sum() {
        let report = Report {
            changes: vec![change("create"), change(CONFLICT)],
            unchanged: 3,
            problems: vec![Trouble {
                object: "SecretScope x".into(),
                problem: "SecretProvider p not found".into(),
            }],
            paused: Vec::new(),
            left: vec![Trouble {
                object: "Credential a/b".into(),
                problem: "its values stay".into(),
            }],
        };
        assert_eq!(
            report.text(),
            "create    values kv/x  (Credential a/b)\n            sets api_key\n\
             conflict  values kv/x  (Credential a/b)\n            sets api_key\n\
             problem  SecretScope x: SecretProvider p not found\n\
             left  Credential a/b: its values stay\n\n\
             1 to create, 1 conflict(s), 1 problem(s); 3 unchanged."
        );
    }
}
