//! `Template`: what a text of the binding makes of its secrets.

use super::View;
use crate::error::Error;
use crate::files::FilePath;
use keystead_crds::sidecar::TemplateConfig;
use keystead_template::{Secrets, Why};
use keystead_vault::Sensitive;
use std::collections::BTreeSet;

/// The file, of these secrets; none where it shows what an optional one lacks or what Vault refuses.
pub(super) fn render(
    view: &mut View<'_>,
    path: &FilePath,
    template: &TemplateConfig,
    used: &BTreeSet<String>,
) -> Result<Option<Sensitive<String>>, Error> {
    let Some(secrets) = secrets(view, template, used) else {
        return Ok(None);
    };
    let error = match keystead_template::render(&template.text, secrets) {
        Ok(text) => return Ok(Some(text)),
        Err(error) => error,
    };
    if let Why::Missing { secret, key } = &error.why {
        // An error for a secret that is not optional, and one that names the scopes.
        let secret = format!("{}{secret}", template.prefix);
        if view.value(&secret, key)?.is_none() {
            return Ok(None);
        }
    }
    Err(Error::Template {
        path: path.clone(),
        error,
    })
}

/// What the secrets show, by the names that the template has for them; none where one is refused.
fn secrets(view: &View<'_>, template: &TemplateConfig, used: &BTreeSet<String>) -> Option<Secrets> {
    let secrets = used.iter().map(|name| {
        let (_, keys) = view.shown.get(name.as_str())?;
        let keys = keys
            .iter()
            .map(|(key, found)| ((*key).to_owned(), found.value.clone()));
        let name = name.strip_prefix(&template.prefix)?;
        Some((name.to_owned(), keys.collect()))
    });
    secrets.collect()
}
