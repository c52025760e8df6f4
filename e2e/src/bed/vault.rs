//! The OpenBao server: TLS, storage that survives a restart, an audit file, unsealed by itself.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::control_plane::{apply, read_certificate};
use super::node::endpoints;
use super::pki::{Authority, Subject, write_private};
use super::process::Registry;
use super::site::{NODE_ADDRESS, Site, enter, server_environment};
use crate::{exec, wait};

/// The name its process and its log have.
pub(super) const SERVER: &str = "openbao";

/// Makes OpenBao's certificate, signed by an authority of its own: a client that was given the
/// cluster's instead must fail.
pub(super) fn certify(site: &Site) -> Result<()> {
    let hosts = [
        "vault.vault.svc",
        "vault.vault.svc.cluster.local",
        "vault.vault",
        "localhost",
        "127.0.0.1",
        NODE_ADDRESS,
    ];
    let authority = Authority::create(&site.state.join("pki"), "vault-ca")?;
    authority.issue(&Subject {
        file: "vault",
        hosts: &hosts,
        ..Subject::default()
    })
}

/// Writes the configuration and starts the server.
pub(super) fn start(site: &Site) -> Result<()> {
    let mut key = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .context("make the seal's key")?;
    write_private(&site.state.join("vault/seal.key"), &key)?;
    let config = format!(
        r#"api_addr     = "{url}"
cluster_addr = "https://127.0.0.1:{cluster}"

storage "raft" {{
  path                   = "{state}/vault/data"
  node_id                = "bed"
  performance_multiplier = 1
}}

listener "tcp" {{
  address         = "{bind}:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file   = "{state}/pki/vault.crt"
  tls_key_file    = "{state}/pki/vault.key"
  telemetry {{
    unauthenticated_metrics_access = true
  }}
}}

seal "static" {{
  current_key_id = "bed"
  current_key    = "file://{state}/vault/seal.key"
}}

audit "file" "bed" {{
  options {{
    file_path = "{state}/vault/audit.log"
  }}
}}

telemetry {{
  prometheus_retention_time = "1h"
  disable_hostname          = true
}}
"#,
        url = site.vault_url(),
        cluster = site.ports.vault_cluster,
        port = site.ports.vault,
        bind = site.bind_address(),
        state = site.state.display(),
    );
    fs::write(site.state.join("vault/config.hcl"), config)?;
    site.start(SERVER, &command(&site.tools.bao, &site.state))
}

/// The server's command line.
pub(super) fn command(bao: &Path, state: &Path) -> Vec<String> {
    let config = state.join("vault/config.hcl").display().to_string();
    vec![
        bao.display().to_string(),
        "server".into(),
        format!("-config={config}"),
    ]
}

/// How far the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It does not answer.
    Absent,
    /// It waits for `init`, or still unseals itself.
    Sealed,
    /// It serves.
    Active,
}

/// Asks the server how far it is. `client` is a `bao` command that finds the server.
pub(super) fn health(mut client: Command) -> Health {
    let answer = client.args(["status", "-format=json"]).output();
    let status: Value = answer
        .map(|output| serde_json::from_slice(&output.stdout).unwrap_or_default())
        .unwrap_or_default();
    match (status["sealed"].as_bool(), status["is_self"].as_bool()) {
        (None, _) => Health::Absent,
        (Some(false), Some(true)) => Health::Active,
        _ => Health::Sealed,
    }
}

/// Waits until the server is as far as `wanted`.
pub(super) fn await_health(registry: &Registry, wanted: Health, client: impl Fn() -> Command) -> Result<()> {
    let log = registry.log(SERVER);
    wait::until(
        format_args!("OpenBao is {wanted:?}"),
        Duration::from_mins(1),
        Some(&log),
        || {
            registry.check(SERVER)?;
            Ok(health(client()) == wanted)
        },
    )
}

/// Initializes the server: from here on it unseals itself. The root token goes into a file.
pub(super) fn initialize(site: &Site) -> Result<()> {
    let client = || client(site);
    wait::until(
        "OpenBao listens",
        Duration::from_mins(1),
        Some(&site.registry.log(SERVER)),
        || {
            site.registry.check(SERVER)?;
            Ok(site.listens(site.ports.vault))
        },
    )?;
    await_health(&site.registry, Health::Sealed, client)?;
    let mut init = client();
    init.args([
        "operator",
        "init",
        "-format=json",
        "-recovery-shares=1",
        "-recovery-threshold=1",
    ]);
    let answer: Value = serde_json::from_str(&exec::output(&mut init).context("initialize OpenBao")?)?;
    let token = answer["root_token"]
        .as_str()
        .context("OpenBao's init gave no root token")?;
    write_private(&site.state.join("vault/root-token"), token.as_bytes())?;
    await_health(&site.registry, Health::Active, client)
}

fn client(site: &Site) -> Command {
    let program = site.tools.bao.display().to_string();
    let words = [enter(site.holder, false), vec![program]].concat();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .envs(server_environment(&site.state, None));
    command
        .env("VAULT_ADDR", site.vault_url())
        .env("VAULT_CACERT", site.state.join("pki/vault-ca.crt"));
    command
}

/// What the cluster knows of the server: its service `vault.vault.svc` (where there is a node to
/// make it reachable) and the certificate of its authority.
pub(super) fn publish(site: &Site) -> Result<()> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vault"}}),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault-ca", "namespace": "vault"},
            "stringData": {"ca.crt": read_certificate(site, "vault-ca.crt")?},
        }),
    ];
    if site.has_node() {
        let port = json!({"name": "https", "port": site.ports.vault, "protocol": "TCP"});
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "vault", "namespace": "vault"},
            "spec": {"ports": [port]},
        }));
        objects.push(endpoints("vault", "vault", &[port]));
    }
    apply(site, &Value::Array(objects))
}
