//! What can go wrong with Vault, converted at the border: a foreign error's text may hold a token
//! or a whole response body, so none is kept.

use keystead_crds::condition::Reason;
use std::fmt;

/// Why a request to Vault did not work.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The address can't be used.
    #[error("{address} is not an address of a Vault server: {why}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something that the connection is to be made with can't be used.
    #[error("{what} for {address} can't be used: {why}")]
    Connection {
        /// Of which server.
        address: String,
        /// What it is.
        what: &'static str,
        /// What is wrong with it, or what would be right.
        why: &'static str,
    },
    /// The answer is not what Vault answers.
    #[error("unexpected answer to {request}: {why}")]
    Answer {
        /// What was asked.
        request: Request,
        /// What is odd.
        why: String,
    },
    /// Something that we did not make stands there.
    #[error("{object} exists and is not ours ({owner}); it was left as it is")]
    Conflict {
        /// What stands there.
        object: String,
        /// Whose it is, as far as can be told.
        owner: String,
    },
    /// The token's policies don't allow the request.
    #[error("permission denied: {request}")]
    Denied {
        /// What was asked.
        request: Request,
    },
    /// The token to log in with can't be read.
    #[error("cannot read the service account token {file}: {why}")]
    Jwt {
        /// The file.
        file: String,
        /// The system's words.
        why: String,
    },
    /// The login was refused.
    #[error("Vault refused the login: role {role} at auth/{mount}: {why}")]
    Login {
        /// The auth mount.
        mount: String,
        /// The role.
        role: String,
        /// Vault's own words.
        why: String,
    },
    /// The endpoint that gives new values did not.
    #[error("new values: {0}")]
    Webhook(String),
    /// Generated values are gone.
    #[error(
        "{path}: the generated value of {keys} is lost: it was made once and is not there any more. It is not made anew silently: bring it back from a backup or an older version, or ask for a new one with the annotation keystead.dev/rotate=again on the Credential"
    )]
    Lost {
        /// Where they were.
        path: String,
        /// Their keys.
        keys: String,
    },
    /// Vault keeps a root password of another server.
    #[error(
        "{connection}: Vault keeps the root password of the server at {there}, and does not show it to the one at {declared}. Go back to spec.host and spec.port as they were; or put the password of the new server's user into the Secret that rootPasswordRef names, and set the annotation keystead.dev/root-password on the DatabaseConnection to a new value"
    )]
    Moved {
        /// Its name in Vault.
        connection: String,
        /// Host and port of the server whose password it is.
        there: String,
        /// Host and port of the one that is declared.
        declared: String,
    },
    /// There is nothing at the path.
    #[error("nothing found: {request}")]
    NotFound {
        /// What was asked.
        request: Request,
    },
    /// Vault answered with an error.
    #[error("Vault answered {code} to {request}: {why}")]
    Refused {
        /// What was asked.
        request: Request,
        /// HTTP status.
        code: u16,
        /// Vault's own words.
        why: String,
    },
    /// A sealed value does not open.
    #[error(
        "spec.keys[{key}].from.sealed can't be opened by EncryptionKey {by}: {why}. Seal the value again: kubectl keystead seal"
    )]
    Seal {
        /// The Credential's key.
        key: String,
        /// The EncryptionKey.
        by: String,
        /// Why not.
        why: &'static str,
    },
    /// Vault is sealed.
    #[error("Vault is sealed at {address}")]
    Sealed {
        /// Which server.
        address: String,
    },
    /// A root password is gone with Vault's connection.
    #[error(
        "{connection}: Vault has lost this connection, and with it the password of {username}, which nobody else knew. Set a new one in the database, put it into the Secret that rootPasswordRef names, and set the annotation keystead.dev/root-password on the DatabaseConnection to a new value"
    )]
    RootLost {
        /// Its name in Vault.
        connection: String,
        /// Whose password.
        username: String,
    },
    /// More than Vault takes at one path.
    #[error(
        "the values of {path} come to {size} bytes as JSON, and Vault stores at most {largest} at one path: declare fewer or smaller ones"
    )]
    TooLarge {
        /// Where.
        path: String,
        /// All values there, those of others included.
        size: usize,
        /// What would be right.
        largest: usize,
    },
    /// The place where a value is kept did not answer, or refused.
    #[error("{0}")]
    Source(String),
    /// A value to be written can't be had.
    #[error("{0}")]
    Value(String),
    /// The token that somebody gave is of no use.
    #[error(
        "the given Vault token is refused ({why}): it has ended, was revoked or may not look itself up; nobody but who gave it can replace it"
    )]
    Token {
        /// Vault's own words.
        why: String,
    },
    /// No answer.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// Which server.
        address: String,
        /// The transport's words.
        why: String,
    },
}

/// A request, as errors name it: method and path, never a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// HTTP method.
    pub method: &'static str,
    /// Path below `/v1/`.
    pub path: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Error {
    /// The reason a condition gives.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Address { .. }
            | Self::Connection { .. }
            | Self::Moved { .. }
            | Self::Seal { .. }
            | Self::TooLarge { .. } => Reason::Invalid,
            Self::Conflict { .. } => Reason::Conflict,
            Self::Denied { .. } | Self::Login { .. } | Self::Token { .. } => Reason::VaultDenied,
            Self::Lost { .. } | Self::RootLost { .. } => Reason::Lost,
            Self::Source(_) => Reason::KubernetesError,
            Self::NotFound { .. } | Self::Value(_) => Reason::NotFound,
            Self::Answer { .. } | Self::Jwt { .. } | Self::Refused { .. } => Reason::VaultError,
            Self::Sealed { .. } => Reason::VaultSealed,
            Self::Unreachable { .. } => Reason::VaultUnreachable,
            Self::Webhook(_) => Reason::WebhookFailed,
        }
    }

    /// Whether there is simply nothing at the path.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether somebody else wrote between a read and a write that depends on it.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { code: 400, why, .. } if why.contains("check-and-set parameter"))
    }

    /// Whether Vault says that the role to log in with is not there. No other refusal of a login tells
    /// that access is gone: a `kubernetes` mount answers a bare 403 while it can't reach the API server.
    pub fn is_unknown_role(&self) -> bool {
        matches!(self, Self::Login { role, why, .. } if why.contains(&format!("\"{role}\"")))
    }

    /// Whether the token is refused, by age or by rights.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}
