//! The secrets of the pod this program runs in, as Keystead's sidecar has them: asked of its Unix socket,
//! or read from its files. Blocking, without a runtime, and never further than the pod itself.
//!
//! ```no_run
//! use keystead_client::{Error, Secrets};
//!
//! let secrets = Secrets::in_pod();
//! match secrets.get("hubspot", "api_key") {
//!     Ok(secret) => connect(secret.value.expose()),
//!     Err(Error::NotFound(why) | Error::AccessDenied(why)) => eprintln!("{why}"),
//!     Err(error) => eprintln!("try again later: {error}"),
//! }
//! # fn connect(_: &str) {}
//! ```

mod socket;
mod watch;

pub use watch::Watch;

use serde::Deserialize;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// Where the files and the socket are in a pod, unless [`FOLDER_ENV`] says otherwise.
pub const FOLDER: &str = "/keystead";
/// The variable of a container that has them elsewhere.
pub const FOLDER_ENV: &str = "KEYSTEAD_FILES_DIR";

/// The secrets of one pod.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
}

/// A value, as the sidecar has it now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// The value.
    pub value: Value,
    /// Which scope serves it; an existing path has none.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// The version of the values at that place, where the engine counts them.
    #[serde(default)]
    pub version: Option<u64>,
    /// When Vault is going to delete it (RFC 3339), where it is.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// Whose value it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Scope {
    /// `User`, `Node`, `Company` or `Global`.
    pub level: String,
    /// Which one; `Global` has none.
    #[serde(default)]
    pub id: Option<String>,
}

/// A secret that the pod's bindings show.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Listed {
    /// The service; none for an existing path.
    #[serde(default)]
    pub service: Option<String>,
    /// The existing path; none for a service.
    #[serde(default)]
    pub path: Option<String>,
    /// The key.
    pub key: String,
}

/// What is secret: it is wiped when it goes, and `Debug` says nothing of it.
#[derive(Clone, Deserialize, Eq, PartialEq)]
#[serde(from = "String")]
pub struct Value(Zeroizing<String>);

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No scope has it, or no binding shows it: the sidecar's sentence.
    #[error("{0}")]
    NotFound(String),
    /// Access was taken away: the sidecar's sentence.
    #[error("{0}")]
    AccessDenied(String),
    /// The sidecar does not have the secrets yet, or is not there. Another try may help.
    #[error("{0}")]
    Unavailable(String),
    /// The answer is not one of Keystead's.
    #[error("the sidecar gave an answer that can't be read: {0}")]
    Unreadable(String),
}

impl Secrets {
    /// Those of the pod this program runs in: in the folder that [`FOLDER_ENV`] names, else in [`FOLDER`].
    pub fn in_pod() -> Self {
        Self::told(env::var_os(FOLDER_ENV))
    }

    fn told(folder: Option<OsString>) -> Self {
        let folder = folder.filter(|folder| !folder.is_empty());
        Self::at(folder.unwrap_or_else(|| FOLDER.into()))
    }

    /// Those in another folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The value of a service's key, or of a key at an existing path. The sidecar answers from memory.
    pub fn get(&self, service: &str, key: &str) -> Result<Secret, Error> {
        socket::ask(&self.folder, &[service, key])
    }

    /// Everything that the pod's bindings show, without values.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        #[derive(Deserialize)]
        struct List {
            secrets: Vec<Listed>,
        }
        socket::ask::<List>(&self.folder, &[]).map(|list| list.secrets)
    }

    /// What a file of the binding holds, named as the binding names it. Works without the sidecar, too.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<Value, Error> {
        let file = file.as_ref();
        if !file.components().all(|part| matches!(part, Component::Normal(_))) {
            let why = format!(
                "{} is no file of a binding: name it as the binding does",
                file.display()
            );
            return Err(Error::NotFound(why));
        }
        let path = self.folder.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Value(Zeroizing::new(text))),
            Err(error) => {
                let why = format!("{}: {error}", path.display());
                Err(match error.kind() {
                    ErrorKind::NotFound => Error::NotFound(why),
                    ErrorKind::PermissionDenied => Error::AccessDenied(why),
                    ErrorKind::InvalidData => Error::Unreadable(why),
                    _ => Error::Unavailable(why),
                })
            }
        }
    }

    /// The value now, and again whenever it changes. See [`Watch`].
    pub fn watch(&self, service: &str, key: &str) -> Watch {
        Watch::new(self.clone(), service, key)
    }
}

impl Value {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests;
