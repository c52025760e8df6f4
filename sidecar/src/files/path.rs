//! Paths that are safe to write to.

use std::path::Path;

/// Longest name of a file.
const LONGEST_NAME: usize = 255;

/// A path that stays below the directory it is joined to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FilePath(pub(super) String);

/// What is wrong with a path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// A part of it is not a plain name.
    #[error(
        "{path:?} must be relative, its names not empty, not '.', not beginning with '..', up to 255 bytes"
    )]
    Component {
        /// The path.
        path: String,
    },
    /// One path would have to be a file and a directory.
    #[error("{file:?} can't be a file and the directory of {below:?}")]
    FileAndDirectory {
        /// The shorter path.
        file: String,
        /// The longer one.
        below: String,
    },
}

// === impl FilePath ===

impl FilePath {
    /// Checks the path name by name, whoever checked it before.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let plain = |name: &str| {
            let special = name.is_empty() || name == "." || name.starts_with("..");
            !special && name.len() <= LONGEST_NAME && !name.contains('\0')
        };
        if path.split('/').all(plain) {
            return Ok(Self(path.to_owned()));
        }
        Err(PathError::Component {
            path: path.to_owned(),
        })
    }

    /// Checks that no path runs through another one.
    pub fn check_together<'a>(paths: impl IntoIterator<Item = &'a Self>) -> Result<(), PathError> {
        let paths: Vec<&Self> = paths.into_iter().collect();
        for file in &paths {
            let directory = format!("{}/", file.0);
            if let Some(below) = paths.iter().find(|other| other.0.starts_with(&directory)) {
                return Err(PathError::FileAndDirectory {
                    file: file.0.clone(),
                    below: below.0.clone(),
                });
            }
        }
        Ok(())
    }

    /// The first name: what stands in the root.
    pub(super) fn top(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}
