//! What stands between the operator and a server in a test: an HTTP proxy that counts, and an API server
//! that hides something. Each connection has a thread in the bed's network; they end with the tests.

use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::{fs, thread};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::Rig;
use super::program::{Program, free_port};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// Longest head of a request.
const HEAD: usize = 64 << 10;

/// A proxy for `CONNECT`.
pub(crate) struct Tunnels {
    /// `http://host:port`.
    pub(crate) address: String,
    opened: Arc<AtomicUsize>,
}

impl Tunnels {
    pub(crate) fn start(stage: &Stage) -> Result<Self> {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let address = listen(stage, move |client| tunnel(client, &count))?;
        Ok(Self {
            address: format!("http://{address}"),
            opened,
        })
    }

    /// How many connections went through it.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

fn tunnel(mut client: TcpStream, opened: &AtomicUsize) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let mut words = head.split(' ');
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    };
    let server = TcpStream::connect(target)?;
    opened.fetch_add(1, Ordering::Relaxed);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    pump(client, server)
}

/// The bed's API server with something amiss.
pub(crate) struct Amiss {
    /// A kubeconfig that leads there.
    pub(crate) kubeconfig: PathBuf,
    hides: Arc<AtomicBool>,
    _proxy: Program,
}

impl Amiss {
    /// What begins like `hidden` is not there until [`Self::reveal`]; `answers` are given for others,
    /// where nobody asks for a watch.
    pub(crate) fn start(
        rig: &Rig<'_>,
        hidden: Option<&'static str>,
        answers: Vec<(&'static str, Value)>,
    ) -> Result<Self> {
        let bed = rig.stage.bed().context("this test needs a bed")?;
        let port = free_port()?;
        let log = rig.path("proxy.log");
        let proxy = Program::start_file(rig.stage, &bed.tools.kubectl, &log, |command| {
            command.args(["proxy", &format!("--port={port}")]);
        })?;
        let hides = Arc::new(AtomicBool::new(hidden.is_some()));
        let hiding = Arc::clone(&hides);
        let address = listen(rig.stage, move |client| {
            let hidden = hidden.filter(|_| hiding.load(Ordering::Relaxed));
            answer(client, port, hidden, &answers)
        })?;
        let kubeconfig = rig.path("amiss.kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "amiss",
            "contexts": [{"name": "amiss", "context": {"cluster": "amiss", "user": "amiss"}}],
            "clusters": [{"name": "amiss", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "amiss", "user": {}}],
        });
        fs::write(&kubeconfig, config.to_string())?;
        let line = format!("kubectl --server=http://127.0.0.1:{port} get --raw /readyz");
        wait::until("kubectl proxy listens", PATIENCE, Some(&log), || {
            Ok(rig.stage.ask(&line).is_ok())
        })?;
        Ok(Self {
            kubeconfig,
            hides,
            _proxy: proxy,
        })
    }

    /// From now on everything is there.
    pub(crate) fn reveal(&self) {
        self.hides.store(false, Ordering::Relaxed);
    }
}

fn answer(
    mut client: TcpStream,
    upstream: u16,
    hidden: Option<&str>,
    answers: &[(&'static str, Value)],
) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    if hidden.is_some_and(|hidden| path.starts_with(hidden)) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
        return respond(client, "404 Not Found", &status);
    }
    let (place, query) = path.split_once('?').unwrap_or((path, ""));
    let given = answers.iter().find(|(known, _)| place == *known);
    if let Some((_, answer)) = given.filter(|_| !query.contains("watch=true")) {
        return respond(client, "200 OK", answer);
    }
    // One request a connection, so that the next one is looked at too.
    let lines = head
        .split("\r\n")
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    server.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())?;
    pump(client, server)
}

fn respond(mut client: TcpStream, status: &str, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    let head = "Content-Type: application/json\r\nConnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    client.write_all(answer.as_bytes())
}

/// Listens inside the bed.
pub(crate) fn listen(
    stage: &Stage,
    handle: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> Result<SocketAddr> {
    let bed = stage.bed().context("this test needs a bed")?.clone();
    let (said, heard) = mpsc::channel();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        // The network is a thread's own, and that of the threads it starts.
        let listener = bed
            .enter()
            .and_then(|()| TcpListener::bind("127.0.0.1:0").context("listen in the bed"));
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return said.send(Err(error)),
        };
        said.send(listener.local_addr().map_err(|error| anyhow!(error)))?;
        for client in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            // A connection that breaks is its client's to complain of.
            thread::spawn(move || handle(client).ok());
        }
        Ok(())
    });
    heard.recv().context("the proxy ended")?
}

/// Everything up to the empty line, and nothing of what follows.
pub(super) fn head_of(client: &mut impl io::Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Carries both ways until the server has ended.
fn pump(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let carried = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write).and(carried)
    });
    let (mut from, mut to) = (server, client);
    let carried = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Both).and(carried).map(drop)
}
