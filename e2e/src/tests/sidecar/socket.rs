//! What the application is told on the socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Pod;

impl Pod<'_> {
    /// Status and body of an answer.
    pub(super) fn told(&self, path: &str) -> Result<(String, Value)> {
        let socket = self.folder("files").join(".socket");
        let mut stream = UnixStream::connect(&socket).context("connect to the socket")?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        Ok((status.to_owned(), serde_json::from_str(body)?))
    }
}
