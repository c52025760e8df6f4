//! An endpoint that gives new values, as somebody who reads docs/rotation.md would write it: it checks the
//! signature, and gives the same id the same values.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};

use super::proxy::{head_of, listen};
use crate::stage::Stage;

/// What requests are signed with.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The endpoint, on the bed's loopback.
pub(crate) struct Endpoint {
    /// `https://127.0.0.1:port/new`.
    pub(crate) url: String,
    /// Its certificate, as PEM.
    pub(crate) ca: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What was asked, with a good signature.
    asked: Vec<Value>,
    /// The statuses of the next answers; 200 where there are none.
    statuses: Vec<u16>,
}

impl Endpoint {
    pub(crate) fn start(stage: &Stage) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let ca = made.cert.pem();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from_pem_slice(ca.as_bytes())?], key)?;
        let tls = Arc::new(tls);
        let noted = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&noted);
        let address = listen(stage, move |client| {
            let connection = ServerConnection::new(Arc::clone(&tls)).map_err(io::Error::other)?;
            answer(StreamOwned::new(connection, client), &shared)
        })?;
        let url = format!("https://{address}/new");
        Ok(Self {
            url,
            ca,
            state: noted,
        })
    }

    /// What was asked so far, with a good signature: ids, keys, rotations.
    pub(crate) fn asked(&self) -> Vec<Value> {
        lock(&self.state).asked.clone()
    }

    /// How the next requests are answered.
    pub(crate) fn answers(&self, statuses: &[u16]) {
        lock(&self.state).statuses = statuses.to_vec();
    }
}

fn answer(mut client: StreamOwned<ServerConnection, TcpStream>, state: &Mutex<State>) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
            .unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    client.read_exact(&mut body)?;
    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = [format!("{id}.{time}.").as_bytes(), &body].concat();
    let given = header("webhook-signature")
        .strip_prefix("v1,")
        .and_then(|text| BASE64_STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let is_good = given.is_some_and(|given| hmac::verify(&key, &signed, &given).is_ok())
        && header("idempotency-key") == id;
    let question: Value = serde_json::from_slice(&body)?;
    let status = {
        let mut state = lock(state);
        if is_good {
            state.asked.push(question.clone());
        }
        match (is_good, state.statuses.is_empty()) {
            (false, _) => 401,
            (true, true) => 200,
            (true, false) => state.statuses.remove(0),
        }
    };
    let keys = question["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let values: Map<String, Value> = keys.map(|key| (key.to_owned(), json!(value(id, key)))).collect();
    let body = json!({"values": values}).to_string();
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    client.conn.send_close_notify();
    client.flush()
}

/// What it gives for a key of a request.
pub(crate) fn value(id: &str, key: &str) -> String {
    format!("{key}-of-{id}")
}

/// The id of a request.
pub(crate) fn id(asked: &Value) -> Result<&str> {
    asked["id"].as_str().context("a request has an id")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
