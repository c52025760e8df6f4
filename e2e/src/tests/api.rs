//! Asks the API server what it would make of a pod, many times a second.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::rig::Rig;
use crate::rig::program::{Program, free_port};
use crate::stage::PATIENCE;
use crate::wait;

/// The longest that one answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A way to the API server without TLS and without a program for each request.
pub(super) struct Api {
    port: u16,
    _proxy: Program,
}

impl Api {
    pub(super) fn start(rig: &Rig<'_>) -> Result<Self> {
        let bed = rig.stage.bed().context("this test needs a bed")?;
        let port = free_port()?;
        let log = rig.path("api.log");
        let proxy = Program::start_file(rig.stage, &bed.tools.kubectl, &log, |command| {
            command.args(["proxy", &format!("--port={port}")]);
        })?;
        let line = format!("kubectl --server=http://127.0.0.1:{port} get --raw /readyz");
        wait::until("kubectl proxy listens", PATIENCE, Some(&log), || {
            Ok(rig.stage.ask(&line).is_ok())
        })?;
        Ok(Self { port, _proxy: proxy })
    }

    /// The pod as it would be stored, or why it would not be. Asked from a thread in the bed's network.
    pub(super) fn would(&self, namespace: &str, pod: &Value) -> Result<Result<Value, String>> {
        let body = pod.to_string();
        let head = format!(
            "POST /api/v1/namespaces/{namespace}/pods?dryRun=All HTTP/1.0\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("connect to kubectl proxy")?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a body")?;
        let body: Value = serde_json::from_str(body).with_context(|| answer.clone())?;
        match head.split(' ').nth(1) {
            Some("201") => Ok(Ok(body)),
            Some("400" | "403" | "422") => Ok(Err(body["message"].as_str().unwrap_or_default().to_owned())),
            _ => bail!("the API server answered {head}: {body}"),
        }
    }
}
