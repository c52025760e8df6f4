//! The test bed: a real Kubernetes cluster and a real OpenBao server on one machine.
//!
//! [`up`] starts one, [`Bed::load`] finds one that runs, [`down`] leaves nothing of it behind.

mod control_plane;
mod databases;
mod images;
mod namespace;
mod node;
pub(crate) mod pki;
mod process;
mod shell;
mod site;
mod status;
mod sweep;
mod up;
mod vault;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};

pub use databases::Database;
pub use images::{TEST_IMAGE, write_test_image};
pub use shell::shell;
pub use status::status;
pub use sweep::down;
pub use up::{Options, up};

use crate::{exec, wait};
use process::{Process, Registry};

/// The bed of a person who named none.
pub const DEFAULT_NAME: &str = "keystead";

/// A bed that runs: where its servers are and how to talk to them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bed {
    /// Its name.
    pub name: String,
    /// The folder with everything it keeps; `logs/` has a log per server.
    pub state: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The API server's URL.
    pub kubernetes_address: String,
    /// The certificate of the authority that signed the API server's.
    pub kubernetes_ca: PathBuf,
    /// What it notes of requests by service accounts outside of kube-system: one JSON object a line.
    pub kubernetes_audit_file: PathBuf,
    /// What tokens of service accounts have as `iss`.
    pub kubernetes_issuer: String,
    /// OpenBao's URL from inside the bed (pods use `https://vault.vault.svc:8200`).
    pub vault_address: String,
    /// The certificate of the authority that signed OpenBao's.
    pub vault_ca: PathBuf,
    /// A file with OpenBao's root token.
    pub vault_token_file: PathBuf,
    /// OpenBao's audit device: one JSON object a line.
    pub vault_audit_file: PathBuf,
    /// The programs to use.
    pub tools: Programs,
    /// The node's name; none in a bed of servers only.
    pub node_name: Option<String>,
    /// The node's address, which pods reach as well.
    pub node_address: Option<String>,
    /// The network namespace, as a path for `setns` or `nsenter --net=`; none in a bed of servers
    /// only, whose servers listen on the host's loopback.
    pub netns: Option<PathBuf>,
    /// The Debian packages of the node, one `package version` a line.
    pub debian_versions: String,
    /// The PostgreSQL server; none in a bed of servers only.
    pub postgres: Option<Database>,
    /// The Redis server; none in a bed of servers only.
    pub redis: Option<Database>,
    /// The process that keeps the namespaces open.
    holder: Option<Process>,
    /// What servers get as PATH and the like.
    environment: Vec<(String, String)>,
}

/// Programs that talk to a bed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Programs {
    /// `kubectl`.
    pub kubectl: PathBuf,
    /// OpenBao's client (and server).
    pub bao: PathBuf,
    /// `helm`.
    pub helm: PathBuf,
    /// `ctr`, set up for this bed's containerd; only a bed with a node has it.
    pub ctr: PathBuf,
}

impl Bed {
    /// The bed of this name, if it was started whole. Whether it is still healthy is what
    /// [`Bed::check`] says.
    pub fn load(name: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(state_folder(name).ok()?.join("bed.json")).ok()?).ok()
    }

    /// Fails, saying why, when a server of the bed has ended or does not answer.
    pub fn check(&self) -> Result<()> {
        for (name, _) in self.registry().servers() {
            self.registry().check(&name)?;
        }
        let ready = exec::output(self.command("kubectl").args(["get", "--raw", "/readyz"]));
        ready.context("the API server is not ready")?;
        if let Some(node) = &self.node_name {
            let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let status = exec::output(self.command("kubectl").args(["get", "node", node, "-o", path]))?;
            if status != "True" {
                bail!("the node {node} is not Ready{}", wait::tail(&self.log("kubelet")));
            }
        }
        if vault::health(self.command("bao")) != vault::Health::Active {
            bail!("OpenBao does not serve{}", wait::tail(&self.log(vault::SERVER)));
        }
        Ok(())
    }

    /// Puts this thread, and all threads and processes it starts later, into the bed's network.
    /// Call it before anything starts threads (so before a tokio runtime is built).
    pub fn enter(&self) -> Result<()> {
        let Some(netns) = &self.netns else { return Ok(()) };
        self.check_namespace()?;
        let file =
            File::open(netns).with_context(|| format!("open the bed's network {}", netns.display()))?;
        setns(file, CloneFlags::CLONE_NEWNET).context("enter the bed's network (are you root?)")
    }

    /// A command inside the bed's network with a clean environment: PATH with the bed's tools,
    /// KUBECONFIG, VAULT_ADDR, VAULT_CACERT and VAULT_TOKEN, and a HOME of the bed's own. A program
    /// without a path is looked up among the bed's tools first.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let own = self.state.join("bin").join(program);
        let program = if own.exists() { own } else { program.to_path_buf() };
        let mut command = match &self.netns {
            Some(netns) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", netns.display())).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .envs(self.variables());
        command
    }

    /// What a program needs to know to talk to the bed.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let token = fs::read_to_string(&self.vault_token_file).unwrap_or_default();
        vec![
            ("KUBECONFIG", self.kubeconfig.display().to_string()),
            ("VAULT_ADDR", self.vault_address.clone()),
            ("VAULT_CACERT", self.vault_ca.display().to_string()),
            ("VAULT_TOKEN", token),
            ("KEYSTEAD_BED", self.name.clone()),
        ]
    }

    /// Makes an image known to the node. When this returns, a pod with `imagePullPolicy: Never`
    /// finds it. The tar is one of [`crate::image::Image::write`].
    pub fn import_image(&self, tar: &Path) -> Result<()> {
        images::import(&self.tools.ctr, tar)
    }

    /// The log of one of the bed's servers: `kubelet`, `kube-apiserver`, `openbao`, …
    pub fn log(&self, server: &str) -> PathBuf {
        self.registry().log(server)
    }

    /// The folder whose files the kubelet runs as static pods.
    pub fn static_pods(&self) -> PathBuf {
        self.state.join(node::STATIC_PODS)
    }

    /// Ends OpenBao and waits until it has ended. Its storage stays.
    pub fn stop_vault(&self) -> Result<()> {
        let Some(process) = self.registry().server(vault::SERVER) else {
            return Ok(());
        };
        process.end(vault::SERVER, &self.log(vault::SERVER))
    }

    /// Starts OpenBao again and waits until it serves (it unseals itself).
    pub fn start_vault(&self) -> Result<()> {
        let registry = self.registry();
        if registry.check(vault::SERVER).is_err() {
            self.check_namespace()?;
            let server = vault::command(&self.tools.bao, &self.state);
            let command = [site::enter(self.holder, true), server].concat();
            registry.start(vault::SERVER, &command, &self.environment)?;
        }
        vault::await_health(&registry, vault::Health::Active, || self.command("bao"))
    }

    fn registry(&self) -> Registry {
        Registry::new(&self.state)
    }

    /// A process id may have gone to another process since: then its namespace is not ours.
    fn check_namespace(&self) -> Result<()> {
        match self.holder {
            Some(holder) if !holder.alive() => {
                bail!("the bed {} has ended: start it with `cargo e2e up`", self.name)
            }
            _ => Ok(()),
        }
    }
}

/// Where a bed of this name keeps everything: outside the work tree, gone with the bed.
pub fn state_folder(name: &str) -> Result<PathBuf> {
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 32 || !name.chars().all(label) {
        bail!("a bed's name has up to 32 lower-case letters, digits and dashes, and {name:?} has not");
    }
    Ok(state_root()?.join(name))
}

fn state_root() -> Result<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/lib/keystead-e2e".into());
    }
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state"))) {
        Some(state) => Ok(state.join("keystead-e2e")),
        None => bail!("no place for a bed's files: set HOME or XDG_STATE_HOME"),
    }
}

/// One `up` or `down` at a time: whoever comes second waits here.
fn lock() -> Result<File> {
    let root = state_root()?;
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    let folder = File::open(&root)?;
    wait::until(
        "another `cargo e2e up` or `down` ends",
        Duration::from_mins(2),
        None,
        || Ok(folder.try_lock().is_ok()),
    )?;
    Ok(folder)
}
