//! One thing that should be there, and how what is found compares to it: pure.

use serde_json::{Map, Value, json};
use std::fmt;

/// What Vault answers at a path.
pub(crate) type Found = Map<String, Value>;

/// Who logs in through an auth mount.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    /// The operator.
    Operator,
    /// Pods.
    Workloads,
}

impl Whose {
    /// The option that names another mount.
    fn option(self) -> &'static str {
        match self {
            Self::Operator => "--operator-mount",
            Self::Workloads => "--workload-mount",
        }
    }
}

/// Something to be there.
#[derive(Debug)]
pub(crate) enum Change {
    /// A secret engine.
    Engine {
        /// Where.
        mount: String,
        /// Its type.
        kind: &'static str,
        /// Version of a KV engine.
        version: Option<&'static str>,
    },
    /// An auth method.
    Method {
        /// Who logs in through it.
        whose: Whose,
        /// Where, without `auth/`.
        mount: String,
        /// Its type.
        kind: &'static str,
    },
    /// A `kubernetes` auth method's config, with a token by which Vault asks the API server.
    Reviewer {
        /// Who logs in through it.
        whose: Whose,
        /// The auth mount.
        mount: String,
        /// The config without the token.
        body: Map<String, Value>,
    },
    /// The `jwt` auth method's config.
    SigningKeys {
        /// The auth mount.
        mount: String,
        /// PEM public keys.
        keys: Vec<String>,
        /// Who tokens say they are from.
        issuer: String,
    },
    /// The operator's policy.
    Policy {
        /// Its name.
        name: String,
        /// HCL.
        text: String,
    },
    /// The operator's role.
    Role {
        /// Whom it lets in.
        who: String,
        /// The auth mount.
        mount: String,
        /// Its name.
        name: String,
        /// With what.
        body: Map<String, Value>,
    },
}

/// How what is found compares to what should be there.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// As it should be.
    Done,
    /// Not there, or ours and outdated.
    Missing,
    /// Somebody else's.
    Foreign {
        /// In what it differs.
        why: String,
        /// The option that names another place.
        option: &'static str,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        match self {
            Self::Engine { mount, kind, version } => match version {
                None => write!(f, "mount {kind} at {mount}"),
                Some(version) => write!(f, "mount {kind} (version {version}) at {mount}"),
            },
            Self::Method { mount, kind, .. } => write!(f, "mount {kind} at auth/{mount}"),
            Self::Reviewer { .. } => write!(
                f,
                "write {path}: the API server, and a service account's token to ask it about tokens"
            ),
            Self::SigningKeys { keys, .. } => write!(
                f,
                "write {path}: the {} public signing key(s) and the issuer of the cluster",
                keys.len()
            ),
            Self::Policy { .. } => write!(f, "write {path}: the operator's policy (policies/operator.hcl)"),
            Self::Role { who, .. } => write!(f, "write {path}: lets in {who}"),
        }
    }
}

impl Change {
    /// Where it is written; all but a mount is read there, too.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Engine { mount, .. } => format!("sys/mounts/{mount}"),
            Self::Method { mount, .. } => format!("sys/auth/{mount}"),
            Self::Reviewer { mount, .. } | Self::SigningKeys { mount, .. } => format!("auth/{mount}/config"),
            Self::Policy { name, .. } => format!("sys/policies/acl/{name}"),
            Self::Role { mount, name, .. } => format!("auth/{mount}/role/{name}"),
        }
    }

    /// What a token must be allowed there.
    pub(crate) fn capabilities(&self) -> &'static [&'static str] {
        match self {
            Self::Engine { .. } => &["update"],
            Self::Method { .. } => &["sudo", "update"],
            // These have no check whether they exist: each write is an update.
            Self::Reviewer { .. } | Self::SigningKeys { .. } | Self::Policy { .. } => &["read", "update"],
            Self::Role { .. } => &["create", "read", "update"],
        }
    }

    /// What is written; a reviewer's token is still missing from it.
    pub(crate) fn body(&self) -> Map<String, Value> {
        let fields = match self {
            Self::Engine { kind, version, .. } => {
                let options = version.map(|version| json!({ "version": version }));
                json!({ "type": kind, "options": options })
            }
            Self::Method { kind, .. } => json!({ "type": kind }),
            Self::Reviewer { body, .. } | Self::Role { body, .. } => return body.clone(),
            Self::SigningKeys { keys, issuer, .. } => {
                json!({ "jwt_validation_pubkeys": keys, "bound_issuer": issuer })
            }
            Self::Policy { text, .. } => json!({ "policy": text }),
        };
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// Compares with what was read at [`Self::path`].
    pub(crate) fn compare(&self, found: Option<&Found>) -> State {
        let Some(found) = found else { return State::Missing };
        let (foreign, option) = match self {
            Self::Engine { .. } | Self::Method { .. } | Self::Role { .. } => (None, ""),
            Self::Reviewer { body, whose, .. } => (other_server(body, found), whose.option()),
            Self::SigningKeys { keys, issuer, .. } => {
                (other_keys(keys, issuer, found), Whose::Workloads.option())
            }
            Self::Policy { text, .. } => (other_policy(text, found), "--operator-role"),
        };
        if let Some(why) = foreign {
            return State::Foreign { why, option };
        }
        let done = match self {
            // It has no reviewer of its own: Vault would ask with the token that it checks.
            Self::Reviewer { .. } if found.get("token_reviewer_jwt_set") == Some(&json!(false)) => false,
            // The operator has other keys beside these while the cluster rotates them.
            Self::SigningKeys { keys, issuer, .. } => {
                let known = found_keys(found);
                let complete = fetches(found) || keys.iter().all(|key| known.contains(&key.as_str()));
                complete && text(found, "bound_issuer") == issuer
            }
            _ => self
                .body()
                .iter()
                .all(|(key, wanted)| same(found.get(key), wanted)),
        };
        if done { State::Done } else { State::Missing }
    }
}

/// In what a `kubernetes` method's config is about another API server.
fn other_server(wanted: &Map<String, Value>, found: &Found) -> Option<String> {
    let differs = |field: &str| {
        let set = !text(found, field).is_empty();
        let wanted = wanted.get(field).unwrap_or(&Value::Null);
        set && !same(found.get(field), wanted)
    };
    if differs("kubernetes_host") {
        let host = text(found, "kubernetes_host");
        return Some(format!("it is for the API server at {host}"));
    }
    differs("kubernetes_ca_cert").then(|| "it trusts another CA (kubernetes_ca_cert)".to_owned())
}

/// In what a `jwt` method's config is about another cluster's tokens. The issuer alone does not
/// tell clusters apart: most have the same.
fn other_keys(keys: &[String], issuer: &str, found: &Found) -> Option<String> {
    let theirs = text(found, "bound_issuer");
    let known = found_keys(found);
    if (!theirs.is_empty() || fetches(found)) && theirs != issuer {
        return Some(format!("it is for tokens of the issuer {theirs:?}"));
    }
    let strange = !known.is_empty() && !keys.iter().any(|key| known.contains(&key.as_str()));
    strange.then(|| "it knows other signing keys, and none of this cluster's".to_owned())
}

/// Ours begins with a sentence that names the cluster.
fn other_policy(wanted: &str, found: &Found) -> Option<String> {
    let mark = wanted.split_inclusive(". ").next().unwrap_or(wanted);
    let theirs = text(found, "policy");
    (!theirs.is_empty() && !theirs.starts_with(mark))
        .then(|| "it is not the policy of this cluster's operator".to_owned())
}

/// Whether a `jwt` method fetches its keys by itself.
fn fetches(found: &Found) -> bool {
    ["jwks_url", "oidc_discovery_url"]
        .into_iter()
        .any(|field| !text(found, field).is_empty())
}

fn found_keys(found: &Found) -> Vec<&str> {
    let keys = found.get("jwt_validation_pubkeys").and_then(Value::as_array);
    keys.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::trim)
        .collect()
}

fn text<'a>(found: &'a Found, field: &str) -> &'a str {
    found.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Equal, but for blanks and slashes at the end.
fn same(found: Option<&Value>, wanted: &Value) -> bool {
    let bare = |text: &str| text.trim().trim_end_matches('/').to_owned();
    match (found, wanted) {
        (Some(Value::String(found)), Value::String(wanted)) => bare(found) == bare(wanted),
        (found, wanted) => found == Some(wanted),
    }
}
