//! What outlives the process: token, leases and their values, in the volume that only the sidecar mounts.
//! A restarted container takes up where it was, so a pod never has two credentials at once.
//!
//! Times are those of the machine's clock since its start, which nobody sets back and which both processes
//! share, because a pod stays where it is.

use super::held::{Credential, Held, Hold, Retiring};
use crate::error::Error;
use crate::files::replace;
use keystead_crds::sidecar::SecretSource;
use keystead_vault::Sensitive;
use keystead_vault::lease::Lease;
use keystead_vault::resolve::Values;
use keystead_vault::session::SavedToken;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// The file, in the private volume.
const FILE: &str = "session";
/// Only the sidecar reads it.
const MODE: u32 = 0o600;
/// The format; a file of another is not read.
const VERSION: u32 = 1;

/// Where the state is kept.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

/// What a predecessor left.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) token: Option<SavedToken>,
    pub(super) retired: Vec<Sensitive<String>>,
    /// Whether it was about to ask for a credential, so that there may be one that nobody knows.
    pub(super) asking: bool,
    pub(super) credentials: BTreeMap<SecretSource, Credential>,
    pub(super) retiring: Vec<Retiring>,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    token: Option<SavedToken>,
    retired: Vec<Sensitive<String>>,
    asking: bool,
    credentials: Vec<ReadCredential>,
    retiring: Vec<Ending>,
}

#[derive(Deserialize)]
struct ReadCredential {
    source: SecretSource,
    values: Values,
    id: String,
    life: Duration,
    /// Since the machine's start.
    end: Duration,
    renewable: bool,
}

#[derive(Deserialize, Serialize)]
struct Ending {
    id: String,
    overlap: Duration,
    /// Since the machine's start.
    at: Option<Duration>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    token: Option<WrittenToken<'a>>,
    retired: Vec<&'a str>,
    asking: bool,
    credentials: Vec<WrittenCredential<'a>>,
    retiring: Vec<Ending>,
}

#[derive(Serialize)]
struct WrittenToken<'a> {
    secret: &'a str,
    full: Duration,
    renewable: bool,
}

#[derive(Serialize)]
struct WrittenCredential<'a> {
    source: &'a SecretSource,
    values: BTreeMap<&'a str, &'a str>,
    id: &'a str,
    life: Duration,
    end: Duration,
    renewable: bool,
}

impl Store {
    pub(super) fn new(private: &Path) -> Self {
        Self(private.join(FILE))
    }

    /// What a predecessor left; nothing where there was none, or one of another version.
    pub(super) fn load(&self) -> State {
        let Ok(text) = fs::read(&self.0).map(Sensitive::new) else {
            return State::default();
        };
        let read: Option<Read> = serde_json::from_slice(text.expose()).ok();
        let Some(read) = read.filter(|read| read.version == VERSION) else {
            return State::default();
        };
        let (now, boot) = (Instant::now(), since_boot());
        let credentials = read.credentials.into_iter().map(|found| {
            let lease = Lease {
                id: found.id,
                life: found.life,
                renewable: found.renewable,
            };
            let end = now + found.end.saturating_sub(boot);
            (found.source, Credential::resumed(found.values, lease, end, now))
        });
        let retiring = read.retiring.into_iter().map(|ending| Retiring {
            id: ending.id,
            overlap: ending.overlap,
            at: ending.at.map(|at| now + at.saturating_sub(boot)),
        });
        State {
            token: read.token,
            retired: read.retired,
            asking: read.asking,
            credentials: credentials.collect(),
            retiring: retiring.collect(),
        }
    }

    /// Writes it all down. A password that Vault changes by itself is read anew instead.
    pub(super) fn save(
        &self,
        token: Option<&SavedToken>,
        retired: &[Sensitive<String>],
        asking: bool,
        held: &Held,
    ) -> Result<(), Error> {
        let (now, boot) = (Instant::now(), since_boot());
        let credentials = held.credentials.iter().filter_map(|(source, found)| {
            let Hold::Lease { lease, end, .. } = &found.hold else {
                return None;
            };
            let values = found.values.iter();
            Some(WrittenCredential {
                source,
                values: values
                    .map(|(key, value)| (key.as_str(), value.expose().as_str()))
                    .collect(),
                id: &lease.id,
                life: lease.life,
                end: boot + end.saturating_duration_since(now),
                renewable: lease.renewable,
            })
        });
        let retiring = held.retiring.iter().map(|retiring| Ending {
            id: retiring.id.clone(),
            overlap: retiring.overlap,
            at: retiring.at.map(|at| boot + at.saturating_duration_since(now)),
        });
        let written = Written {
            version: VERSION,
            token: token.map(|token| WrittenToken {
                secret: token.secret.expose(),
                full: token.full,
                renewable: token.renewable,
            }),
            retired: retired.iter().map(|token| token.expose().as_str()).collect(),
            asking,
            credentials: credentials.collect(),
            retiring: retiring.collect(),
        };
        // Large enough not to grow, because growing leaves copies behind.
        let values = held.credentials.values().flat_map(|found| found.values.iter());
        let size: usize = values
            .map(|(key, value)| key.len() + 2 * value.expose().len() + 8)
            .sum();
        let entries = 1 + retired.len() + held.credentials.len() + held.retiring.len();
        let mut text = Vec::with_capacity(size + 1024 * entries);
        // Nothing in it can't be written as JSON.
        let _ = serde_json::to_writer(&mut text, &written);
        replace(&self.0, MODE, Sensitive::new(text).expose()).map(drop)
    }

    /// There is nothing to take up any more.
    pub(super) fn clear(&self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "the state of the session stays");
        }
    }
}

fn since_boot() -> Duration {
    // The call can't fail: every Linux that Kubernetes runs on has this clock.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
