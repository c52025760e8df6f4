//! Whether the parts of a binding fit together, apart from everything else that is declared.

use super::clash::same_place;
use super::template;
use crate::Problem;
use keystead_crds::binding::SecretBindingSpec;
use keystead_crds::condition::Reason;
use kube::core::Selector;

/// What a user of a database has.
const DATABASE_KEYS: [&str; 6] = ["database", "host", "password", "port", "url", "username"];

/// Whether the parts of a binding fit together.
pub fn fits(spec: &SecretBindingSpec) -> Result<(), Problem> {
    let wrong = selector(spec)
        .or_else(|| files(spec))
        .or_else(|| keys(spec))
        .or_else(|| template::inline(spec));
    wrong.map_or(Ok(()), |message| Err(Problem::new(Reason::Invalid, message)))
}

fn selector(spec: &SecretBindingSpec) -> Option<String> {
    let selector = Selector::try_from(spec.pod_selector.clone()?);
    let error = selector.err()?;
    Some(format!(
        "spec.podSelector: {error}; an expression needs an operator of In, NotIn, Exists and DoesNotExist"
    ))
}

fn files(spec: &SecretBindingSpec) -> Option<String> {
    spec.files.iter().enumerate().find_map(|(index, file)| {
        let mut before = spec.files.iter().take(index);
        let overlap = before.find_map(|other| same_place(&other.path, &file.path))?;
        Some(format!(
            "spec.files[{}].path: the pod would get {overlap} twice: rename one",
            file.path
        ))
    })
}

/// A file or variable shows a key that its secret is asked for.
fn keys(spec: &SecretBindingSpec) -> Option<String> {
    let files = spec.files.iter().filter_map(|file| {
        let (secret, key) = (file.secret.as_ref()?, file.key.as_ref()?);
        Some((format!("spec.files[{}]", file.path), secret, key))
    });
    let env = spec.env.iter();
    let env = env.map(|env| (format!("spec.env[{}]", env.name), &env.secret, &env.key));
    files.chain(env).find_map(|(place, name, key)| {
        let secret = spec.secrets.iter().find(|secret| secret.name == *name)?;
        let unseen = !secret.keys.is_empty() && !secret.keys.contains(key);
        let unknown = secret.database_role.is_some() && !DATABASE_KEYS.contains(&key.as_str());
        if unknown {
            let all = DATABASE_KEYS.join(", ");
            return Some(format!("{place}.key: a databaseRole has no {key}: it has {all}"));
        }
        unseen.then(|| {
            format!("{place}.key: {key} is not among spec.secrets[{name}].keys: add it there, or leave keys out to have all")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What is said of a binding with these fields.
    fn said(fields: &Value) -> String {
        let mut spec = json!({
            "providerRef": {"name": "p"},
            "serviceAccounts": ["web"],
            "secrets": [{"name": "crm", "service": "hubspot", "keys": ["api_key"]}, {"name": "db", "service": "db"}, {"name": "users", "databaseRole": "orders"}],
        });
        spec.as_object_mut()
            .unwrap()
            .append(&mut fields.as_object().unwrap().clone());
        let spec = serde_json::from_value(spec).unwrap();
        fits(&spec)
            .err()
            .map_or_else(String::new, |problem| problem.message)
    }

    #[test]
    fn what_can_not_fit_together_is_said() {
        let raw = |path: &str, key: &str| json!({"path": path, "format": "Raw", "secret": "crm", "key": key});
        let env = |secret: &str, key: &str| json!({"env": [{"name": "KEY", "secret": secret, "key": key}]});
        let template = |text: &str| json!({"path": "t", "format": "Template", "template": text});
        for (fields, wanted) in [
            (
                json!({"files": [raw("a/b", "api_key"), raw("a", "api_key")]}),
                "spec.files[a].path: the pod would get the file a, which is a directory in a/b, twice",
            ),
            (
                json!({"files": [raw("a", "url")]}),
                "spec.files[a].key: url is not among spec.secrets[crm].keys",
            ),
            (
                json!({"files": [template("a\n{{ secret('crm').url }}")]}),
                "spec.files[t].template: line 2: url is not among spec.secrets[crm].keys",
            ),
            (
                json!({"files": [template("{{ secret('hr').url }}")]}),
                "spec.files[t].template: line 1: secret(\"hr\") must be the name of an entry of spec.secrets",
            ),
            (
                env("users", "user"),
                "spec.env[KEY].key: a databaseRole has no user: it has database, host, password, port, url, username",
            ),
            (
                env("crm", "url"),
                "spec.env[KEY].key: url is not among spec.secrets[crm].keys",
            ),
            (
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                "spec.podSelector: ",
            ),
        ] {
            let message = said(&fields);
            assert!(message.contains(wanted), "{wanted}: {message}");
        }
        for fields in [
            json!({"files": [raw("a", "api_key"), raw("b", "api_key")]}),
            json!({"files": [template("{{ secret('crm').api_key }} {{ secret('db').url }}")]}),
            env("crm", "api_key"),
            env("db", "url"),
            env("users", "password"),
            json!({"files": [template("{{ secret('users').url }}")]}),
        ] {
            assert_eq!(said(&fields), "", "{fields}");
        }
    }
}
