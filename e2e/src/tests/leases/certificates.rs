//! A TLS server that has its certificate from Vault, and reloads it when it is told to.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::json;

use crate::rig::https::Https;
use crate::rig::leases::{Sidecar, World, run};
use crate::rig::proxy::listen;
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const HOST: &str = "web.shop.example";
/// Of a certificate, in seconds.
const LIFE: u64 = 9;
/// How many are to be seen.
const CERTIFICATES: usize = 4;
/// Between connections.
const EVERY: Duration = Duration::from_millis(50);

type Current = Arc<Mutex<Option<Arc<ServerConfig>>>>;

pub(super) fn reloaded(stage: &Stage) -> Result<()> {
    run(stage, "tls", &[], |world| {
        issues(world)?;
        let current = Current::default();
        let folder = world.rig.path("pod/files");
        let (serving, reloading) = (Arc::clone(&current), Arc::clone(&current));
        let server = listen(stage, move |client| serve(client, &serving))?;
        let told = listen(stage, move |client| reload(client, &folder, &reloading))?;
        let sidecar = sidecar(world, told.port())?;
        let mut program = sidecar.start()?;
        let files = sidecar.folder.join("files");
        *lock(&current) = Some(load(&files)?);

        let authority = fs::read(files.join("tls/ca.crt"))?;
        let bed = stage.bed().context("this test needs a bed")?.clone();
        let https = Https::new(&bed, "127.0.0.1", server.port(), HOST.to_owned(), &authority)?;
        let seen = thread::scope(|scope| scope.spawn(|| connect(&https)).join());
        let seen = seen.unwrap_or_else(|_| Err(anyhow::anyhow!("who connects has died")))?;
        ensure!(seen >= CERTIFICATES, "{seen} certificates were seen");

        program.stop()?;
        ensure!(!program.log().contains("PRIVATE KEY"), "the key is in the log");
        Ok(())
    })
}

/// Mounts an authority of the world's own.
fn issues(world: &World<'_>) -> Result<()> {
    let server = &world.server;
    server.ask("bao secrets enable pki")?;
    server.write(
        "pki/root/generate/internal",
        &json!({"common_name": "a test's", "ttl": "24h"}),
    )?;
    server.write(
        "pki/roles/web",
        &json!({"allowed_domains": HOST, "allow_bare_domains": true, "max_ttl": "1h", "key_type": "ec", "key_bits": 256}),
    )
}

fn sidecar<'a>(world: &'a World<'a>, told: u16) -> Result<Sidecar<'a>> {
    let mut sidecar = world.sidecar("pod", &[])?;
    let mut config: serde_json::Value = serde_json::from_str(&sidecar.config)?;
    let parameters = json!({"common_name": HOST, "ttl": format!("{LIFE}s")});
    config["secrets"] = json!([{
        "name": "tls", "overlapMillis": 0, "from": {"made": {"path": "pki/issue/web", "parameters": parameters}},
    }]);
    let call = json!({"http": {"port": told, "path": "/reload"}});
    let file =
        |path: &str, format: &str| json!({"path": path, "format": format, "secret": "tls", "onChange": call});
    config["files"] = json!([
        file("tls/tls.crt", "Certificate"),
        file("tls/tls.key", "PrivateKey"),
        file("tls/ca.crt", "Authority"),
    ]);
    sidecar.config = config.to_string();
    Ok(sidecar)
}

/// Connects all the time; answers how many certificates it was shown.
fn connect(https: &Https) -> Result<usize> {
    let mut seen = BTreeSet::new();
    wait::until("enough certificates are seen", PATIENCE, None, || {
        let mut stream = https.connect()?;
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).context("a connection fails")?;
        let shown = stream.conn.peer_certificates().context("no certificate")?;
        seen.insert(shown[0].to_vec());
        thread::sleep(EVERY);
        Ok(seen.len() >= CERTIFICATES)
    })?;
    Ok(seen.len())
}

fn serve(client: TcpStream, current: &Current) -> io::Result<()> {
    let config = lock(current).clone().ok_or(io::ErrorKind::NotConnected)?;
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    rustls::StreamOwned::new(tls, client).write_all(b"hello")
}

/// Takes the files as they are now.
fn reload(mut client: TcpStream, files: &Path, current: &Current) -> io::Result<()> {
    let config = load(files).map_err(io::Error::other)?;
    *lock(current) = Some(config);
    let mut head = [0; 1024];
    let _ = client.read(&mut head)?;
    client.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn load(files: &Path) -> Result<Arc<ServerConfig>> {
    let [certificate, key]: [PathBuf; 2] = ["tls/tls.crt", "tls/tls.key"].map(|name| files.join(name));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    Ok(Arc::new(config))
}

fn lock(current: &Current) -> std::sync::MutexGuard<'_, Option<Arc<ServerConfig>>> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}
