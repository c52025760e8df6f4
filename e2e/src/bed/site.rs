//! What all parts of a starting bed share: its folder, its addresses, its tools, and how its
//! servers are started.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::{Process, Registry};
use crate::tools::{Debian, Tools};
use crate::{exec, wait};

/// The node's address. It lives on the `lo` of the bed's namespace only, so every bed has the same.
pub(super) const NODE_ADDRESS: &str = "10.89.0.1";
pub(super) const NODE_NAME: &str = "node-1";
pub(super) const POD_RANGE: &str = "10.90.0.0/16";
pub(super) const SERVICE_RANGE: &str = "10.91.0.0/16";
pub(super) const KUBERNETES_SERVICE: &str = "10.91.0.1";
pub(super) const DNS_SERVICE: &str = "10.91.0.10";
/// Without a node nothing asks for this address (TEST-NET-1), but the API server must have one.
const NOWHERE: &str = "192.0.2.1";

/// The ports servers listen on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) etcd: u16,
    pub(super) etcd_peer: u16,
    pub(super) kubernetes: u16,
    pub(super) vault: u16,
    pub(super) vault_cluster: u16,
}

/// A bed while it is being started.
pub(super) struct Site {
    pub(super) name: String,
    pub(super) state: PathBuf,
    pub(super) tools: Tools,
    pub(super) ports: Ports,
    pub(super) registry: Registry,
    /// The process that holds the namespaces; none in a bed without a node.
    pub(super) holder: Option<Process>,
    /// Whether `fileKeyRef` is switched off.
    pub(super) without_env_files: bool,
}

impl Site {
    /// A site with an empty state folder.
    pub(super) fn create(name: &str, state: &Path, tools: Tools) -> Result<Self> {
        let folders = ["logs", "run", "pki", "bin", "home", "tmp", "vault/data"];
        for folder in folders {
            fs::create_dir_all(state.join(folder))
                .with_context(|| format!("create {folder} in {}", state.display()))?;
        }
        let ports = if tools.debian.is_some() {
            Ports {
                etcd: 2379,
                etcd_peer: 2380,
                kubernetes: 6443,
                vault: 8200,
                vault_cluster: 8201,
            }
        } else {
            free_ports()?
        };
        let registry = Registry::new(state);
        Ok(Self {
            name: name.into(),
            state: state.into(),
            tools,
            ports,
            registry,
            holder: None,
            without_env_files: false,
        })
    }

    /// Debian's part of the tools, which a bed with a node always has.
    pub(super) fn debian(&self) -> Result<&Debian> {
        self.tools
            .debian
            .as_ref()
            .context("a bed without a node has no Debian packages")
    }

    /// Whether this bed has a node.
    pub(super) fn has_node(&self) -> bool {
        self.tools.debian.is_some()
    }

    /// Where clients find the servers.
    pub(super) fn address(&self) -> &'static str {
        if self.has_node() {
            NODE_ADDRESS
        } else {
            "127.0.0.1"
        }
    }

    /// What servers bind to: in a namespace of their own everything, on the host loopback only.
    pub(super) fn bind_address(&self) -> &'static str {
        if self.has_node() { "0.0.0.0" } else { "127.0.0.1" }
    }

    /// What the API server says its address is.
    pub(super) fn advertise_address(&self) -> &'static str {
        if self.has_node() { NODE_ADDRESS } else { NOWHERE }
    }

    pub(super) fn kubernetes_url(&self) -> String {
        format!("https://{}:{}", self.address(), self.ports.kubernetes)
    }

    pub(super) fn vault_url(&self) -> String {
        format!("https://{}:{}", self.address(), self.ports.vault)
    }

    /// A file in the state folder, as text for a command line.
    pub(super) fn file(&self, path: &str) -> String {
        self.state.join(path).display().to_string()
    }

    /// Starts one of the cluster's servers.
    pub(super) fn start_cluster(&self, server: &str, arguments: &[String]) -> Result<()> {
        let program = self.tools.cluster.display().to_string();
        let command = [&[program, server.to_owned()], arguments].concat();
        self.start(server, &command)
    }

    /// Starts a server in the bed's namespaces.
    pub(super) fn start(&self, name: &str, command: &[String]) -> Result<()> {
        let entered = [enter(self.holder, true), command.to_vec()].concat();
        self.registry.start(name, &entered, &self.environment()).map(drop)
    }

    /// All that a server gets to see of an environment.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        server_environment(&self.state, self.tools.debian.as_ref())
    }

    /// A command inside the bed's network with the administrator's kubeconfig.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Command {
        let entered = enter(self.holder, false);
        let program = self.tools.kubectl.display().to_string();
        let mut words = entered.iter().chain([&program]);
        let mut command = Command::new(words.next().unwrap_or(&program));
        command
            .args(words)
            .args(["--kubeconfig", &self.file("kubeconfig")])
            .args(arguments);
        command.env_clear().envs(self.environment());
        command
    }

    /// Whether somebody listens on a port of the bed's network. Looking costs nothing, while every
    /// question by `kubectl` takes time from the servers that are still starting.
    pub(super) fn listens(&self, port: u16) -> bool {
        let process = self
            .holder
            .map_or_else(|| "self".to_owned(), |holder| holder.pid.to_string());
        let local = format!(":{port:04X}");
        ["tcp", "tcp6"].into_iter().any(|protocol| {
            let table = fs::read_to_string(format!("/proc/{process}/net/{protocol}")).unwrap_or_default();
            table.lines().any(|line| {
                let mut fields = line.split_whitespace().skip(1);
                fields.next().is_some_and(|address| address.ends_with(&local)) && fields.nth(1) == Some("0A")
            })
        })
    }

    /// Waits until `kubectl` with these arguments succeeds and `accept` likes its output; the
    /// servers named must keep running.
    pub(super) fn until(
        &self,
        what: &str,
        servers: &[&str],
        arguments: &[&str],
        accept: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let log = servers.first().map(|server| self.registry.log(server));
        wait::until(what, Duration::from_secs(90), log.as_deref(), || {
            for server in servers {
                self.registry.check(server)?;
            }
            if !self.listens(self.ports.kubernetes) {
                return Ok(false);
            }
            Ok(exec::output(&mut self.kubectl(arguments)).is_ok_and(|output| accept(&output)))
        })
    }
}

/// The words that put a command into the namespaces of a holder: its network, and with `mounts`
/// its mounts too.
pub(super) fn enter(holder: Option<Process>, mounts: bool) -> Vec<String> {
    let Some(Process { pid, .. }) = holder else {
        return Vec::new();
    };
    let mut words = vec!["nsenter".to_owned(), format!("--net=/proc/{pid}/ns/net")];
    if mounts {
        words.push(format!("--mount=/proc/{pid}/ns/mnt"));
    }
    words
}

/// The whole environment of a server. Everything temporary stays in the state folder.
pub(super) fn server_environment(state: &Path, debian: Option<&Debian>) -> Vec<(String, String)> {
    let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut environment = vec![
        ("HOME".to_owned(), state.join("home").display().to_string()),
        ("TMPDIR".to_owned(), state.join("tmp").display().to_string()),
        ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
    ];
    match debian {
        Some(debian) => environment.extend([
            ("PATH".to_owned(), format!("{}:{system}", debian.path())),
            ("LD_LIBRARY_PATH".to_owned(), debian.library_path()),
        ]),
        None => environment.push(("PATH".to_owned(), system.to_owned())),
    }
    environment
}

/// Ports nobody listens on. All are held until the last is found, so that they differ.
fn free_ports() -> Result<Ports> {
    let bind = || TcpListener::bind("127.0.0.1:0").context("find a free port");
    let held = [bind()?, bind()?, bind()?, bind()?, bind()?];
    let port = |index: usize| -> Result<u16> { Ok(held[index].local_addr()?.port()) };
    Ok(Ports {
        etcd: port(0)?,
        etcd_peer: port(1)?,
        kubernetes: port(2)?,
        vault: port(3)?,
        vault_cluster: port(4)?,
    })
}
