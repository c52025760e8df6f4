//! The databases that Vault hands out users of: PostgreSQL and Redis, with TLS, their administrators'
//! passwords made at each start. They are in beds with a node, whose packages bring them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::control_plane::{apply, read_certificate};
use super::namespace::DEBIAN;
use super::node::endpoints;
use super::pki::{Authority, Subject, write_private};
use super::site::{NODE_ADDRESS, Site, enter};
use crate::tools::Debian;
use crate::{exec, wait};

const NAMESPACE: &str = "databases";
const POSTGRES: &str = "postgres";
const POSTGRES_PORT: u16 = 5432;
const POSTGRES_BIN: &str = "/usr/lib/postgresql/15/bin";
const REDIS: &str = "redis";
const REDIS_PORT: u16 = 6379;
/// Who the servers run as: PostgreSQL refuses to be root. Every Debian has this user (`nobody`).
const USER: u32 = 65534;

/// A database server of the bed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Database {
    /// Its address in the bed; pods find it as `<postgres|redis>.databases.svc` too.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The certificate of the authority that signed the server's.
    pub ca: PathBuf,
    /// The administrator.
    pub user: String,
    /// A file with the administrator's password.
    pub password_file: PathBuf,
}

impl Database {
    /// The administrator's password.
    pub fn password(&self) -> Result<String> {
        fs::read_to_string(&self.password_file).context("read a database administrator's password")
    }
}

/// Starts both and waits until they listen.
pub(super) fn start(site: &Site) -> Result<()> {
    let authority = Authority::create(&site.state.join("pki"), "database-ca")?;
    start_redis(site, &authority)?;
    start_postgres(site, &authority)?;
    for (server, port) in [(REDIS, REDIS_PORT), (POSTGRES, POSTGRES_PORT)] {
        let log = site.registry.log(server);
        wait::until(
            format_args!("{server} listens"),
            Duration::from_secs(30),
            Some(&log),
            || {
                site.registry.check(server)?;
                Ok(site.listens(port))
            },
        )?;
    }
    Ok(())
}

fn start_postgres(site: &Site, authority: &Authority) -> Result<()> {
    let folder = prepare(site, authority, POSTGRES)?;
    let [data, password] = ["data", "password"].map(|name| folder.join(name).display().to_string());
    let program = |name: &str| format!("{}{POSTGRES_BIN}/{name}", packages());
    let initdb = [
        &program("initdb"),
        "--no-sync",
        "--locale=C.UTF-8",
        "--username=postgres",
        "--auth=scram-sha-256",
        &format!("--pwfile={password}"),
        &format!("--pgdata={data}"),
    ];
    let words = [enter(site.holder, true), as_user(&initdb)].concat();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .envs(site.environment())
        .current_dir(&folder);
    exec::output(&mut command).context("make PostgreSQL's storage")?;
    let rules = folder.join("hba");
    owned(&rules, b"hostssl all all all scram-sha-256\n")?;
    let mut arguments = vec![program("postgres"), "-D".to_owned(), data];
    for (name, value) in [
        ("listen_addresses", "*".to_owned()),
        ("port", POSTGRES_PORT.to_string()),
        ("hba_file", rules.display().to_string()),
        ("unix_socket_directories", String::new()),
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", folder.join("tls.crt").display().to_string()),
        ("ssl_key_file", folder.join("tls.key").display().to_string()),
        ("shared_buffers", "16MB".to_owned()),
        // Its data are as short-lived as the bed.
        ("fsync", "off".to_owned()),
    ] {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    site.start(POSTGRES, &as_user(&arguments))
}

fn start_redis(site: &Site, authority: &Authority) -> Result<()> {
    let folder = prepare(site, authority, REDIS)?;
    let password = fs::read_to_string(folder.join("password"))?;
    let place = folder.display();
    let config = format!(
        "port 0\ntls-port {REDIS_PORT}\ntls-cert-file {place}/tls.crt\ntls-key-file {place}/tls.key\n\
         tls-auth-clients no\ndir {place}\nsave \"\"\nuser default on >{password} ~* &* +@all\n"
    );
    let file = folder.join("redis.conf");
    owned(&file, config.as_bytes())?;
    let program = format!("{}/usr/bin/redis-server", packages());
    site.start(REDIS, &as_user(&[&program, &file.display().to_string()]))
}

/// A folder of the server's own, with its certificate, its key and its administrator's password.
fn prepare(site: &Site, authority: &Authority, name: &str) -> Result<PathBuf> {
    let folder = site.state.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    chown(&folder, Some(USER), Some(USER)).context("give a database its folder")?;
    let hosts = [
        &format!("{name}.{NAMESPACE}.svc"),
        &format!("{name}.{NAMESPACE}.svc.cluster.local"),
        NODE_ADDRESS,
        "localhost",
    ];
    authority.issue(&Subject {
        file: name,
        hosts: &hosts,
        ..Subject::default()
    })?;
    for kind in ["crt", "key"] {
        let bytes = fs::read(site.state.join(format!("pki/{name}.{kind}")))?;
        owned(&folder.join(format!("tls.{kind}")), &bytes)?;
    }
    let mut random = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("make a database administrator's password")?;
    let password = format!("{:032x}", u128::from_le_bytes(random));
    owned(&folder.join("password"), password.as_bytes())?;
    Ok(folder)
}

/// A file that only the servers' user (and root) may read.
fn owned(path: &Path, bytes: &[u8]) -> Result<()> {
    write_private(path, bytes)?;
    chown(path, Some(USER), Some(USER)).with_context(|| format!("give {} away", path.display()))
}

/// Where the packages' files are for the servers.
fn packages() -> String {
    format!("{DEBIAN}/root")
}

/// A command as the servers' user, with the packages' libraries where that user can read them.
fn as_user(command: &[&str]) -> Vec<String> {
    let libraries = Debian::seen_at(DEBIAN).library_path();
    let words = [
        "setpriv".to_owned(),
        format!("--reuid={USER}"),
        format!("--regid={USER}"),
        "--clear-groups".to_owned(),
        "env".to_owned(),
        format!("LD_LIBRARY_PATH={libraries}"),
    ];
    words
        .into_iter()
        .chain(command.iter().map(ToString::to_string))
        .collect()
}

/// What the cluster knows of them: a service each, and the certificate of their authority.
pub(super) fn publish(site: &Site) -> Result<()> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "database-ca", "namespace": NAMESPACE},
            "data": {"ca.crt": read_certificate(site, "database-ca.crt")?},
        }),
    ];
    for (name, port) in [(POSTGRES, POSTGRES_PORT), (REDIS, REDIS_PORT)] {
        let port = json!({"name": "tls", "port": port, "protocol": "TCP"});
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"ports": [port]},
        }));
        objects.push(endpoints(NAMESPACE, name, &[port]));
    }
    apply(site, &Value::Array(objects))
}

/// Where they are, with their clients among the bed's programs; none in a bed without them.
pub(super) fn finish(site: &Site, bin: &Path) -> Result<Option<(Database, Database)>> {
    let Some(debian) = &site.tools.debian else {
        return Ok(None);
    };
    let psql = format!("{POSTGRES_BIN}/psql");
    for (name, program) in [("psql", psql.as_str()), ("redis-cli", "/usr/bin/redis-cli")] {
        symlink(debian.file(program), bin.join(name)).with_context(|| format!("link {name}"))?;
    }
    let database = |name: &str, port, user: &str| Database {
        host: NODE_ADDRESS.to_owned(),
        port,
        ca: site.state.join("pki/database-ca.crt"),
        user: user.to_owned(),
        password_file: site.state.join(name).join("password"),
    };
    Ok(Some((
        database(POSTGRES, POSTGRES_PORT, "postgres"),
        database(REDIS, REDIS_PORT, "default"),
    )))
}
