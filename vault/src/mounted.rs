//! What is mounted, by the one path that needs no rights but some on the mount itself.
//! API: <https://openbao.org/api-docs/system/internal-ui-mounts/>.

use crate::client::Client;
use crate::error::Error;
use crate::object::MountKind;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What Vault tells everyone who may use a mount.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Mounted {
    /// Its accessor.
    pub accessor: String,
    /// Its type.
    #[serde(rename = "type")]
    pub engine: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
}

/// What is mounted at a path, which for an auth method begins with `auth/`. Denied where nothing is, and
/// where the token has no rights there.
pub async fn at(client: &Client, path: &str) -> Result<Mounted, Error> {
    client.read(&format!("sys/internal/ui/mounts/{path}")).await
}

impl Mounted {
    /// Whether it is the engine that it should be, and what it is where it is not.
    pub fn check(&self, kind: MountKind) -> Result<(), String> {
        let version = self.options.as_ref().and_then(|options| options.get("version"));
        let version = version.map_or("1", String::as_str);
        if kind.is(&self.engine, version) {
            return Ok(());
        }
        Err(format!(
            "of type {} version {version}, and {kind} is needed",
            self.engine
        ))
    }
}
