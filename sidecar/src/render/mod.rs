//! Values in, file contents out. Pure: nothing is read or written here.

pub mod dotenv;
pub mod raw;

use crate::config::{Content, Settings};
use crate::envfile::{self, Entry};
use crate::error::{Error, Searched, Wanted};
use crate::files::Contents;
use keystead_vault::Sensitive;
use keystead_vault::resolve::{Resolved, Service};
use std::collections::BTreeMap;

/// Every service the pod gets, resolved.
pub type Services = BTreeMap<String, Service>;

/// Everything that goes to disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rendered {
    /// The application's files.
    pub files: Contents,
    /// The file of variables.
    pub env: Sensitive<String>,
}

/// Renders all of it, or says what is missing or doesn't fit.
pub fn render(settings: &Settings, services: &Services) -> Result<Rendered, Error> {
    // A service that nobody has is an error even where no file shows it: it was asked for.
    for service in &settings.services {
        found(settings, services, service)?;
    }
    let mut files = Contents::new();
    for (path, content) in &settings.files {
        let text = match content {
            Content::Raw { service, key } => raw::render(&value(settings, services, service, key)?.value),
            Content::Dotenv { service } => {
                dotenv::render(service, &found(settings, services, service)?.keys)?
            }
        };
        files.insert(path.clone(), text);
    }
    let mut entries = Vec::with_capacity(settings.env.len());
    for variable in &settings.env {
        let Resolved { value, .. } = value(settings, services, &variable.service, &variable.key)?;
        let wanted = Wanted {
            service: variable.service.clone(),
            key: Some(variable.key.clone()),
        };
        entries.push(Entry {
            name: &variable.name,
            wanted,
            value,
        });
    }
    Ok(Rendered {
        files,
        env: envfile::render(entries)?,
    })
}

/// A service that has at least one key.
fn found<'a>(settings: &Settings, services: &'a Services, service: &str) -> Result<&'a Service, Error> {
    services
        .get(service)
        .filter(|found| !found.keys.is_empty())
        .ok_or_else(|| Error::Missing {
            wanted: Wanted {
                service: service.to_owned(),
                key: None,
            },
            searched: Searched(settings.scopes.clone()),
        })
}

fn value<'a>(
    settings: &Settings,
    services: &'a Services,
    service: &str,
    key: &str,
) -> Result<&'a Resolved, Error> {
    found(settings, services, service)?
        .keys
        .get(key)
        .ok_or_else(|| Error::Missing {
            wanted: Wanted {
                service: service.to_owned(),
                key: Some(key.to_owned()),
            },
            searched: Searched(settings.scopes.clone()),
        })
}

#[cfg(test)]
mod tests;
