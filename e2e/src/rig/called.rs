//! An application that wants to be called: it counts, and answers as it is told to.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::proxy::{head_of, listen};
use crate::stage::Stage;

/// A server on the bed's loopback.
pub(crate) struct Called {
    /// Where it listens.
    pub(crate) port: u16,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    /// First lines of requests.
    requests: Vec<String>,
    /// How many of the next are answered with an error.
    failing: usize,
}

impl Called {
    /// Starts it; the first calls fail.
    pub(crate) fn start(stage: &Stage, failing: usize) -> Result<Self> {
        let calls = Arc::new(Mutex::new(Calls {
            failing,
            ..Calls::default()
        }));
        let noted = Arc::clone(&calls);
        let address = listen(stage, move |client| answer(client, &noted))?;
        Ok(Self {
            port: address.port(),
            calls,
        })
    }

    /// The first lines of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.requests.clone()
    }
}

fn answer(mut client: TcpStream, calls: &Mutex<Calls>) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let status = {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .requests
            .push(head.lines().next().unwrap_or_default().to_owned());
        let fails = calls.failing > 0;
        calls.failing = calls.failing.saturating_sub(1);
        if fails {
            "503 Service Unavailable"
        } else {
            "204 No Content"
        }
    };
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
