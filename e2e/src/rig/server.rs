//! An OpenBao of a test's own: in memory, and it may be sealed or demand certificates. Everything else
//! is done with the bed's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

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
    _program: Program,
}

impl<'a> Server<'a> {
    /// Starts one, initialized and unsealed.
    pub(crate) fn start(rig: &Rig<'a>, tls: Option<&Tls<'_>>) -> Result<Self> {
        let bed = rig.stage.bed().context("this test needs a bed")?;
        let (plain, secure) = (free_port()?, free_port()?);
        let mut config = vec![format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{plain}\"\n  tls_disable = true\n}}\n"
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
        let file = rig.path("server.hcl");
        fs::write(&file, config.concat())?;
        let log = rig.path("server.log");
        let mut program = Program::start_file(rig.stage, &bed.tools.bao, &log, |command| {
            command.arg("server").arg(format!("-config={}", file.display()));
        })?;
        let mut server = Self {
            stage: rig.stage,
            address: format!("http://127.0.0.1:{plain}"),
            tls_address: format!("https://127.0.0.1:{secure}"),
            token: String::new(),
            unseal_key: String::new(),
            _program: {
                program.check()?;
                program
            },
        };
        server.initialize(&log)?;
        Ok(server)
    }

    fn initialize(&mut self, log: &Path) -> Result<()> {
        let line = "bao operator init -format=json -key-shares=1 -key-threshold=1";
        let mut answer = String::new();
        wait::until("the test's OpenBao listens", PATIENCE, Some(log), || {
            answer = exec::output(&mut self.command(line)).unwrap_or_default();
            Ok(!answer.is_empty())
        })?;
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
