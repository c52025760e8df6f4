//! What is seen from outside of an operator that works: its metrics, the API server's watch and metrics,
//! Vault's audit file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use crate::bed::Bed;
use crate::interrupt;
use crate::rig::program::Program;
use crate::stage::Stage;

/// How often somebody who waits looks whether there is still something to wait for.
const POLL: Duration = Duration::from_millis(50);
/// The same, where milliseconds count.
const FAST_POLL: Duration = Duration::from_millis(10);
/// How the API server's metrics name what the operator writes.
const WRITTEN: [&str; 3] = [
    "group=\"keystead.dev\"",
    "resource=\"events\"",
    "resource=\"secrets\"",
];
/// How they name requests that write.
const WRITING: [&str; 6] = [
    "verb=\"APPLY\"",
    "verb=\"DELETE\"",
    "verb=\"DELETECOLLECTION\"",
    "verb=\"PATCH\"",
    "verb=\"POST\"",
    "verb=\"PUT\"",
];

// === the operator ===

/// Looks at the operator's own metrics until it has nothing to do, and answers when that was.
pub(super) fn until_idle(bed: &Bed, operator: &mut Program, port: u16, deadline: Instant) -> Result<Instant> {
    let (sender, idle) = mpsc::channel();
    let bed = bed.clone();
    // The network is a thread's own.
    thread::spawn(move || -> Result<()> {
        bed.enter()?;
        while Instant::now() < deadline {
            // It may not listen yet.
            if metrics(port).is_ok_and(|metrics| is_idle(&metrics)) {
                return Ok(sender.send(Instant::now())?);
            }
            thread::sleep(FAST_POLL);
        }
        Ok(())
    });
    loop {
        match idle.recv_timeout(POLL) {
            Ok(when) => return Ok(when),
            Err(RecvTimeoutError::Disconnected) => bail!("the operator's metrics can't be read"),
            Err(RecvTimeoutError::Timeout) => look(operator, deadline, "the operator has nothing to do")?,
        }
    }
}

fn metrics(port: u16) -> Result<String> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        server,
        "GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a provider was looked at, which queues whatever there is to do, and all of that is done.
fn is_idle(metrics: &str) -> bool {
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
    };
    let looked = "keystead_operator_reconcile_duration_seconds_count{kind=\"SecretProvider\"}";
    value(looked).is_some_and(|count| count > 0.0) && value("keystead_operator_queue_depth ") == Some(0.0)
}

// === the API server ===

/// Counts the objects of a kind that turn Ready, by one watch. `kubectl` only copies its bytes.
pub(super) struct ReadyWatch {
    kubectl: Child,
    all_ready: Receiver<Instant>,
}

#[derive(Deserialize)]
struct Event {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    resource_version: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

impl ReadyWatch {
    /// Counts from now on.
    pub(super) fn start(stage: &Stage, plural: &str, wanted: usize) -> Result<Self> {
        let url = format!("/apis/keystead.dev/v1alpha1/{plural}");
        let list: Object = serde_json::from_str(&stage.ask(&format!("kubectl get --raw {url}?limit=1"))?)?;
        let version = list.metadata.resource_version;
        let url = format!("{url}?watch=true&resourceVersion={version}");
        let mut kubectl = stage
            .command(&format!("kubectl get --raw {url}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start kubectl")?;
        let events = kubectl.stdout.take().context("kubectl has an output")?;
        let (sender, all_ready) = mpsc::channel();
        thread::spawn(move || {
            if let Some(when) = count(events, wanted) {
                // Nobody may be waiting any more.
                let _ = sender.send(when);
            }
        });
        Ok(Self { kubectl, all_ready })
    }

    /// Waits until all are Ready, and answers when they were.
    pub(super) fn wait(&self, operator: &mut Program, deadline: Instant) -> Result<Instant> {
        loop {
            match self.all_ready.recv_timeout(POLL) {
                Ok(when) => return Ok(when),
                Err(RecvTimeoutError::Disconnected) => bail!("the watch of Ready objects has ended"),
                Err(RecvTimeoutError::Timeout) => look(operator, deadline, "all objects are Ready")?,
            }
        }
    }
}

impl Drop for ReadyWatch {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing left to do.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

/// When the last of so many objects turned Ready; none if the watch ended before.
fn count(events: ChildStdout, wanted: usize) -> Option<Instant> {
    let mut ready = HashSet::new();
    for line in BufReader::new(events).lines() {
        let Event { object } = serde_json::from_str(&line.ok()?).ok()?;
        let conditions = &object.status.conditions;
        if conditions
            .iter()
            .any(|found| found.r#type == "Ready" && found.status == "True")
        {
            ready.insert(object.metadata.name);
        }
        if ready.len() == wanted {
            return Some(Instant::now());
        }
    }
    None
}

/// How many requests the API server has had to write objects of our kinds, events or Secrets.
pub(super) fn cluster_writes(stage: &Stage) -> Result<f64> {
    Ok(writes(&stage.ask("kubectl get --raw /metrics")?))
}

fn writes(metrics: &str) -> f64 {
    let requests = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && WRITING.iter().any(|part| line.contains(part))
            && WRITTEN.iter().any(|part| line.contains(part))
    });
    let counts = requests.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    counts.fold(0.0, |sum, count| sum + count)
}

// === Vault ===

/// Reads the audit file as it grows.
pub(super) struct Audit {
    file: File,
    /// A line that is not whole yet.
    rest: Vec<u8>,
}

/// What Vault answered, as far as we care.
#[derive(Debug, Deserialize)]
pub(super) struct Answered {
    time: String,
    r#type: String,
    #[serde(default)]
    auth: Auth,
    pub(super) request: Request,
}

#[derive(Debug, Default, Deserialize)]
struct Auth {
    #[serde(default)]
    policies: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    operation: String,
    pub(super) path: String,
}

impl Audit {
    /// From the present end of the file on.
    pub(super) fn follow(bed: &Bed) -> Result<Self> {
        let mut file = File::open(&bed.vault_audit_file).context("open the audit file")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            rest: Vec::new(),
        })
    }

    /// How long the file is now.
    pub(super) fn length(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What was answered, since this was last asked, to tokens with a policy.
    pub(super) fn answered(&mut self, policy: &str) -> Result<Vec<Answered>> {
        let mut bytes = std::mem::take(&mut self.rest);
        self.file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        self.rest = bytes.split_off(whole);
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut entries = lines
            .map(serde_json::from_slice)
            .collect::<Result<Vec<Answered>, _>>()?;
        entries.retain(|entry| {
            entry.r#type == "response" && entry.auth.policies.iter().any(|found| found == policy)
        });
        Ok(entries)
    }
}

impl Answered {
    /// Whether it changed something. The operator's own token is not an object of anybody's, and what
    /// that may do is asked by a request that changes nothing, though it looks like one.
    pub(super) fn wrote(&self) -> bool {
        let asks = self.request.path == "sys/capabilities-self";
        !matches!(self.request.operation.as_str(), "read" | "list") && !self.is_own_token() && !asks
    }

    /// Whether it is about the operator's own login: that, its renewal, lookup and end.
    pub(super) fn is_own_token(&self) -> bool {
        let path = &self.request.path;
        path.starts_with("auth/token/") || path.ends_with("/login")
    }

    /// When that was.
    pub(super) fn time(&self) -> Result<Timestamp> {
        self.time.parse().context("the audit file has times")
    }

    /// Whether it read something.
    pub(super) fn read(&self) -> bool {
        self.request.operation == "read"
    }
}

// === waiting ===

/// Fails when there is nothing to wait for any more.
pub(super) fn look(operator: &mut Program, deadline: Instant, what: &str) -> Result<()> {
    operator.check()?;
    interrupt::check()?;
    if Instant::now() >= deadline {
        bail!("waited in vain: {what}");
    }
    Ok(())
}

/// Waits a little.
pub(super) fn pause() {
    thread::sleep(POLL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_ours_are_counted_and_no_others() {
        let metrics = r#"
apiserver_request_total{group="keystead.dev",resource="credentials",subresource="status",verb="APPLY"} 7
apiserver_request_total{group="keystead.dev",resource="credentials",subresource="",verb="LIST"} 100
apiserver_request_total{group="",resource="secrets",subresource="",verb="PATCH"} 2
apiserver_request_total{group="coordination.k8s.io",resource="leases",subresource="",verb="PUT"} 30
"#;
        assert!((writes(metrics) - 9.0).abs() < f64::EPSILON);
    }

    #[test]
    fn who_has_looked_and_has_nothing_to_do_is_idle() {
        let looked = "keystead_operator_reconcile_duration_seconds_count{kind=\"SecretProvider\"} 1\n";
        let depth = |depth: &str| format!("keystead_operator_queue_depth {depth}\n");
        assert!(is_idle(&(looked.to_owned() + &depth("0"))));
        assert!(!is_idle(&(looked.to_owned() + &depth("2"))));
        assert!(!is_idle(&depth("0")), "nothing is queued yet");
        assert!(!is_idle(looked));
    }

    #[test]
    fn an_own_token_is_no_write() {
        let entry = |operation: &str, path: &str| -> Answered {
            let text = format!(
                r#"{{"time":"2026-01-02T03:04:05.678Z","type":"response","request":{{"operation":"{operation}","path":"{path}"}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert!(entry("update", "kv/data/x").wrote() && entry("delete", "sys/policies/acl/x").wrote());
        let login = entry("update", "auth/pods/login");
        assert!(login.is_own_token() && !login.wrote());
        let read = entry("read", "kv/data/x");
        assert!(read.read() && !read.wrote() && read.time().is_ok());
    }
}
