//! What becomes of each Credential: pure.

use crate::output;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keystead_cluster::declared::Unreadable;
use keystead_compile::kinds::credential::{is_replaceable, waits};
use keystead_crds::Credential;
use keystead_crds::condition::READY;
use keystead_crds::credential::CredentialKey;
use keystead_crds::names::ROTATE_ANNOTATION;
use kube::ResourceExt as _;
use serde::Serialize;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of all of them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) entries: Vec<Entry>,
    /// Those that people were told of.
    #[serde(skip)]
    said: usize,
}

/// One Credential.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub(super) enum Outcome {
    /// To be replaced at once.
    Asked,
    /// Replaced.
    Rotated {
        /// How often by now.
        count: i64,
        /// In Vault.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
    },
    /// Replaced later, by itself.
    Waits {
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        message: String,
    },
    /// Nobody but people can.
    LeftToPeople { message: String },
    /// It was to be replaced, and is not.
    Failed { message: String },
}

impl Entry {
    /// What becomes of one, if that is asked for by this text.
    pub(super) fn new(found: &Credential, text: &str) -> Self {
        Self {
            namespace: found.namespace().unwrap_or_default(),
            name: found.name_any(),
            outcome: ahead(found, text, Timestamp::now()),
        }
    }

    pub(super) fn unreadable(found: &Unreadable) -> Self {
        Self {
            namespace: found.key.namespace.clone(),
            name: found.key.name.clone(),
            outcome: Outcome::Failed {
                message: format!("this version of Keystead can't read it: {}", found.why),
            },
        }
    }
}

/// What is to come of one that is asked for by this text.
fn ahead(found: &Credential, text: &str, now: Timestamp) -> Outcome {
    if !found.spec.keys.iter().any(is_replaceable) {
        let from: Vec<String> = found.spec.keys.iter().map(|key| bring(found, key)).collect();
        return Outcome::LeftToPeople {
            message: format!("Keystead made none of its values: {}", from.join("; ")),
        };
    }
    if !found.spec.active {
        return Outcome::Waits {
            until: None,
            message: "until spec.active is true".into(),
        };
    }
    let mut asked = found.clone();
    asked
        .annotations_mut()
        .insert(ROTATE_ANNOTATION.into(), text.into());
    waits(&asked, now).map_or(Outcome::Asked, |until| Outcome::Waits {
        until: Some(Time(until)),
        message: format!("until {until}, when its window opens (--now waits for none)"),
    })
}

/// How people bring another value of a key.
fn bring(found: &Credential, key: &CredentialKey) -> String {
    let name = &key.name;
    let path = found.status.as_ref().and_then(|status| status.path.as_deref());
    let from = &key.from;
    if let Some(secret) = &from.secret_key_ref {
        format!("put a new {name} into Secret {}, key {}", secret.name, secret.key)
    } else if from.sealed.is_some() {
        format!("seal a new {name} with kubectl keystead seal")
    } else if from.vault.is_some() {
        format!("write a new {name} in Vault, at {}", path.unwrap_or("its path"))
    } else {
        format!("change {name} in spec.keys")
    }
}

/// Its values are replaced, because of this text.
fn rotated(found: &Credential, text: &str) -> Option<Outcome> {
    let status = found.status.as_ref()?;
    let rotation = status.rotation.as_ref()?;
    (rotation.followed.as_deref() == Some(text)).then_some(Outcome::Rotated {
        count: rotation.count,
        version: status.version,
    })
}

/// Why it is not done, as far as its status tells.
fn why(found: &Credential, timeout: Duration) -> String {
    let status = found.status.as_ref();
    let conditions = status.map_or(&[][..], |status| &status.basic.conditions);
    let bad = conditions
        .iter()
        .find(|found| found.type_ == READY && found.status != "True");
    bad.map_or_else(
        || {
            format!(
                "the operator has not answered in {}: see whether it runs, and its log",
                output::span(timeout)
            )
        },
        |ready| format!("{}: {}", ready.reason, ready.message),
    )
}

impl Report {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries, said: 0 }
    }

    /// Whether something asked for is still to come.
    pub(super) fn is_open(&self) -> bool {
        self.entries.iter().any(|entry| entry.outcome == Outcome::Asked)
    }

    /// Takes in what is found now; answers what there is to say of those that are done. What was to wait may
    /// be done, too: its window has opened.
    pub(super) fn note(&mut self, found: &[Arc<Credential>], text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in &mut self.entries {
            if !matches!(entry.outcome, Outcome::Asked | Outcome::Waits { .. }) {
                continue;
            }
            if let Some(done) = entry.among(found).and_then(|found| rotated(found, text)) {
                entry.outcome = done;
                lines.push(entry.to_string());
            }
        }
        self.said += lines.len();
        lines
    }

    /// Nobody waits for the rest any longer: that failed.
    pub(super) fn give_up(&mut self, found: Result<&[Arc<Credential>], &str>, timeout: Duration) {
        for entry in &mut self.entries {
            if entry.outcome != Outcome::Asked {
                continue;
            }
            let message = match found {
                Ok(found) => match entry.among(found) {
                    Some(found) => why(found, timeout),
                    None => "it was deleted".to_owned(),
                },
                Err(problem) => problem.to_owned(),
            };
            entry.outcome = Outcome::Failed { message };
        }
    }

    /// What would be done.
    pub(super) fn preview(&self) -> String {
        let is_done = |entry: &&Entry| matches!(entry.outcome, Outcome::Asked | Outcome::Waits { .. });
        let lines: Vec<String> = self.entries.iter().map(ToString::to_string).collect();
        let count = self.entries.iter().filter(is_done).count();
        let more = match count {
            0 => "Nothing to replace.".to_owned(),
            count => format!("{count} to replace. Run it again with --yes to do it."),
        };
        format!("{}\n{more}", lines.join("\n")).trim_start().to_owned()
    }

    /// What was not said yet, and the sum of it.
    pub(super) fn rest(&self) -> String {
        let is_rest = |entry: &&Entry| !matches!(entry.outcome, Outcome::Rotated { .. });
        let mut lines: Vec<String> = self
            .entries
            .iter()
            .filter(is_rest)
            .map(ToString::to_string)
            .collect();
        lines.push(format!("{} of {} replaced.", self.said, self.entries.len()));
        lines.join("\n")
    }

    /// 0 where all that Keystead can replace is replaced (or asked for), 2 where some waits, 1 where some failed.
    pub(super) fn code(&self) -> ExitCode {
        let any = |is: fn(&Outcome) -> bool| self.entries.iter().any(|entry| is(&entry.outcome));
        if any(|outcome| matches!(outcome, Outcome::Failed { .. })) {
            ExitCode::FAILURE
        } else if any(|outcome| matches!(outcome, Outcome::Waits { .. })) {
            ExitCode::from(2)
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl Entry {
    fn among<'a>(&self, all: &'a [Arc<Credential>]) -> Option<&'a Credential> {
        let same = |found: &&Arc<Credential>| {
            found.metadata.name.as_ref() == Some(&self.name)
                && found.metadata.namespace.as_ref() == Some(&self.namespace)
        };
        all.iter().find(same).map(AsRef::as_ref)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            name,
            outcome,
        } = self;
        write!(f, "{namespace}/{name}: ")?;
        match outcome {
            Outcome::Asked => write!(f, "to be replaced at once"),
            Outcome::Rotated { count, version } => {
                match *count {
                    1 => write!(f, "replaced, once by now")?,
                    count => write!(f, "replaced, {count} times by now")?,
                }
                version.map_or(Ok(()), |version| write!(f, ", version {version} in Vault"))
            }
            Outcome::Waits { message, .. } => write!(f, "waits {message}"),
            Outcome::LeftToPeople { message } => write!(f, "left to people: {message}"),
            Outcome::Failed { message } => write!(f, "failed: {message}"),
        }
    }
}

#[cfg(test)]
mod tests;
