//! Values in, file contents out. Pure: nothing is read or written here.

pub mod dotenv;
pub mod raw;

use crate::config::{Content, Settings};
use crate::envfile::{self, Entry};
use crate::error::{Error, Wanted};
use crate::files::Contents;
use keystead_crds::sidecar::{SecretConfig, SecretSource};
use keystead_vault::Sensitive;
use keystead_vault::resolve::{Missing, Resolved, Secrets, show};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that goes to disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rendered {
    /// The application's files.
    pub files: Contents,
    /// The file of variables.
    pub env: Sensitive<String>,
    /// Sentences that name what optional secrets lack; what would show it is left out.
    pub left_out: BTreeSet<String>,
}

/// Renders all of it, or says what is missing or doesn't fit.
pub fn render(settings: &Settings, secrets: &Secrets) -> Result<Rendered, Error> {
    let mut view = View::new(settings, secrets)?;
    let mut files = Contents::new();
    for (path, content) in &settings.files {
        let text = match content {
            Content::Raw { secret, key } => view.value(secret, key)?.map(|value| raw::render(&value.value)),
            Content::Dotenv { secret } => view.dotenv(secret)?,
        };
        files.extend(text.map(|text| (path.clone(), text)));
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
        env: envfile::render(entries)?,
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
    shown: BTreeMap<&'a str, (&'a SecretConfig, BTreeMap<&'a str, &'a Resolved>)>,
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
    fn dotenv(&self, secret: &str) -> Result<Option<Sensitive<String>>, Error> {
        match self.shown.get(secret) {
            Some((asked, keys)) if !keys.is_empty() => dotenv::render(&asked.from, keys).map(Some),
            _ => Ok(None),
        }
    }

    fn wanted(&self, secret: &str, key: &str) -> Option<Wanted> {
        let (asked, _) = self.shown.get(secret)?;
        Some(Wanted {
            secret: asked.from.clone(),
            key: key.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
