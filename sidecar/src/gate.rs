//! The gate before the application: a file in the private volume whose one key the kubelet wants
//! before it starts a container. Completed last, taken away first.

use crate::config::Dirs;
use crate::error::Error;
use crate::files::{Written, replace};
use keystead_crds::names;
use keystead_vault::Sensitive;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Mode of the private files. Only the sidecar reads them, and the kubelet, which may read all.
const MODE: u32 = 0o600;
/// Longest time the hook waits. The kubelet can't end a pod while a hook runs.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often the hook looks.
const POLL: Duration = Duration::from_millis(5);
/// How often an init container looks, which may wait for hours.
const LONG_POLL: Duration = Duration::from_millis(50);

/// The private volume, and what `exec` sees of it.
#[derive(Clone, Debug)]
pub struct Gate {
    ready: PathBuf,
    env: PathBuf,
    /// Where `exec` finds the variables while the gate is open.
    handed: PathBuf,
    /// Mode of that file; none where the kubelet hands the variables over.
    mode: Option<u32>,
}

impl Gate {
    /// The gate in these directories.
    pub fn new(dirs: &Dirs) -> Self {
        Self {
            ready: dirs.private.join(names::READY_FILE),
            env: dirs.private.join(names::ENV_FILE),
            handed: dirs.files.join(names::VARIABLES_FILE),
            mode: None,
        }
    }

    /// Hands the variables over to `exec`, in a file of this mode.
    #[must_use]
    pub fn for_exec(self, mode: u32) -> Self {
        Self {
            mode: Some(mode),
            ..self
        }
    }

    /// Holds containers back from now on. The file stays, without the key, because of a missing
    /// file the kubelet says only "couldn't parse env file", while it names a missing key. For the
    /// same reason the file of variables is there from the start.
    pub fn close(&self) -> Result<(), Error> {
        let handed = match fs::remove_file(&self.handed) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::disk("remove", &self.handed)(error))
            }
            _ => Ok(()),
        };
        // Whatever becomes of the one, the other is tried.
        self.close_for_kubelet().and(handed)
    }

    fn close_for_kubelet(&self) -> Result<(), Error> {
        if let Err(error) = replace(&self.ready, MODE, b"") {
            // A full volume can't take a new file and still lets go of an old one.
            return match fs::remove_file(&self.ready) {
                Ok(()) => Ok(()),
                Err(_) => Err(error),
            };
        }
        match fs::metadata(&self.env) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.write_env(b"").map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Lets containers start.
    pub fn open(&self) -> Result<(), Error> {
        if let Some(mode) = self.mode {
            let variables = fs::read(&self.env).map_err(Error::disk("read", &self.env))?;
            replace(&self.handed, mode, Sensitive::new(variables).expose())?;
        }
        replace(&self.ready, MODE, open_line().as_bytes()).map(|_| ())
    }

    /// Whether containers may start.
    pub fn is_open(&self) -> bool {
        fs::read(&self.ready).is_ok_and(|found| found == open_line().as_bytes())
    }

    /// Replaces the variables.
    pub fn write_env(&self, content: &[u8]) -> Result<Written, Error> {
        replace(&self.env, MODE, content)
    }

    /// The postStart hook: returns when the gate is open, and after a while in any case, because
    /// the other half of the gate, the kubelet's own, holds without it.
    pub fn wait(&self) {
        let end = Instant::now() + LONGEST_WAIT;
        while !self.is_open() && Instant::now() < end {
            // A process of its own with nothing else to do: a runtime would only make it slower.
            std::thread::sleep(POLL);
        }
    }

    /// The gate as an init container: returns when it is open.
    pub async fn hold(&self) {
        while !self.is_open() {
            tokio::time::sleep(LONG_POLL).await;
        }
    }
}

/// The whole file, once it is complete.
fn open_line() -> String {
    format!("{}='1'\n", names::READY_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn gate(dir: &Path) -> Gate {
        Gate::new(&Dirs {
            files: dir.to_owned(),
            private: dir.to_owned(),
            token: dir.to_owned(),
        })
    }

    #[test]
    fn it_opens_and_closes() {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path());
        assert!(!gate.is_open());
        gate.close().unwrap();
        assert!(!gate.is_open());
        assert_eq!(fs::read(dir.path().join("ready")).unwrap(), b"");
        assert_eq!(fs::read(dir.path().join("env")).unwrap(), b"");
        gate.write_env(b"A='1'\n").unwrap();
        gate.open().unwrap();
        assert!(gate.is_open());
        let expected = "KEYSTEAD_READY (why: kubectl logs -c keystead)='1'\n";
        assert_eq!(fs::read_to_string(dir.path().join("ready")).unwrap(), expected);
        gate.close().unwrap();
        assert!(!gate.is_open());
        assert_eq!(
            fs::read(dir.path().join("env")).unwrap(),
            b"A='1'\n",
            "closing keeps the variables"
        );
    }

    #[test]
    fn variables_for_exec_are_there_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let handed = dir.path().join(names::VARIABLES_FILE);
        let gate = gate(dir.path()).for_exec(0o440);
        fs::write(&handed, "of a sandbox that was killed").unwrap();
        gate.close().unwrap();
        assert!(!handed.exists());
        gate.write_env(b"A=1\0").unwrap();
        assert!(!handed.exists(), "files come first");
        gate.open().unwrap();
        assert_eq!(fs::read(&handed).unwrap(), b"A=1\0");
        gate.write_env(b"A=2\0").unwrap();
        gate.open().unwrap();
        assert_eq!(fs::read(&handed).unwrap(), b"A=2\0");
        gate.close().unwrap();
        assert!(!handed.exists());
        gate.close().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_init_container_waits_for_as_long_as_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path());
        gate.close().unwrap();
        let hour = tokio::time::timeout(Duration::from_hours(1), gate.hold()).await;
        assert!(hour.is_err());
        gate.open().unwrap();
        gate.hold().await;
    }

    #[test]
    fn a_killed_predecessor_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path());
        gate.open().unwrap();
        fs::write(dir.path().join("ready.next"), "half").unwrap();
        gate.close().unwrap();
        assert!(!gate.is_open());
        assert!(!dir.path().join("ready.next").exists());
    }

    #[test]
    fn a_half_written_file_is_not_open() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ready"), open_line().trim_end()).unwrap();
        assert!(!gate(dir.path()).is_open());
    }

    #[test]
    fn waiting_ends_when_it_opens() {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path());
        let opener = gate.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            opener.open().unwrap();
        });
        let start = Instant::now();
        gate.wait();
        let took = start.elapsed();
        thread.join().unwrap();
        assert!(
            took >= Duration::from_millis(40) && took < LONGEST_WAIT,
            "{took:?}"
        );
    }

    #[test]
    fn waiting_ends_in_any_case() {
        let dir = tempfile::tempdir().unwrap();
        let start = Instant::now();
        gate(dir.path()).wait();
        let took = start.elapsed();
        assert!(
            took >= LONGEST_WAIT && took < LONGEST_WAIT + Duration::from_millis(500),
            "{took:?}"
        );
    }
}
