//! An OpenBao of a test's own: it may be sealed, paused, started again, or demand certificates. Everything
//! else is done with the bed's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Rig;
use super::program::{Program, free_port};
use crate::stage::{PATIENCE, Stage};
use crate::{exec, wait};

/// Certificates of a listener that demands one of its clients, too.
pub(crate) struct Tls<'a> {
    /// The server's certificate and key: `<file>.crt` and `<file>.key`.
    pub(crate) server: &'a Path,
    /// Who signs clients' certificates.
    pub(crate) client_ca: &'a Path,
}

/// A server that runs.
pub(crate) struct Server<'a> {
    stage: &'a Stage,
    /// Its plain address.
    pub(crate) address: String,
    /// Its address with TLS; nobody listens there where none was asked for.
    pub(crate) tls_address: String,
    pub(crate) token: String,
    unseal_key: String,
    /// Its config and its log.
    files: [PathBuf; 2],
    program: Mutex<Program>,
}

impl<'a> Server<'a> {
    /// Starts one in memory, initialized and unsealed.
    pub(crate) fn start(rig: &Rig<'a>, tls: Option<&Tls<'_>>) -> Result<Self> {
        Self::start_on(rig, "storage \"inmem\" {}", tls)
    }

    /// Starts one that can be started again.
    pub(crate) fn start_durable(rig: &Rig<'a>) -> Result<Self> {
        let folder = rig.path("storage");
        fs::create_dir(&folder)?;
        let storage = format!(
            "cluster_addr = \"http://127.0.0.1:{}\"\nstorage \"raft\" {{\n  path = \"{}\"\n  node_id = \"one\"\n  \
             performance_multiplier = 1\n}}",
            free_port()?,
            folder.display()
        );
        Self::start_on(rig, &storage, None)
    }

    fn start_on(rig: &Rig<'a>, storage: &str, tls: Option<&Tls<'_>>) -> Result<Self> {
        let (plain, secure) = (free_port()?, free_port()?);
        let mut config = vec![format!(
            "{storage}\napi_addr = \"http://127.0.0.1:{plain}\"\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{plain}\"\n  tls_disable = true\n}}\n"
        )];
        if let Some(Tls { server, client_ca }) = tls {
            config.push(format!(
                "listener \"tcp\" {{\n  address = \"127.0.0.1:{secure}\"\n  tls_cert_file = \"{server}.crt\"\n  \
                 tls_key_file = \"{server}.key\"\n  tls_client_ca_file = \"{ca}\"\n  \
                 tls_require_and_verify_client_cert = true\n}}\n",
                server = server.display(),
                ca = client_ca.display(),
            ));
        }
        let files = ["server.hcl", "server.log"].map(|name| rig.path(name));
        fs::write(&files[0], config.concat())?;
        let mut server = Self {
            program: Mutex::new(run(rig.stage, &files)?),
            stage: rig.stage,
            address: format!("http://127.0.0.1:{plain}"),
            tls_address: format!("https://127.0.0.1:{secure}"),
            token: String::new(),
            unseal_key: String::new(),
            files,
        };
        server.program().check()?;
        server.initialize()?;
        Ok(server)
    }

    /// Ends it as a machine does that loses its power, starts it again and unseals it.
    pub(crate) fn restart(&self) -> Result<()> {
        self.program().kill()?;
        *self.program() = run(self.stage, &self.files)?;
        wait::until(
            "the test's OpenBao is back",
            PATIENCE,
            Some(&self.files[1]),
            || Ok(self.unseal().is_ok()),
        )
    }

    /// Lets it do nothing for a while, as an overloaded machine would.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.program().id())?);
        kill(process, Signal::SIGSTOP).context("pause the test's OpenBao")?;
        thread::sleep(time);
        kill(process, Signal::SIGCONT).context("let the test's OpenBao go on")
    }

    fn program(&self) -> MutexGuard<'_, Program> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn initialize(&mut self) -> Result<()> {
        let line = "bao operator init -format=json -key-shares=1 -key-threshold=1";
        let mut answer = String::new();
        wait::until(
            "the test's OpenBao listens",
            PATIENCE,
            Some(&self.files[1]),
            || {
                answer = exec::output(&mut self.command(line)).unwrap_or_default();
                Ok(!answer.is_empty())
            },
        )?;
        let answer: Value = serde_json::from_str(&answer)?;
        let text = |pointer: &str| {
            let found = answer.pointer(pointer).and_then(Value::as_str);
            found
                .map(str::to_owned)
                .with_context(|| format!("init gave no {pointer}"))
        };
        self.unseal_key = text("/unseal_keys_b64/0")?;
        self.token = text("/root_token")?;
        self.unseal()
    }

    /// Runs a command of `bao` as root.
    pub(crate) fn ask(&self, line: &str) -> Result<String> {
        let answer = exec::output(&mut self.command(line));
        answer.map_err(|error| anyhow!("{line}: {error:#}"))
    }

    /// Writes to a path as root.
    pub(crate) fn write(&self, path: &str, body: &Value) -> Result<()> {
        let file = self.files[0].with_file_name("body.json");
        fs::write(&file, body.to_string())?;
        self.ask(&format!("bao write {path} @{}", file.display()))
            .map(drop)
    }

    /// Has it ask the API server about tokens, as the bed's does.
    pub(crate) fn reviews(&self, rig: &Rig<'_>) -> Result<()> {
        let path = format!("auth/{}/config", rig.mount());
        let known = rig.vault(&path)?.context("the bed's mount is configured")?;
        let reviewer = rig.ask(
            "kubectl -n @id@ get secret keystead-vault-reviewer -o 'go-template={{.data.token | base64decode}}'",
        )?;
        self.ask(&format!("bao auth enable -path={} kubernetes", rig.mount()))?;
        let wanted = json!({
            "kubernetes_host": known["data"]["kubernetes_host"],
            "kubernetes_ca_cert": known["data"]["kubernetes_ca_cert"],
            "token_reviewer_jwt": reviewer,
            "disable_local_ca_jwt": true,
        });
        self.write(&path, &wanted)
    }

    pub(crate) fn seal(&self) -> Result<()> {
        self.ask("bao operator seal").map(drop)
    }

    pub(crate) fn unseal(&self) -> Result<()> {
        let line = format!("bao operator unseal {}", self.unseal_key);
        self.ask(&line).map(drop)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.stage.vault_as(&self.token, line);
        command.env("VAULT_ADDR", &self.address);
        command
    }
}

fn run(stage: &Stage, [config, log]: &[PathBuf; 2]) -> Result<Program> {
    let bed = stage.bed().context("this test needs a bed")?;
    Program::start_file(stage, &bed.tools.bao, log, |command| {
        command.arg("server").arg(format!("-config={}", config.display()));
    })
}
