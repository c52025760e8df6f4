//! Where values are in the KV engine: `<mount>/data/<prefix>/<environment>/<level>/<id>/<service>`.

use keystead_crds::scope::Level;
use std::fmt;

/// The segment that stands for the id of a Global scope.
const EVERYONE: &str = "all";

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
