//! Where values are: those of Keystead in the KV engine, at
//! `<mount>/data/<prefix>/<environment>/<level>/<id>/<service>`, and others anywhere else.

use crate::hcl::is_plain_segment;
use keystead_crds::scope::Level;
use std::fmt;

/// The segment that stands for the id of a Global scope.
const EVERYONE: &str = "all";
/// First segments of what is Vault's own.
const SYSTEM: [&str; 4] = ["auth", "cubbyhole", "identity", "sys"];

/// The path of one service at one scope, in one KV engine.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KvPath {
    /// Path of the engine.
    pub mount: String,
    /// Path below it.
    pub path: String,
}

impl KvPath {
    /// Composes the path. `id` is ignored for [`Level::Global`].
    pub fn new(base: &KvBase, level: Level, id: Option<&str>, service: &str) -> Self {
        let id = match level {
            Level::Global => EVERYONE,
            Level::Company | Level::Node | Level::User => id.unwrap_or_default(),
        };
        let KvBase {
            mount,
            prefix,
            environment,
        } = base;
        Self {
            mount: mount.clone(),
            path: format!("{prefix}/{environment}/{level}/{id}/{service}"),
        }
    }

    /// Path of the values in Vault's API.
    pub fn data(&self) -> String {
        format!("{}/data/{}", self.mount, self.path)
    }

    /// Path of versions and marks in Vault's API.
    pub fn metadata(&self) -> String {
        format!("{}/metadata/{}", self.mount, self.path)
    }
}

impl fmt::Display for KvPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.path)
    }
}

/// What all paths of one provider have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KvBase {
    /// Path of the engine.
    pub mount: String,
    /// First segment.
    pub prefix: String,
    /// Second segment.
    pub environment: String,
}

/// An existing path as Vault's API has it, such as `secret/data/team-a/app`. Every segment means
/// itself, in a request and in a policy.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ApiPath(String);

/// Why a text is no path that values can be at.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAPath {
    /// A segment that does not mean itself everywhere.
    #[error(
        "{0:?} is not a path as Vault's API has it: expected segments of letters, digits, '-', '_' and '.' between single '/', none of them '.' or '..', such as secret/data/team-a/app"
    )]
    Segment(String),
    /// Vault's own.
    #[error(
        "{path} is below {root}, which is Vault's own and holds no values: name a path of a secret engine"
    )]
    System {
        /// As given.
        path: String,
        /// Its first segment.
        root: String,
    },
}

impl ApiPath {
    /// Checks a text that somebody gave.
    pub fn parse(text: &str) -> Result<Self, NotAPath> {
        if !text.split('/').all(is_plain_segment) {
            return Err(NotAPath::Segment(text.to_owned()));
        }
        let root = text.split('/').next().unwrap_or_default();
        if SYSTEM.iter().any(|system| system.eq_ignore_ascii_case(root)) {
            return Err(NotAPath::System {
                path: text.to_owned(),
                root: root.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this path or below it.
    pub fn is_within(&self, prefix: &str) -> bool {
        is_within(&self.0, prefix)
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a path is another, or below it.
pub fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
