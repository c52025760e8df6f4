//! Keystead's own programs as a test runs them: built once, started inside the bed, ended with the
//! test in any case.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{PATIENCE, Stage};
use crate::ui::Step;
use crate::{programs, wait};

/// A program under test that runs.
pub(crate) struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `keystead-<short>`, built for this machine; what it says is added to `log`. `prepare`
    /// gives it arguments and variables.
    pub(crate) fn start(
        stage: &Stage,
        short: &str,
        log: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        Self::start_file(stage, &built(&format!("keystead-{short}"))?, log, prepare)
    }

    /// The same, for a program that was built already.
    pub(crate) fn start_file(
        stage: &Stage,
        program: &Path,
        log: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        // It ends with the tests even if these are killed: nobody else would look for it.
        let mut command = stage.command("setpriv --pdeathsig KILL --");
        command.arg(program);
        // A program of ours has to find its way to Vault by itself.
        for variable in ["VAULT_ADDR", "VAULT_CACERT", "VAULT_TOKEN"] {
            command.env_remove(variable);
        }
        prepare(&mut command);
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {name} (setpriv and nsenter come with Debian's util-linux)"))?;
        Ok(Self {
            child,
            name: name.into_owned(),
            log: log.to_owned(),
        })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far, in all its runs.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| error.to_string(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Fails if it has ended, with the end of its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}){}", self.name, wait::tail(&self.log)),
        }
    }

    /// Asks it to end as the kubelet would, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)
            .with_context(|| format!("ask {} to end", self.name))?;
        let status = self.ended()?;
        if !status.success() {
            bail!("{} ended with {status}{}", self.name, wait::tail(&self.log));
        }
        Ok(())
    }

    /// Ends it as a node that loses its power would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop).context("wait for its end")
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<ExitStatus> {
        let (child, name) = (&mut self.child, &self.name);
        wait::until(format_args!("{name} ends"), PATIENCE, Some(&self.log), || {
            Ok(child.try_wait()?.is_some())
        })?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on. In a bed of servers only it is the host's; a bed with a node has all
/// ports of its own network but a few.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Builds one of our programs for this machine, once a run, and answers where it is.
fn built(package: &str) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = built.get(package) {
        return Ok(program.clone());
    }
    let mut step = Step::begin(format_args!("building {package}"));
    let arguments = ["build", "--locked", "--package", package, "--bin", package];
    programs::cargo(&arguments, |_| {}, &mut step)?;
    step.done();
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let program = target.join("debug").join(package);
    let program = fs::canonicalize(&program).with_context(|| format!("find {}", program.display()))?;
    built.insert(package.to_owned(), program.clone());
    Ok(program)
}
