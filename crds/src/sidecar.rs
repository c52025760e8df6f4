//! The sidecar's config: written by the webhook, read by the sidecar, carried as JSON in
//! [`crate::names::CONFIG_ENV`]. Nothing in it is secret.

use crate::binding::{FileFormat, Signal};
use crate::scope::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest message of a [`PodReport`], in bytes: no event has a longer note.
pub const LONGEST_REPORT: usize = 1024;

/// The version this build writes and reads.
pub const CONFIG_VERSION: u32 = 1;

/// How long a credential lives on beside the one that takes its place, if nobody says otherwise.
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(30);

/// Everything a sidecar needs to know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Format of this document; [`CONFIG_VERSION`].
    pub version: u32,
    /// The server.
    pub vault: VaultConfig,
    /// The values to read.
    pub secrets: Vec<SecretConfig>,
    /// The files to write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileConfig>,
    /// The variables to hand over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvConfig>,
    /// Mode of the files that ask for none, such as 0o440; the webhook knows who will read them.
    pub file_mode: u32,
    /// How often to look for changes, in milliseconds.
    pub refresh_millis: u64,
    /// Whether the sidecar ends when everything is there: it is an init container then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// Whether containers get their variables by `exec`, which starts their command, instead of from
    /// the kubelet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exec: bool,
    /// Who is told why the pod waits; nobody where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorConfig>,
}

/// Where sidecars find the operator. They log in there with the token in [`crate::names::REPORT_TOKEN_FILE`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorConfig {
    /// `https://host:port`.
    pub address: String,
    /// PEM certificates to trust, and no others.
    pub ca: String,
}

/// What a sidecar says of its pod: the JSON body of a POST to [`crate::names::REPORT_PATH`]. Which pod that is
/// stands in the token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodReport {
    /// What it is about.
    pub reason: PodReason,
    /// One sentence for people, without control characters.
    pub message: String,
}

/// What a sidecar may say. The names are the reasons of the pod's events.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum PodReason {
    /// The pod waits for its secrets.
    SecretsNotReady,
    /// Files and variables stay as they were.
    SecretsNotCurrent,
    /// Access was taken away, and with it files.
    SecretsTakenAway,
    /// All is well again.
    SecretsReady,
}

impl PodReport {
    /// Says this text, without what [`Self::problem`] would find.
    pub fn new(reason: PodReason, text: &str) -> Self {
        let mut message = text.replace(hides, " ");
        let mut end = message.len().min(LONGEST_REPORT);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        Self { reason, message }
    }

    /// Why it must not be shown; nothing where it may be.
    pub fn problem(&self) -> Option<&'static str> {
        if self.message.trim().is_empty() || self.message.len() > LONGEST_REPORT {
            return Some("the message must have from 1 to 1024 bytes");
        }
        let hides = self.message.contains(hides);
        hides.then_some("the message has characters that a terminal acts on")
    }
}

/// Control characters, and those that turn the direction of what is shown after them.
fn hides(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl PodReason {
    /// As events spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretsNotReady => "SecretsNotReady",
            Self::SecretsNotCurrent => "SecretsNotCurrent",
            Self::SecretsTakenAway => "SecretsTakenAway",
            Self::SecretsReady => "SecretsReady",
        }
    }

    /// Whether somebody should look.
    pub const fn is_warning(self) -> bool {
        !matches!(self, Self::SecretsReady)
    }
}

/// The server, the login and where the values are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultConfig {
    /// `http(s)://host[:port]`.
    pub address: String,
    /// The Vault namespace; none where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name to expect in the server's certificate, where it is not the address's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// PEM certificates to trust; the system's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Path of the auth mount, without `auth/`. Both methods take the same login request.
    pub auth_mount: String,
    /// The role to log in with.
    pub role: String,
    /// Path of the KV engine.
    pub kv_mount: String,
    /// First segment of every path.
    pub path_prefix: String,
    /// Second segment of every path.
    pub environment: String,
    /// Where to look, most specific first.
    pub scopes: Vec<ScopeConfig>,
}

/// One scope the pod's namespace belongs to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeConfig {
    /// How specific.
    pub level: Level,
    /// Which company. A node's name is known only in the pod ([`crate::names::NODE_ENV`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// One service or path to read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretConfig {
    /// The name by which files and variables mean it, unique in the pod.
    pub name: String,
    /// Where its values are.
    pub from: SecretSource,
    /// Which of its keys are shown; all of them where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Whether files and variables that lack their value are left out instead of waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How long a credential lives on beside the one that takes its place, in milliseconds;
    /// [`DEFAULT_OVERLAP`] where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_millis: Option<u64>,
}

/// Where the values of a secret are.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// At the scopes, by the name of a service.
    Service(String),
    /// At one path, as Vault's API has it.
    Path(String),
    /// At one path of a database engine.
    Database(Box<DatabaseSource>),
    /// At one path where something is made for who asks.
    Made(Box<MadeSource>),
}

/// Where Vault makes something, and of what sort.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MadeSource {
    /// The path, as Vault's API has it.
    pub path: String,
    /// What it is asked with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// Where Vault gives a user of a database, and what else it takes to get in there.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseSource {
    /// The name of the DatabaseRole.
    pub role: String,
    /// The path, as Vault's API has it.
    pub path: String,
    /// What a URL of this sort of server begins with, such as `postgresql`.
    pub scheme: String,
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database, where the server has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl SecretSource {
    /// Its path, as Vault's API has it; none for a service, which has one at each scope.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Service(_) => None,
            Self::Path(path) => Some(path),
            Self::Database(source) => Some(&source.path),
            Self::Made(source) => Some(&source.path),
        }
    }

    /// Whether to ask for it makes something, for who asks alone.
    pub fn is_made(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Made(_))
    }

    /// As people name it: a service, a path, a DatabaseRole.
    pub fn name(&self) -> &str {
        match self {
            Self::Service(name) | Self::Path(name) => name,
            Self::Database(source) => &source.role,
            Self::Made(source) => &source.path,
        }
    }
}

/// One file to write.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileConfig {
    /// Where, relative to [`crate::names::FILES_DIR`].
    pub path: String,
    /// What it holds.
    pub format: FileFormat,
    /// A [`SecretConfig::name`]; none for [`FileFormat::Template`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The text, for [`FileFormat::Template`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateConfig>,
    /// Which key, for [`FileFormat::Raw`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its mode, such as 0o400; [`Config::file_mode`] where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Who is told when it has changed; nobody where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
}

/// Who is told of a change. The order means nothing.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum OnChange {
    /// A process.
    Signal {
        /// By which signal.
        name: Signal,
        /// Of which container. The webhook puts it in where the binding leaves it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<String>,
    },
    /// A server on the pod's loopback.
    Http {
        /// Its port.
        port: u16,
        /// The path to POST to, with its query.
        path: String,
    },
}

/// A template, and what its names mean.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateConfig {
    /// The template itself.
    pub text: String,
    /// What stands before its names of secrets: its `hubspot` is the [`SecretConfig::name`] `web/hubspot`
    /// where this is `web/`.
    pub prefix: String,
}

/// One variable to hand over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvConfig {
    /// Name of the variable.
    pub name: String,
    /// A [`SecretConfig::name`].
    pub secret: String,
    /// Which key of it.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_report_is_made_of_may_be_anything() {
        for (text, message) in [
            ("no value", "no value".to_owned()),
            ("two\nlines\u{1b}[2J\u{202e}", "two lines [2J ".to_owned()),
            (&"é".repeat(600), "é".repeat(512)),
            (&format!("x{}", "é".repeat(600)), format!("x{}", "é".repeat(511))),
        ] {
            let report = PodReport::new(PodReason::SecretsNotReady, text);
            assert_eq!((&report.message, report.problem()), (&message, None));
        }
    }

    #[test]
    fn reasons_are_spelled_as_events_have_them() {
        for reason in [
            PodReason::SecretsNotReady,
            PodReason::SecretsNotCurrent,
            PodReason::SecretsTakenAway,
            PodReason::SecretsReady,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
