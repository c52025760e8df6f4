//! What a pod gets: what its config asks for, with what was found. A value is told by its end, or not at
//! all.

use super::settings::{self, Defaults, Told};
use super::subject::Subject;
use keystead_compile::kinds::pod::PodSecrets;
use keystead_crds::Level;
use keystead_crds::sidecar::{Config, SecretConfig, SecretSource, TemplateConfig};
use keystead_vault::Sensitive;
use keystead_vault::resolve::{self, Layer, Missing, Origin, Resolved, ScopeName, Secrets};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// How much of a value's end is told, in characters.
const TOLD: usize = 4;
/// Of a shorter value nothing is told: its end would be too much of it.
const SHORTEST: usize = 8;
/// Stands for what is not told, however long that is.
const MASK: &str = "••••";

/// What a pod gets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// Whether the pod has our sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) injected: Option<bool>,
    pub(crate) service_account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    pub(crate) provider: String,
    pub(crate) bindings: Vec<String>,
    /// Those that are searched, most specific first.
    pub(crate) scopes: Vec<String>,
    /// Whether a node's scope would be searched, if a node were known.
    #[serde(skip)]
    pub(crate) lacks_node: bool,
    pub(crate) values: Vec<Shown>,
    pub(crate) missing: Vec<Lack>,
    /// Who is told of which file.
    pub(crate) on_change: Vec<Told>,
    pub(crate) defaults: Defaults,
}

/// One key of one secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    /// Binding and name in it.
    pub(crate) secret: String,
    pub(crate) key: String,
    /// Masked.
    pub(crate) value: String,
    /// The scope that serves it, or the path.
    pub(crate) from: String,
    /// Where the engine keeps versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// Why it is this one, in words.
    pub(crate) why: String,
    /// More specific scopes, which do not have it.
    pub(crate) not_in: Vec<String>,
    /// Less specific scopes, which have it, too.
    pub(crate) overrides: Vec<String>,
    /// Where the pod finds it.
    pub(crate) files: Vec<String>,
    pub(crate) env: Vec<String>,
}

/// A value that nobody has.
#[derive(Debug, Serialize)]
pub(crate) struct Lack {
    pub(crate) secret: String,
    /// None where the secret has no keys at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) searched: Vec<String>,
    pub(crate) problem: String,
    /// Whether the pod can be without.
    pub(crate) optional: bool,
}

/// Who has a key of a secret, most specific first, and in which version. The first one serves it.
type Holders = BTreeMap<(SecretSource, String), Vec<(Origin, Option<u64>)>>;

impl Report {
    /// What a pod is to get, with what was found.
    pub(crate) fn new(
        subject: &Subject,
        bound: &PodSecrets,
        provider: &str,
        scopes: &[ScopeName],
        layers: Vec<Layer>,
    ) -> Self {
        let config = &bound.config;
        let holders = holders(&layers);
        let secrets = resolve::resolve(layers);
        let by_node = config.vault.scopes.iter().any(|scope| scope.level == Level::Node);
        Self {
            namespace: subject.namespace.clone(),
            pod: subject.pod.clone(),
            injected: subject.injected,
            service_account: subject.account.clone(),
            node: subject.node.clone(),
            provider: provider.to_owned(),
            bindings: bound.bindings.clone(),
            scopes: names(scopes),
            lacks_node: by_node && subject.node.is_none(),
            values: config
                .secrets
                .iter()
                .flat_map(|asked| values(bound, asked, &secrets, &holders))
                .collect(),
            missing: config
                .secrets
                .iter()
                .flat_map(|asked| lacks(config, asked, &secrets))
                .collect(),
            on_change: Told::all(bound),
            defaults: Defaults::new(subject, bound, provider),
        }
    }

    /// Whether all is there that the pod can't be without.
    pub(crate) fn code(&self) -> ExitCode {
        if self.missing.iter().all(|lack| lack.optional) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn holders(layers: &[Layer]) -> Holders {
    let mut holders = Holders::new();
    for Layer { source, found, .. } in layers {
        let Some(found) = found else { continue };
        for key in found.values.keys() {
            let place = (source.secret.clone(), key.clone());
            holders
                .entry(place)
                .or_default()
                .push((source.origin.clone(), found.version));
        }
    }
    holders
}

/// The keys of a secret that the pod is shown.
fn values(bound: &PodSecrets, asked: &SecretConfig, secrets: &Secrets, holders: &Holders) -> Vec<Shown> {
    let Some(found) = secrets.get(&asked.from) else {
        return made(bound, asked);
    };
    let shown = found
        .keys
        .iter()
        .filter(|(key, _)| asked.keys.is_empty() || asked.keys.contains(key));
    let value = |(key, resolved): (&String, &Resolved)| {
        let holders = holders
            .get(&(asked.from.clone(), key.clone()))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let overridden = holders.iter().skip(1).filter_map(|(origin, _)| scope(origin));
        let before = found
            .searched
            .iter()
            .take_while(|searched| Some(*searched) != scope(&resolved.origin));
        let (not_in, overrides) = (names(before), names(overridden));
        Shown {
            secret: asked.name.clone(),
            key: key.clone(),
            value: mask(&resolved.value),
            from: from(asked, &resolved.origin),
            version: holders.first().and_then(|(_, version)| *version),
            why: why(&resolved.origin, &not_in, &overrides),
            not_in,
            overrides,
            files: files(bound, asked, key),
            env: variables(&bound.config, asked, key),
        }
    };
    shown.map(value).collect()
}

/// What is known of something before Vault makes it for the pod.
fn made(bound: &PodSecrets, asked: &SecretConfig) -> Vec<Shown> {
    let from_vault = || "(from Vault)".to_owned();
    let (path, why, known) = match &asked.from {
        SecretSource::Database(at) => {
            let known = [
                ("database", at.database.clone()),
                ("host", Some(at.host.clone())),
                ("password", Some(from_vault())),
                ("port", Some(at.port.to_string())),
                ("url", Some(from_vault())),
                ("username", Some(from_vault())),
            ];
            let known = known
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)));
            let why = format!("each pod asks DatabaseRole {} for its own", at.role);
            (&at.path, why, known.collect())
        }
        SecretSource::Made(at) => {
            let keys = asked_for(&bound.config, asked);
            let known: Vec<_> = keys
                .into_iter()
                .map(|key| (key.to_owned(), from_vault()))
                .collect();
            (&at.path, "each pod asks for its own".to_owned(), known)
        }
        SecretSource::Service(_) | SecretSource::Path(_) => return Vec::new(),
    };
    let known = known
        .into_iter()
        .filter(|(key, _)| asked.keys.is_empty() || asked.keys.contains(key));
    let value = |(key, value): (String, String)| Shown {
        secret: asked.name.clone(),
        value,
        from: path.clone(),
        version: None,
        why: why.clone(),
        not_in: Vec::new(),
        overrides: Vec::new(),
        files: files(bound, asked, &key),
        env: variables(&bound.config, asked, &key),
        key,
    };
    known.map(value).collect()
}

fn scope(origin: &Origin) -> Option<&ScopeName> {
    match origin {
        Origin::Scope(scope) => Some(scope),
        Origin::Path => None,
    }
}

fn from(asked: &SecretConfig, origin: &Origin) -> String {
    match origin {
        Origin::Scope(scope) => scope.to_string(),
        Origin::Path => asked.from.path().unwrap_or_else(|| asked.from.name()).to_owned(),
    }
}

fn why(origin: &Origin, not_in: &[String], overrides: &[String]) -> String {
    let not_in = (!not_in.is_empty()).then(|| format!("not in {}", not_in.join(", ")));
    let overrides = (!overrides.is_empty()).then(|| format!("overrides {}", overrides.join(", ")));
    match (not_in, overrides) {
        (Some(one), Some(other)) => format!("{one}; {other}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if scope(origin).is_none() => "the binding names this path".into(),
        (None, None) => "no other has it".into(),
    }
}

fn files(bound: &PodSecrets, asked: &SecretConfig, key: &str) -> Vec<String> {
    let files = bound.config.files.iter().filter(|file| match &file.template {
        Some(template) => may_show(template, asked),
        None => file.secret.as_deref() == Some(&*asked.name),
    });
    let files = files.filter(|file| file.key.as_deref().is_none_or(|shown| shown == key));
    files.map(|file| settings::place(bound, file)).collect()
}

/// Whether a template names a secret. Which of its keys it shows only rendering can tell, and of some
/// templates not even that.
fn may_show(template: &TemplateConfig, asked: &SecretConfig) -> bool {
    let name = asked.name.strip_prefix(&template.prefix);
    name.is_some_and(|name| keystead_template::names(&template.text).is_none_or(|named| named.contains(name)))
}

fn variables(config: &Config, asked: &SecretConfig, key: &str) -> Vec<String> {
    let env = config.env.iter();
    let env = env.filter(|variable| variable.secret == asked.name && variable.key == key);
    env.map(|variable| variable.name.clone()).collect()
}

/// What nobody has of what is asked for: by the secret itself, by files, by variables.
fn lacks(config: &Config, asked: &SecretConfig, secrets: &Secrets) -> Vec<Lack> {
    let found = secrets.get(&asked.from);
    let lack = |key: Option<&str>| Lack {
        secret: asked.name.clone(),
        key: key.map(str::to_owned),
        searched: found.map(|found| names(&found.searched)).unwrap_or_default(),
        problem: Missing::new(secrets, asked, key).to_string(),
        optional: asked.optional,
    };
    if asked.from.is_made() {
        return Vec::new();
    }
    let Some(found) = found.filter(|found| !found.keys.is_empty()) else {
        return vec![lack(None)];
    };
    let mut keys = asked_for(config, asked);
    keys.retain(|key| !found.keys.contains_key(*key));
    keys.into_iter().map(|key| lack(Some(key))).collect()
}

/// The keys of a secret that are asked for by name: by itself, by files, by variables.
fn asked_for<'a>(config: &'a Config, asked: &'a SecretConfig) -> BTreeSet<&'a str> {
    let files = config
        .files
        .iter()
        .filter(|file| file.secret.as_deref() == Some(&*asked.name));
    let env = config.env.iter().filter(|variable| variable.secret == asked.name);
    let mut keys: BTreeSet<&str> = asked.keys.iter().map(String::as_str).collect();
    keys.extend(files.filter_map(|file| file.key.as_deref()));
    keys.extend(env.map(|variable| variable.key.as_str()));
    keys
}

fn names<'a>(scopes: impl IntoIterator<Item = &'a ScopeName>) -> Vec<String> {
    scopes.into_iter().map(ToString::to_string).collect()
}

/// The last four characters, of a value that has at least eight.
fn mask(value: &Sensitive<String>) -> String {
    let value = value.expose();
    let length = value.chars().count();
    if length < SHORTEST {
        return MASK.to_owned();
    }
    let end: String = value.chars().skip(length - TOLD).collect();
    // A new line would tear the table, and what moves the cursor could hide a part of it.
    format!("{MASK}{}", end.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_shows_what_it_names() {
        let secret = |name: &str| SecretConfig {
            name: name.to_owned(),
            from: SecretSource::Service("hubspot".into()),
            keys: Vec::new(),
            optional: false,
            overlap_millis: None,
        };
        let template = |text: &str| TemplateConfig {
            text: text.to_owned(),
            prefix: "web/".to_owned(),
        };
        let named = template("key={{ secret(\"crm\").api_key }}");
        assert!(may_show(&named, &secret("web/crm")));
        assert!(!may_show(&named, &secret("web/db")));
        assert!(!may_show(&named, &secret("other/crm")), "another binding's");
        let told_late = template("{% set one = secret %}{{ one(\"crm\").api_key }}");
        assert!(may_show(&told_late, &secret("web/db")));
    }

    #[test]
    fn a_value_is_told_by_its_end_or_not_at_all() {
        for (value, told) in [
            ("", MASK),
            ("hunter2", MASK),
            ("hunter22", "••••er22"),
            ("a-very-long-value-indeed", "••••deed"),
            ("äöüßäöü", MASK),
            ("äöüßäöüß", "••••äöüß"),
            ("with-a-line\n", "••••ine\\n"),
        ] {
            assert_eq!(mask(&Sensitive::from(value)), told);
        }
    }
}
