//! What the webhook told this sidecar, read from the environment and checked once: everything
//! after this file works with names that exist and paths that are harmless.

mod files;
mod secrets;

pub use self::files::{Content, File, Listing};
use self::files::{check_mode, files};
use self::secrets::{check_secret, overlaps, scopes, secrets, sources};
use crate::files::FilePath;
use crate::render::is_refused;
use keystead_crds::names;
use keystead_crds::sidecar::{
    CONFIG_VERSION, Config, EnvConfig, OperatorConfig, SecretConfig, SecretSource, VaultConfig,
};
use keystead_vault::resolve::{Secret, Secrets, Source};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Variable that moves [`names::FILES_DIR`].
pub use keystead_crds::names::FILES_DIR_ENV;
/// Variable that moves [`names::PRIVATE_DIR`]; for running outside a pod.
pub const PRIVATE_DIR_ENV: &str = "KEYSTEAD_PRIVATE_DIR";
/// Variable that moves [`names::TOKEN_DIR`]; for running outside a pod.
pub const TOKEN_DIR_ENV: &str = "KEYSTEAD_TOKEN_DIR";

/// Variable that moves the termination message; for running outside a pod.
pub const LAST_WORDS_ENV: &str = "KEYSTEAD_TERMINATION_LOG";

/// Variable with the log's filter, such as `debug`.
pub const LOG_ENV: &str = "KEYSTEAD_LOG";

/// The process's environment, as far as it concerns us.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The config's text.
    pub config: Option<String>,
    /// The node's name.
    pub node: Option<String>,
    /// Where probes and metrics are served.
    pub pod_ip: Option<String>,
    /// At which port, if not the usual one.
    pub port: Option<String>,
    /// Filter of the log.
    pub log: Option<String>,
    /// The termination message, which the kubelet keeps when the container ends.
    pub last_words: PathBuf,
    /// Where files are.
    pub dirs: Dirs,
}

/// Where the sidecar reads and writes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dirs {
    /// The application's files.
    pub files: PathBuf,
    /// What only the sidecar and the kubelet see.
    pub private: PathBuf,
    /// The service account token.
    pub token: PathBuf,
}

/// A config that was checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server and the login.
    pub vault: VaultConfig,
    /// The secrets to read, by the name that files and variables mean them by.
    pub secrets: BTreeMap<String, SecretConfig>,
    /// Where their values are, each place once.
    pub sources: Vec<Source>,
    /// How long a credential at such a place lives on beside its successor.
    pub overlaps: BTreeMap<SecretSource, Duration>,
    /// The files to write.
    pub files: BTreeMap<FilePath, File>,
    /// The variables to hand over, in the binding's order.
    pub env: Vec<Variable>,
    /// Mode of a file that asks for none: who may read it may enter its directories.
    pub file_mode: u32,
    /// How often to look for changes.
    pub refresh: Duration,
    /// Whether to end when everything is there.
    pub once: bool,
    /// Whether containers get the variables by `exec`.
    pub exec: bool,
    /// Who is told what is wrong.
    pub operator: Option<OperatorConfig>,
}

/// One environment variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The secret's name.
    pub secret: String,
    /// The key.
    pub key: String,
}

/// What is wrong with the config. Nothing in a config is secret, so its text may be repeated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error(
        "{} is not set: the sidecar is made to be added to pods by Keystead's webhook",
        names::CONFIG_ENV
    )]
    Missing,
    /// It is not what it should be.
    #[error("the config in {} can't be read: {why}", names::CONFIG_ENV)]
    Unreadable {
        /// The parser's words.
        why: String,
    },
    /// Another version of Keystead wrote it.
    #[error(
        "the config has version {found}, this sidecar reads version {CONFIG_VERSION}: the operator and the \
         sidecar's image are of different releases; delete the pod once both are of the same"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// A node's values are asked for, and the node is not known.
    #[error(
        "a scope of level Node needs the node's name, and {} is not set",
        names::NODE_ENV
    )]
    NoNode,
    /// A field has a value that can't work.
    #[error("config field {field}: {why}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl Environment {
    /// Reads the environment through `variable`; an empty variable counts as none.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| variable(name).filter(|value| !value.is_empty());
        let dir = |name, default: &str| PathBuf::from(get(name).unwrap_or_else(|| default.to_owned()));
        Self {
            config: get(names::CONFIG_ENV),
            node: get(names::NODE_ENV),
            pod_ip: get(names::POD_IP_ENV),
            port: get(names::PORT_ENV),
            log: get(LOG_ENV),
            last_words: dir(LAST_WORDS_ENV, "/dev/termination-log"),
            dirs: Dirs {
                files: dir(FILES_DIR_ENV, names::FILES_DIR),
                private: dir(PRIVATE_DIR_ENV, names::PRIVATE_DIR),
                token: dir(TOKEN_DIR_ENV, names::TOKEN_DIR),
            },
        }
    }

    /// The config, read and checked.
    pub fn settings(&self) -> Result<Settings, Error> {
        let text = self.config.as_deref().ok_or(Error::Missing)?;
        Settings::new(parse(text)?, self.node.as_deref())
    }

    /// Who is told what is wrong, even with the rest of the config.
    pub fn operator(&self) -> Option<OperatorConfig> {
        #[derive(Deserialize)]
        struct Told {
            operator: OperatorConfig,
        }
        let told: Told = serde_json::from_str(self.config.as_deref()?).ok()?;
        Some(told.operator)
    }

    /// Where to serve probes; none where the webhook gave no address.
    pub fn serves(&self) -> Result<Option<SocketAddr>, Error> {
        let Some(text) = &self.pod_ip else { return Ok(None) };
        let address: IpAddr = text
            .parse()
            .map_err(|_| field(names::POD_IP_ENV, &format!("{text:?} is not an IP address")))?;
        let port = self.port.as_ref().map_or(Ok(names::SIDECAR_PORT), |text| {
            let wrong = |_| field(names::PORT_ENV, &format!("{text:?} is not a port"));
            text.parse().map_err(wrong)
        })?;
        Ok(Some(SocketAddr::new(address, port)))
    }
}

fn parse(text: &str) -> Result<Config, Error> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let unreadable = |error: serde_json::Error| Error::Unreadable {
        why: error.to_string(),
    };
    // The version first: a config of another one may have any fields.
    let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
    if version != CONFIG_VERSION {
        return Err(Error::Version { found: version });
    }
    serde_json::from_str(text).map_err(unreadable)
}

impl Settings {
    /// Checks what the types can't say. The CRD's rules and the webhook have checked most of it; a
    /// mistake there must not become a file outside the volume here.
    pub fn new(config: Config, node: Option<&str>) -> Result<Self, Error> {
        let secrets = secrets(&config)?;
        check_mode("fileMode", config.file_mode)?;
        let files = files(&config, &secrets)?;
        let mut env = Vec::new();
        for (index, variable) in config.env.iter().enumerate() {
            check_secret(
                &secrets,
                &format!("env[{index}]"),
                &variable.secret,
                Some(&variable.key),
            )?;
            check_variable(index, variable, &env)?;
            env.push(Variable {
                name: variable.name.clone(),
                secret: variable.secret.clone(),
                key: variable.key.clone(),
            });
        }
        if config.refresh_millis == 0 {
            return Err(field("refreshMillis", "must be more than 0"));
        }
        Ok(Self {
            sources: sources(&config.vault, &scopes(&config.vault, node)?, &secrets)?,
            overlaps: overlaps(&secrets),
            vault: config.vault,
            secrets,
            files,
            env,
            file_mode: config.file_mode,
            refresh: Duration::from_millis(config.refresh_millis),
            once: config.once,
            exec: config.exec,
            operator: config.operator,
        })
    }
}

impl Settings {
    /// The answer to reading them all, where none may be read.
    pub fn all_refused(&self, why: &keystead_vault::Error) -> Secrets {
        let refused = |secret: &SecretConfig| {
            let refused = Secret {
                refused: Some(why.clone()),
                ..Secret::default()
            };
            (secret.from.clone(), refused)
        };
        self.secrets.values().map(refused).collect()
    }

    /// Whether the file at this path shows a secret that is refused; one that should not be there at all
    /// counts as such.
    pub fn shows_refused(&self, path: &FilePath, secrets: &Secrets) -> bool {
        let refused = |name: &str| {
            let secret = self.secrets.get(name);
            secret.is_none_or(|secret| is_refused(secrets, &secret.from))
        };
        self.files
            .get(path)
            .is_none_or(|file| file.content.secrets().any(refused))
    }
}

/// The name goes into a file that the kubelet parses.
fn check_variable(index: usize, variable: &EnvConfig, others: &[Variable]) -> Result<(), Error> {
    let place = format!("env[{index}].name");
    let name = &variable.name;
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || !letters || name.as_bytes()[0].is_ascii_digit() {
        return Err(field(
            &place,
            &format!("{name:?} must be letters, digits and '_', not starting with a digit"),
        ));
    }
    if others.iter().any(|other| other.name == *name) {
        return Err(field(&place, &format!("{name:?} is there twice")));
    }
    Ok(())
}

fn field(field: &str, why: &str) -> Error {
    Error::Field {
        field: field.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
