//! Why the pod's secrets are not (all) there. Every text is a sentence for the people who own the
//! pod; none can hold a value, because no variant has a place for one.

use crate::files::FilePath;
use keystead_crds::sidecar::SecretSource;
use keystead_vault::resolve::Missing;
use nix::sys::statvfs::statvfs;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong between the config and the files.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The config can't be used; only another pod can have another one.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// A file or directory can't be read, written or removed.
    #[error("cannot {action} {}: {why}", path.display())]
    Disk {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// Nothing would renew what Vault has made.
    #[error(
        "a secret is a credential with a lease, and nothing would renew it in mode Init, where no sidecar stays: use \
         sidecar.mode Sidecar or Exec in the SecretBinding"
    )]
    Leased,
    /// Nobody has a value that was asked for.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Two keys would be one variable of a Dotenv file.
    #[error(
        "the keys {first} and {second} of {secret} would both be {name} in a Dotenv file: \
         mount them one by one instead (files[].format: Raw)"
    )]
    SameName {
        /// Whose keys.
        secret: String,
        /// One key.
        first: String,
        /// The other.
        second: String,
        /// The name they share.
        name: String,
    },
    /// Something that we did not make stands where a file should be.
    #[error("{} exists and was not made by Keystead: nothing was changed, remove it", .0.display())]
    Taken(PathBuf),
    /// A template can't be rendered.
    #[error("the template of {}: {error}", AsRef::<Path>::as_ref(path).display())]
    Template {
        /// The file.
        path: FilePath,
        /// Where and why.
        error: keystead_template::Error,
    },
    /// A value can't travel the way the binding wants.
    #[error(
        "the value of {wanted} can't travel {way} because {why}: mount it as a file instead (files[].format: Raw)"
    )]
    Unfit {
        /// Which value.
        wanted: Wanted,
        /// How it should travel.
        way: Way,
        /// What stands against it.
        why: &'static str,
    },
    /// Vault.
    #[error(transparent)]
    Vault(#[from] keystead_vault::Error),
}

/// A value, as people name it: `hubspot/api_key`, `password of secret/data/app`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Whose it is.
    pub secret: SecretSource,
    /// Under which key.
    pub key: String,
}

/// A way out of the sidecar that not every value fits through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// A variable of a Dotenv file.
    Dotenv,
    /// An environment variable, by `fileKeyRef` or by `exec`.
    Env,
}

impl Error {
    /// A closure for `map_err`, for what was tried with a path.
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Disk {
            action,
            why: why(&error, &path),
            path: lasting(&path),
        }
    }

    /// Whether Vault is away, for everybody.
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Vault(keystead_vault::Error::Unreachable { .. } | keystead_vault::Error::Sealed { .. })
        )
    }

    /// Whether Vault refuses what was asked for.
    pub(crate) const fn is_denied(&self) -> bool {
        matches!(self, Self::Vault(keystead_vault::Error::Denied { .. }))
    }

    /// Whether values were there, or should have been, and could not be made into files.
    pub const fn is_render(&self) -> bool {
        matches!(
            self,
            Self::Missing(_) | Self::SameName { .. } | Self::Template { .. } | Self::Unfit { .. }
        )
    }
}

/// The path without a generation's directory, which has another name at every try: what is wrong is the same.
fn lasting(path: &Path) -> PathBuf {
    let is_generation = |name: &&OsStr| {
        let number = name.to_str().and_then(|name| name.strip_prefix(".."));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    path.iter().filter(|name| !is_generation(name)).collect()
}

/// The system's words, or what they mean to who made the pod.
fn why(error: &io::Error, path: &Path) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            // The path itself may not be there.
            let volume = path.ancestors().find_map(|path| statvfs(path).ok());
            let size = volume.map_or(0, |volume| volume.blocks() * volume.fragment_size());
            format!(
                "the volume of {} KiB is full, and a change needs room for the old files and the new ones: have fewer \
                 or smaller files, or let the SecretBinding's sidecar.filesSize, and a memory limit there is, be larger",
                size / 1024
            )
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the sidecar's mount of the volume is read-only: somebody has changed what Keystead's webhook made, so \
             delete the pod and take readOnly off that mount"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.secret {
            SecretSource::Service(service) => write!(f, "{service}/{}", self.key),
            SecretSource::Path(path) => write!(f, "{} of {path}", self.key),
            SecretSource::Made(at) => write!(f, "{} of {}", self.key, at.path),
            SecretSource::Database(at) => write!(f, "{} of DatabaseRole {}", self.key, at.role),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dotenv => "in a Dotenv file",
            Self::Env => "as an environment variable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_takes_nothing_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("..17637759651234/gone/hubspot.env");
        let said = |kind: io::ErrorKind| Error::disk("write", &file)(kind.into()).to_string();
        let start = format!(
            "cannot write {}/gone/hubspot.env: the volume of ",
            dir.path().display()
        );
        let full = said(io::ErrorKind::StorageFull);
        assert!(
            full.starts_with(&start) && !full.starts_with(&format!("{start}0 ")),
            "{full}"
        );
        assert!(full.contains(" KiB is full, and a change needs room for the old files and the new ones"));
        assert!(said(io::ErrorKind::ReadOnlyFilesystem).contains("read-only"));
    }
}
