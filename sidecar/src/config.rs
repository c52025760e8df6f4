//! What the webhook told this sidecar, read from the environment and checked once: everything
//! after this file works with names that exist and paths that are harmless.

mod secrets;

use self::secrets::{check_secret, scopes, secrets, sources};
use crate::files::{FilePath, PathError};
use crate::render::is_refused;
use keystead_crds::binding::FileFormat;
use keystead_crds::names;
use keystead_crds::sidecar::{CONFIG_VERSION, Config, EnvConfig, FileConfig, SecretConfig, VaultConfig};
use keystead_vault::resolve::{Secret, Secrets, Source};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Variable that moves [`names::FILES_DIR`]; for running outside a pod.
pub const FILES_DIR_ENV: &str = "KEYSTEAD_FILES_DIR";
/// Variable that moves [`names::PRIVATE_DIR`]; for running outside a pod.
pub const PRIVATE_DIR_ENV: &str = "KEYSTEAD_PRIVATE_DIR";
/// Variable that moves [`names::TOKEN_DIR`]; for running outside a pod.
pub const TOKEN_DIR_ENV: &str = "KEYSTEAD_TOKEN_DIR";

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
    /// Filter of the log.
    pub log: Option<String>,
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
    /// The files to write.
    pub files: BTreeMap<FilePath, File>,
    /// The variables to hand over, in the binding's order.
    pub env: Vec<Variable>,
    /// Mode of a file that asks for none: who may read it may enter its directories.
    pub file_mode: u32,
    /// How often to look for changes.
    pub refresh: Duration,
}

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// What it holds.
    pub content: Content,
    /// Its mode.
    pub mode: u32,
}

/// What a file holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// All keys of a secret.
    Keys {
        /// How they are written.
        listing: Listing,
        /// The secret's name.
        secret: String,
    },
    /// One key's value.
    Raw {
        /// The secret's name.
        secret: String,
        /// The key.
        key: String,
    },
}

/// A way to write many keys into one file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listing {
    /// For shells.
    Dotenv,
    /// A JSON object.
    Json,
    /// For Java.
    Properties,
    /// A YAML mapping.
    Yaml,
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
            log: get(LOG_ENV),
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

    /// The address to serve probes on; none where the webhook gave none.
    pub fn pod_ip(&self) -> Result<Option<IpAddr>, Error> {
        let Some(text) = &self.pod_ip else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| field(names::POD_IP_ENV, &format!("{text:?} is not an IP address")))
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
            vault: config.vault,
            secrets,
            files,
            env,
            file_mode: config.file_mode,
            refresh: Duration::from_millis(config.refresh_millis),
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
        let Some(File {
            content: Content::Keys { secret, .. } | Content::Raw { secret, .. },
            ..
        }) = self.files.get(path)
        else {
            return true;
        };
        self.secrets
            .get(secret)
            .is_none_or(|secret| is_refused(secrets, &secret.from))
    }
}

fn files(
    config: &Config,
    secrets: &BTreeMap<String, SecretConfig>,
) -> Result<BTreeMap<FilePath, File>, Error> {
    let mut files = BTreeMap::new();
    for (index, file) in config.files.iter().enumerate() {
        let place = |part| format!("files[{index}].{part}");
        check_secret(
            secrets,
            &format!("files[{index}]"),
            &file.secret,
            file.key.as_deref(),
        )?;
        let path = FilePath::parse(&file.path).map_err(|error| field(&place("path"), &error.to_string()))?;
        let mode = file.mode.unwrap_or(config.file_mode);
        check_mode(&place("mode"), mode)?;
        let content = content(file).map_err(|why| field(&place("key"), why))?;
        if files.insert(path, File { content, mode }).is_some() {
            return Err(field(&place("path"), &format!("{:?} is there twice", file.path)));
        }
    }
    FilePath::check_together(files.keys()).map_err(|error: PathError| field("files", &error.to_string()))?;
    Ok(files)
}

fn content(file: &FileConfig) -> Result<Content, &'static str> {
    let secret = file.secret.clone();
    let keys = |listing| match file.key {
        None => Ok(Content::Keys {
            listing,
            secret: secret.clone(),
        }),
        Some(_) => Err("a file of this format holds all keys and has none"),
    };
    match file.format {
        FileFormat::Raw => match file.key.clone() {
            Some(key) => Ok(Content::Raw { secret, key }),
            None => Err("a Raw file holds one key and needs its name"),
        },
        FileFormat::Dotenv => keys(Listing::Dotenv),
        FileFormat::Json => keys(Listing::Json),
        FileFormat::Properties => keys(Listing::Properties),
        FileFormat::Yaml => keys(Listing::Yaml),
    }
}

fn check_mode(place: &str, mode: u32) -> Result<(), Error> {
    if mode & !0o777 != 0 || mode & 0o400 == 0 {
        return Err(field(
            place,
            &format!("0o{mode:o} must be a mode that the owner can read"),
        ));
    }
    Ok(())
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
