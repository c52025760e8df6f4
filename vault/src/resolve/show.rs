//! What a binding shows of the secrets it asked for, and what it lacks.

use super::{Resolved, ScopeName, Secrets};
use crate::object::PREVIOUS;
use keystead_crds::sidecar::{SecretConfig, SecretSource};
use std::collections::BTreeMap;
use std::fmt;

/// What one entry of a binding's `secrets` shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown<'a> {
    /// The keys it asked for; those that are there, where it is optional.
    pub keys: BTreeMap<&'a str, &'a Resolved>,
    /// What it lacks and can be without.
    pub missing: Vec<Missing>,
}

/// A value that nobody has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing {
    secret: SecretSource,
    /// None where the secret has no keys at all.
    key: Option<String>,
    searched: Vec<ScopeName>,
}

/// What an entry shows of the resolved secrets. What is missing is an error, unless it is optional.
pub fn show<'a>(secrets: &'a Secrets, asked: &SecretConfig) -> Result<Shown<'a>, Missing> {
    let found = secrets.get(&asked.from).map(|secret| &secret.keys);
    let found = found.filter(|keys| !keys.is_empty());
    let mut keys = BTreeMap::new();
    let mut missing = Vec::new();
    match found {
        None => missing.push(Missing::new(secrets, asked, None)),
        Some(found) if asked.keys.is_empty() => {
            keys.extend(found.iter().map(|(key, value)| (key.as_str(), value)));
        }
        Some(found) => {
            for key in &asked.keys {
                match found.get_key_value(key) {
                    Some((key, value)) => drop(keys.insert(key.as_str(), value)),
                    // Not every value has had one before.
                    None if key.ends_with(PREVIOUS) => {}
                    None => missing.push(Missing::new(secrets, asked, Some(key))),
                }
            }
        }
    }
    if !asked.optional && !missing.is_empty() {
        return Err(missing.swap_remove(0));
    }
    Ok(Shown { keys, missing })
}

impl Missing {
    /// Says that a key of the secret, or the whole secret, is nowhere.
    pub fn new(secrets: &Secrets, asked: &SecretConfig, key: Option<&str>) -> Self {
        Self {
            secret: asked.from.clone(),
            key: key.map(str::to_owned),
            searched: secrets
                .get(&asked.from)
                .map(|secret| secret.searched.clone())
                .unwrap_or_default(),
        }
    }
}

impl std::error::Error for Missing {}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.secret, &self.key) {
            (SecretSource::Path(path), Some(key)) => write!(f, "no key {key} at {path} in Vault"),
            (SecretSource::Path(path), None) => {
                write!(f, "nothing at {path} in Vault")?;
                match unversioned(path) {
                    Some((mount, rest)) => {
                        write!(f, "; in a KV engine of version 2 it would be {mount}/data/{rest}")
                    }
                    None => Ok(()),
                }
            }
            (SecretSource::Made(at), Some(key)) => write!(f, "the answer of {} has no {key}", at.path),
            (SecretSource::Made(at), None) => write!(f, "nothing at {} in Vault", at.path),
            (SecretSource::Database(at), Some(key)) => {
                write!(f, "a credential of DatabaseRole {} has no {key}", at.role)
            }
            (SecretSource::Database(at), None) => {
                write!(
                    f,
                    "Vault has no DatabaseRole {} yet (nothing at {})",
                    at.role, at.path
                )
            }
            (SecretSource::Service(service), key) => {
                write!(f, "no value for {service}")?;
                if let Some(key) = key {
                    write!(f, "/{key}")?;
                }
                for (index, scope) in self.searched.iter().enumerate() {
                    let before = if index == 0 { " in " } else { ", " };
                    write!(f, "{before}{scope}")?;
                }
                Ok(())
            }
        }
    }
}

/// Mount and rest of a path that lacks what the paths of a KV engine of version 2 have.
fn unversioned(path: &str) -> Option<(&str, &str)> {
    let (mount, rest) = path.split_once('/')?;
    let versioned = rest.split('/').any(|segment| segment == "data");
    (!versioned).then_some((mount, rest))
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Secret};
    use super::*;
    use keystead_crds::scope::Level;

    fn asked(from: SecretSource, keys: &[&str], optional: bool) -> SecretConfig {
        SecretConfig {
            name: "crm".into(),
            from,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            optional,
            overlap_millis: None,
        }
    }

    fn service() -> SecretSource {
        SecretSource::Service("hubspot".into())
    }

    fn path(path: &str) -> SecretSource {
        SecretSource::Path(path.into())
    }

    /// A secret with these keys, looked for at everyone's scope.
    fn secrets(from: SecretSource, keys: &[&str]) -> Secrets {
        let resolved = |key: &str| Resolved {
            value: key.into(),
            origin: Origin::Path,
            version: None,
            ends: None,
        };
        let keys = keys
            .iter()
            .map(|key| ((*key).to_owned(), resolved(key)))
            .collect();
        let searched = vec![
            ScopeName {
                level: Level::Company,
                id: Some("acme".into()),
            },
            ScopeName {
                level: Level::Global,
                id: None,
            },
        ];
        Secrets::from([(
            from,
            Secret {
                keys,
                searched,
                refused: None,
            },
        )])
    }

    fn said(secrets: &Secrets, asked: &SecretConfig) -> String {
        show(secrets, asked).unwrap_err().to_string()
    }

    #[test]
    fn only_the_keys_asked_for_are_shown() {
        let all = secrets(service(), &["a", "b", "c"]);
        let keys = |asked: &SecretConfig| show(&all, asked).unwrap().keys.into_keys().collect::<Vec<_>>();
        assert_eq!(keys(&asked(service(), &[], false)), ["a", "b", "c"]);
        assert_eq!(keys(&asked(service(), &["c", "a"], false)), ["a", "c"]);
        assert_eq!(
            said(&all, &asked(service(), &["a", "d"], false)),
            "no value for hubspot/d in company acme, global"
        );
    }

    #[test]
    fn what_is_optional_may_be_missing_and_is_named() {
        let some = secrets(service(), &["a"]);
        let shown = show(&some, &asked(service(), &["a", "d"], true)).unwrap();
        assert_eq!(shown.keys.into_keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(
            shown.missing[0].to_string(),
            "no value for hubspot/d in company acme, global"
        );
        let none = secrets(service(), &[]);
        let shown = show(&none, &asked(service(), &["a", "d"], true)).unwrap();
        assert!(shown.keys.is_empty());
        assert_eq!(shown.missing.len(), 1, "one sentence for a whole secret");
        assert_eq!(
            said(&none, &asked(service(), &["a"], false)),
            "no value for hubspot in company acme, global"
        );
    }

    #[test]
    fn a_path_is_named_and_what_may_be_wrong_with_it() {
        for (from, wanted) in [
            (
                "secret/data/team-a/app",
                "nothing at secret/data/team-a/app in Vault",
            ),
            ("deep/kv/data/app", "nothing at deep/kv/data/app in Vault"),
            (
                "secret/team-a/app",
                "nothing at secret/team-a/app in Vault; in a KV engine of version 2 it would be secret/data/team-a/app",
            ),
        ] {
            assert_eq!(
                said(&secrets(path(from), &[]), &asked(path(from), &[], false)),
                wanted
            );
        }
        let some = secrets(path("kv1/x"), &["a"]);
        assert_eq!(
            said(&some, &asked(path("kv1/x"), &["b"], false)),
            "no key b at kv1/x in Vault"
        );
    }
}
