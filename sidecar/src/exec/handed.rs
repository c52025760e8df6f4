//! What the sidecar hands over to `exec`: the variables, and behind which link the files are.

use super::Error;
use keystead_crds::names;
use keystead_vault::Sensitive;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the secrets. Whatever holds a pod's start should have done so for longer: this is
/// for a container that starts anew while the sidecar does.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How often it looks meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// One state of it. Two that are equal are the same to an application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Handed {
    pub(super) variables: Sensitive<Vec<u8>>,
    /// Changes with every file that does.
    files: Option<PathBuf>,
}

impl Handed {
    /// What is there now; nothing while the sidecar has not completed it.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(names::VARIABLES_FILE);
        match fs::read(&path) {
            Ok(variables) => Ok(Some(Self {
                variables: Sensitive::new(variables),
                files: fs::read_link(dir.join(crate::files::DATA)).ok(),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Unreadable {
                path,
                why: error.to_string(),
            }),
        }
    }

    /// Waits until it is there.
    pub(super) async fn awaited(dir: &Path) -> Result<Self, Error> {
        let end = Instant::now() + LONGEST_WAIT;
        loop {
            if let Some(handed) = Self::read(dir)? {
                return Ok(handed);
            }
            if Instant::now() >= end {
                return Err(Error::Late(LONGEST_WAIT.as_secs()));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_waited_for_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let error = Handed::awaited(dir.path()).await.unwrap_err();
        assert_eq!(begin.elapsed().as_secs(), 60);
        assert_eq!(
            error.to_string(),
            "the secrets are not there after 60 s; kubectl logs -c keystead says why"
        );

        let path = dir.path().join(names::VARIABLES_FILE);
        let (handed, ()) = tokio::join!(Handed::awaited(dir.path()), async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            fs::write(&path, b"A=1\0").unwrap();
        });
        assert_eq!(handed.unwrap().variables.expose(), b"A=1\0");
    }

    #[test]
    fn a_changed_file_is_another_state() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(names::VARIABLES_FILE), b"").unwrap();
        let read = || Handed::read(dir.path()).unwrap().unwrap();
        let before = read();
        assert_eq!(before, read());
        std::os::unix::fs::symlink("..1", dir.path().join("..data")).unwrap();
        assert_ne!(before, read());
    }
}
