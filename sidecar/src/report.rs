//! What is wrong, as it is said: in the log, in the termination message, and to the operator. Each sentence
//! is said once, not once for each retry.

mod last_words;
mod teller;

use self::last_words::LastWords;
use self::teller::Teller;
pub use self::teller::To;
use crate::error::Error;
use keystead_crds::sidecar::{PodReason, PodReport};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long an error that goes on is not said again.
const REPEAT: Duration = Duration::from_mins(5);
/// How many errors are remembered.
const CAPACITY: usize = 16;

/// What an error means to the pod.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trouble {
    /// It waits for its secrets, which are tried again.
    NotReady,
    /// It waits, and in vain.
    Stuck,
    /// Its files stay as they were; they are tried again.
    NotCurrent,
    /// Access was taken away, and with it files.
    TakenAway,
}

/// Everything that was said, and those who hear it.
#[derive(Debug, Default)]
pub struct Report {
    said: HashMap<(Trouble, String), Instant>,
    last_words: LastWords,
    teller: Teller,
}

impl Report {
    /// Nothing was said yet. `last_words` is the file of the termination message.
    pub fn new(last_words: &Path) -> Self {
        Self {
            last_words: LastWords::new(last_words),
            ..Self::default()
        }
    }

    /// Says it there, too, from now on.
    pub fn tell(&mut self, to: Option<To>) {
        self.teller.tell(to);
    }

    /// Says an error, unless it was just said.
    pub fn say(&mut self, trouble: Trouble, error: &Error) {
        let sentence = error.to_string();
        if !self.is_news(trouble, &sentence, Instant::now()) {
            return;
        }
        match trouble {
            Trouble::NotReady => tracing::warn!(%error, "not ready yet, trying again"),
            Trouble::Stuck => tracing::error!(%error, "this pod can't get its secrets"),
            Trouble::NotCurrent => tracing::warn!(%error, "keeping the files as they are, trying again"),
            Trouble::TakenAway => {
                tracing::warn!(%error, "access was taken away, and with it the files that need it");
            }
        }
        let report = PodReport::new(trouble.reason(), &sentence);
        self.last_words.set(&report.message);
        // An outage is not the pod's: the provider says it once, instead of each of its pods.
        if trouble != Trouble::NotCurrent || !error.is_outage() {
            self.teller.say(report);
        }
    }

    fn is_news(&mut self, trouble: Trouble, sentence: &str, now: Instant) -> bool {
        let key = (trouble, sentence.to_owned());
        if self.said.get(&key).is_some_and(|said| now < *said + REPEAT) {
            return false;
        }
        if self.said.len() >= CAPACITY {
            let oldest = self.said.iter().min_by_key(|(_, said)| **said);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| self.said.remove(&key));
        }
        self.said.insert(key, now);
        true
    }

    /// All is well: whatever comes next is news. Says whether anything was wrong.
    pub fn clear(&mut self) -> bool {
        if self.said.is_empty() {
            return false;
        }
        self.said.clear();
        self.last_words.clear();
        self.teller
            .say(PodReport::new(PodReason::SecretsReady, "the secrets are there"));
        true
    }

    /// The end has come before the secrets.
    pub fn end_early(&mut self) {
        self.last_words
            .set_if_none("asked to end before the secrets were there");
    }
}

impl Trouble {
    /// What an error means that is tried again.
    pub const fn passing(started: bool) -> Self {
        if started { Self::NotCurrent } else { Self::NotReady }
    }

    const fn reason(self) -> PodReason {
        match self {
            Self::NotReady | Self::Stuck => PodReason::SecretsNotReady,
            Self::NotCurrent => PodReason::SecretsNotCurrent,
            Self::TakenAway => PodReason::SecretsTakenAway,
        }
    }
}

#[cfg(test)]
mod tests;
