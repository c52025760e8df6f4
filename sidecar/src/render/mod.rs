//! Values in, file contents out. Pure: nothing is read or written here.

pub mod dotenv;
pub mod json;
pub mod pem;
pub mod properties;
pub mod raw;
mod template;
pub mod yaml;

use crate::config::{Content, File, Listing, Settings};
use crate::envfile::{self, Entry};
use crate::error::{Error, Wanted};
use crate::exec::variables;
use crate::files::{self, Contents};
use keystead_crds::sidecar::{SecretConfig, SecretSource};
use keystead_vault::Sensitive;
use keystead_vault::resolve::{Missing, Resolved, Secrets, show};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

/// What a secret shows, by key.
pub type Keys<'a> = BTreeMap<&'a str, &'a Resolved>;

/// Everything that goes to disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rendered {
    /// The application's files.
    pub files: Contents,
    /// The file of variables, as the kubelet or as `exec` reads it.
    pub env: Sensitive<String>,
    /// Sentences that name what optional secrets lack; what would show it is left out.
    pub left_out: BTreeSet<String>,
}

/// Renders all of it, or says what is missing or doesn't fit.
pub fn render(settings: &Settings, secrets: &Secrets) -> Result<Rendered, Error> {
    let mut view = View::new(settings, secrets)?;
    let mut files = Contents::new();
    for (path, File { content, mode, .. }) in &settings.files {
        let text = match content {
            Content::Raw { secret, key } => view.value(secret, key)?.map(|value| raw::render(&value.value)),
            Content::Keys { listing, secret } => view.keys(*listing, secret)?,
            Content::Template { template, secrets } => template::render(&mut view, path, template, secrets)?,
        };
        files.extend(text.map(|text| (path.clone(), files::Content { text, mode: *mode })));
    }
    let mut entries = Vec::with_capacity(settings.env.len());
    for variable in &settings.env {
        let Some(Resolved { value, .. }) = view.value(&variable.secret, &variable.key)? else {
            continue;
        };
        let wanted = view.wanted(&variable.secret, &variable.key);
        entries.extend(wanted.map(|wanted| Entry {
            name: &variable.name,
            wanted,
            value,
        }));
    }
    Ok(Rendered {
        files,
        env: if settings.exec {
            variables::render(entries)?
        } else {
            envfile::render(entries)?
        },
        left_out: view.left_out,
    })
}

/// Whether Vault refuses what a secret shows.
pub(crate) fn is_refused(secrets: &Secrets, source: &SecretSource) -> bool {
    secrets.get(source).is_some_and(|secret| secret.refused.is_some())
}

/// What each secret shows.
struct View<'a> {
    secrets: &'a Secrets,
    shown: BTreeMap<&'a str, (&'a SecretConfig, Keys<'a>)>,
    left_out: BTreeSet<String>,
}

impl<'a> View<'a> {
    /// What nobody has is an error even where no file shows it: it was asked for. What Vault refuses
    /// is left to the caller, and shown nowhere.
    fn new(settings: &'a Settings, secrets: &'a Secrets) -> Result<Self, Error> {
        let mut view = Self {
            secrets,
            shown: BTreeMap::new(),
            left_out: BTreeSet::new(),
        };
        for (name, asked) in &settings.secrets {
            if is_refused(secrets, &asked.from) {
                continue;
            }
            let shown = show(secrets, asked)?;
            view.left_out
                .extend(shown.missing.iter().map(ToString::to_string));
            view.shown.insert(name, (asked, shown.keys));
        }
        Ok(view)
    }

    /// One value; none where it is missing and may be.
    fn value(&mut self, secret: &str, key: &str) -> Result<Option<&'a Resolved>, Error> {
        let Some((asked, keys)) = self.shown.get(secret) else {
            return Ok(None);
        };
        if let Some(value) = keys.get(key) {
            return Ok(Some(value));
        }
        let missing = Missing::new(self.secrets, asked, Some(key));
        if !asked.optional {
            return Err(missing.into());
        }
        // Where the whole secret is missing that was said already.
        if !keys.is_empty() {
            self.left_out.insert(missing.to_string());
        }
        Ok(None)
    }

    /// A file of all keys; none where there are none and need not be.
    fn keys(&self, listing: Listing, secret: &str) -> Result<Option<Sensitive<String>>, Error> {
        let shown = self.shown.get(secret);
        let Some((asked, keys)) = shown.filter(|(_, keys)| !keys.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(match listing {
            Listing::Dotenv => dotenv::render(&asked.from, keys)?,
            Listing::Json => json::render(keys),
            Listing::Pem(part) => {
                let missing = |key| Missing::new(self.secrets, asked, Some(key));
                pem::render(part, keys).map_err(missing)?
            }
            Listing::Properties => properties::render(keys),
            Listing::Yaml => yaml::render(keys),
        }))
    }

    fn wanted(&self, secret: &str, key: &str) -> Option<Wanted> {
        let (asked, _) = self.shown.get(secret)?;
        Some(Wanted {
            secret: asked.from.clone(),
            key: key.to_owned(),
        })
    }
}

/// The text that `write` writes, which is asked twice: first for its size, because a string that grows
/// leaves copies behind.
fn sized(write: impl Fn(&mut dyn Write) -> fmt::Result) -> Sensitive<String> {
    let mut size = Size(0);
    let mut text = String::new();
    // Neither of the two can fail.
    let _ = write(&mut size);
    text.reserve_exact(size.0);
    let _ = write(&mut text);
    Sensitive::new(text)
}

/// Counts bytes.
struct Size(usize);

impl Write for Size {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
