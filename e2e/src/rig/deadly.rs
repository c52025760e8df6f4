//! A way to the bed's OpenBao on which who asks is killed at a request of one's choice: before the server has
//! it, or once it has done it and before the answer is there.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::https::Https;
use super::proxy::{head_of, listen};
use crate::stage::Stage;

/// When a request kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The server never has it.
    Before,
    /// The server has done it, and nobody is told.
    After,
}

/// The way, plain on the bed's loopback.
pub(crate) struct Deadly {
    /// `http://host:port`.
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    victim: Option<i32>,
    /// How many requests go by first, and when the next kills.
    armed: Option<(usize, Moment)>,
    /// The method of the request that killed.
    killed_at: Option<String>,
}

impl Deadly {
    /// Requests whose path has `counted` in it count.
    pub(crate) fn start(stage: &Stage, counted: String) -> Result<Self> {
        let bed = stage.bed().context("this test needs a bed")?;
        let (host, port) = bed
            .vault_address
            .strip_prefix("https://")
            .and_then(|address| address.rsplit_once(':'))
            .context("the bed's server has TLS")?;
        let ca = std::fs::read(&bed.vault_ca)?;
        let server = Https::new(bed, host, port.parse()?, host.to_owned(), &ca)?;
        let noted = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&noted);
        let address = listen(stage, move |client| carry(client, &server, &counted, &shared))?;
        Ok(Self {
            address: format!("http://{address}"),
            state: noted,
        })
    }

    /// From now on a request kills this process: the one after so many.
    pub(crate) fn arm(&self, victim: u32, after: usize, moment: Moment) -> Result<()> {
        *lock(&self.state) = State {
            victim: Some(i32::try_from(victim)?),
            armed: Some((after, moment)),
            killed_at: None,
        };
        Ok(())
    }

    /// Nothing kills any more; answers the method of the request that did.
    pub(crate) fn disarm(&self) -> Option<String> {
        std::mem::take(&mut *lock(&self.state)).killed_at
    }
}

/// One request. The connection ends with it, so that the next is looked at, too.
fn carry(mut client: TcpStream, server: &Https, part: &str, state: &Mutex<State>) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.to_owned()))
    };
    let length = field("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    let moment = counts(&head, part).then(|| strike(&head, state)).flatten();
    if moment == Some(Moment::Before) {
        return end(state);
    }
    let lines = head
        .split("\r\n")
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    let mut upstream = server.connect().map_err(io::Error::other)?;
    upstream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    upstream.flush()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    if moment == Some(Moment::After) {
        return end(state);
    }
    client.write_all(&answer)
}

fn counts(head: &str, part: &str) -> bool {
    let path = head.split(' ').nth(1).unwrap_or_default();
    path.contains(part)
}

/// Whether this request kills, and when.
fn strike(head: &str, state: &Mutex<State>) -> Option<Moment> {
    let mut state = lock(state);
    let (left, moment) = state.armed?;
    if left > 0 {
        state.armed = Some((left - 1, moment));
        return None;
    }
    state.armed = None;
    state.killed_at = head.split(' ').next().map(str::to_owned);
    Some(moment)
}

fn end(state: &Mutex<State>) -> io::Result<()> {
    let victim = lock(state).victim;
    victim.map_or(Ok(()), |victim| {
        kill(Pid::from_raw(victim), Signal::SIGKILL).map_err(io::Error::from)
    })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
