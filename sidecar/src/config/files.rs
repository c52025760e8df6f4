//! What is to be written: every path and mode is checked here.

use super::secrets::check_secret;
use super::{Error, field};
use crate::files::{FilePath, PathError};
use crate::render::pem::Part;
use keystead_crds::binding::FileFormat;
use keystead_crds::sidecar::{Config, FileConfig, OnChange, SecretConfig, TemplateConfig};
use std::collections::{BTreeMap, BTreeSet};

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// What it holds.
    pub content: Content,
    /// Its mode.
    pub mode: u32,
    /// Who is told when it has changed.
    pub on_change: Option<OnChange>,
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
    /// What a template makes of several secrets.
    Template {
        /// Its text, and what its names mean.
        template: TemplateConfig,
        /// The secrets' names: all of its binding's, where it makes names up.
        secrets: BTreeSet<String>,
    },
}

impl Content {
    /// The names of the secrets that it shows.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::Keys { secret, .. } | Self::Raw { secret, .. } => (Some(secret), None),
            Self::Template { secrets, .. } => (None, Some(secrets)),
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(String::as_str)
    }
}

/// A way to write many keys into one file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listing {
    /// For shells.
    Dotenv,
    /// A JSON object.
    Json,
    /// A part of a certificate.
    Pem(Part),
    /// For Java.
    Properties,
    /// A YAML mapping.
    Yaml,
}

/// The files of a config, each checked by itself and all of them together.
pub(super) fn files(
    config: &Config,
    secrets: &BTreeMap<String, SecretConfig>,
) -> Result<BTreeMap<FilePath, File>, Error> {
    let mut files = BTreeMap::new();
    for (index, file) in config.files.iter().enumerate() {
        let place = |part| format!("files[{index}].{part}");
        if let Some(secret) = &file.secret {
            check_secret(secrets, &format!("files[{index}]"), secret, file.key.as_deref())?;
        }
        let path = FilePath::parse(&file.path).map_err(|error| field(&place("path"), &error.to_string()))?;
        let mode = file.mode.unwrap_or(config.file_mode);
        check_mode(&place("mode"), mode)?;
        let content = content(file, secrets).map_err(|(part, why)| field(&place(part), why))?;
        let on_change = file.on_change.clone();
        if let Some(why) = on_change.as_ref().and_then(wrong) {
            return Err(field(&place("onChange"), why));
        }
        let shown = File {
            content,
            mode,
            on_change,
        };
        if files.insert(path, shown).is_some() {
            return Err(field(&place("path"), &format!("{:?} is there twice", file.path)));
        }
    }
    FilePath::check_together(files.keys()).map_err(|error: PathError| field("files", &error.to_string()))?;
    Ok(files)
}

/// What a file holds, or which field is there and must not be, or is not and must.
fn content(
    file: &FileConfig,
    all: &BTreeMap<String, SecretConfig>,
) -> Result<Content, (&'static str, &'static str)> {
    let FileConfig {
        format,
        secret,
        key,
        template,
        ..
    } = file.clone();
    let listing = match format {
        FileFormat::Authority => Some(Listing::Pem(Part::Authority)),
        FileFormat::Certificate => Some(Listing::Pem(Part::Certificate)),
        FileFormat::PrivateKey => Some(Listing::Pem(Part::PrivateKey)),
        FileFormat::Dotenv => Some(Listing::Dotenv),
        FileFormat::Json => Some(Listing::Json),
        FileFormat::Properties => Some(Listing::Properties),
        FileFormat::Yaml => Some(Listing::Yaml),
        FileFormat::Raw | FileFormat::Template => None,
    };
    if (format == FileFormat::Template) == secret.is_some() {
        return Err(("secret", "a file needs one, but for a Template, which has none"));
    }
    if (format == FileFormat::Template) != template.is_some() {
        return Err(("template", "a Template needs one, other files have none"));
    }
    match (listing, secret, key, template) {
        (None, None, None, Some(template)) => Ok(Content::Template {
            secrets: used(&template, all.keys()),
            template,
        }),
        (None, Some(secret), Some(key), _) => Ok(Content::Raw { secret, key }),
        (Some(listing), Some(secret), None, _) => Ok(Content::Keys { listing, secret }),
        _ => Err((
            "key",
            "a Raw file holds one key and needs its name, other files have none",
        )),
    }
}

/// The secrets that a template may show.
fn used<'a>(template: &TemplateConfig, all: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let named = keystead_template::names(&template.text);
    let is_used = |name: &&String| {
        let name = name.strip_prefix(&template.prefix);
        name.is_some_and(|name| named.as_ref().is_none_or(|named| named.contains(name)))
    };
    all.filter(is_used).cloned().collect()
}

/// What keeps somebody from being told, if anything. A call goes to the pod's loopback and nowhere else.
fn wrong(on_change: &OnChange) -> Option<&'static str> {
    match on_change {
        OnChange::Http { port: 0, .. } => Some("a call needs a port other than 0"),
        OnChange::Http { path, .. }
            if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Some("a call needs a path that begins with '/', percent-encoded")
        }
        OnChange::Signal { container: None, .. } => Some("a signal needs a container"),
        _ => None,
    }
}

pub(super) fn check_mode(place: &str, mode: u32) -> Result<(), Error> {
    if mode & !0o777 != 0 || mode & 0o400 == 0 {
        return Err(field(
            place,
            &format!("0o{mode:o} must be a mode that the owner can read"),
        ));
    }
    Ok(())
}
