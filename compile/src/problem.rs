//! Why something that is declared can't be.

use keystead_crds::condition::Reason;
use std::fmt;

/// Why something that is declared can't be (yet): a reason for programs, a sentence for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The condition's reason.
    pub reason: Reason,
    /// Which field or object, what is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of this reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// Something that is waited for.
    pub fn not_found(kind: &str, name: &str) -> Self {
        Self::new(Reason::NotFound, format!("{kind} {name} not found"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<keystead_vault::Error> for Problem {
    fn from(error: keystead_vault::Error) -> Self {
        let remedy = if error.is_denied() {
            ": the operator's policy in Vault lacks it; run kubectl keystead bootstrap"
        } else {
            ""
        };
        Self::new(error.reason(), format!("{error}{remedy}"))
    }
}
